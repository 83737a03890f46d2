"""Boxes, against cases counted by hand."""

import numpy as np
import pytest

from minunet import metrics


@pytest.mark.parametrize(
    "rows, box",
    [
        (["....", ".##.", "..#."], (1, 1, 3, 3)),
        (["#...", "....", "...#"], (0, 0, 4, 3)),  # corners alone
        (["....", "....", ".#.."], (1, 2, 2, 3)),  # a single pixel
        (["....", "....", "...."], None),
    ],
)
@pytest.mark.parametrize("dtype", [bool, "uint8"])
def test_bounding_box(rows, box, dtype):
    mask = np.array([[c == "#" for c in row] for row in rows]).astype(dtype)
    assert metrics.bounding_box(mask) == box


@pytest.mark.parametrize(
    "a, b, expected",
    [
        ((0, 0, 4, 4), (2, 1, 6, 5), 6 / 26),
        ((0, 0, 10, 10), (2, 2, 4, 7), 10 / 100),  # one inside the other
        ((0, 0, 2, 2), (0, 0, 2, 2), 1),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0),  # sharing an edge
        ((0, 0, 2, 2), (5, 0, 7, 2), 0),  # apart in x, together in y
        ((-1.5, -1.5, 0.5, 0.5), (-0.5, -0.5, 1.5, 1.5), 1 / 7),
        ((1, 1, 1, 1), (1, 1, 1, 1), 0),  # no area
    ],
)
def test_box_iou(a, b, expected):
    assert metrics.box_iou(a, b) == metrics.box_iou(b, a) == pytest.approx(expected)
    assert metrics.box_iou(np.array(a), b) == pytest.approx(expected)


@pytest.mark.parametrize("box", [(0, 0, 1), (0, 0, 1, float("nan")), (2, 0, 1, 1), (0, 2, 1, 1)])
def test_invalid_boxes_are_refused(box):
    with pytest.raises(ValueError, match="box"):
        metrics.box_iou(box, (0, 0, 1, 1))
