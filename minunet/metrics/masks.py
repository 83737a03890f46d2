r"""How good is a predicted mask?

Let P be the set of pixels that are predicted to be the object, T the set of those that truly are, and |A| the number of
pixels in A. A pixel is predicted to be the object where its probability is above a threshold, 0.5 unless told
otherwise.

    IoU       |P ∩ T| / |P ∪ T|            "intersection over union": 1 is perfect, 0 is no overlap
    Dice      2 |P ∩ T| / (|P| + |T|)      = 2 IoU / (1 + IoU): the same order, milder numbers
    accuracy  pixels answered correctly / pixels

Over a set of images there are two ways to take the IoU, and they differ:

    pixel IoU   one P and one T over the pixels of all images: large objects weigh more
    mean IoU    the IoU of each image, then their mean: each image weighs the same

Pixels whose mask is 255 (`IGNORE`) are not counted. An image with an empty union (no object, and none predicted) was
answered perfectly and counts 1. An image whose pixels are all ignored says nothing and is left out of the mean.

All functions take NumPy or CuPy arrays, or Tensors.
"""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minunet.autograd.tensor import Tensor
from minunet.data.labels import IGNORE
from minunet.device import Array, array_module, to_numpy
from minunet.kernels import kernels_for
from minunet.precision import widened

Scored: TypeAlias = Tensor | Array | ArrayLike

MOST_PIXELS = 2**40  # of an image whose counts are taken over: no sum of them overflows


class MaskScores:
    """Adds up the scores of many batches where the arrays live, and reads them once at the end.

    `update` copies nothing from the device to the host, so a GPU is not made to wait in the middle of an epoch;
    `result` makes one small copy.

    threshold: a pixel is predicted to be the object where its value is above this. For logits, give 0.0
        (sigmoid(z) > 0.5 exactly where z > 0).

    >>> import numpy as np
    >>> scores = MaskScores()
    >>> scores.update(np.array([[0.9, 0.8, 0.1, 0.1]]), np.array([[1, 0, 0, 255]]))
    >>> scores.update(np.array([[0.9, 0.9, 0.9, 0.1]]), np.array([[1, 1, 1, 0]]))
    >>> scores.result()["iou"]         # 4 of 5 pixels: (1 + 3) / (2 + 3)
    0.8
    >>> scores.result()["mean_iou"]    # (1/2 + 3/3) / 2
    0.75
    """

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold
        self._counts: list[Array] = []  # per batch an array (images, 5) on its device, see reference.mask_counts
        self._read = np.zeros((0, 5), np.int64)  # those of earlier batches, in main memory

    def update(self, probabilities: Scored, masks: Scored) -> None:
        """Counts one batch.

        probabilities: (N, ...), any real dtype; masks: the same shape and device, values 0, 1, and 255 to ignore.
        Raises ValueError if the shapes differ, or if there are no pixels.
        """
        p, t = as_array(probabilities), as_array(masks)
        if p.shape != t.shape or p.size == 0 or p.ndim == 0:
            raise ValueError(
                f"predictions have shape {p.shape}, masks {t.shape}: they must have the same shape and at least "
                "one pixel, for example (N, H, W, 1)"
            )
        p = as_numbers(p)
        self._counts.append(kernels_for(p).mask_counts(p, t, self.threshold, IGNORE))

    def _per_image(self):
        """Returns the counts of all images so far, int (images, 5), with one copy from the device."""
        if self._counts:
            counts = array_module(self._counts[0]).concatenate(self._counts)
            self._read = np.concatenate([self._read, to_numpy(counts)])
            self._counts = []
        return self._read

    def state_dict(self) -> dict[str, NDArray]:
        """Returns {"counts": int (images, 5)}, which is enough to continue counting later."""
        return {"counts": self._per_image()}

    def load_state_dict(self, state: Mapping[str, NDArray]) -> None:
        """Restores a state_dict. Raises ValueError for anything else."""
        counts = np.asarray(state["counts"])
        if counts.ndim != 2 or counts.shape[1] != 5:
            raise ValueError(f"counts has shape {counts.shape}: it must be (images, 5)")
        if counts.dtype.kind not in "iu":
            raise ValueError(f"counts are {counts.dtype}: they must be integers")
        both, guess, true, pixels, known = counts.astype(np.int64).T
        possible = (both >= 0) & (both <= np.minimum(guess, true)) & (np.maximum(guess, true) <= pixels)
        if not (possible & (pixels == known) & (pixels < MOST_PIXELS)).all():
            raise ValueError("counts are such as no masks have")
        self._read = counts.astype(np.int64)
        self._counts = []

    def result(self) -> dict[str, float]:
        """Returns the scores so far, a dict of Python numbers.

        "iou", "mean_iou", "dice", "accuracy": as above; "foreground": the fraction of the counted pixels that is the
        object in the masks; "images": how many images were counted. Raises ValueError if no pixel was counted, or if a
        mask held a value other than 0, 1 and 255.
        """
        per_image = self._per_image()
        if not len(per_image):
            raise ValueError("no scores yet: call update(probabilities, masks) first")
        both, guess, true, pixels, known = map(int, per_image.sum(axis=0))
        either = guess + true - both
        if known != pixels:
            raise ValueError(
                f"{int(pixels - known)} mask pixels hold a value other than 0 (background), 1 (object) and "
                "255 (ignored): translate masks of 0 and 255 or of 1, 2 and 3 first"
            )
        if pixels == 0:
            raise ValueError("every pixel is ignored (mask value 255): there is nothing to score")
        seen = per_image[per_image[:, 3] > 0]  # not the images whose pixels are all ignored
        unions = seen[:, 1] + seen[:, 2] - seen[:, 0]
        ious = np.where(unions > 0, seen[:, 0] / np.maximum(unions, 1), 1.0)
        return {
            "iou": both / either if either else 1.0,
            "mean_iou": float(ious.mean()),
            "dice": 2 * both / (guess + true) if either else 1.0,
            "accuracy": 1 - (either - both) / pixels,  # wrong are the pixels in one of P and T, not in both
            "foreground": true / pixels,
            "images": len(seen),
        }


