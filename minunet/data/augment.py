"""Pictures changed at random, each with its mask, so that few photographs teach like many.

    augment = Augmentation(Flip(probability=0.5), Rotate(10), Elastic(0.02, probability=0.5), Brightness(0.2))
    image, mask = augment(image, mask, np.random.default_rng(7))     or, ready made, PRESETS["light"]

Where a pixel goes (Flip, FlipVertical, Rotate, Scale, Shift). A point of the picture is (y, x, 1), y down and
x right from the centre. Each of these transforms is a 3 x 3 matrix, and one after the other is their product:

    (y', x', 1) = A (y, x, 1)        A = A_k ... A_2 A_1

The new picture is not made by sending each pixel to its new place: some places would get two, and others
none. It is made backwards. Each pixel p' of the new picture asks where it comes from, and reads there:

    p = A⁻¹ (p' + d(p'))             new(p') = old(p)

d is the displacement of Elastic: one more small, smooth shift, another one at each pixel. p falls between
four pixels: a and b in one row, c and e below them; it lies at the fraction fx of the way from left to
right, and fy of that down. The picture is interpolated between them, and the mask takes the nearest of them,
because half way between 0 and 255 is no class:

    top = a + fx (b - a)       bottom = c + fx (e - c)       value = top + fy (bottom - top)

Outside, picture and mask go on as their mirror images. However many transforms there are, there is one A, one
d and so one reading: each further one would blur the picture once more, and take as long.

What colour it has (Brightness, Contrast, Saturation, Tint). Just so with a colour (r, g, b, 1) and 4 x 4
matrices: they are multiplied first, then all pixels once, and what leaves 0..255 on the way may still return.

All chances are drawn from the generator that is given; the same one gives the same picture.
"""

import math
from dataclasses import KW_ONLY, dataclass, fields

import numpy as np
from PIL import Image

LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601)


class Augmentation:
    """Some transforms, each with its probability and strength: augment(image, mask, rng) -> (image, mask).

    Those that move pixels are done in the order given, then Elastic, then the colours in the order given.
    Nothing is kept from call to call, so that any number of threads may share one.

    >>> augment = Augmentation(Flip(probability=1), Brightness(0))
    >>> image, mask = np.zeros((1, 2, 3), np.uint8), np.array([[[0], [1]]], np.uint8)
    >>> augment(image, mask, np.random.default_rng(0))[1].ravel().tolist()
    [1, 0]
    """

    def __init__(self, *transforms):
        self.transforms = transforms

    def __call__(self, image, mask, rng):
        """image uint8 (H, W, 3), mask uint8 (H, W, 1), rng np.random.Generator -> new arrays, just the same.

        The mask keeps to the values that it has. Raises ValueError for another shape or dtype.
        """
        fits = image.ndim == 3 and image.shape[2] == 3 and mask.shape == (*image.shape[:2], 1)
        if not fits or image.dtype != np.uint8 or mask.dtype != np.uint8:
            raise ValueError(
                f"picture {image.dtype} {image.shape} and mask {mask.dtype} {mask.shape} must be "
                "uint8 (H, W, 3) and uint8 (H, W, 1)"
            )
        plan = Plan(*image.shape[:2])
        for transform in self.transforms:
            if rng.random() < transform.probability:
                transform.add_to(plan, rng)
        return plan.carry_out(image, mask)

    def __repr__(self):
        return f"Augmentation({', '.join(map(repr, self.transforms))})"


# ---- the transforms ----


@dataclass(frozen=True)
class Transform:
    """One kind of change. It is made with this probability, and then at random up to its strength.

    strength: its unit stands with each transform. ValueError for a probability beyond 0..1, or a strength
    below 0 or above `most`.
    """

    _: KW_ONLY
    probability: float = 1.0
    most = 1.0

    def __post_init__(self):
        limits = {"probability": 1.0, "strength": self.most}
        for name in (field.name for field in fields(self) if field.name in limits):
            value, most = getattr(self, name), limits[name]
            if not 0 <= value <= most:  # True for NaN, too
                raise ValueError(f"{type(self).__name__}: {name} is {value}; it must be 0 to {most:g}")

    def add_to(self, plan, rng):
        """Draws how much, and adds it to the plan of one picture."""
        raise NotImplementedError


@dataclass(frozen=True)
class Flip(Transform):
    """Left becomes right."""

    def add_to(self, plan, rng):
        plan.move(np.diag([1, -1, 1]))


@dataclass(frozen=True)
class FlipVertical(Transform):
    """Top becomes bottom."""

    def add_to(self, plan, rng):
        plan.move(np.diag([-1, 1, 1]))


