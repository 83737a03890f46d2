"""What a pixel of a mask can say, and the tables that lead there."""

import numpy as np
import pytest

from minunet.data import labels
from minunet.data.labels import (
    IGNORE,
    MEANINGS,
    MOST_OBJECTS,
    USUAL,
    check_table,
    ignored,
    lookup,
    renumber,
    translate,
    trimap_table,
)


@pytest.mark.parametrize("border", MEANINGS)
def test_the_boundary_of_a_trimap_becomes_what_was_asked_for(border):
    table = trimap_table(border)
    assert table == {1: 1, 2: 0, 3: MEANINGS[border]}
    trimap = np.array([[1, 2, 3]], np.uint8)
    assert lookup(table)[trimap].tolist() == [[1, 0, MEANINGS[border]]]
    assert np.array_equal(lookup(table)[trimap], translate(trimap, [table])) and lookup(table).dtype == np.uint8


def test_the_first_table_that_fits_is_taken():
    assert translate(np.array([[0, 0]]), [{0: 1}, {0: 0}]).tolist() == [[1, 1]]
    assert translate(np.array([[0, 255]]), USUAL).tolist() == [[0, 1]]
    assert translate(np.array([[0, 1]]), USUAL).tolist() == [[0, 1]]
    assert translate(np.array([[0, 1, 255]]), USUAL) is None
    assert translate(np.array([[1000, 7]]), [{7: IGNORE, 1000: 1}]).tolist() == [[1, IGNORE]]


@pytest.mark.parametrize(
    "values, error", [({}, ValueError), ({0: 2}, ValueError), ({-1: 0}, ValueError), ({0.5: 1}, TypeError)]
)
def test_a_table_must_lead_from_integers_to_classes(values, error):
    with pytest.raises(error):
        check_table(values)
    assert check_table([[0, 0], [7, 255]]) == check_table({0: 0, 7: 255}) == {0: 0, 7: 255}


def test_a_table_of_more_classes():
    assert check_table({0: 254, 7: 255, 70000: 0}, most=254) == {0: 254, 7: 255, 70000: 0}
    with pytest.raises(ValueError, match="it must lead from integers of at least 0 to 0 to 3, or 255"):
        check_table({0: 4}, most=3)
    with pytest.raises(ValueError, match="to 0, 1 or 255"):
        check_table({0: 2})


# ---- objects ----


def test_objects_are_numbered_in_the_order_of_their_values():
    segments = renumber(np.array([[0, 500, 65535], [3, 500, 2**40]]))
    assert segments.dtype == np.uint16 and segments.tolist() == [[0, 2, 3], [1, 2, 4]]
    assert renumber(np.array([[0, 500, 65535], [3, 500, 2**40]]), ignore=True).tolist() == [[0, 2, 65535], [1, 2, 3]]
    assert renumber(np.zeros((2, 3), int)).tolist() == [[0] * 3] * 2  # no object
    assert renumber(np.full((1, 2), 9), ignore=True).tolist() == [[1, 1]]  # one that fills the image
    assert renumber(np.full((1, 2), 65535), ignore=True).tolist() == [[65535] * 2]  # nothing but ignored pixels
    assert renumber(np.zeros((0, 3), int)).shape == (0, 3)
    already = np.array([[0, 1], [2, 3]], np.uint16)
    assert np.array_equal(renumber(already), already)


@pytest.mark.parametrize("ignore", [False, True])
def test_as_many_objects_as_16_bits_can_number_and_no_more(ignore):
    most = np.arange(MOST_OBJECTS + 1).reshape(1, -1) * 70000
    assert renumber(most, ignore).max() == 65534
    with pytest.raises(ValueError, match="the image has 65535 objects: a 16-bit label image can hold 65534"):
        renumber(np.append(most, [[1]], axis=1), ignore)


def test_a_negative_number_is_no_object():
    with pytest.raises(ValueError, match="segments hold -4"):
        renumber(np.array([[0, -4]]))


def test_what_stands_for_ignored_pixels():
    for dtype, channels, expected in [(np.uint8, 1, [255]), (np.uint16, 1, [65535]), (np.uint16, 2, [255, 0])]:
        assert ignored(np.zeros((2, 3, channels), dtype)) == expected


# ---- segments ----


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, bool])
def test_segments_of_any_integers(dtype):
    numbers = np.array([[0, 1], [1, 1]]).astype(dtype)
    assert labels.as_segments(numbers).dtype == np.uint16
    np.testing.assert_array_equal(labels.as_segments(numbers), [[0, 1], [1, 1]])


def test_the_most_objects_of_an_image():
    numbers = np.arange(65535).reshape(5, -1)  # 0, and 65,534 objects
    np.testing.assert_array_equal(labels.as_segments(numbers), numbers)
    np.testing.assert_array_equal(labels.renumber(numbers * 1000), numbers)
    numbers = np.arange(65536).reshape(16, -1)  # one more, whose number would mean "ignore"
    with pytest.raises(ValueError, match="the number 65535: it must be at most 65534, because a 16-bit label image"):
        labels.as_segments(numbers)
    with pytest.raises(ValueError, match="65535 objects: a 16-bit label image can hold 65534"):
        labels.renumber(numbers)
    assert labels.as_segments(numbers, ignore=True)[-1, -1] == 65535  # a true label image may ignore pixels
    with pytest.raises(ValueError, match="65536"):
        labels.as_segments(numbers + 1, ignore=True)


@pytest.mark.parametrize(
    "numbers, error",
    [(np.zeros((2, 2)), TypeError), (np.zeros((2, 2, 1), int), ValueError), (np.array([[0, -1]]), ValueError)],
)
def test_what_is_no_segments_is_refused(numbers, error):
    with pytest.raises(error, match="segments"):
        labels.as_segments(numbers)


def test_renumbering_keeps_the_objects():
    np.testing.assert_array_equal(labels.renumber(np.array([[5, 5, 0], [9, 2, 5]])), [[2, 2, 0], [3, 1, 2]])
    np.testing.assert_array_equal(labels.renumber(np.array([[5, 5], [5, 5]])), [[1, 1], [1, 1]])  # no background
    assert labels.renumber(np.zeros((0, 3), int)).shape == (0, 3)
    with pytest.raises(ValueError, match="-4"):
        labels.renumber(np.array([[-4, 1]]))
