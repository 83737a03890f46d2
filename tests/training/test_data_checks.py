"""Mistakes in a dataset of one's own, found before the first step."""

import numpy as np
import pytest

from minunet import UNet, optim
from minunet.data import DataError
from minunet.data.loader import Loader
from minunet.tasks import Binary
from minunet.training.data_checks import check_data
from minunet.training.loop import Trainer

IMAGE = np.zeros((8, 8, 3), np.uint8)


def dataset_of(*values, dtype=np.uint8):
    """A pair for each value: the mask has it on its left half."""
    masks = [np.zeros((8, 8, 1), dtype) for _ in values]
    for mask, value in zip(masks, values):
        mask[:, :4] = value
    return [(IMAGE, mask) for mask in masks]


def check(dataset):
    check_data(Binary(), Loader(dataset, 2), Loader(dataset_of(1), 2))


@pytest.mark.parametrize("values", [(1, 0), (0, 0, 1), (255, 0, 1), (1, 255)])
def test_an_object_anywhere_is_enough(values):
    check(dataset_of(*values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((255, 255), r"hold 0 and 255, and no 1: 255 means ignore.*mask // 255"),
        ((0, 255, 0), r"hold 0 and 255, and no 1"),
        ((0, 0), r"are 0 everywhere: there is no object to learn"),
        ((2, 1), r"mask of training image 0 holds \[0, 2\]"),
        ((0, 128, 1), r"mask of training image 1 holds \[0, 128\]"),
    ],
)
def test_masks_from_which_nothing_can_be_learned(values, message):
    with pytest.raises(DataError, match=message):
        check(dataset_of(*values))


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((IMAGE.astype(np.float32), IMAGE[..., :1]), r"images .* are float32 \(8, 8, 3\), 0 to 0: they must be uint8"),
        ((IMAGE[..., 0], IMAGE[..., :1]), r"images .* are uint8 \(8, 8\)"),
        ((IMAGE, np.full((8, 8, 1), 0.9, np.float32)), r"labels .* are float32 \(8, 8, 1\), 0.9 to 0.9"),
        ((IMAGE, np.ones((8, 8), np.uint8)), r"labels .* are uint8 \(8, 8\), 1 to 1: .* mask\[..., None\]"),
        ((IMAGE, np.ones((8, 8, 1), bool)), r"labels .* are bool"),
        ((IMAGE, np.ones((4, 8, 1), np.uint8)), r"labels .* \(4, 8, 1\).* here 8 x 8"),
    ],
)
def test_arrays_of_another_kind_are_told_with_their_values(pair, message):
    with pytest.raises(DataError, match=message):
        check([pair, pair])


def test_the_loop_looks_before_its_first_step():
    model = UNet(depth=1, width=2)
    trainer, before = Trainer(model, optim.SGD(model.parameters())), model.state_dict()
    loader = Loader(dataset_of(255, 255), 2)
    with pytest.raises(DataError, match="no 1"):
        next(trainer.epochs(loader, loader, 1))
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())


@pytest.mark.parametrize(
    "labels",
    [
        np.full((8, 8, 1), -1, np.int16),
        np.full((8, 8, 1), 1, np.int64),
        np.full((8, 8, 1), 0.5, np.float64),
        np.full((8, 8, 1), -0.5, np.float32),
    ],
)
def test_negative_and_fractional_masks_are_refused(labels):
    with pytest.raises(DataError, match=f"labels of the training set are {labels.dtype}"):
        check([(IMAGE, labels)] * 2)


def test_the_validation_set_is_looked_at_too():
    good = Loader(dataset_of(1), 2)
    with pytest.raises(DataError, match="masks of the validation set hold 0 and 255, and no 1"):
        check_data(Binary(), good, Loader(dataset_of(255, 255), 2))
    with pytest.raises(DataError, match="images of the validation set are float64"):
        check_data(Binary(), good, Loader([(IMAGE / 255, IMAGE[..., :1])], 2))
    check_data(Binary(), good, Loader(dataset_of(0, 0), 2))  # nothing to find there: allowed


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (IMAGE / 255, np.ones((8, 8, 1), np.uint8), "a batch has images of float64 and labels of uint8"),
        (IMAGE, np.full((8, 8, 1), 0.9), "a batch has images of uint8 and labels of float64"),
        (IMAGE, np.full((8, 8, 1), -1), "a batch has images of uint8 and labels of int64"),
    ],
)
def test_a_later_image_of_another_kind_stops_before_its_step(image, mask, message):
    model = UNet(depth=1, width=2)
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    loader = Loader([*dataset_of(1, 1), (image, mask)], 2, shuffle=False)
    with pytest.raises(DataError, match=message):
        next(Trainer(model, optimizer).epochs(loader, loader, 1))
    assert optimizer.steps == 1
