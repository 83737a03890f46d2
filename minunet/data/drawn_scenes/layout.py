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
from minunet.data.drawn_pets.paint import Part

SKETCH = 64  # cells a side
MOST = 4  # animals in a scene
FILL = (0.2, 0.145, 0.115, 0.095)  # of the image that an animal fills, in a scene with 1, 2, 3, 4 of them
INSIDE = 0.85  # of an animal that lies within the image, at least
VISIBLE = 0.62  # of that, what the animals in front of it leave to be seen, at least
OVERLAP = 0.07  # of the smaller of two animals that the nearer hides, at least, if they are to overlap


class Placed(NamedTuple):
    """An animal in its place."""

    figure: Figure
    placement: Placement
    silhouette: NDArray[np.bool_]  # (SKETCH, SKETCH)


def place_figures(figures: Sequence[Figure], horizon: float, rng: np.random.Generator) -> list[Placed]:
    """Returns figures in their places on the ground below the horizon (0 top to 1 bottom), the farthest first.

    In about half of the scenes with several, some overlap; in the others they keep apart.
    """
    together = rng.random() < 0.55
    depths = np.sort(rng.random(len(figures)))
    placed: list[Placed] = []
    for figure, near in zip(figures, depths):
        foot = horizon + (0.98 - horizon) * (0.35 + 0.62 * near)
        fill = FILL[len(figures) - 1] * (0.75 + 0.5 * near) * rng.uniform(0.85, 1.2)
        flip, tilt, choice = int(rng.choice((-1, 1))), rng.uniform(-0.07, 0.07), rng.random()
        low, high = extent(figure)
        scale = min(math.sqrt(fill / area(figure)), 0.95 / (high - low)[0], (foot + 0.05) / -low[1])
        anchor = np.array([(low[0] + high[0]) / 2, 0])

        def at(column, place=(anchor, foot, scale, flip, tilt)):
            anchor, foot, *rest = place
            return Placement(anchor, np.array([(column + 0.5) / SKETCH, foot]), *rest)

        column = _choose_column(_shifted(at(SKETCH + SKETCH // 2).parts(figure.parts)), placed, together, choice)
        if column is not None:
            placement = at(column)
            placed.append(Placed(figure, placement, silhouette(placement.parts(figure.parts))))
    return placed


def silhouette(parts: Sequence[Part], wide: int = 1) -> NDArray[np.bool_]:
    """Returns where parts, in image units, lie on the grid: (SKETCH, wide * SKETCH)."""
    paper = Image.new("L", (wide * SKETCH, SKETCH))
    pen = ImageDraw.Draw(paper)
    for part in parts:
        pen.polygon((part.outline * SKETCH).ravel().tolist(), fill=1)
    return np.asarray(paper).astype(bool)


def visible(placed: Sequence[Placed]) -> list[NDArray[np.bool_]]:
    """Returns what is to be seen of each animal, (SKETCH, SKETCH), where the later ones hide the earlier."""
    hidden, seen = np.zeros((SKETCH, SKETCH), bool), []
    for animal in reversed(placed):
        seen.append(animal.silhouette & ~hidden)
        hidden |= animal.silhouette
    return seen[::-1]


def _shifted(parts):
    """The silhouette of an animal in the middle of a grid three images wide, seen through SKETCH windows: that of
    number k shows it with its anchor at column k of the image. float32 (SKETCH, SKETCH, SKETCH), and its area.
    """
    wide = silhouette(parts, 3).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(wide, SKETCH, axis=1)
    first = SKETCH + SKETCH // 2
    return windows[:, first : first - SKETCH : -1].transpose(1, 0, 2), wide.sum()


def _choose_column(shifted, placed, together, choice):
    """A column for a further animal, in front of those placed; choice (0..1) says which of the possible ones."""
    windows, whole = shifted
    inside = windows.sum(axis=(1, 2))
    possible, apart = inside >= INSIDE * whole, np.ones(SKETCH, bool)
    overlapping = np.zeros(SKETCH, bool)
    for animal, seen in zip(placed, visible(placed)):
        full = animal.silhouette.sum()
        hidden = np.tensordot(windows, seen.astype(np.float32), 2)
        possible &= seen.sum() - hidden >= VISIBLE * full
        overlapping |= hidden >= OVERLAP * np.minimum(full, inside)
        apart &= np.tensordot(windows, _grown(animal.silhouette), 2) == 0
    for wanted in (possible & overlapping, possible & apart) if together else (possible & apart,):
        columns = np.flatnonzero(wanted)
        if len(columns):
            return int(columns[int(choice * len(columns))])
    return None


def _grown(mask):
    """A mask and the cells next to it, float32."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(5)), np.float32)
