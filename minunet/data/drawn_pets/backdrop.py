"""A scene under construction: the colors that it wears, and the list of its shapes (see paint.py)."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from minunet.data.drawn_pets.animals import CAT_COATS, DOG_COATS, Coat, Color
from minunet.data.drawn_pets.paint import Ink, Part

FURS = tuple(color for coat in CAT_COATS + DOG_COATS for color in coat[:3])
PAINTS = (
    (150, 60, 54),
    (70, 96, 120),
    (96, 120, 92),
    (196, 172, 128),
    (120, 88, 110),
    (90, 70, 56),
    (188, 186, 180),
    (64, 84, 78),
    (214, 190, 150),
    (142, 150, 158),
    (172, 118, 84),
    (60, 58, 66),
)
GREENS = ((84, 112, 56), (104, 130, 70), (70, 92, 50), (120, 124, 66), (58, 78, 52))
SKIES = ((166, 192, 214), (198, 208, 214), (222, 206, 186), (140, 164, 190), (206, 198, 200))
WINDOW_FRAMES = ((226, 220, 210), (120, 90, 66))
CLOUDS = ((240, 240, 240),)
FLOWERS = ((240, 236, 220), (230, 190, 70), (200, 110, 130))


class Scene:
    """A scene under construction: shapes are added back to front; `rng` makes all choices."""

    def __init__(self, coat: Coat, horizon: float, rng: np.random.Generator) -> None:
        self.coat = coat
        self.horizon = horizon
        self.rng = rng
        self.parts: list[Part] = []

    def color(self) -> Color:
        """Returns a color for a thing: often one of the pet's own, otherwise that of some fur or paint."""
        chance = self.rng.random()
        return self.varied(self.coat[:3] if chance < 0.4 else FURS if chance < 0.75 else PAINTS)

    def varied(self, colors: Sequence[Color]) -> Color:
        """Returns one of the colors, slightly changed."""
        rgb = np.array(colors[int(self.rng.integers(len(colors)))]) * self.rng.uniform(0.88, 1.1)
        return tuple((rgb + self.rng.uniform(-8, 8, 3)).clip(0, 255).astype(int).tolist())

    def chance(self, probability: float) -> bool:
        """Returns True with that probability."""
        return self.rng.random() < probability

    def angle(self) -> float:
        """Returns a random direction for a pile."""
        return self.rng.uniform(0, math.pi)

    def add(self, outline, color, height=0, marks=(), pile=0.0, direction=math.pi / 2):
        """Adds a shape; marks [(outline, color), …] stay inside it; a pile (0..1) makes it hairy."""
        ink = Ink(color, height, direction, float(pile))  # no length: out of focus, edges do not show it
        marks = [(np.asarray(mark, dtype=float), ink._replace(color=other)) for mark, other in marks]
        self.parts.append(Part(np.asarray(outline, dtype=float), ink, marks))


def box(left: float, top: float, right: float, bottom: float) -> NDArray:
    """Returns the outline of an upright rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
