"""Known masks: trimaps, and images of 0 and 255."""

import numpy as np
import pytest
from PIL import Image

from minunet.data import DataError
from minunet.data.folder import ImageFolder
from minunet.data.images import UprightImage
from minunet.data.masks import class_reader, find_mask, instance_reader, mask_reader, read_labels, read_mask
from minunet.data.pets import Pets


def mask_of(tmp_path, values, mode=None, orientation=1, size=None, border="pet"):
    """read_mask of a file with these values."""
    values = np.array(values)
    stored = Image.fromarray(values.astype(bool) if mode == "1" else values.astype(mode or np.uint8))
    stored.save(tmp_path / "mask.png")
    height, width = size or values.shape
    return read_mask(
        tmp_path / "mask.png", UprightImage(np.zeros((height, width, 3), np.uint8), orientation), border
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
        ([[0, 1, 2]], "holds 0, 1, 2: a mask holds 0 and 255, or 0 and 1, or a trimap's 1"),
        ([[0, 254]], "holds 0, 254"),
        ([[3, 4]], "holds 3, 4"),
        ([range(9)], r"holds 0, 1, 2, 3, 4, \.\.\.:"),
        ([[[1, 2, 1]]], r"is colored \(mode RGB\): a mask needs one integer"),
    ],
)
def test_other_values_are_refused(tmp_path, values, message):
    with pytest.raises(DataError, match=message):
        mask_of(tmp_path, values, size=(1, 2))


def test_a_mask_gets_the_orientation_of_its_image(tmp_path):
    """Stored 3 wide and 2 high, and shown rotated by 90 degrees, clockwise."""
    assert mask_of(tmp_path, [[1, 1, 2], [2, 2, 2]], orientation=6, size=(3, 2)) == [[0, 1], [0, 1], [0, 0]]


def test_a_mask_that_fits_only_the_upright_image_is_left_as_it_is(tmp_path):
    assert mask_of(tmp_path, [[1, 2], [1, 2], [2, 2]], orientation=6, size=(3, 2)) == [[1, 0], [1, 0], [0, 0]]


def test_where_both_fit_it_belongs_to_the_stored_pixels(tmp_path):
    assert mask_of(tmp_path, [[1, 2], [2, 2]], orientation=3) == [[0, 0], [0, 1]]


def test_another_size(tmp_path):
    with pytest.raises(DataError, match=r"^is 2 x 1, but its image is 3 x 4 \(width x height\)$"):
        mask_of(tmp_path, [[1, 2]], size=(4, 3))


def test_where_masks_are_looked_for(tmp_path):
    assert find_mask(tmp_path, "cat.1") == tmp_path / "cat.1.png"
    for place in ("annotations/trimaps", "trimaps", "."):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        path = tmp_path / place / "cat.1.png"
        path.touch()
        assert find_mask(tmp_path, "cat.1") == path
    (tmp_path / "trimaps" / "dog.tif").touch()  # label images of microscopes
    assert find_mask(tmp_path, "dog") == tmp_path / "trimaps" / "dog.tif"


# ---- other labels of one image ----


@pytest.mark.parametrize(
    "orientation, expected", [(1, [[7, 0, 3]]), (2, [[3, 0, 7]]), (6, [[7], [0], [3]]), (8, [[3], [0], [7]])]
)
def test_labels_get_the_orientation_of_their_image(tmp_path, orientation, expected):
    stored = np.array([[7000, 0, 300]], np.uint16)
    Image.fromarray(stored).save(tmp_path / "a.png")
    image = UprightImage(np.zeros((*np.shape(expected), 3), np.uint8), orientation)
    objects = read_labels(tmp_path / "a.png", image, instance_reader)
    assert (
        objects.dtype == np.uint16
        and objects.tolist() == np.select([np.equal(expected, n) for n in (3, 7)], (1, 2)).tolist()
    )
    classes = read_labels(tmp_path / "a.png", image, class_reader({7000: 7, 0: 0, 300: 3}))
    assert classes.dtype == np.uint8 and classes.tolist() == expected

    def two(stored):
        return np.stack([instance_reader(stored), np.asarray(stored).astype(np.uint16)], axis=2)

    both = read_labels(tmp_path / "a.png", image, two)
    assert both.dtype == np.uint16 and np.array_equal(both[:, :, 0], objects)
    assert both[:, :, 1].tolist() == np.select([np.equal(expected, n) for n in (3, 7)], (300, 7000)).tolist()


