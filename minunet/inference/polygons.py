"""Outlines as polygons, along the edges of the pixels, and polygons as masks.

COCO lists a polygon as [x0, y0, x1, y1, …]; (0, 0) is the upper left corner of the first pixel, (1, 1) its lower right
one. An outline whose corners are corners of pixels describes a mask exactly:

    mask   . # #     outer ring  (1,0) (3,0) (3,2) (2,2) (2,1) (1,1)
           . . #

Several parts are several polygons, and the object is their union. So a *hole* cannot be said in polygons: `to_polygons`
leaves it out, and the object that they describe has its holes filled. An object with holes is written as RLE (rle.py).
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

RIGHT, DOWN, LEFT, UP = range(4)  # in the order of right turns
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # (x, y)
Point = tuple[int, int]


def rings(mask: NDArray) -> list[list[Point]]:
    """Returns the closed outlines of a mask, bool or 0/1 (H, W): the corners (x, y) of each.

    The mask lies to the right of the way: outer rings run clockwise, rings of holes counterclockwise. Pixels that touch
    only at a corner belong to different rings.

    >>> rings(np.array([[0, 1, 1], [0, 0, 1]]))
    [[(1, 0), (3, 0), (3, 2), (2, 2), (2, 1), (1, 1)]]
    """
    edges = _edges(np.asarray(mask).astype(bool))
    return [_walk(edges, edge) for edge in sorted(edges, key=lambda edge: (edge[1], edge[0])) if edge in edges]


def _edges(mask):
    """Returns the edges between mask and background as a set of (x, y, direction): where each begins, and its way."""
    m = np.pad(mask, 1)
    sides = (
        (RIGHT, m[1:, 1:] & ~m[:-1, 1:], 0, 0),  # above a pixel, from its upper left corner
        (DOWN, m[1:, :-1] & ~m[1:, 1:], 0, 0),  # to the right of a pixel, from its upper right corner
        (LEFT, m[:-1, 1:] & ~m[1:, 1:], 1, 0),  # below a pixel, from its lower right corner
        (UP, m[1:, 1:] & ~m[1:, :-1], 0, 1),  # to the left of a pixel, from its lower left corner
    )
    return {(x + dx, y + dy, way) for way, side, dx, dy in sides for y, x in np.argwhere(side).tolist()}


def _walk(edges, first):
    """Takes the ring of an edge out of the edges, and returns its corners, beginning where that edge begins.

    `first` begins at the leftmost point of the ring's top row, which is a corner.
    """
    x, y, way = first
    corners = []
    while True:
        x, y = x + STEPS[way][0], y + STEPS[way][1]
        # Where two pixels touch at a corner there are two ways on: turning right stays with the same pixel.
        onward = next(turn for turn in ((way + 1) % 4, way, (way + 3) % 4) if (x, y, turn) in edges)
        edges.remove((x, y, onward))
        if onward != way:
            corners.append((x, y))
        if (x, y, onward) == first:
            return corners[-1:] + corners[:-1]
        way = onward


def area(ring: Sequence[Point]) -> float:
    """Returns the area of a ring, Σ (x y' - x' y) / 2 (the shoelace formula): above 0 if it runs clockwise.

    >>> area([(1, 0), (3, 0), (3, 2), (2, 2), (2, 1), (1, 1)])
    3.0
    """
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise([*ring, *ring[:1]])) / 2


def to_polygons(mask: NDArray, x: int = 0, y: int = 0) -> tuple[list[list[int]], bool]:
    """Returns the polygons of a mask, [[x0, y0, x1, y1, …], …], and whether it has holes, which they cannot say.

    mask: bool or 0/1 (H, W); x, y: where its upper left corner lies in the image.

    >>> to_polygons(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]]))
    ([[0, 0, 3, 0, 3, 3, 0, 3]], True)
    """
    found = rings(mask)
    outer = [ring for ring in found if area(ring) > 0]
    polygons = [[value for px, py in ring for value in (px + x, py + y)] for ring in outer]
    return polygons, len(outer) < len(found)


def fill(polygons: Iterable[Sequence[float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Returns the union of polygons as a mask, bool (H, W): the pixels whose center lies inside one.

    polygons: each [x0, y0, x1, y1, …], at least three points, in any direction; what lies outside the image is cut off.
    A center on an edge belongs to the pixel to the right of it, or below. Where a polygon crosses itself, a point is
    inside if a ray from it crosses the outline an odd number of times. Raises ValueError for what is no polygon.

    >>> fill([[1, 0, 3, 0, 3, 2, 2, 2, 2, 1, 1, 1]], (2, 3)).astype(int)
    array([[0, 1, 1],
           [0, 0, 1]])
    """
    H, W = size
    mask = np.zeros((H, W), bool)
    centers = np.arange(H) + 0.5
    for polygon in polygons:
        points = np.asarray(polygon, np.float64)
        if points.ndim != 1 or points.size < 6 or points.size % 2 or not np.isfinite(points).all():
            raise ValueError(
                f"{list(polygon)[:8]} is no polygon: it must be x0, y0, x1, y1, x2, y2, … of finite numbers"
            )
        crossings = np.zeros((H, W + 1), np.int64)  # how often each row crosses the outline to the left of a pixel
        points = points.reshape(-1, 2)
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0)):
            rows = np.flatnonzero((centers >= min(y0, y1)) & (centers < max(y0, y1)))
            across = x0 + (centers[rows] - y0) / (y1 - y0 if y1 != y0 else 1) * (x1 - x0)
            np.add.at(crossings, (rows, np.clip(np.ceil(across - 0.5), 0, W).astype(int)), 1)
        mask |= crossings[:, :W].cumsum(axis=1) % 2 == 1
    return mask
