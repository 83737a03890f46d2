"""Boxes: what object detection predicts, where segmentation predicts an outline."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Box: TypeAlias = tuple[int, int, int, int]


def bounding_box(mask: NDArray) -> Box | None:
    """Returns the smallest box that holds all of a mask, (x0, y0, x1, y1) in pixels, or None for an empty mask.

    mask: bool or 0/1 array (H, W). x0 and y0 are the first column and row of the object, x1 and y1 the ones after its
    last, so that x1 - x0 is its width.

    >>> bounding_box(np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]]))
    (1, 1, 3, 3)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def box_iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Returns the IoU of two boxes: the area of their intersection over the area of their union.

    a, b: (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1, corners in any unit. Returns a float in [0, 1].

        width  of the overlap   w = max(0, min(a.x1, b.x1) - max(a.x0, b.x0))
        height of the overlap   h = max(0, min(a.y1, b.y1) - max(a.y0, b.y0))
        IoU = w h / (area(a) + area(b) - w h)

    By hand: a is 4 x 4 with its corner at (0, 0), b is 4 x 4 with its corner at (2, 1). They overlap from x = 2 to 4
    and from y = 1 to 4, so w h = 2 * 3 = 6; together they cover 16 + 16 - 6 = 26; IoU = 6 / 26 = 0.2308.

    >>> round(box_iou((0, 0, 4, 4), (2, 1, 6, 5)), 4)
    0.2308
    >>> box_iou((0, 0, 4, 4), (0, 0, 4, 4)), box_iou((0, 0, 1, 1), (1, 0, 2, 1))    # the same; only touching
    (1.0, 0.0)

    The IoU of two boxes without area is 0. Raises ValueError for a box that is not four finite numbers, or whose
    corners are the wrong way round.
    """
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = _box(a), _box(b)
    w = max(0.0, min(ax1, bx1) - max(ax0, bx0))
    h = max(0.0, min(ay1, by1) - max(ay0, by0))
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - w * h
    return w * h / union if union > 0 else 0.0


def _box(box):
    """Returns the four corners as floats, checked."""
    corners = [float(v) for v in box]
    if len(corners) != 4 or not all(math.isfinite(v) for v in corners):
        raise ValueError(f"a box is {tuple(corners)}: it must be four finite numbers (x0, y0, x1, y1)")
    x0, y0, x1, y1 = corners
    if x1 < x0 or y1 < y0:
        raise ValueError(f"a box is {tuple(corners)}: its corners must satisfy x0 <= x1 and y0 <= y1")
    return corners