def test_labels_of_another_size_and_with_other_numbers(tmp_path):
    Image.fromarray(np.array([[1, 2]], np.uint8)).save(tmp_path / "a.png")
    image = UprightImage(np.zeros((2, 2, 3), np.uint8), 1)
    with pytest.raises(DataError, match=r"^is 2 x 1, but its image is 2 x 2 \(width x height\)$"):
        read_labels(tmp_path / "a.png", image, instance_reader)
    with pytest.raises(DataError, match="^holds 2: the classes have only the numbers 0, 1; name them"):
        read_labels(tmp_path / "a.png", image, class_reader({0: 0, 1: 1}))
    with pytest.raises(DataError, match="^holds 1, 2: the table of values has only 0, 1"):
        read_labels(tmp_path / "a.png", image, mask_reader({0: 0, 1: 1}))


# ---- one reader, whoever asks ----

TABLE = {1: 1, 2: 0, 3: 1}


def by_each_reader(root, mask):
    """What Pets, ImageFolder and read_mask make of one file: masks (2, 3), or what they say is wrong with it."""
    (root / "images").mkdir()
    (root / "annotations" / "trimaps").mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(root / "images" / "a.jpg", "PNG")
    mask.save(root / "annotations" / "trimaps" / "a.png", "TIFF" if mask.mode in ("F", "CMYK", "I") else "PNG")
    (root / "annotations" / "trainval.txt").write_text("a 1 1 1")
    path = root / "annotations" / "trimaps" / "a.png"
    for read in (
        lambda: Pets(root, size=(2, 3), cache=False)[0][1][:, :, 0],
        lambda: ImageFolder(root / "images", path.parent, (2, 3), TABLE, cache=False)[0][1][:, :, 0],
        lambda: read_mask(path, UprightImage(np.zeros((2, 3, 3), np.uint8), 1)),
    ):
        try:
            yield read().tolist()
        except DataError as error:
            yield str(error)


TRIMAP = Image.fromarray(np.array([[1, 2, 3], [2, 2, 1]], np.uint8))


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGB", "RGBA", "I;16", "I"])
def test_every_reader_takes_a_trimap_however_it_was_saved(tmp_path, mode):
    if mode == "I;16":
        mask = Image.fromarray(np.asarray(TRIMAP).astype(np.uint16))
    elif mode == "P":
        mask = Image.frombytes("P", TRIMAP.size, TRIMAP.tobytes())
        mask.putpalette([9, 8, 7] * 256)
    else:
        mask = TRIMAP.convert(mode)
    assert list(by_each_reader(tmp_path, mask)) == [[[1, 0, 1], [0, 0, 1]]] * 3


@pytest.mark.parametrize(
    "mask, message",
    [
        (
            Image.new("RGB", (3, 2), (1, 2, 3)),
            "is colored (mode RGB): a mask needs one integer per pixel; save it as gray",
        ),
        (Image.new("RGBA", (3, 2), (1, 2, 3)), "is colored (mode RGBA): a mask needs one integer per pixel"),
        (
            Image.new("F", (3, 2), 1.0),
            "has floating-point pixels (mode F): a mask needs one integer",
        ),
        (Image.new("CMYK", (3, 2), 1), "has mode CMYK: a mask needs one integer per pixel; save it as gray"),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_every_reader_refuses_the_same_files_in_the_same_words(tmp_path, mask, message):
    answers = list(by_each_reader(tmp_path, mask))
    assert len(answers) == 3 and all(message in answer for answer in answers)
