"""Known masks: trimaps, and pictures of 0 and 255."""

import numpy as np
import pytest
from PIL import Image

from minunet.data import DataError
from minunet.data.images import Picture
from minunet.data.labels import find_mask, read_mask


def mask_of(tmp_path, values, mode=None, orientation=1, size=None, border="pet"):
    """read_mask of a file with these values."""
    values = np.array(values)
    picture = Image.fromarray(values.astype(bool) if mode == "1" else values.astype(mode or np.uint8))
    picture.save(tmp_path / "mask.png")
    height, width = size or values.shape
    return read_mask(
        tmp_path / "mask.png", Picture(np.zeros((height, width, 3), np.uint8), orientation), border
    ).tolist()


@pytest.mark.parametrize("border, values", [("pet", [1, 0, 1]), ("background", [1, 0, 0]), ("ignore", [1, 0, 255])])
def test_a_trimap(tmp_path, border, values):
    assert mask_of(tmp_path, [[1, 2, 3]], border=border) == [values]


@pytest.mark.parametrize(
    "values, mode, expected",
    [
        ([[0, 255]], None, [0, 1]),
        ([[0, 1]], None, [0, 1]),
        ([[0, 1]], "1", [0, 1]),
        ([[1, 1]], "1", [1, 1]),
        ([[0, 0]], None, [0, 0]),
        ([[255, 255]], None, [1, 1]),
        ([[1, 1]], None, [1, 1]),
        ([[2, 2]], None, [0, 0]),
        ([[0, 255]], np.uint16, [0, 1]),
        ([[2, 1]], np.uint16, [0, 1]),
    ],
)
def test_the_values_say_what_it_is(tmp_path, values, mode, expected):
    assert mask_of(tmp_path, values, mode) == [expected]


@pytest.mark.parametrize(
    "values, message",
    [
        ([[0, 1, 2]], "holds 0, 1, 2; a mask holds 0 and 255, or 0 and 1, or a trimap's 1"),
        ([[0, 254]], "holds 0, 254"),
        ([[3, 4]], "holds 3, 4"),
        ([range(9)], r"holds 0, 1, 2, 3, 4, \.\.\.;"),
        ([[[1, 2, 1]]], "is coloured; a mask has one whole number"),
    ],
)
def test_other_values_are_refused(tmp_path, values, message):
    with pytest.raises(DataError, match=message):
        mask_of(tmp_path, values, size=(1, 2))


def test_a_mask_is_turned_with_its_picture(tmp_path):
    """Stored 3 wide and 2 high, and shown turned by a quarter to the right."""
    assert mask_of(tmp_path, [[1, 1, 2], [2, 2, 2]], orientation=6, size=(3, 2)) == [[0, 1], [0, 1], [0, 0]]


def test_a_mask_that_fits_the_turned_picture_only_is_not_turned(tmp_path):
    assert mask_of(tmp_path, [[1, 2], [1, 2], [2, 2]], orientation=6, size=(3, 2)) == [[1, 0], [1, 0], [0, 0]]


def test_where_both_fit_it_belongs_to_the_stored_pixels(tmp_path):
    assert mask_of(tmp_path, [[1, 2], [2, 2]], orientation=3) == [[0, 0], [0, 1]]


def test_another_size(tmp_path):
    with pytest.raises(DataError, match=r"^is 2 x 1, its picture is 3 x 4 \(width x height\)$"):
        mask_of(tmp_path, [[1, 2]], size=(4, 3))


def test_where_masks_are_looked_for(tmp_path):
    assert find_mask(tmp_path, "cat.1") == tmp_path / "cat.1.png"
    for place in ("annotations/trimaps", "trimaps", "."):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        path = tmp_path / place / "cat.1.png"
        path.touch()
        assert find_mask(tmp_path, "cat.1") == path
