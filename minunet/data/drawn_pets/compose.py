"""One drawn image: an animal in its place in a scene, lit, photographed, and with its trimap."""

import math
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from minunet.data.drawn_pets.animals import Figure
from minunet.data.drawn_pets.paint import Ink, Part, oval, paint, soften
from minunet.data.drawn_pets.poses import choose_figure
from minunet.data.drawn_pets.scenes import scene_parts
from minunet.data.labels import BACKGROUND, BOUNDARY, PET

SPECIES = ("cat", "dog")
SMALLEST = 16  # pixels; below, a face is no face


def draw(index: int, seed: int = 0, size: int = 256) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns image number `index`, uint8 (size, size, 3), and its trimap, uint8 (size, size).

    The trimap is 1 on the pet, 2 on the background, 3 on a narrow band along the outline; whiskers and shadow are
    background. All of it depends on (seed, index, size) alone, and another size shows the same pet in the same scene.
    Raises ValueError for a negative index or seed, or a size below 16.

    >>> image, trimap = draw(12, size=64)
    >>> image.shape, trimap.shape, np.unique(trimap).tolist()
    ((64, 64, 3), (64, 64), [1, 2, 3])
    """
    size, rng = check_size(size), generator(index, seed)
    fig, pose = choose_figure(_choose_species(rng), rng)
    placed = _placement(fig, pose, rng)
    shadow = placed.outline(shadow_of(fig))
    horizon = float(np.clip(shadow[:, 1].mean() - rng.uniform(0.08, 0.4), 0.15, 0.85))
    light = rng.choice((-0.7, 0.7)), -0.8
    scene = paint(scene_parts(fig.coat, horizon, rng), (), (), size, rng, 0.4, light, zoom=1).rgb
    if pose != "portrait":
        scene *= 1 - soft_shadow(shadow, size)[:, :, None]
    depth_of_field = rng.uniform(0.004, 0.014) * size
    scene = soften(scene.clip(0, 255).astype(np.uint8), depth_of_field).astype(np.float32)
    pet = paint(*placed.figure(fig), size, rng, placed.scale, light)
    image = scene + (pet.rgb - scene) * pet.cover[:, :, None]
    return exposed(image, rng), _trimap(pet.solid >= 0.5)


def species_of(index: int, seed: int = 0) -> str:
    """Returns "cat" or "dog": what draw(index, seed) shows."""
    return _choose_species(generator(index, seed))


def check_size(size: int) -> int:
    """Returns the side of an image. Raises ValueError or TypeError unless it is large enough for a face."""
    if operator.index(size) < SMALLEST:
        raise ValueError(f"size is {size}: a drawn pet needs at least {SMALLEST} pixels")
    return operator.index(size)


def check_seeds(index: int, seed: int) -> None:
    """Raises ValueError or TypeError unless both are integers of at least 0."""
    for name, value in (("index", index), ("seed", seed)):
        if operator.index(value) < 0:
            raise ValueError(f"{name} is {value}: it must be an integer of at least 0")


def generator(index: int, seed: int, *stream: int) -> np.random.Generator:
    """Returns the random numbers of image number `index`; another `stream` gives others, for another kind of image."""
    check_seeds(index, seed)
    return np.random.default_rng(np.random.SeedSequence([operator.index(seed), operator.index(index), *stream]))


def _choose_species(rng: np.random.Generator) -> str:
    return SPECIES[rng.integers(2)]


# ---- the animal in its place ----


class Placement:
    """Where a figure goes in the image: from figure units to image units.

    anchor, target  a point of the figure, and where in the image it comes to lie
    scale           image units per figure unit
    flip            -1 mirrors the figure, so that it faces the other way
    tilt            radians by which it is rotated
    """

    def __init__(self, anchor: NDArray, target: NDArray, scale: float, flip: int = 1, tilt: float = 0.0) -> None:
        self.scale = scale
        self._anchor, self._target, self._flip = anchor, target, flip
        c, s = scale * math.cos(tilt), scale * math.sin(tilt)
        self._turn = np.array([[flip * c, flip * s], [-s, c]])

    def outline(self, outline: NDArray) -> NDArray:
        """Returns an outline (k, 2) in image units."""
        return (outline - self._anchor) @ self._turn + self._target

    def parts(self, parts: Sequence[Part]) -> list[Part]:
        """Returns parts in image units; their hair is flipped, too."""
        return [Part(*self._move(outline, ink), [self._move(*mark) for mark in marks]) for outline, ink, marks in parts]

    def figure(self, fig: Figure) -> tuple[list[Part], list[Part], list[Part]]:
        """Returns the parts, details and whiskers of a figure in image units, as `paint` takes them."""
        return self.parts(fig.parts), self.parts(fig.details), self.parts(fig.whiskers)

    def _move(self, outline: NDArray, ink: Ink) -> tuple[NDArray, Ink]:
        return self.outline(outline), ink._replace(direction=self._flip * ink.direction)


def extent(fig: Figure) -> tuple[NDArray, NDArray]:
    """Returns the corners (x, y) of the upright rectangle around a figure, in figure units: low, high."""
    points = np.concatenate([part.outline for part in fig.parts])
    return points.min(axis=0), points.max(axis=0)


def shadow_of(fig: Figure) -> NDArray:
    """Returns the outline (k, 2), in figure units, of the shadow on the ground under a figure."""
    low, high = extent(fig)
    return oval((low[0] + high[0]) / 2, -0.03, (high[0] - low[0]) / 2, 0.1)


def _placement(fig: Figure, pose: str, rng: np.random.Generator) -> Placement:
    """A random Placement of a figure: most of it, or all, is in the image."""
    low, high = extent(fig)
    if pose == "portrait":
        scale, anchor = rng.uniform(0.28, 0.46), np.array([0, -0.5])
        target = rng.uniform((0.3, 0.36), (0.7, 0.5))
    else:
        fraction = 0.12 + 0.48 * rng.beta(1.6, 3.0)  # of the image that the animal fills
        scale = min(math.sqrt(fraction / area(fig)), 1.15 / (high - low).max())
        margin = 0.06 if rng.random() < 0.75 else -0.35  # one in four may be cut off by the edge of the image
        free = np.abs(0.5 - (1 + margin) * scale * (high - low) / 2)
        anchor, target = (low + high) / 2, 0.5 + free * rng.uniform(-1, 1, 2)
    flip, tilt = rng.choice((-1, 1)), rng.uniform(-0.12, 0.12)
    return Placement(anchor, target, scale, flip, tilt)


def area(fig: Figure, side: int = 64) -> float:
    """Returns the area of all parts together, in square figure units, counted on a grid of that many cells a side."""
    low, high = extent(fig)
    zoom = side / (high - low).max()
    paper = Image.new("L", (side, side))
    pen = ImageDraw.Draw(paper)
    for part in fig.parts:
        pen.polygon(((part.outline - low) * zoom).ravel().tolist(), fill=1)
    return paper.histogram()[1] / zoom**2


# ---- light, camera and trimap ----


def soft_shadow(outline: NDArray, size: int) -> NDArray[np.float32]:
    """Returns how much darker the ground is under a pet, 0..1, (size, size); outline: of its shadow, in image units."""
    paper = Image.new("L", (size, size))
    ImageDraw.Draw(paper).polygon((outline * size).ravel().tolist(), fill=115)
    return soften(np.asarray(paper), 0.02 * size) / np.float32(255)


def exposed(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns the image (size, size, 3) in uneven light, and as a camera sees it: with grain."""
    size = len(image)
    angle, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.25)
    across = np.linspace(-0.5 * strength, 0.5 * strength, size, dtype=np.float32)
    lamp = 1 + math.cos(angle) * across + math.sin(angle) * across[:, None]
    clouds = Image.fromarray(rng.uniform(0.88, 1.12, (5, 5)).astype(np.float32))
    lamp *= np.asarray(clouds.resize((size, size), Image.Resampling.BICUBIC))
    tint = (rng.uniform(0.94, 1.06, 3) * rng.uniform(0.88, 1.08)).astype(np.float32)
    grain = rng.uniform(1, 6)  # from here on, what is drawn from rng depends on the size
    noise = (rng.random((size, size), dtype=np.float32) - np.float32(0.5)) * np.float32(2 * grain)
    return (image * lamp[:, :, None] * tint + noise[:, :, None]).clip(0, 255).astype(np.uint8)


def _trimap(pet):
    """uint8 (size, size): PET where pet (bool) is True, BACKGROUND elsewhere, BOUNDARY in between."""
    reach = max(1, round(len(pet) / 100))  # as wide, relative to the image, as in the trimaps of the photographs
    blurred = Image.fromarray(np.where(pet, 255, 0).astype(np.uint8)).filter(ImageFilter.BoxBlur(reach))
    trimap = np.where(pet, PET, BACKGROUND).astype(np.uint8)
    trimap[(np.asarray(blurred) > 0) & (np.asarray(blurred) < 255)] = BOUNDARY
    return trimap
