"""Is there anything to learn? A look at the data before the first step, for mistakes that no loss would show.

A mask of 0 and 255 is the usual one: 255 means "ignore" here, so every pixel of the object drops out, the loss falls to
0, and each score is 1. The command line reads masks by tables that know better (data/labels.py); a dataset of one's own
may hand over anything. What labels may hold is a matter of the task:

    binary     0, 1, and 255 for ignore
    semantic   class indices, and 255 for ignore
    instance   uint16: 0, a number for each object, and 65535 for ignore
    panoptic   uint16, two channels or more: a class index or 255; and 0, or the number of an object
"""

import numpy as np
from numpy.typing import NDArray

from minunet.data import DataError
from minunet.data.labels import IGNORE, IGNORE_OBJECT
from minunet.data.loader import Loader
from minunet.tasks import Binary, Instance, Panoptic, Semantic, Task

LOOKED_AT = 8  # images of the first batch


def check_training_set(task: Task, loader: Loader) -> None:
    """Raises DataError, with the values and the fix, for images or labels that the task cannot learn from.

    The first batch is looked at; of the other images only as many as it takes to find one with something to learn.
    """
    lacking, _ = _check(task, loader, "training")
    if lacking:
        raise DataError(lacking)


def check_validation_set(task: Task, loader: Loader) -> None:
    """Raises DataError as `check_training_set` does; of a set without an object only if it holds 255 in its place."""
    lacking, values = _check(task, loader, "validation")
    if lacking and IGNORE in values:
        raise DataError(lacking)


def _check(task: Task, loader: Loader, part: str) -> tuple[str, set[int]]:
    """What the labels lack, in words ("" if nothing), and the values seen. Raises DataError for wrong ones."""
    dataset = loader.dataset
    image, labels = dataset[0]
    _check_arrays(np.asarray(image), np.asarray(labels), task, part)
    values: set[int] = set()
    for i in range(len(dataset)):
        labels = np.asarray(dataset[i][1])
        _check_values(task, labels, f"{part} image {i}")
        values |= set(np.unique(labels[..., 0]).tolist())
        if i + 1 >= min(loader.batch_size, LOOKED_AT, len(dataset)) and not _lacks(task, values, part):
            break
    return _lacks(task, values, part), values


def _check_arrays(image: NDArray, labels: NDArray, task: Task, part: str) -> None:
    if image.dtype != np.uint8 or image.ndim != 3:
        raise DataError(
            f"the images of the {part} set are {_told(image)}: they must be uint8 (H, W, 3), 0 to 255, "
            "which become floats of 0 to 1 on the device"
        )
    if labels.dtype.kind != "u" or labels.ndim != 3 or labels.shape[:2] != image.shape[:2]:
        raise DataError(
            f"the labels of the {part} set are {_told(labels)}: they must be uint8 or uint16 (H, W, 1 or more), here "
            f'{image.shape[0]} x {image.shape[1]}; of a mask (H, W) of bool or float, mask[..., None].astype("uint8")'
        )
    if isinstance(task, (Instance, Panoptic)) and (
        labels.dtype != np.uint16 or labels.shape[2] < 1 + isinstance(task, Panoptic)
    ):
        what = "2), class and object" if isinstance(task, Panoptic) else "1), a number for each object"
        raise DataError(
            f"the labels of the {part} set are {_told(labels)}: for the task {task.name} they must be "
            f"uint16 (H, W, {what}"
        )


def _check_values(task: Task, labels: NDArray, where: str) -> None:
    """Raises DataError for labels with values that the task does not know."""
    first = np.unique(labels[..., 0])
    if isinstance(task, Binary) and not set(first.tolist()) <= {0, 1, IGNORE}:
        raise DataError(f"the mask of {where} holds {first.tolist()}: it must hold 0, 1, and 255 for ignore")
    if isinstance(task, (Semantic, Panoptic)):
        K = len(task.classes)
        strange = first[(first >= K) & (first != IGNORE)].tolist()
        if strange:
            raise DataError(
                f"the labels of {where} hold class {', '.join(map(str, strange[:5]))}: with {K} classes they must be "
                f"0 to {K - 1}, or 255 for ignore; numbers of other files become indices by a table (Classes.table)"
            )
    if isinstance(task, Panoptic) and (labels[..., 1] == IGNORE_OBJECT).any():
        raise DataError(
            f"the objects of {where} hold {IGNORE_OBJECT}: numbers go up to {IGNORE_OBJECT - 1}; class 255 ignores"
        )


def _lacks(task: Task, values: set[int], part: str) -> str:
    """What labels that hold nothing but these values lack, in words; "" if there is something to learn from them."""
    if isinstance(task, Binary):
        if 1 in values:
            return ""
        if IGNORE in values:
            return (
                f"the masks of the {part} set hold 0 and 255, and no 1: 255 means ignore, so there is no object in "
                "them; if 255 is the object, give mask // 255"
            )
        return f"the masks of the {part} set are 0 everywhere: there is no object to learn"
    if isinstance(task, Instance):
        objects = values - {0, IGNORE_OBJECT}
        if objects - {IGNORE}:
            return ""
        if objects:
            return (
                f"the labels of the {part} set hold no other object than number 255: this looks like masks of 0 and "
                "255, which do not tell objects apart; number them, with scipy.ndimage.label(mask)[0]"
            )
        return f"the labels of the {part} set hold no object: there is none to learn"
    if isinstance(task, (Semantic, Panoptic)):
        classes = values - {IGNORE}
        if len(classes) > 1:
            return ""
        if IGNORE in values:
            only = f"{', '.join(map(str, classes))} and 255" if classes else "255"
            return (
                f"the labels of the {part} set hold only {only}: 255 means ignore, so there is no choice to learn; "
                "if 255 is a class, give it an index"
            )
        return f"the labels of the {part} set hold only class {min(classes, default=0)}: there is no choice to learn"
    return ""


def _told(array: NDArray) -> str:
    values = f", {array.min():g} to {array.max():g}" if array.size and array.dtype.kind in "uifb" else ""
    return f"{array.dtype} {array.shape}{values}"