@dataclass(frozen=True)
class Rotate(Transform):
    """A turn by -strength to +strength degrees."""

    strength: float
    most = 180.0

    def add_to(self, plan, rng):
        plan.move(rotation(rng.uniform(-self.strength, self.strength)))


@dataclass(frozen=True)
class Scale(Transform):
    """Larger or smaller, by a factor from 1 / (1 + strength) to 1 + strength."""

    strength: float

    def add_to(self, plan, rng):
        factor = _factor(self.strength, rng)
        plan.move(np.diag([factor, factor, 1]))


@dataclass(frozen=True)
class Shift(Transform):
    """Down or up by at most this share of the height, right or left by at most this share of the width."""

    strength: float

    def add_to(self, plan, rng):
        dy, dx = rng.uniform(-self.strength, self.strength, 2) * (plan.height, plan.width)
        plan.move([[1, 0, dy], [0, 1, dx], [0, 0, 1]])


@dataclass(frozen=True)
class Elastic(Transform):
    """A soft deformation, as in the paper on the U-Net: random displacements on a coarse grid, made smooth.

    strength: their standard deviation, as a share of the shorter side; the paper has 10 pixels in 512, 0.02.
    None is taken beyond twice that. grid: how many displacements there are down, and across; the paper has 3.
    In between they are interpolated bicubically, which leads at most 5/4 further in each direction, so to
    3.125 times the strength. Up to strength * grid = 0.1 the picture is nowhere folded over.
    """

    strength: float
    grid: int = 3

    def __post_init__(self):
        super().__post_init__()
        if self.grid < 1:
            raise ValueError(f"Elastic: grid is {self.grid}; it must be 1 or more")

    def add_to(self, plan, rng):
        coarse = rng.standard_normal((2, self.grid, self.grid)).clip(-2, 2).astype(np.float32)
        coarse *= self.strength * min(plan.height, plan.width)
        size = plan.width, plan.height
        smooth = (Image.fromarray(part).resize(size, Image.Resampling.BICUBIC) for part in coarse)
        plan.displace(np.stack([np.asarray(part) for part in smooth]))


@dataclass(frozen=True)
class Brightness(Transform):
    """More or less light: all values times a factor from 1 / (1 + strength) to 1 + strength."""

    strength: float

    def add_to(self, plan, rng):
        factor = _factor(self.strength, rng)
        plan.recolour(np.diag([factor, factor, factor, 1]))


@dataclass(frozen=True)
class Contrast(Transform):
    """The distance of each value from mid-grey, times a factor from 1 / (1 + strength) to 1 + strength."""

    strength: float

    def add_to(self, plan, rng):
        factor = _factor(self.strength, rng)
        colours = np.diag([factor, factor, factor, 1])
        colours[:3, 3] = 127.5 * (1 - factor)
        plan.recolour(colours)


@dataclass(frozen=True)
class Saturation(Transform):
    """The distance of each colour from the grey that looks as bright, times 1 - strength to 1 + strength."""

    strength: float

    def add_to(self, plan, rng):
        factor = 1 + rng.uniform(-self.strength, self.strength)
        colours = np.diag([factor, factor, factor, 1])
        colours[:3, :3] += (1 - factor) * np.array(LUMA)
        plan.recolour(colours)


@dataclass(frozen=True)
class Tint(Transform):
    """Light of another colour: red, green, blue, each times its own factor, 1 - strength to 1 + strength."""

    strength: float

    def add_to(self, plan, rng):
        plan.recolour(np.diag([*(1 + rng.uniform(-self.strength, self.strength, 3)), 1]))


def rotation(degrees):
    """The matrix of a turn around the centre, counter-clockwise as one sees it: float64 (3, 3).

    >>> rotation(90).round().astype(int)[:2, :2] @ [0, 1]  # (y, x) = (0, 1), on the right, goes up
    array([-1,  0])
    """
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _factor(strength, rng):
    """1 / (1 + strength) to 1 + strength, evenly on the scale of a slide rule: 1/1.2 as often as 1.2."""
    return (1 + strength) ** rng.uniform(-1, 1)


# ---- one picture ----


