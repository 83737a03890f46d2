r"""How good are the predicted classes? The confusion matrix, and the scores that can be read off it.

M[i, j] is the number of pixels of class i that were predicted to be class j: rows are the truth, columns the answers,
and the diagonal is what is right. A network that knows sky, road and cars might get

                predicted   sky   road   car
    true sky                 50      2     0
         road                 0     30     0
         car                  0      8    10

    pixel accuracy   the diagonal / all               (50 + 30 + 10) / 100 = 0.90
    IoU of class k   M[k,k] / (row k + column k - M[k,k])
                     sky 50 / (52 + 50 - 50) = 0.962, road 30 / (30 + 40 - 30) = 0.75, car 10 / (18 + 10 - 10) = 0.556
    mean IoU         the mean over the classes        (0.962 + 0.75 + 0.556) / 3 = 0.756

The IoU of a class is |P ∩ T| / |P ∪ T| with P the pixels predicted to be it and T those that are, over all images
together, as in the Pascal VOC and Cityscapes benchmarks. A class that is neither in the labels nor in the predictions
has no IoU (0/0) and is left out of the mean; one that is missing in the labels and predicted somewhere scores 0.

Where the label is 255 (`IGNORE`), or any number that is not one of the classes, the pixel is not counted.

The functions take NumPy or CuPy arrays, or Tensors.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from minunet.data.labels import IGNORE
from minunet.device import Array, device_of, to_numpy
from minunet.kernels import kernels_for
from minunet.metrics.masks import Scored, as_array, as_numbers


class ConfusionScores:
    """Adds up the confusion matrix of many batches on the device where the arrays are, and reads it once at the end.

    `update` copies nothing from the device to the host, so a GPU is not made to wait in the middle of an epoch.

    classes: K, the number of classes.

    >>> import numpy as np
    >>> scores = ConfusionScores(2)
    >>> outputs = np.array([[[[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]]]])     # answers 0, 1, 0, 0
    >>> scores.update(outputs, np.array([[[[0], [1], [1], [255]]]]))
    >>> scores.matrix()
    array([[1, 0],
           [1, 1]])
    >>> scores.class_iou()
    array([0.5, 0.5])
    >>> scores.result()
    {'mean_iou': 0.5, 'accuracy': 0.6666666666666666}
    """

    def __init__(self, classes: int) -> None:
        if not 2 <= classes <= IGNORE:
            raise ValueError(f"classes is {classes}: it must be the number of classes, from 2 to {IGNORE}")
        self.classes = classes
        self._counts: Array | None = None  # (K, K) of the batches since the last reading, on their device
        self._read = np.zeros((classes, classes), np.int64)  # those before, in main memory

    def update(self, outputs: Scored, labels: Scored) -> None:
        """Counts one batch; the answer for a pixel is the first of the largest of its first K numbers.

        outputs: (N, H, W, C) with C ≥ K, logits or probabilities; labels: integers (N, H, W, 1) or (N, H, W) on the
        same device, 0 … K - 1, and 255 to ignore. Raises ValueError for other shapes or devices, or without pixels;
        TypeError unless the labels are integers.
        """
        values = as_array(outputs)
        if values.ndim < 2 or values.size == 0 or values.shape[-1] < self.classes:
            raise ValueError(
                f"outputs have shape {values.shape}: they must be (N, H, W, C) with at least one pixel and "
                f"C ≥ {self.classes}, one number for each class"
            )
        true = _checked_labels(labels, values.shape[:-1], "outputs", values)
        values = as_numbers(values)
        counts = kernels_for(values).confusion(values, true, self.classes)
        if self._counts is not None and device_of(self._counts) != device_of(counts):
            self.matrix()
        self._counts = counts if self._counts is None else self._counts + counts

    def matrix(self) -> NDArray[np.int64]:
        """Returns the confusion matrix so far, (K, K) [true, predicted], with one copy from the device."""
        if self._counts is not None:
            self._read = self._read + to_numpy(self._counts)
            self._counts = None
        return self._read.copy()

    def class_iou(self) -> NDArray[np.float64]:
        """Returns the IoU of each class so far, (K,); NaN where it is neither in the labels nor in the predictions."""
        return class_iou(self.matrix())

    def result(self) -> dict[str, float]:
        """Returns {"mean_iou", "accuracy"} so far. Raises ValueError if no pixel was counted."""
        matrix = self.matrix()
        if not matrix.any():
            raise ValueError(
                f"there is nothing to score: no pixel so far has a label of 0 to {self.classes - 1}; every pixel is "
                f"ignored ({IGNORE}), or update(outputs, labels) was not called"
            )
        return {
            "mean_iou": float(np.nanmean(class_iou(matrix))),
            "accuracy": float(np.trace(matrix) / matrix.sum()),
        }

    def state_dict(self) -> dict[str, NDArray]:
        """Returns {"confusion": int (K, K)}, which is enough to continue counting later."""
        return {"confusion": self.matrix()}

    def load_state_dict(self, state: Mapping[str, NDArray]) -> None:
        """Restores a state_dict. Raises ValueError for one of another number of classes."""
        matrix = np.asarray(state["confusion"])
        if matrix.shape != (self.classes, self.classes):
            raise ValueError(f"confusion has shape {matrix.shape}: it must be ({self.classes}, {self.classes})")
        if matrix.dtype.kind not in "iu" or (matrix < 0).any() or (matrix > 2**50).any():
            raise ValueError(f"confusion holds {matrix.dtype} {matrix.min()} to {matrix.max()}: it must hold counts")
        self._read = matrix.astype(np.int64)
        self._counts = None


def confusion_matrix(predicted: Scored, labels: Scored, classes: int) -> NDArray[np.int64]:
    """Returns how many pixels of class i were predicted to be class j, int64 (K, K) [i, j], in main memory.

    predicted: integers 0 … K - 1, any shape; labels: integers of the same shape, 255 where a pixel is ignored. A last
    axis of 1 may be missing in one of them. Raises ValueError for other shapes, or for a counted pixel whose predicted
    class is not 0 … K - 1; TypeError unless both are integers.

    >>> import numpy as np
    >>> confusion_matrix(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 255]), classes=2)
    array([[1, 1],
           [0, 1]])
    """
    answers = as_array(predicted)
    if answers.dtype.kind not in "iu":
        raise TypeError(f"predictions are {answers.dtype}: they must be integers, the number of a class per pixel")
    if answers.shape == (*as_array(labels).shape, 1):
        answers = answers[..., 0]
    true = _checked_labels(labels, answers.shape, "predictions", answers)
    counted = (true >= 0) & (true < classes)
    rows, columns = to_numpy(true[counted]).astype(np.int64), to_numpy(answers[counted]).astype(np.int64)
    wrong = columns[(columns < 0) | (columns >= classes)]
    if wrong.size:
        raise ValueError(f"a predicted class is {wrong[0]}: with {classes} classes it must be 0 to {classes - 1}")
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def class_iou(matrix: NDArray) -> NDArray[np.float64]:
    """Returns the IoU of each class from a confusion matrix (K, K); NaN where row and column are empty.

    >>> class_iou(np.array([[50, 2, 0], [0, 30, 0], [0, 8, 10]])).round(3)
    array([0.962, 0.75 , 0.556])
    """
    both = np.diagonal(matrix)
    either = matrix.sum(axis=0) + matrix.sum(axis=1) - both
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)


def _checked_labels(labels, shape, other, values):
    """Returns labels (…) or (…, 1) as an array (…) = shape. Raises TypeError or ValueError for anything else."""
    true = as_array(labels)
    if true.dtype.kind not in "iu":
        raise TypeError(f"labels are {true.dtype}: they must be integers, the number of a class per pixel")
    if true.shape not in (shape, (*shape, 1)):
        raise ValueError(
            f"labels have shape {true.shape}, {other} {values.shape}: labels must be {shape} or {(*shape, 1)}"
        )
    if device_of(true) != device_of(values):
        raise ValueError(f"labels are on {device_of(true)}, {other} on {device_of(values)}: move one of them")
    return true.reshape(shape)
