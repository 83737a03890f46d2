"""Where the animals of a scene stand: side by side, or one before the other, and none of them nearly hidden.

A layout is tried out as silhouettes on a grid of SKETCH x SKETCH cells, whatever the size of the image, so that every
size shows the same scene. An animal is placed at a column of that grid where all that is asked of it holds; if there is
none, the scene does without it.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from minunet.data.drawn_pets.animals import Figure
from minunet.data.drawn_pets.compose import Placement, area, extent

SKETCH = 64  # cells a side
FILL = (0.2, 0.14, 0.105, 0.085)  # of the image that an animal fills, in a scene with 1, 2, 3, 4 of them
SIZES = {"cat": 0.85, "dog": 1.2}  # a dog is larger than a cat: it fills so many times that fraction
WIDEST = (0.9, 0.6, 0.5, 0.42)  # of the image's width, in a scene with so many, at most
TOGETHER = (0.0, 0.35, 0.6, 0.7)  # the probability that they may overlap, likewise
INSIDE = 0.85  # of an animal that lies within the image, at least
VISIBLE = 0.62  # of that, what the animals in front of it leave to be seen, at least
OVERLAP = 0.07  # of the smaller of two overlapping animals, what one hides of the other, at least
GAP = 2  # cells between animals that do not overlap, at least


class Animal(NamedTuple):
    """An animal in its place."""

    figure: Figure
    placement: Placement
    silhouette: NDArray[np.bool_]  # (SKETCH, SKETCH)


def place_figures(figures: Sequence[Figure], horizon: float, rng: np.random.Generator) -> list[Animal]:
    """Returns figures in their places on the ground below the horizon (0 top to 1 bottom), the farthest first.

    In some of the scenes with several, animals overlap; in the others they keep apart.
    """
    count = len(figures)
    together = bool(rng.random() < TOGETHER[count - 1])
    nearness, across = np.sort(rng.random(count)), (rng.permutation(count) + rng.random(count)) / count
    animals: list[Animal] = []
    for figure, near, wanted in zip(figures, nearness, across):
        foot = horizon + (0.98 - horizon) * (0.35 + 0.62 * near)
        fill = FILL[count - 1] * (0.75 + 0.5 * near) * rng.uniform(0.85, 1.2) * SIZES[figure.build.species]
        flip, tilt = int(rng.choice((-1, 1))), rng.uniform(-0.07, 0.07)
        low, high = extent(figure)
        scale = min(math.sqrt(fill / area(figure)), WIDEST[count - 1] / (high - low)[0], (foot + 0.05) / -low[1])
        anchor = np.array([(low[0] + high[0]) / 2, 0])
        windows, whole = _at_each_column(figure, Placement(anchor, np.array([1.5, foot]), scale, flip, tilt))
        columns = _possible_columns(windows, whole, animals, together)
        if len(columns):
            column = columns[np.abs(columns - wanted * SKETCH).argmin()]
            target = np.array([column / SKETCH, foot])
            animals.append(Animal(figure, Placement(anchor, target, scale, flip, tilt), windows[column]))
    return animals


def _at_each_column(figure, placement):
    """Silhouettes (SKETCH, SKETCH, SKETCH): number k has the figure's anchor at column k; and how many cells it covers.

    All are views of one drawing of the figure, in the middle of a sketch three images wide.
    """
    paper = Image.new("L", (3 * SKETCH, SKETCH))
    pen = ImageDraw.Draw(paper)
    for part in figure.parts:
        pen.polygon((placement.outline(part.outline) * SKETCH).ravel().tolist(), fill=1)
    wide = np.asarray(paper).astype(bool)
    middle = 3 * SKETCH // 2
    windows = np.lib.stride_tricks.sliding_window_view(wide, SKETCH, axis=1)  # window k starts at column k
    return windows[:, middle : middle - SKETCH : -1].transpose(1, 0, 2), wide.sum()


def _possible_columns(windows, whole, animals, together):
    """The columns at which a further animal may stand, in front of those already there."""
    inside = windows.sum(axis=(1, 2))
    possible = inside >= INSIDE * whole
    overlapping, apart = np.zeros(SKETCH, bool), np.ones(SKETCH, bool)
    for animal, seen in zip(animals, visible(animals)):
        full = animal.silhouette.sum()
        hidden = (windows & seen).sum(axis=(1, 2))
        possible &= seen.sum() - hidden >= VISIBLE * full
        overlapping |= hidden >= OVERLAP * np.minimum(full, inside)
        apart &= ~(windows & _grown(animal.silhouette)).any(axis=(1, 2))
    if together and (possible & overlapping).any():
        return np.flatnonzero(possible & overlapping)
    return np.flatnonzero(possible & apart)


def visible(animals: Sequence[Animal]) -> list[NDArray[np.bool_]]:
    """Returns what can be seen of each animal, (SKETCH, SKETCH), where the later ones hide the earlier."""
    hidden, seen = np.zeros((SKETCH, SKETCH), bool), []
    for animal in reversed(animals):
        seen.append(animal.silhouette & ~hidden)
        hidden |= animal.silhouette
    return seen[::-1]


def _grown(mask):
    """A mask and the cells around it."""
    filtered = Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * GAP + 1))
    return np.asarray(filtered).astype(bool)
