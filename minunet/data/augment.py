"""Augmentation: images changed at random, each with its labels, so that few photographs teach like many.

    augment = Augmentation(Flip(probability=0.5), Rotate(10), Elastic(0.02, probability=0.5), Brightness(0.2))
    image, mask = augment(image, mask, np.random.default_rng(7))     or, ready-made, PRESETS["light"]

Each transform draws how strongly it acts, and adds that to the plan of the image: geometry as a matrix or a
displacement, color as a matrix. warp.py carries the plan out, and explains the mathematics.

All random numbers are drawn from the generator that is passed in; the same one gives the same image.
"""

from dataclasses import KW_ONLY, dataclass, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.data.labels import Labels
from minunet.data.warp import Plan, rotation

QUARTER = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])  # rotation(90) of warp.py, in integers
LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601)


class Augmentation:
    """Transforms, each with its probability and strength: augment(image, labels, rng) -> (image, labels).

    Those that move pixels are applied in the order given, then Elastic, then the colors in the order given.
    Nothing is kept from call to call, so any number of threads may share one.

    >>> augment = Augmentation(Flip(probability=1), Brightness(0))
    >>> image, mask = np.zeros((1, 2, 3), np.uint8), np.array([[[0], [1]]], np.uint8)
    >>> augment(image, mask, np.random.default_rng(0))[1].ravel().tolist()
    [1, 0]
    """

    def __init__(self, *transforms: "Transform") -> None:
        self.transforms = transforms

    def __call__(
        self, image: NDArray[np.uint8], mask: Labels, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], Labels]:
        """Returns a changed image uint8 (H, W, 3) and its labels (H, W, L), new arrays of the same shapes.

        mask: the labels, uint8 or uint16. All channels move alike, and none gets a value that it did not have.
        Raises ValueError for another shape or dtype.
        """
        fits = image.ndim == mask.ndim == 3 and image.shape[2] == 3 and mask.shape[:2] == image.shape[:2]
        if not fits or image.dtype != np.uint8 or mask.dtype not in (np.uint8, np.uint16):
            raise ValueError(
                f"image {image.dtype} {image.shape} and labels {mask.dtype} {mask.shape} must be "
                "uint8 (H, W, 3) and uint8 or uint16 (H, W, L)"
            )
        plan = Plan(*image.shape[:2])
        for transform in self.transforms:
            if rng.random() < transform.probability:
                transform.add_to(plan, rng)
        return plan.apply(image, mask)

    def __repr__(self) -> str:
        return f"Augmentation({', '.join(map(repr, self.transforms))})"


# ---- the transforms ----


@dataclass(frozen=True)
class Transform:
    """One kind of change: made with this probability, and then by a random amount of up to its strength.

    strength: in the unit that each transform names. Raises ValueError for a probability outside 0..1, or a strength
    below 0 or above `most`.
    """

    _: KW_ONLY
    probability: float = 1.0
    most = 1.0

    def __post_init__(self) -> None:
        limits = {"probability": 1.0, "strength": self.most}
        for name in (field.name for field in fields(self) if field.name in limits):
            value, most = getattr(self, name), limits[name]
            if not 0 <= value <= most:  # True for NaN, too
                raise ValueError(f"{type(self).__name__}: {name} is {value}: it must be between 0 and {most:g}")

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        """Draws how strongly to act, and adds that to the plan of one image."""
        raise NotImplementedError


@dataclass(frozen=True)
class Flip(Transform):
    """Left becomes right."""

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        plan.transform(np.diag([1, -1, 1]))


@dataclass(frozen=True)
class FlipVertical(Transform):
    """Top becomes bottom."""

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        plan.transform(np.diag([-1, 1, 1]))


@dataclass(frozen=True)
class QuarterTurn(Transform):
    """A rotation by 0, 90, 180 or 270 degrees, with equal chance, and exact: pixels go onto pixels.

    An image that is not a square would not fit into its own shape on its side: it is turned by 0 or 180 degrees.
    """

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        turns = int(rng.integers(4))
        if plan.height != plan.width:
            turns -= turns % 2
        plan.transform(np.linalg.matrix_power(QUARTER, turns))


@dataclass(frozen=True)
class Rotate(Transform):
    """A rotation by -strength to +strength degrees."""

    strength: float
    most = 180.0

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        plan.transform(rotation(rng.uniform(-self.strength, self.strength)))


@dataclass(frozen=True)
class Scale(Transform):
    """Larger or smaller, by a factor from 1 / (1 + strength) to 1 + strength."""

    strength: float

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        factor = _factor(self.strength, rng)
        plan.transform(np.diag([factor, factor, 1]))


