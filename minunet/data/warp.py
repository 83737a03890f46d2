"""Where the pixels of an augmented image come from, and what becomes of its colors: first collected, then done at once.

Geometry. A point of the image is (y, x, 1), y down and x right from the center. Flips, rotations, scalings and shifts
are 3 x 3 matrices, and a sequence of them is their product:

    (y', x', 1) = A (y, x, 1)        A = A_k ... A_2 A_1

The new image is not made by sending each pixel to its new place: some places would get two, and others none. It is made
backwards. Each pixel p' of the new image asks where it comes from, and reads there:

    p = A⁻¹ (p' + d(p'))             new(p') = old(p)

d is an elastic displacement: one more small, smooth shift, which differs from pixel to pixel. p falls between four
pixels: a and b in one row, c and e below them, at the fraction fx of the way from left to right, and fy of the way
down. The image is interpolated between them, and the mask takes the nearest, because half way between 0 and 255 there
is no class:

    top = a + fx (b - a)       bottom = c + fx (e - c)       value = top + fy (bottom - top)

Outside, image and mask continue as their mirror images. However many transforms there are, there is one A, one d, and
so one reading: each further one would blur the image once more, and take as long.

Color. The same with a color (r, g, b, 1) and 4 x 4 matrices: they are multiplied first, then applied to all pixels
once, and what leaves 0..255 on the way may still return.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


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

    def apply(self, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Returns the new image uint8 (H, W, 3), and its mask uint8 (H, W, 1): new arrays."""
        planes = image.transpose(2, 0, 1)  # red, green and blue one after the other: (3, H, W)
        if self.displacement is not None or not np.array_equal(self.matrix, np.eye(3)):
            y, x = self._sources()
            mirrored, y, x = _mirrored(np.concatenate([planes, mask.transpose(2, 0, 1)]), y, x)
            planes = _bilinear(mirrored[:3], y, x)
            mask = _nearest(mirrored[3], y, x)[:, :, None]
        if not np.array_equal(self.colors, np.eye(4)):
            red, green, blue = planes.astype(np.float32)
            rows = self.colors[:3].tolist()
            planes = np.stack([r * red + g * green + b * blue + offset for r, g, b, offset in rows])
        new = np.empty((self.height, self.width, 3), np.uint8)
        for channel, plane in enumerate(planes):  # one by one: three times as fast as a transposed copy
            new[:, :, channel] = plane if plane.dtype == np.uint8 else plane.clip(0, 255) + np.float32(0.5)
        return new, mask.copy()

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


def _mirrored(planes: NDArray, y: NDArray, x: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Lays mirror images around the planes, (C, H, W), as far as the pixels next to a position (y, x) reach.

    Returns planes (C, H + ..., W + ...), and the same positions in them. The mirror stands on the edge of the image, so
    that the first pixel outside repeats the last one inside.
    """
    margins = [(0, 0)]
    for positions, length in zip((y, x), planes.shape[1:]):
        before = math.floor(positions.min())
        after = math.floor(positions.max()) + 2 - length  # one more, for the lower right of the four pixels
        margins.append((max(0, -before), max(0, after)))
    return np.pad(planes, margins, mode="symmetric"), y + margins[1][0], x + margins[2][0]


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


def _nearest(plane: NDArray, y: NDArray, x: NDArray) -> NDArray:
    """The values of the plane (H, W) in the pixels nearest to the positions y, x: its own dtype, (OH, OW)."""
    return plane.take(np.rint(y).astype(np.intp) * plane.shape[1] + np.rint(x).astype(np.intp))
