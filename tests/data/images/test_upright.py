"""EXIF orientation: images and their labels are turned alike, or the pair is refused."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from minunet.data import DataError
from minunet.data.folder import ImageFolder
from minunet.data.images import DEFAULT, Reading, read_image, read_labels, upright_size
from minunet.data.labels import OWN
from minunet.data.masks import mask_reader

TAG = 0x0112
# What a viewer makes of [[a, b, c], [d, e, f]], from the table of the EXIF standard: where row 0 and column 0 are.
SEEN = {
    1: ["abc", "def"],
    2: ["cba", "fed"],
    3: ["fed", "cba"],
    4: ["def", "abc"],
    5: ["ad", "be", "cf"],
    6: ["da", "eb", "fc"],
    7: ["fc", "eb", "da"],
    8: ["cf", "be", "ad"],
}


def exif(value):
    tags = Image.Exif()
    tags[TAG] = value
    return tags


def scene(folder, orientation, format="PNG", square=False):
    """An image on which the object is red, stored with this orientation; returns its path and the object as stored."""
    stored = np.zeros((6, 6 if square else 9), bool)
    stored[0, :4] = stored[1, 0] = True  # looks different in all eight orientations
    pixels = np.where(stored[..., None], np.uint8([255, 0, 0]), np.uint8([0, 0, 255]))
    path = folder / "a.image"
    options = {"lossless": True} if format == "WEBP" else {}
    Image.fromarray(pixels).save(path, format, exif=exif(orientation), **options)
    return path, stored


def save_mask(path, mask, **options):
    Image.fromarray(mask.astype(np.uint8) * 255).save(path, path.suffix[1:].replace("tif", "tiff"), **options)
    return path


def iou_of_red(path, mask_path, reading=DEFAULT):
    """The IoU of what is red in the image with the mask that is read for it."""
    image = read_image(path, reading)
    mask = read_labels(mask_path, image, mask_reader(None), reading)
    red = image.image[..., 0] > 128
    return (red & (mask == 1)).sum() / (red | (mask == 1)).sum()


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("value", range(1, 10))
def test_an_image_is_turned_as_the_standard_says(tmp_path, value, format):
    stored = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    options = {"lossless": True} if format == "WEBP" else {}
    Image.fromarray(stored).convert("RGB").save(tmp_path / "a", format, exif=exif(value), **options)
    image, orientation = read_image(tmp_path / "a")
    expected = [["abcdef".index(letter) * 40 for letter in row] for row in SEEN.get(value, SEEN[1])]
    assert image[..., 0].tolist() == expected and orientation == (value if value < 9 else 1)
    assert upright_size(tmp_path / "a") == np.shape(expected)


@pytest.mark.parametrize("value", range(1, 9))
def test_a_jpeg_is_turned_as_a_viewer_does(tmp_path, value):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif(value))
    with Image.open(tmp_path / "a.jpg") as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    image, orientation = read_image(tmp_path / "a.jpg")
    assert image.dtype == np.uint8 and (image == expected).all() and orientation == value


def test_a_damaged_exif_tag_does_not_hide_the_image(tmp_path):
    Image.new("RGB", (6, 4), "red").save(tmp_path / "a.png", exif=b"Exif\0\0nonsense")
    image, orientation = read_image(tmp_path / "a.png")
    assert (image == (255, 0, 0)).all() and orientation == 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("value", range(1, 9))
def test_an_objects_own_mask_covers_it_in_all_orientations(tmp_path, value, format, square, suffix):
    path, stored = scene(tmp_path, value, format, square)
    upright = read_image(path).image[..., 0] > 128
    for mask, way in ((stored, "stored"), (upright, "upright")):
        written = save_mask(tmp_path / f"{way}{suffix}", mask)
        assert iou_of_red(path, written, Reading(exif=way)) == 1
        if value == 1 or (value > 4 and not square):  # told by the sizes, or there is nothing to tell
            assert iou_of_red(path, written) == 1
        else:
            with pytest.raises(DataError, match=f"orientation {value}.*--exif stored or --exif upright"):
                iou_of_red(path, written)
    # a program that kept the tag of the photograph in the mask: stored and upright say the same
    assert iou_of_red(path, save_mask(tmp_path / f"tagged{suffix}", stored, exif=exif(value))) == 1


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_files_of_a_prediction_are_known_to_be_upright(tmp_path, value, suffix):
    path, _ = scene(tmp_path, value, square=True)
    mark = PngInfo()
    mark.add_text("Software", OWN)
    options = {"pnginfo": mark} if suffix == ".png" else {"tiffinfo": {305: OWN}}
    mask = save_mask(tmp_path / f"a{suffix}", read_image(path).image[..., 0] > 128, **options)
    for reading in (Reading(), Reading(exif="stored"), Reading(exif="upright")):
        assert iou_of_red(path, mask, reading) == 1


def test_where_the_size_tells_the_flag_is_not_needed(tmp_path):
    path, stored = scene(tmp_path, 6)
    mask = save_mask(tmp_path / "a.png", stored)
    assert iou_of_red(path, mask, Reading(exif="upright")) == 1
    other = save_mask(tmp_path / "b.png", stored[:5])
    with pytest.raises(
        DataError, match=r"^is 9 x 5, but its image is 6 x 9 \(width x height\) upright, .* orientation 6$"
    ):
        iou_of_red(path, other)


def test_the_tag_of_a_mask_alone_counts_too(tmp_path):
    """An editor that rotates by the tag alone: the image has none."""
    path, stored = scene(tmp_path, 1)
    turned = np.rot90(stored)  # orientation 6 rotates it clockwise, which brings it back
    assert iou_of_red(path, save_mask(tmp_path / "a.png", turned, exif=exif(6))) == 1
    half = save_mask(tmp_path / "b.png", stored[::-1, ::-1], exif=exif(3))
    with pytest.raises(DataError, match="could belong"):
        iou_of_red(path, half)
    assert iou_of_red(path, half, Reading(exif="upright")) == 1


@pytest.mark.parametrize("value", [3, 6])
def test_a_folder_in_its_own_size_keeps_image_and_mask_together(tmp_path, value):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    path, stored = scene(tmp_path / "images", value)
    path.rename(path.with_name("a.png"))
    save_mask(tmp_path / "masks" / "a.png", stored)
    folders = tmp_path / "images", tmp_path / "masks"
    reading = Reading(exif="stored" if value == 3 else None)
    image, mask = ImageFolder(*folders, None, multiple=1, cache=False, reading=reading)[0]
    assert image.shape == ((9, 6, 3) if value == 6 else (6, 9, 3))
    assert np.array_equal(image[..., 0] > 128, mask[..., 0] == 1)
    if value == 3:
        with pytest.raises(DataError, match="masks/a.png: could belong"):
            ImageFolder(*folders, None, cache=False)
