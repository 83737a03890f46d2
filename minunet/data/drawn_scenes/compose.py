"""One drawn scene: a place with its animals, lit, photographed, and with a class and a segment for each pixel."""

import operator

import numpy as np
from numpy.typing import NDArray

from minunet.data.drawn_pets.animals import CAT_COATS, DOG_COATS, Figure
from minunet.data.drawn_pets.compose import SPECIES, exposed, generator, shadow_of, soft_shadow
from minunet.data.drawn_pets.paint import paint, soften
from minunet.data.drawn_pets.poses import Pose, choose_figure, curled, facing, lying, sitting, standing
from minunet.data.drawn_scenes.classes import CAT, DOG, FURNITURE, PLANT
from minunet.data.drawn_scenes.layout import SKETCH, place_figures
from minunet.data.drawn_scenes.places import choose_place

STREAM = 1  # of random numbers: those of drawn pets go without one
SMALLEST = 32  # pixels
COUNTS = (0.28, 0.4, 0.2, 0.12)  # the probability of 1, 2, 3, 4 animals
POSES: dict[Pose, float] = {standing: 0.28, sitting: 0.24, facing: 0.26, lying: 0.16, curled: 0.06}
COATS = {  # cats are gray, black, white or striped, and dogs some shade of brown
    "cat": [coat for coat in CAT_COATS if coat.pattern == "tabby" or max(coat.main) - min(coat.main) < 30],
    "dog": [coat for coat in DOG_COATS if max(coat.main) - min(coat.main) >= 30],
}
LEAST = 0.03  # of the image; plants or furniture of which less can be seen are left out
THINGS = {"cat": CAT, "dog": DOG}


def draw_scene(
    index: int, seed: int = 0, size: int = 256
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint16]]:
    """Returns scene number `index`: image (size, size, 3), classes (size, size), segments (size, size).

    classes    the class index of each pixel (see classes.py); no pixel is void
    segments   0 on stuff, and 1, 2 … on the animals, the farthest first. A nearer animal hides what is behind it; an
               animal that is split in two by another remains one segment

    Whiskers and shadows are stuff. All of it depends on (seed, index, size) alone, and another size shows the same
    scene. Raises ValueError for a negative index or seed, or a size below 32.

    >>> image, classes, segments = draw_scene(2, size=64)
    >>> image.shape, classes.shape, segments.dtype, np.unique(segments).tolist()
    ((64, 64, 3), (64, 64), dtype('uint16'), [0, 1, 2])
    """
    size, rng = check_size(size), generator(index, seed, STREAM)
    count = 1 + rng.choice(len(COUNTS), p=COUNTS)
    figures = [_choose_animal(rng) for _ in range(count)]
    horizon, light = rng.uniform(0.3, 0.58), (rng.choice((-0.7, 0.7)), -0.8)
    place, animals = choose_place(figures[0].coat, horizon, rng), place_figures(figures, horizon, rng)
    _leave_out(place, animals)
    image = paint(place.parts, (), (), size, rng, 0.4, light, zoom=1).rgb
    depth_of_field = rng.uniform(0.002, 0.007) * size
    image = soften(image.clip(0, 255).astype(np.uint8), depth_of_field).astype(np.float32)
    classes, segments = place.classes(size), np.zeros((size, size), np.uint16)
    for number, (figure, placement, _) in enumerate(animals, 1):
        image *= 1 - soft_shadow(placement.outline(shadow_of(figure)), size)[:, :, None]
        animal = paint(*placement.figure(figure), size, rng, placement.scale, light)
        image += (animal.rgb - image) * animal.cover[:, :, None]
        classes[animal.solid >= 0.5] = THINGS[figure.build.species]
        segments[animal.solid >= 0.5] = number
    return exposed(image, rng), classes, segments


def check_size(size: int) -> int:
    """Returns the side of an image. Raises ValueError or TypeError unless it is large enough for several animals."""
    if operator.index(size) < SMALLEST:
        raise ValueError(f"size is {size}: a drawn scene needs at least {SMALLEST} pixels")
    return operator.index(size)


def _choose_animal(rng: np.random.Generator) -> Figure:
    """A cat, or a dog whose ears hang: here an animal is small, and its ears and its coat tell most."""
    while True:
        figure, _ = choose_figure(SPECIES[rng.integers(2)], rng, POSES, COATS)
        if figure.build.species == "cat" or figure.build.ears != "pointed":
            return figure


def _leave_out(place, animals):
    """Takes plants, or furniture, out of a place if hardly anything of them can be seen."""
    hidden = np.logical_or.reduce([animal.silhouette for animal in animals])
    for stuff in (PLANT, FURNITURE):
        if ((place.classes(SKETCH) == stuff) & ~hidden).mean() < LEAST:
            place.remove(stuff)