@dataclass(frozen=True)
class Shift(Transform):
    """Up or down by at most this fraction of the height, left or right by at most this fraction of the width."""

    strength: float

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        dy, dx = rng.uniform(-self.strength, self.strength, 2) * (plan.height, plan.width)
        plan.transform([[1, 0, dy], [0, 1, dx], [0, 0, 1]])


@dataclass(frozen=True)
class Elastic(Transform):
    """A soft deformation, as in the U-Net paper: random displacements on a coarse grid, smoothly interpolated.

    strength: their standard deviation, as a fraction of the shorter side; the paper has 10 pixels in 512, 0.02. They
    are clipped at twice that. grid: how many displacements there are down, and across; the paper has 3. Bicubic
    interpolation overshoots by up to 5/4 in each of the two directions, so a pixel moves by at most 3.125 times the
    strength. Up to strength * grid = 0.1 the image does not fold over anywhere.
    """

    strength: float
    grid: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.grid < 1:
            raise ValueError(f"Elastic: grid is {self.grid}: it must be an integer of at least 1")

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        coarse = rng.standard_normal((2, self.grid, self.grid)).clip(-2, 2).astype(np.float32)
        coarse *= self.strength * min(plan.height, plan.width)
        size = plan.width, plan.height
        smooth = (Image.fromarray(axis).resize(size, Image.Resampling.BICUBIC) for axis in coarse)
        plan.displace(np.stack([np.asarray(axis) for axis in smooth]))


@dataclass(frozen=True)
class Brightness(Transform):
    """More or less light: all values, times a factor from 1 / (1 + strength) to 1 + strength."""

    strength: float

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        factor = _factor(self.strength, rng)
        plan.recolor(np.diag([factor, factor, factor, 1]))


@dataclass(frozen=True)
class Contrast(Transform):
    """Each value's distance from mid-gray, times a factor from 1 / (1 + strength) to 1 + strength."""

    strength: float

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        factor = _factor(self.strength, rng)
        colors = np.diag([factor, factor, factor, 1])
        colors[:3, 3] = 127.5 * (1 - factor)
        plan.recolor(colors)


@dataclass(frozen=True)
class Saturation(Transform):
    """Each color's distance from the gray of the same brightness, times 1 - strength to 1 + strength."""

    strength: float

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        factor = 1 + rng.uniform(-self.strength, self.strength)
        colors = np.diag([factor, factor, factor, 1])
        colors[:3, :3] += (1 - factor) * np.array(LUMA)
        plan.recolor(colors)


@dataclass(frozen=True)
class Tint(Transform):
    """Light of another color: red, green and blue, each times its own factor, 1 - strength to 1 + strength."""

    strength: float

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        plan.recolor(np.diag([*(1 + rng.uniform(-self.strength, self.strength, 3)), 1]))


def _factor(strength: float, rng: np.random.Generator) -> float:
    """1 / (1 + strength) to 1 + strength, uniform on a logarithmic scale: 1/1.2 as often as 1.2."""
    return (1 + strength) ** rng.uniform(-1, 1)


# ---- ready-made ----

# "flip" is left and right alone. "light" is what any photographer does without thinking: the other side, a camera not
# quite level, nearer or farther, in other light. "full" is the most that still looks like a photograph of a pet. None
# of them turns images upside down: hardly any photograph is, and a network has better uses for its weights. "flips" and
# "cells" are for images that have no up and down, such as maps, or what lies under a microscope: the first only
# rearranges their pixels. "elastic" is that of the U-Net paper: shifts, rotations and elastic deformation.
PRESETS: dict[str, Augmentation | None] = {
    "none": None,
    "flip": Augmentation(Flip(probability=0.5)),
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
    "flips": Augmentation(Flip(probability=0.5), FlipVertical(probability=0.5), QuarterTurn()),
    "cells": Augmentation(
        Flip(probability=0.5),
        FlipVertical(probability=0.5),
        QuarterTurn(),
        Rotate(15, probability=0.5),
        Scale(0.15, probability=0.5),
        Elastic(0.02, probability=0.5),
        Brightness(0.2, probability=0.5),
        Contrast(0.2, probability=0.5),
    ),
    "elastic": Augmentation(
        Flip(probability=0.5),
        QuarterTurn(),
        Rotate(15, probability=0.5),
        Shift(0.05, probability=0.5),
        Elastic(0.02),
    ),
}