def iou(p: Scored, t: Scored, threshold: float = 0.5) -> float:
    """Returns the pixel IoU, |P ∩ T| / |P ∪ T| over all pixels together, a float in [0, 1].

    p: probabilities, any shape; t: masks of the same shape, values 0, 1, and 255 to ignore.
    Raises ValueError if the shapes differ, no pixel counts, or a mask holds another value.

    >>> import numpy as np
    >>> iou(np.array([0.9, 0.8, 0.2, 0.1]), np.array([1, 0, 1, 0]))    # 1 pixel of 3
    0.3333333333333333
    """
    return _scores(p, t, threshold)["iou"]


def mean_iou(p: Scored, t: Scored, threshold: float = 0.5) -> float:
    """Returns the IoU of each image, averaged, a float in [0, 1].

    p: (N, H, W) or (N, H, W, 1) probabilities, t: masks of the same shape, values 0, 1, and 255 to ignore.
    Raises ValueError as `iou` does, and if there is no axis of images.

    >>> import numpy as np
    >>> p = np.array([[[0.9, 0.8], [0.1, 0.1]], [[0.1, 0.1], [0.1, 0.1]]])
    >>> t = np.array([[[1, 0], [0, 0]], [[0, 0], [0, 0]]])
    >>> mean_iou(p, t)                   # (1/2 + 1) / 2: the second image has no object, and none is predicted
    0.75
    """
    shape = tuple(as_array(p).shape)
    if len(shape) < 3:
        raise ValueError(f"p has shape {shape}: it must be (N, H, W) or (N, H, W, 1); of one image, give p[None]")
    return _scores(p, t, threshold)["mean_iou"]


def dice(p: Scored, t: Scored, threshold: float = 0.5) -> float:
    """Returns the Dice score, 2 |P ∩ T| / (|P| + |T|) over all pixels together. Arguments, range and errors as `iou`.

    >>> import numpy as np
    >>> dice(np.array([0.9, 0.8, 0.2, 0.1]), np.array([1, 0, 1, 0]))
    0.5
    """
    return _scores(p, t, threshold)["dice"]


def accuracy(p: Scored, t: Scored, threshold: float = 0.5) -> float:
    """Returns the fraction of the pixels that is answered correctly. Arguments, range and errors as `iou`.

    >>> import numpy as np
    >>> accuracy(np.array([0.9, 0.8, 0.2, 0.1]), np.array([1, 0, 0, 0]))
    0.75
    """
    return _scores(p, t, threshold)["accuracy"]


def _scores(p, t, threshold):
    scores = MaskScores(threshold)
    scores.update(p, t)
    return scores.result()


def as_numbers(x: Array) -> Array:
    """Returns x as the kernels take it: 16 bits on a GPU as float32, integers as float64."""
    x = widened(x)
    return x if x.dtype.kind == "f" else x.astype("float64")


def as_array(x: Scored) -> Array:
    """Returns the array of a Tensor or of a list, or the array itself."""
    x = x.data if isinstance(x, Tensor) else x
    return array_module(x).asarray(x)
