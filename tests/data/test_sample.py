"""Resizing, limiting and splitting, which all datasets share."""

import numpy as np
import pytest
from PIL import Image

from minunet.data import DataError
from minunet.data.images import DEFAULT
from minunet.data.sample import (
    Frame,
    Relabeled,
    Subset,
    common_size,
    height_width,
    limited,
    pad,
    resize_image,
    resize_mask,
    split,
)

# ---- sizes ----


def test_an_image_is_averaged_and_a_mask_takes_the_nearest_pixel():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::8] = 255
    image = resize_image(stripes, (16, 8))
    assert image.shape == (16, 8, 3) and abs(image[:, 1:-1].astype(int) - 255 / 8).max() <= 2
    mask = resize_mask(np.array([[0, 255], [1, 0]], np.uint8), (2, 6))
    assert mask.tolist() == [[0, 0, 0, 255, 255, 255], [1, 1, 1, 0, 0, 0]]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 14), (40, 6)])
@pytest.mark.parametrize("shape, dtype", [((7, 9), np.uint16), ((7, 9, 1), np.uint8), ((7, 9, 2), np.uint16)])
def test_labels_of_any_kind_are_resized_as_masks_are(size, shape, dtype):
    """Each value is followed as a mask of its own, by Pillow."""
    labels = np.random.default_rng(1).choice(np.array([0, 1, 255, 40000, 65535]).astype(dtype), shape)
    new = resize_mask(labels, size)
    assert new.dtype == dtype and new.shape == (*size, *shape[2:])
    for value in np.unique(labels):
        for mask, resized in zip((labels == value).reshape(7, 9, -1).T, (new == value).reshape(*size, -1).T):
            stored = Image.fromarray(mask.T.astype(np.uint8))
            expected = np.asarray(stored.resize(size[::-1], Image.Resampling.NEAREST))
            assert np.array_equal(resized.T, expected)


# ---- padding ----


def test_an_image_goes_on_as_its_reflection_and_labels_as_ignored():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, axis=2)
    labels = np.ones((2, 3, 2), np.uint16)
    new_image, new_labels = pad((image, labels), (4, 5))
    rows = [[0, 1, 2, 1, 0], [3, 4, 5, 4, 3], [0, 1, 2, 1, 0], [3, 4, 5, 4, 3]]
    assert new_image.dtype == np.uint8 and new_image[:, :, 2].tolist() == rows
    assert new_labels.dtype == np.uint16 and new_labels[:2, :3].tolist() == [[[1, 1]] * 3] * 2
    assert (new_labels[2:] == (255, 0)).all() and (new_labels[:, 3:] == (255, 0)).all()
    for dtype, ignore in ((np.uint8, 255), (np.uint16, 65535)):
        assert pad((image, np.zeros((2, 3, 1), dtype)), (2, 4))[1][:, :, 0].tolist() == [[0, 0, 0, ignore]] * 2


def test_an_image_of_one_pixel_can_be_padded():
    image, labels = pad((np.full((1, 1, 3), 7, np.uint8), np.zeros((1, 1, 1), np.uint8)), (2, 70))
    assert image.shape == (2, 70, 3) and (image == 7).all() and (labels == 255).sum() == 139


def test_the_frame_of_a_size_and_of_none(tmp_path):
    Image.new("L", (240, 180)).save(tmp_path / "a.png")
    Image.new("L", (240, 180)).save(tmp_path / "b.png")
    (tmp_path / "damaged.png").write_bytes(b"no image")
    paths = [tmp_path / name for name in ("damaged.png", "a.png", "b.png", "missing.png")]
    assert Frame.of((8, 4), 64, tmp_path, paths) == ((8, 4), (8, 4), True, DEFAULT)
    assert Frame.of(None, 64, tmp_path, paths) == ((192, 256), (180, 240), False, DEFAULT)
    assert Frame.of(None, 60, tmp_path, paths) == ((180, 240), (180, 240), False, DEFAULT)
    assert Frame.of(None, 1, tmp_path, paths[3:]) == ((1, 1), (1, 1), False, DEFAULT)
    assert Frame.of(8, 1, tmp_path, ()).key() != Frame.of(None, 1, tmp_path, paths).key()
    for multiple, error in ((0, ValueError), (-64, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="multiple is|float"):
            Frame.of(8, multiple, tmp_path, ())


def test_files_of_two_sizes_are_named(tmp_path):
    for name, size in (("a.png", (4, 3)), ("b.png", (4, 3)), ("c.png", (3, 4))):
        Image.new("L", size).save(tmp_path / name)
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    assert common_size(tmp_path, paths[:2]) == (3, 4)
    with pytest.raises(DataError, match=r"^a.png is 4 x 3, but c.png is 3 x 4 \(width x height\): .* give a size"):
        common_size(tmp_path, paths)


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


# ---- other labels ----


class Halves:
    """Three images whose labels are their number, and how often each has been asked for."""

    names = ["a", "b", "c"]

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 3

    def __getitem__(self, index):
        self.asked.append(index)
        image = np.full((2, 2, 3), range(3)[index], np.uint8)
        return image, np.full((2, 2, 2), 10 + range(3)[index], np.uint16)


def test_relabeled_calls_its_function_once_for_each_image():
    calls = []

    def first_channel(labels):
        calls.append(int(labels[0, 0, 0]))
        return labels[..., :1].astype(np.uint8)

    dataset = Relabeled(Halves(), first_channel)
    assert len(dataset) == 3 and dataset.names == ["a", "b", "c"] and calls == []
    for index in (2, 0, 2, -1, -3):
        image, labels = dataset[index]
        assert (image == range(3)[index]).all()
        assert labels.dtype == np.uint8 and labels.shape == (2, 2, 1) and (labels == 10 + range(3)[index]).all()
        labels[:] = 99  # the caller's own
    assert calls == [12, 10] and [int(labels[0, 0, 0]) for _, labels in dataset] == [10, 11, 12]
    with pytest.raises(IndexError):
        dataset[3]


def test_relabeled_can_be_split_and_have_its_own_dtype():
    dataset = Relabeled(Halves(), lambda labels: labels[..., :1] / np.float32(4))
    training, _ = split(dataset, 0.4, seed=1)
    assert training[0][1].dtype == np.float32 and training[0][1][0, 0, 0] == (10 + training.indices[0]) / 4