class Plan:
    """What is to be done with one picture of height x width, collected first and then done at once."""

    def __init__(self, height, width):
        self.height, self.width = height, width
        self.matrix = np.eye(3)  # A
        self.displacement = None  # d: float32 (2, H, W), down and right in pixels
        self.colours = np.eye(4)

    def move(self, matrix):
        """After all moves so far, sends each point (y, x, 1) to `matrix` (3, 3) times it."""
        self.matrix = np.asarray(matrix, np.float64) @ self.matrix

    def displace(self, displacement):
        """Adds to d: float32 (2, H, W), how far down and right of its place each new pixel looks."""
        self.displacement = displacement if self.displacement is None else self.displacement + displacement

    def recolour(self, colours):
        """After all changes so far, makes each colour (r, g, b, 1), 0 to 255, `colours` (4, 4) times it."""
        self.colours = np.asarray(colours, np.float64) @ self.colours

    def carry_out(self, image, mask):
        """-> the new image uint8 (H, W, 3), and its mask uint8 (H, W, 1): new arrays."""
        image = image.transpose(2, 0, 1)  # red, green and blue one after the other: (3, H, W)
        if self.displacement is not None or not np.array_equal(self.matrix, np.eye(3)):
            y, x = self._sources()
            planes, y, x = _mirrored(np.concatenate([image, mask.transpose(2, 0, 1)]), y, x)
            image, mask = _bilinear(planes[:3], y, x), _nearest(planes[3], y, x)[:, :, None]
        if not np.array_equal(self.colours, np.eye(4)):
            red, green, blue = image.astype(np.float32)
            rows = self.colours[:3].tolist()
            image = np.stack([r * red + g * green + b * blue + offset for r, g, b, offset in rows])
        new = np.empty((self.height, self.width, 3), np.uint8)
        for channel, plane in enumerate(image):  # one by one: three times as fast as a transposed copy
            new[:, :, channel] = plane if plane.dtype == np.uint8 else plane.clip(0, 255) + np.float32(0.5)
        return new, mask.copy()

    def _sources(self):
        """p = A⁻¹ (p' + d(p')) of all pixels p': y and x, float32 (H, W), from the first pixel's centre."""
        middle_y, middle_x = (self.height - 1) / 2, (self.width - 1) / 2
        y = np.arange(self.height, dtype=np.float32)[:, None] - middle_y
        x = np.arange(self.width, dtype=np.float32)[None, :] - middle_x
        if self.displacement is not None:
            y, x = y + self.displacement[0], x + self.displacement[1]
        (yy, yx, y1), (xy, xx, x1), _ = np.linalg.inv(self.matrix).tolist()
        return yy * y + yx * x + (y1 + middle_y), xy * y + xx * x + (x1 + middle_x)


def _mirrored(planes, y, x):
    """Lays mirror images around the planes, (C, H, W), as far as the pixels next to a position (y, x) reach.

    -> planes (C, H + ..., W + ...), and the same positions in them. The mirror stands on the edge of the
    picture, so that the first pixel outside repeats the last one inside.
    """
    margins = [(0, 0)]
    for positions, length in zip((y, x), planes.shape[1:]):
        before = math.floor(positions.min())
        after = math.floor(positions.max()) + 2 - length  # one more, for the lower right of the four pixels
        margins.append((max(0, -before), max(0, after)))
    return np.pad(planes, margins, mode="symmetric"), y + margins[1][0], x + margins[2][0]


def _bilinear(planes, y, x):
    """The values of the planes, (C, H, W), at the positions y, x of shape (OH, OW): float32 (C, OH, OW)."""
    above, left = np.floor(y), np.floor(x)
    fy, fx = y - above, x - left
    width = planes.shape[2]
    first = above.astype(np.intp) * width + left.astype(np.intp)
    values = planes.reshape(len(planes), -1).astype(np.float32)
    a, b, c, e = (values.take(first + step, axis=1) for step in (0, 1, width, width + 1))
    top, bottom = a + fx * (b - a), c + fx * (e - c)
    return top + fy * (bottom - top)


def _nearest(plane, y, x):
    """The values of the plane (H, W) in the pixels nearest to the positions y, x: as its dtype, (OH, OW)."""
    return plane.take(np.rint(y).astype(np.intp) * plane.shape[1] + np.rint(x).astype(np.intp))


# ---- ready made ----

# "light" is what any photographer does without thinking: the other side, a camera not quite level, nearer or
# farther, in other light. "full" is the most that still looks like a photograph of a pet. Neither turns
# pictures upside down: hardly any photograph is, and a network has better uses for its weights. For pictures
# without up and down (cells, maps) build one of your own, with FlipVertical(probability=0.5) and Rotate(180).
PRESETS = {
    "none": None,
    "light": Augmentation(
        Flip(probability=0.5),
        Rotate(10, probability=0.75),
        Scale(0.15, probability=0.75),
        Shift(0.05, probability=0.75),
        Brightness(0.15, probability=0.5),
        Contrast(0.15, probability=0.5),
    ),
    "full": Augmentation(
        Flip(probability=0.5),
        Rotate(20, probability=0.75),
        Scale(0.3, probability=0.75),
        Shift(0.1, probability=0.75),
        Elastic(0.03, probability=0.5),
        Brightness(0.3, probability=0.5),
        Contrast(0.3, probability=0.5),
        Saturation(0.5, probability=0.5),
        Tint(0.07, probability=0.5),
    ),
}
