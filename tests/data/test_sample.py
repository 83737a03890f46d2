"""Resizing, limiting and splitting, which all datasets share."""

import numpy as np
import pytest
from PIL import Image

from minunet.data import DataError
from minunet.data.sample import Subset, height_width, limited, resize_image, resize_mask, split

# ---- sizes ----


def test_an_image_is_averaged_and_a_mask_takes_the_nearest_pixel():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::8] = 255
    image = resize_image(stripes, (16, 8))
    assert image.shape == (16, 8, 3) and abs(image[:, 1:-1].astype(int) - 255 / 8).max() <= 2
    mask = resize_mask(np.array([[0, 255], [1, 0]], np.uint8), (2, 6))
    assert mask.tolist() == [[0, 0, 0, 255, 255, 255], [1, 1, 1, 0, 0, 0]]


def test_images_and_probabilities_are_resized_as_pillow_does_it():
    rng = np.random.default_rng(0)
    for array in (rng.integers(0, 256, (30, 20, 3), np.uint8), rng.random((30, 20), np.float32)):
        expected = np.asarray(Image.fromarray(array).resize((7, 12), Image.Resampling.BILINEAR))
        assert np.array_equal(resize_image(array, (12, 7)), expected) and expected.dtype == array.dtype


@pytest.mark.parametrize(
    "size, error", [(0, ValueError), ((4, -1), ValueError), ((4, 4, 3), ValueError), (2.5, TypeError)]
)
def test_what_is_not_a_size(size, error):
    with pytest.raises(error, match="size is|float"):
        height_width(size)
    assert height_width(5) == (5, 5) and height_width([3, 4]) == (3, 4)


# ---- limits ----


@pytest.mark.parametrize("count, limit", [(10, 1), (10, 3), (10, 9), (10, 10), (10, 99), (1, 1)])
def test_limited_is_evenly_spaced(count, limit):
    chosen = limited(range(count), limit)
    assert len(chosen) == min(count, limit) and chosen[0] == 0
    gaps = set(np.diff([*chosen, count]).tolist())
    assert max(gaps) - min(gaps) <= 1


def test_no_limit_is_everything():
    assert limited("abc", None) == ["a", "b", "c"]


@pytest.mark.parametrize("limit, error", [(0, ValueError), (-1, ValueError), (1.5, TypeError)])
def test_limits_out_of_range(limit, error):
    with pytest.raises(error, match="limit is|float"):
        limited(range(3), limit)


# ---- to train and to validate ----


class Numbers:
    def __init__(self, count):
        self.names = [f"p{n}" for n in range(count)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        return index


@pytest.mark.parametrize(
    "count, fraction, held_out",
    [(10, 0.2, 2), (10, 0.01, 1), (10, 0.99, 9), (2, 0.2, 1), (2, 0.9, 1), (7, 0.5, 4)],
)
def test_a_split_gives_each_image_to_one_subset(count, fraction, held_out):
    training, validation = split(Numbers(count), fraction, seed=3)
    assert (len(training), len(validation)) == (count - held_out, held_out)
    assert sorted([*training, *validation]) == list(range(count))
    assert [*training] == sorted(training) and training.names == [f"p{n}" for n in training]


def test_the_seed_decides_the_split():
    parts = [split(Numbers(50), 0.2, seed)[1].indices for seed in (0, 1, 0, 2)]
    assert parts[0] == parts[2] and parts[0] != parts[1] != parts[3] != parts[0]


def test_a_limit_holds_for_each_subset():
    training, validation = split(Numbers(50), 0.2, limit=4)
    assert len(training) == len(validation) == 4
    assert set(training) <= set(split(Numbers(50), 0.2)[0])


def test_a_subset_checks_its_indices():
    subset = Subset(Numbers(5), [3, 1])
    assert [subset[0], subset[1], subset[-1]] == [3, 1, 1]
    with pytest.raises(IndexError):
        subset[2]


@pytest.mark.parametrize("fraction", [0, 1, -0.5, float("nan")])
def test_a_split_with_nothing_on_one_side_is_refused(fraction):
    with pytest.raises(ValueError, match=f"fraction is {fraction}: it must lie between 0 and 1"):
        split(Numbers(5), fraction)
    with pytest.raises(ValueError, match="limit is 0"):
        split(Numbers(5), 0.5, limit=0)
    with pytest.raises(DataError, match="only one image"):
        split(Numbers(1), 0.5)
