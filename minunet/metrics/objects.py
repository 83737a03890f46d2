"""What can be measured of each object of an image: its area, center, bounding box, brightness, and class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minunet.data.labels import IGNORE_OBJECT, as_segments


@dataclass(frozen=True)
class Objects:
    """The objects of one image, in rising order of their numbers; each field has one row per object.

    numbers      int (A,): their numbers in the segments, 1 to 65534
    areas        int (A,): pixels
    centroids    float (A, 2): the mean (y, x) of the pixels; the center of the first pixel is (0, 0)
    boxes        int (A, 4): (x0, y0, x1, y1), x1 and y1 one after the last column and row, as metrics.bounding_box
    """

    numbers: NDArray
    areas: NDArray
    centroids: NDArray
    boxes: NDArray

    def __len__(self) -> int:
        return len(self.numbers)


def measure(segments: NDArray) -> Objects:
    """Returns the objects of segments, integers (H, W), 0 where there is none and 65535 where pixels are ignored.

    >>> objects = measure(np.array([[0, 7, 7], [0, 7, 3]]))
    >>> objects.numbers, objects.areas, objects.boxes.tolist()
    (array([3, 7]), array([1, 3]), [[2, 1, 3, 2], [1, 0, 3, 2]])
    >>> objects.centroids[1].round(2)    # rows 0, 0, 1 and columns 1, 2, 1
    array([0.33, 1.33])
    """
    y, x, numbers, index, areas = _pixels(segments)
    count = len(numbers)
    centroids = np.stack([np.bincount(index, axis, count) / areas for axis in (y, x)], axis=1)
    boxes = np.empty((count, 4), np.int64)
    if count:
        order = np.argsort(index, kind="stable")  # the pixels of each object in one piece
        starts = np.cumsum(areas) - areas
        for column, axis in ((0, x), (1, y)):
            boxes[:, column] = np.minimum.reduceat(axis[order], starts)
            boxes[:, column + 2] = np.maximum.reduceat(axis[order], starts) + 1
    return Objects(numbers, areas, centroids, boxes)


def mean_intensities(segments: NDArray, image: NDArray) -> NDArray[np.float64]:
    """Returns the mean brightness of each object, float (A,), in the order of `measure`, in the units of the image.

    image: (H, W), or (H, W, 3) whose gray value is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), of any real dtype.
    Raises ValueError if the sizes differ.

    >>> mean_intensities(np.array([[1, 1, 2]]), np.array([[10, 20, 90]]))
    array([15., 90.])
    """
    if image.shape[:2] != segments.shape or image.shape[2:] not in ((), (1,), (3,)):
        raise ValueError(f"the image is {image.shape}, the segments {segments.shape}: they must be of the same size")
    y, x, numbers, index, areas = _pixels(segments)
    pixels = image[y, x].astype(np.float64)
    if image.shape[2:] == (3,):
        pixels = pixels @ np.array([0.299, 0.587, 0.114])
    return np.bincount(index, pixels.ravel(), len(numbers)) / areas


def object_classes(segments: NDArray, classes: NDArray) -> NDArray[np.int64]:
    """Returns the class of each object, int (A,), in the order of `measure`: that of most of its pixels.

    classes: class indices, integers (H, W), 0 to 255. Of classes with as many pixels, the lowest counts.
    Raises ValueError if the sizes differ.

    >>> object_classes(np.array([[1, 1, 1, 2]]), np.array([[5, 4, 5, 4]]))
    array([5, 4])
    """
    if classes.shape != segments.shape:
        raise ValueError(
            f"the classes are {classes.shape}, the segments {segments.shape}: they must be of the same size"
        )
    y, x, numbers, index, _ = _pixels(segments)
    votes = np.zeros((len(numbers), 256), np.int64)
    np.add.at(votes, (index, classes[y, x]), 1)
    return votes.argmax(axis=1) if len(numbers) else np.zeros(0, np.int64)


def _pixels(segments):
    """Returns the rows and columns of the pixels of objects, the numbers of the objects, each pixel's index into these,
    and their areas."""
    segments = as_segments(segments, ignore=True)
    y, x = np.nonzero((segments != 0) & (segments != IGNORE_OBJECT))
    numbers, index, areas = np.unique(segments[y, x], return_inverse=True, return_counts=True)
    return y, x, numbers.astype(np.int64), index, areas
