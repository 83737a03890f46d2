"""Where the pixels of an augmented image come from, and what becomes of its colors: first collected, then done at once.

Geometry. A point of the image is (y, x, 1), y down and x right from the center. Flips, rotations, scalings and shifts
are 3 x 3 matrices, and a sequence of them is their product:

    (y', x', 1) = A (y, x, 1)        A = A_k ... A_2 A_1

The new image is not made by sending each pixel to its new place: some places would get two, and others none. It is made
backwards. Each pixel p' of the new image asks where it comes from, and reads there:

    p = A⁻¹ (p' + d(p'))             new(p') = old(p)

d is an elastic displacement: one more small, smooth shift, which differs from pixel to pixel. p falls between four
pixels: a and b in one row, c and e below them, at the fraction fx of the way from left to right, and fy of the way
down. The image is interpolated between them, and labels take the nearest, because half way between 0 and 255 there
is no class:

    top = a + fx (b - a)       bottom = c + fx (e - c)       value = top + fy (bottom - top)

Outside, image and labels continue as their mirror images. However many transforms there are, there is one A, one d, and
so one reading: each further one would blur the image once more, and take as long.

Flips and quarter turns send pixels onto pixels: A only swaps y and x, or changes their signs. Then nothing needs to be
interpolated, and the new image is the old one read in another order: the same values, for a fraction of the work.

Color. The same with a color (r, g, b, 1) and 4 x 4 matrices: they are multiplied first, then applied to all pixels
once, and what leaves 0..255 on the way may still return.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minunet.data.labels import Labels


class Plan:
    """What is to be done with one image of height x width, collected first and then done at once."""

    def __init__(self, height: int, width: int) -> None:
        self.height = height
        self.width = width
        self.matrix = np.eye(3)  # A
        self.displacement: NDArray[np.float32] | None = None  # d: (2, H, W), down and right in pixels
        self.colors = np.eye(4)

    def transform(self, matrix: ArrayLike) -> None:
        """After all transforms so far, sends each point (y, x, 1) to `matrix` (3, 3) times it."""
        self.matrix = np.asarray(matrix, np.float64) @ self.matrix

    def displace(self, displacement: NDArray[np.float32]) -> None:
        """Adds to d: float32 (2, H, W), how far down and right of its place each new pixel looks."""
        self.displacement = displacement if self.displacement is None else self.displacement + displacement

    def recolor(self, colors: ArrayLike) -> None:
        """After all changes so far, sends each color (r, g, b, 1), 0 to 255, to `colors` (4, 4) times it."""
        self.colors = np.asarray(colors, np.float64) @ self.colors

    def apply(self, image: NDArray[np.uint8], labels: Labels) -> tuple[NDArray[np.uint8], Labels]:
        """Returns the new image uint8 (H, W, 3), and its labels (H, W, L) in their own dtype: new arrays."""
        planes = image.transpose(2, 0, 1)  # red, green and blue one after the other: (3, H, W)
        if self._keeps_the_pixels():
            planes, labels = self._reorder(planes), self._reorder(labels.transpose(2, 0, 1)).transpose(1, 2, 0)
        else:
            y, x = self._sources()
            margins = _margins(y, x, planes.shape[1:])
            (above, _), (left, _) = margins
            planes = _bilinear(_mirrored(planes, margins), y + above, x + left)
            labels = _nearest(_mirrored(labels.transpose(2, 0, 1), margins), y + above, x + left).transpose(1, 2, 0)
        if not np.array_equal(self.colors, np.eye(4)):
            red, green, blue = planes.astype(np.float32)
            rows = self.colors[:3].tolist()
            planes = np.stack([r * red + g * green + b * blue + offset for r, g, b, offset in rows])
        new = np.empty((self.height, self.width, 3), np.uint8)
        for channel, plane in enumerate(planes):  # one by one: three times as fast as a transposed copy
            new[:, :, channel] = plane if plane.dtype == np.uint8 else plane.clip(0, 255) + np.float32(0.5)
        return new, labels.copy(order="C")

    def _keeps_the_pixels(self) -> bool:
        """Whether each pixel goes onto a pixel: A is made of flips, and in a square of quarter turns."""
        (yy, yx, dy), (xy, xx, dx), _ = np.abs(self.matrix).tolist()
        upright, on_its_side = (yy, yx, xy, xx) == (1, 0, 0, 1), (yy, yx, xy, xx) == (0, 1, 1, 0)
        stays = dy == dx == 0 and self.displacement is None
        return stays and (upright or (on_its_side and self.height == self.width))

    def _reorder(self, planes: NDArray[Any]) -> NDArray[Any]:
        """Returns old(A⁻¹ p') of planes (C, H, W), if A keeps the pixels: a view. A⁻¹ is then the transposed of A."""
        (yy, yx, _), (xy, xx, _), _ = self.matrix.T.astype(int).tolist()
        if yy:  # y = ± y', x = ± x'
            return planes[:, ::yy, ::xx]
        return planes[:, ::yx, ::xy].transpose(0, 2, 1)  # y = ± x', x = ± y'

    def _sources(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """p = A⁻¹ (p' + d(p')) of all pixels p': y and x, float32 (H, W), from the first pixel's center."""
        middle_y, middle_x = (self.height - 1) / 2, (self.width - 1) / 2
        y = np.arange(self.height, dtype=np.float32)[:, None] - middle_y
        x = np.arange(self.width, dtype=np.float32)[None, :] - middle_x
        if self.displacement is not None:
            y, x = y + self.displacement[0], x + self.displacement[1]
        (yy, yx, y1), (xy, xx, x1), _ = np.linalg.inv(self.matrix).tolist()
        return yy * y + yx * x + (y1 + middle_y), xy * y + xx * x + (x1 + middle_x)


def rotation(degrees: float) -> NDArray[np.float64]:
    """Returns the matrix of a rotation around the center, counter-clockwise as one sees it: (3, 3).

    >>> rotation(90).round().astype(int)[:2, :2] @ [0, 1]  # (y, x) = (0, 1), on the right, goes up
    array([-1,  0])
    """
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _margins(y: NDArray, x: NDArray, size: tuple[int, ...]) -> list[tuple[int, int]]:
    """How far the pixels next to a position (y, x) reach out of an image: (above, below), (left, right)."""
    margins = []
    for positions, length in zip((y, x), size):
        before = math.floor(positions.min())
        after = math.floor(positions.max()) + 2 - length  # one more, for the lower right of the four pixels
        margins.append((max(0, -before), max(0, after)))
    return margins


def _mirrored(planes: NDArray, margins: list[tuple[int, int]]) -> NDArray:
    """Lays mirror images of these widths around planes (C, H, W).

    The mirror stands on the edge of the image, so that the first pixel outside repeats the last one inside.
    """
    return np.pad(planes, [(0, 0), *margins], mode="symmetric")


def _bilinear(planes: NDArray, y: NDArray, x: NDArray) -> NDArray:
    """The values of the planes, (C, H, W), at the positions y, x of shape (OH, OW): float32 (C, OH, OW)."""
    above, left = np.floor(y), np.floor(x)
    fy, fx = y - above, x - left
    width = planes.shape[2]
    first = above.astype(np.intp) * width + left.astype(np.intp)
    values = planes.reshape(len(planes), -1).astype(np.float32)
    a, b, c, e = (values.take(first + step, axis=1) for step in (0, 1, width, width + 1))
    top, bottom = a + fx * (b - a), c + fx * (e - c)
    return top + fy * (bottom - top)


def _nearest(planes: NDArray, y: NDArray, x: NDArray) -> NDArray:
    """The values of planes (L, H, W) in the pixels nearest to the positions y, x: their own dtype, (L, OH, OW)."""
    pixels = np.rint(y).astype(np.intp) * planes.shape[2] + np.rint(x).astype(np.intp)
    return planes.reshape(len(planes), -1).take(pixels, axis=1)
