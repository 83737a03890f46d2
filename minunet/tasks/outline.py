"""The outline of a mask, and an image with the outline drawn on it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

COLOR = (255, 64, 96)
THICKEST = 50  # pixels, of a line by default: that of an image of 4000 pixels
ROWS = 256  # that are worked on at a time: a large image takes no more memory for it


def overlay(
    image: NDArray, mask: ArrayLike, color: tuple[int, int, int] = COLOR, thickness: int | None = None
) -> NDArray:
    """Returns the image with the outline of the mask drawn over it, a new uint8 array (H, W, 3).

    image: uint8 (H, W, 3); mask: bool or 0/1, (H, W) or (H, W, 1); color: three values of 0 to 255; thickness: width of
    the line in pixels, by default about 1/80 of the longer side, at most 50. Raises ValueError if the sizes differ.
    """
    mask = np.asarray(mask).reshape(np.shape(mask)[:2]).astype(bool)
    if image.shape != (*mask.shape, 3):
        raise ValueError(f"the image is {image.shape} and the mask {mask.shape}: they must be (H, W, 3) and (H, W)")
    thickness = thickness or min(max(1, round(max(mask.shape) / 80)), THICKEST)
    drawn = image.copy()
    drawn[outline(mask, thickness)] = color
    return drawn


def outline(mask: ArrayLike, thickness: int = 1) -> NDArray:
    """Returns the pixels of the mask that lie within `thickness` steps (up, down, left, right) of a pixel outside it.

    mask: bool or 0/1 (H, W). Returns bool (H, W). The edge of the image does not count as outside: an object that is
    cut off there gets no line along it.

    >>> outline(np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0]])).astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 1, 1, 1, 0],
           [0, 1, 0, 1, 0],
           [0, 1, 0, 1, 0]])
    """
    mask = np.asarray(mask).astype(bool)
    line = np.empty_like(mask)
    for first in range(0, len(mask), ROWS):  # a band of rows at a time, with those that can reach it
        above = min(first, thickness)
        band = inside = mask[first - above : first + ROWS + thickness]
        for _ in range(thickness):
            p = np.pad(inside, 1, mode="edge")
            inside = inside & p[:-2, 1:-1] & p[2:, 1:-1] & p[1:-1, :-2] & p[1:-1, 2:]
        line[first : first + ROWS] = (band & ~inside)[above : above + ROWS]
    return line
