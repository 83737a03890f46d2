"""Mistakes in a dataset of one's own, found before the first step."""

import numpy as np
import pytest

from minunet import UNet, optim
from minunet.data import DataError
from minunet.data.classes import Classes
from minunet.data.loader import Loader
from minunet.tasks import Binary, Instance, Panoptic, Semantic
from minunet.training.data_checks import check_training_set, check_validation_set
from minunet.training.loop import Trainer

IMAGE = np.zeros((8, 8, 3), np.uint8)


def dataset_of(*values, dtype=np.uint8):
    """A pair for each value: the mask has it on its left half."""
    masks = [np.zeros((8, 8, 1), dtype) for _ in values]
    for mask, value in zip(masks, values):
        mask[:, :4] = value
    return [(IMAGE, mask) for mask in masks]


def check(dataset):
    check_training_set(Binary(), Loader(dataset, 2))


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


# ---- the other tasks ----

SCENE = Classes(("sky", "cat", "dog"), things=(False, True, True))


def labels_of(*values, dtype=np.uint8, channels=1):
    """An image for each tuple of values, which are columns of its labels; of a pair, a value for each channel."""
    images = []
    for columns in values:
        row = np.array([np.resize(value, channels) for value in columns], dtype)
        images.append((IMAGE, np.broadcast_to(row[None, np.arange(8) * len(row) // 8], (8, 8, channels)).copy()))
    return images


@pytest.mark.parametrize(
    ("task", "dataset", "message"),
    [
        (Semantic(SCENE), labels_of((0, 1, 3)), "training image 0 hold class 3: with 3 classes they must be 0 to 2"),
        (Semantic(SCENE), labels_of((0, 1), (254, 7, 9)), "training image 1 hold class 7, 9, 254"),
        (Semantic(SCENE), labels_of((0, 255), (0,)), "hold only 0 and 255: 255 means ignore"),
        (Semantic(SCENE), labels_of((255,)), "hold only 255: 255 means ignore"),
        (Semantic(SCENE), labels_of((2,), (2,)), "hold only class 2: there is no choice"),
        (Semantic(SCENE), labels_of((0.5, 1.0), dtype=np.float32), "are float32 .* 0.5 to 1"),
        (Semantic(SCENE), labels_of((-1, 1), dtype=np.int16), "are int16 .* -1 to 1"),
        (Instance(), labels_of((0, 1)), r"are uint8 .* instance they must be uint16 \(H, W, 1\), a number"),
        (Instance(), labels_of((0, 255), dtype=np.uint16), "no other object than number 255.*scipy.ndimage.label"),
        (Instance(), labels_of((0, 65535), dtype=np.uint16), "hold no object"),
        (Instance(), labels_of((0.0, 1.5), dtype=np.float64), "are float64"),
        (Panoptic(SCENE), labels_of((0, 1), dtype=np.uint16), r"must be uint16 \(H, W, 2\), class and object"),
        (Panoptic(SCENE), labels_of((0, (5, 1)), dtype=np.uint16, channels=2), "hold class 5"),
        (Panoptic(SCENE), labels_of(((0, 0), (1, 65535)), dtype=np.uint16, channels=2), "objects of training image 0"),
        (Panoptic(SCENE), labels_of(((0, 0), (255, 0)), dtype=np.uint16, channels=2), "hold only 0 and 255"),
    ],
)
def test_labels_of_other_tasks_from_which_nothing_can_be_learned(task, dataset, message):
    with pytest.raises(DataError, match=message):
        check_training_set(task, Loader(dataset, 4))


@pytest.mark.parametrize(
    ("task", "dataset"),
    [
        (Semantic(SCENE), labels_of((255,), (0,), (0, 2))),
        (Instance(), labels_of((0,), (0, 255, 256), dtype=np.uint16)),
        (Instance(), labels_of((0, 65534), dtype=np.uint16)),
        (Panoptic(SCENE), labels_of(((0, 0), (1, 1), (2, 65534), (255, 0)), dtype=np.uint16, channels=2)),
    ],
)
def test_labels_of_other_tasks_that_are_right(task, dataset):
    check_training_set(task, Loader(dataset, 2))
    check_validation_set(task, Loader(dataset, 2))


def test_validation_masks_of_0_and_255_are_refused_and_a_set_without_objects_is_not():
    check_validation_set(Binary(), Loader(dataset_of(0, 0), 2))
    with pytest.raises(DataError, match="masks of the validation set hold 0 and 255"):
        check_validation_set(Binary(), Loader(dataset_of(0, 255), 2))
    model = UNet(depth=1, width=2)
    trainer = Trainer(model, optim.SGD(model.parameters()))
    with pytest.raises(DataError, match="validation set"):
        next(trainer.epochs(Loader(dataset_of(0, 1), 2), Loader(dataset_of(255), 2), 1))
