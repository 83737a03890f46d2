"""COCO's panoptic format as arrays and back, against images written out by hand."""

import numpy as np
import pytest

from minunet.data.panoptic_ids import colors_to_ids, from_panoptic, ids_to_colors, to_panoptic

TABLE, THINGS = {7: 0, 17: 1, 18: 2, 99: 255}, (False, True, True)  # grass, cat, dog; 99 is not to be learned
IDS = np.array(
    [
        [70000, 70000, 258, 258],
        [70000, 3, 3, 258],
        [0, 5, 5, 4],
    ]
)
INFO = [
    {"id": 258, "category_id": 18, "iscrowd": 0},
    {"id": 70000, "category_id": 7, "iscrowd": 0},
    {"id": 3, "category_id": 17},
    {"id": 4, "category_id": 99, "iscrowd": 0},
    {"id": 5, "category_id": 17, "iscrowd": 1},
]


def test_colors_hold_the_lowest_byte_in_red():
    colors = ids_to_colors(np.array([[0, 255, 256, 70000, 16777215]]))
    expected = [[0, 0, 0], [255, 0, 0], [0, 1, 0], [0x70, 0x11, 0x01], [255, 255, 255]]
    np.testing.assert_array_equal(colors[0], expected)
    np.testing.assert_array_equal(colors_to_ids(colors), [[0, 255, 256, 70000, 16777215]])
    for wrong in (np.array([[-1]]), np.array([[16777216]])):
        with pytest.raises(ValueError, match="ids"):
            ids_to_colors(wrong)
    for wrong in (np.zeros((2, 2), np.uint8), np.zeros((2, 2, 3), int), np.zeros((2, 2, 4), np.uint8)):
        with pytest.raises(ValueError, match="panoptic PNG"):
            colors_to_ids(wrong)


def test_ids_become_classes_and_segments():
    classes, segments = from_panoptic(IDS, INFO, TABLE, THINGS)
    assert classes.dtype == np.uint8 and segments.dtype == np.uint16
    np.testing.assert_array_equal(classes, [[0, 0, 2, 2], [0, 1, 1, 2], [255, 1, 1, 255]])
    np.testing.assert_array_equal(segments, [[0, 0, 1, 1], [0, 2, 2, 1], [0, 0, 0, 0]])  # a crowd has no number


def test_classes_and_segments_become_ids():
    classes, segments = from_panoptic(IDS, INFO, TABLE, THINGS)
    ids, info = to_panoptic(classes, segments, category_ids=(7, 17, 18), things=THINGS)
    np.testing.assert_array_equal(ids, [[1, 1, 4, 4], [1, 3, 3, 4], [0, 2, 2, 0]])
    assert info == [
        {"id": 1, "category_id": 7, "area": 3, "bbox": [0, 0, 2, 2], "iscrowd": 0},
        {"id": 2, "category_id": 17, "area": 2, "bbox": [1, 2, 2, 1], "iscrowd": 1},
        {"id": 3, "category_id": 17, "area": 2, "bbox": [1, 1, 2, 1], "iscrowd": 0},
        {"id": 4, "category_id": 18, "area": 3, "bbox": [2, 0, 2, 2], "iscrowd": 0},
    ]
    again = from_panoptic(ids, info, TABLE, THINGS)
    np.testing.assert_array_equal(again[0], classes)
    np.testing.assert_array_equal(again[1] > 0, segments > 0)


def test_numbers_on_stuff_and_void_mean_nothing():
    ids, info = to_panoptic(np.array([[0, 0, 255]]), np.array([[1, 2, 65535]]), (7,), (False,))
    np.testing.assert_array_equal(ids, [[1, 1, 0]])
    assert len(info) == 1


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda info: info[:-1], "segment 5, which segments_info does not list"),
        (lambda info: info + [{"id": 6, "category_id": 7}], "segment 6 .* on no pixel"),
        (lambda info: info + [{"id": 99999, "category_id": 7}], "segment 99999 .* on no pixel"),
        (lambda info: info + [{"id": 3, "category_id": 7}], "segment 3 .* twice"),
        (lambda info: info + [{"id": 0, "category_id": 7}], "segment 0 .* void"),
        (lambda info: info[:-1] + [{"id": 5, "category_id": 8}], "segment 5 has category_id 8"),
    ],
)
def test_a_list_that_contradicts_the_image_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        from_panoptic(IDS, change(INFO), TABLE, THINGS)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="must be 0 to 0, or 255"):
        to_panoptic(np.array([[1]]), np.array([[0]]), (7,), (False,))
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        to_panoptic(np.array([[0]]), np.array([[0, 0]]), (7,), (False,))
    with pytest.raises(ValueError, match="65534"):
        to_panoptic(np.array([[0]]), np.array([[65536]]), (7,), (True,))
    many = np.arange(1, 65536).reshape(5, -1)
    info = [{"id": number, "category_id": 17} for number in range(1, 65536)]
    with pytest.raises(ValueError, match="65535 things: .* 65534"):
        from_panoptic(many, info, TABLE, THINGS)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5)])
def test_images_of_void_alone(shape):
    classes, segments = from_panoptic(np.zeros(shape, int), [], TABLE, THINGS)
    assert (classes == 255).all() and (segments == 0).all()
    ids, info = to_panoptic(classes, segments, (7,), (False,))
    assert (ids == 0).all() and info == []
