"""Is there anything to learn? A look at the data before the first step, for mistakes that no loss would show.

A mask of 0 and 255 is the usual one: 255 means "ignore" here, so every pixel of the object drops out, the loss falls to
0, and each score is 1. The command line reads masks by tables that know better (data/labels.py); a dataset of one's own
may hand over anything.
"""

import numpy as np
from numpy.typing import NDArray

from minunet.data import DataError
from minunet.data.labels import IGNORE
from minunet.data.loader import Loader
from minunet.tasks import Binary, Task


def check_data(task: Task, training: Loader, validation: Loader) -> None:
    """Raises DataError, with the values and the fix, for images or labels that the task cannot learn from.

    The first image of each is looked at; of the others only as many as it takes to find one with an object.
    """
    for part, loader in (("training", training), ("validation", validation)):
        image, labels = (np.asarray(array) for array in loader.dataset[0])
        if image.dtype != np.uint8 or image.ndim != 3:
            raise DataError(
                f"the images of the {part} set are {_told(image)}: they must be uint8 (H, W, 3), 0 to 255, "
                "which become floats of 0 to 1 on the device"
            )
        if labels.dtype.kind != "u" or labels.ndim != 3 or labels.shape[:2] != image.shape[:2]:
            raise DataError(
                f"the labels of the {part} set are {_told(labels)}: they must be uint8 or uint16 (H, W, 1 or more), "
                f"here {image.shape[0]} x {image.shape[1]}; of a mask (H, W) of bool or float, "
                'mask[..., None].astype("uint8")'
            )
        if isinstance(task, Binary):
            _check_masks(loader, part)


def check_batch(task: Task, images: NDArray, labels: NDArray) -> None:
    """Raises DataError unless a batch holds integers: one float image among many makes floats of its whole batch."""
    if images.dtype != np.uint8 or (isinstance(task, Binary) and labels.dtype != np.uint8):
        raise DataError(
            f"a batch has images of {images.dtype} and labels of {labels.dtype}: the images, and masks, must all be "
            "uint8; at least one is not"
        )


def _check_masks(loader, part):
    ignored = False
    for i in range(len(loader.dataset)):
        mask = loader.dataset[i][1]
        if (mask == 1).any():
            return
        values = np.unique(mask).tolist()
        if not set(values) <= {0, IGNORE}:
            raise DataError(f"the mask of {part} image {i} holds {values}: it must hold 0, 1, and 255 for ignore")
        ignored |= IGNORE in values
    if ignored:
        raise DataError(
            f"the masks of the {part} set hold 0 and 255, and no 1: 255 means ignore, so there is no object in them; "
            "if 255 is the object, give mask // 255"
        )
    if part == "training":
        raise DataError("the masks of the training set are 0 everywhere: there is no object to learn")


def _told(array: np.ndarray) -> str:
    values = f", {array.min():g} to {array.max():g}" if array.size and array.dtype.kind in "uifb" else ""
    return f"{array.dtype} {array.shape}{values}"
