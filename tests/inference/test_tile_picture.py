"""The picture of the tiles, by what can be found in the file."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from minunet.inference import tile_picture
from minunet.inference.tile_picture import ANSWERED, SEEN, save_tile_picture


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def box(picture, color):
    """(left, top, right, bottom) of what has nearly this color."""
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    y, x = np.nonzero(abs(picture - rgb).max(axis=2) < 24)
    return x.min(), y.min(), x.max(), y.max()


def test_the_boxes_have_the_sizes_that_the_network_has(tmp_path):
    """On the right is what a tile sees, blue around it; the yellow box in it is 388/572 as large, in its middle."""
    before = dict(matplotlib.rcParams)
    save_tile_picture(tmp_path / "tiles.png", np.full((640, 900, 3), 90, np.uint8), chosen=(0, 1))
    picture = pixels(tmp_path / "tiles.png")
    half = picture[:-60, int(0.6 * picture.shape[1]) :]  # without the key
    outer, inner = box(half, SEEN), box(half, ANSWERED)
    width = outer[2] - outer[0]
    assert width > 300 and abs(width - (outer[3] - outer[1])) < 6
    assert (inner[2] - inner[0]) / width == pytest.approx(384 / 572, abs=0.02)  # the first 4 are the tile's before
    assert (inner[3] - inner[1]) / width == pytest.approx(388 / 572, abs=0.02)
    assert (inner[1] - outer[1]) / width == pytest.approx(92 / 572, abs=0.02)
    assert [f.name for f in tmp_path.iterdir()] == ["tiles.png"]
    assert dict(matplotlib.rcParams) == before


def test_what_is_mirrored_is_paler(tmp_path):
    save_tile_picture(tmp_path / "tiles.png", np.zeros((64, 64), np.uint8), tile=60, depth=2)
    picture = pixels(tmp_path / "tiles.png")[:-60]
    dark, pale = ((abs(picture - value).max(axis=2) < 3).mean() for value in (0, int(0.55 * 255)))
    assert dark > 0.1 and pale > 0.1


@pytest.mark.parametrize("shape", [(1, 1), (5, 200, 1), (200, 5, 3)])
def test_any_image(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    before = image.copy()
    save_tile_picture(tmp_path / "a.png", image, tile=44, depth=2)
    assert min(pixels(tmp_path / "a.png").shape[:2]) > 100
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "image, options, message",
    [
        (np.zeros((9, 9, 2), np.uint8), {}, r"the image is uint8 \(9, 9, 2\): it must be uint8 \(H, W, 3\)"),
        (np.zeros((9, 9)), {}, "the image is float64"),
        (np.zeros((0, 9), np.uint8), {}, "at least one pixel"),
        (np.zeros((9, 9), np.uint8), {"tile": 100}, "the tile size is 100 pixels"),
        (np.zeros((9, 9), np.uint8), {"chosen": (1, 0)}, r"there is no tile \(1, 0\): there are 1 rows of 1 tiles"),
    ],
)
def test_errors(tmp_path, image, options, message):
    with pytest.raises(ValueError, match=message):
        save_tile_picture(tmp_path / "a.png", image, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("left", "right", "size"),
    [
        ((100, 200), (50, 50), (13.5, 5.85)),  # 8 x 4 inches, at most 8 wide; 5 x 5; and room between and below
        ((200, 50), (80, 20), (9, 6.85)),  # 1.5 x 6 inches, at most 6 high, twice; the legend is wider
    ],
)
def test_the_size_of_the_page(left, right, size):
    figure, *axes = tile_picture._two_axes(left, right)
    assert figure.get_size_inches().tolist() == pytest.approx(size)
    for axis, (height, width) in zip(axes, (left, right), strict=True):
        _, _, w, h = axis.get_position().bounds
        assert w * size[0] / (h * size[1]) == pytest.approx(width / height)
