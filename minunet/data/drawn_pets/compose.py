"""One drawn image: an animal in its place in a scene, lit, photographed, and with its trimap."""

import math
import operator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from minunet.data.drawn_pets.paint import Part, oval, paint, soften
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
    size, rng = check_size(size), _generator(index, seed)
    fig, pose = choose_figure(_choose_species(rng), rng)
    place, scale, shadow = _placement(fig, pose, rng)
    horizon = float(np.clip(shadow[:, 1].mean() - rng.uniform(0.08, 0.4), 0.15, 0.85))
    light = rng.choice((-0.7, 0.7)), -0.8
    scene = paint(scene_parts(fig.coat, horizon, rng), (), (), size, rng, 0.4, light, zoom=1).rgb
    if pose != "portrait":
        scene *= 1 - _soft_shadow(shadow, size)[:, :, None]
    depth_of_field = rng.uniform(0.004, 0.014) * size
    scene = soften(scene.clip(0, 255).astype(np.uint8), depth_of_field).astype(np.float32)
    pet = paint(place(fig.parts), place(fig.details), place(fig.whiskers), size, rng, scale, light)
    image = scene + (pet.rgb - scene) * pet.cover[:, :, None]
    return _exposed(image, rng), _trimap(pet.solid >= 0.5)


def species_of(index: int, seed: int = 0) -> str:
    """Returns "cat" or "dog": what draw(index, seed) shows."""
    return _choose_species(_generator(index, seed))


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


def _generator(index: int, seed: int) -> np.random.Generator:
    check_seeds(index, seed)
    return np.random.default_rng(np.random.SeedSequence([operator.index(seed), operator.index(index)]))


def _choose_species(rng: np.random.Generator) -> str:
    return SPECIES[rng.integers(2)]


# ---- the animal in its place ----


def _placement(fig, pose, rng):
    """Where a figure goes in the image: (place, scale, shadow).

    place   function from a list of parts in figure units to one in image units
    scale   image units per figure unit
    shadow  outline (k, 2), in image units, of the shadow under the figure
    """
    points = np.concatenate([part.outline for part in fig.parts])
    low, high = points.min(axis=0), points.max(axis=0)
    if pose == "portrait":
        scale, anchor = rng.uniform(0.28, 0.46), np.array([0, -0.5])
        target = rng.uniform((0.3, 0.36), (0.7, 0.5))
    else:
        fraction = 0.12 + 0.48 * rng.beta(1.6, 3.0)  # of the image that the animal fills
        scale = min(math.sqrt(fraction / _area(fig.parts, low, high)), 1.15 / (high - low).max())
        margin = 0.06 if rng.random() < 0.75 else -0.35  # one in four may be cut off by the edge of the image
        free = np.abs(0.5 - (1 + margin) * scale * (high - low) / 2)
        anchor, target = (low + high) / 2, 0.5 + free * rng.uniform(-1, 1, 2)
    flip, tilt = rng.choice((-1, 1)), rng.uniform(-0.12, 0.12)
    c, s = scale * math.cos(tilt), scale * math.sin(tilt)
    turn = np.array([[flip * c, flip * s], [-s, c]])

    def move(outline, ink):
        return (outline - anchor) @ turn + target, ink._replace(direction=flip * ink.direction)

    def place(parts):
        return [Part(*move(outline, ink), [move(*mark) for mark in marks]) for outline, ink, marks in parts]

    shadow = oval((low[0] + high[0]) / 2, -0.03, (high[0] - low[0]) / 2, 0.1)
    return place, scale, (shadow - anchor) @ turn + target


def _area(parts, low, high, side=64):
    """Area of all parts together, in square figure units, counted on a small grid."""
    zoom = side / (high - low).max()
    paper = Image.new("L", (side, side))
    pen = ImageDraw.Draw(paper)
    for part in parts:
        pen.polygon(((part.outline - low) * zoom).ravel().tolist(), fill=1)
    return paper.histogram()[1] / zoom**2


# ---- light, camera and trimap ----


def _soft_shadow(outline, size):
    """How much darker the ground is under the pet: float32 (size, size), 0..1."""
    paper = Image.new("L", (size, size))
    ImageDraw.Draw(paper).polygon((outline * size).ravel().tolist(), fill=115)
    return soften(np.asarray(paper), 0.02 * size) / np.float32(255)


def _exposed(image, rng):
    """The image, float32 (size, size, 3), in uneven light, and as a camera sees it: uint8, with grain."""
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
