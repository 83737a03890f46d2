"""Rooms, gardens and yards that know what each of their shapes is: wall, floor, sky, grass, plants, furniture.

The ground of a place is floor or grass, and reaches from the horizon to the lower edge; behind it stands a wall or the
sky. Furniture and plants stand at the far end of the ground, so that animals are in front of them.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from minunet.data.drawn_pets.animals import Coat, Color, shaded
from minunet.data.drawn_pets.backdrop import FURS, GREENS, PAINTS, Scene, box
from minunet.data.drawn_pets.clutter import blanket, crate, cushion, plant, rug
from minunet.data.drawn_pets.paint import blob, oval
from minunet.data.drawn_pets.scenes import baseboard, boards, floor, flowers, sky, tiles, wall
from minunet.data.drawn_scenes.classes import FLOOR, FURNITURE, GRASS, PLANT, SKY, WALL

BLUES = ((150, 188, 224), (176, 206, 228), (138, 168, 208), (196, 214, 226))
LAWNS = ((104, 142, 62), (122, 156, 74), (92, 126, 56), (138, 156, 76))
LEAVES = ((58, 84, 46), (74, 98, 52), (48, 78, 56), (86, 104, 50))
BRICKS = ((164, 92, 70), (184, 160, 132), (142, 120, 104), (206, 196, 180), (188, 132, 96), (120, 82, 70))


class Place(Scene):
    """A scene under construction that keeps the class of each of its shapes."""

    def __init__(self, coat: Coat, horizon: float, rng: np.random.Generator) -> None:
        super().__init__(coat, horizon, rng)
        self.stuff: list[int] = []  # the class of each part
        self._now = WALL

    @contextmanager
    def made_of(self, stuff: int) -> Iterator[None]:
        """Within it, shapes that are added are of that class."""
        before, self._now = self._now, stuff
        yield
        self._now = before

    def color(self) -> Color:
        """Returns a color for a thing: seldom one of the animal's own, otherwise that of some paint or fur."""
        chance = self.rng.random()
        return self.varied(self.coat[:3] if chance < 0.15 else FURS if chance < 0.45 else PAINTS)

    def add(self, *shape, **options):
        super().add(*shape, **options)
        self.stuff.append(self._now)

    def remove(self, stuff: int) -> None:
        """Takes away all shapes of a class."""
        kept = [(part, kind) for part, kind in zip(self.parts, self.stuff) if kind != stuff]
        self.parts, self.stuff = [part for part, _ in kept], [kind for _, kind in kept]

    def classes(self, size: int) -> NDArray[np.uint8]:
        """Returns the class of each pixel, (size, size)."""
        paper = Image.new("L", (size, size))
        pen = ImageDraw.Draw(paper)
        for part, stuff in zip(self.parts, self.stuff):
            pen.polygon((part.outline * size).ravel().tolist(), fill=stuff)
        return np.array(paper)


def choose_place(coat: Coat, horizon: float, rng: np.random.Generator) -> Place:
    """Returns a random place for animals, one of them with this coat; the horizon is where the ground begins, 0..1."""
    place = Place(coat, horizon, rng)
    setting = list(SETTINGS)[rng.choice(len(SETTINGS), p=list(SETTINGS.values()))]
    setting(place)
    return place


# ---- places ----


def room(place: Place) -> None:
    """A wall and a floor, with furniture and plants in pots along the wall, perhaps a rug."""
    _wall_and_floor(place)
    if place.chance(0.3):
        with place.made_of(FLOOR):
            rug(place, place.rng.uniform(0.2, 0.8), place.rng.uniform(0.75, 0.95), place.rng.uniform(0.25, 0.4))
    _along_the_wall(place, (crate, crate, plant, cushion, blanket))


def living_room(place: Place) -> None:
    """A room with a sofa."""
    _wall_and_floor(place)
    rng, foot = place.rng, place.horizon + place.rng.uniform(0.08, 0.16)
    middle, half, top = rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.5), foot - rng.uniform(0.26, 0.36)
    with place.made_of(FURNITURE):
        _sofa(place, middle - half, middle + half, top, foot)
    _along_the_wall(place, (plant, crate))


def garden(place: Place) -> None:
    """Sky, a lawn, and behind it a hedge, or trees and bushes."""
    _sky_and_hedge(place)
    _lawn(place)
    _along_the_wall(place, (bush, bush, crate))


def yard(place: Place) -> None:
    """A lawn in front of a wall of brick or plaster."""
    with place.made_of(WALL):
        bricks(place)
    _lawn(place)
    _along_the_wall(place, (bush, bush, plant, crate))


def terrace(place: Place) -> None:
    """Boards or tiles in the open, with plants in pots."""
    _sky_and_hedge(place)
    with place.made_of(FLOOR):
        (tiles if place.chance(0.5) else boards)(place)
    _along_the_wall(place, (plant, bush, crate))


SETTINGS = {room: 0.3, living_room: 0.2, garden: 0.22, yard: 0.15, terrace: 0.13}  # each with its probability


# ---- what they are made of ----


def _wall_and_floor(place):
    with place.made_of(WALL):
        color = wall(place)
    with place.made_of(FLOOR):
        floor(place)
    with place.made_of(WALL):
        baseboard(place, color)


def _sky_and_hedge(place):
    with place.made_of(SKY):
        sky(place, BLUES)
    with place.made_of(PLANT):
        (hedge if place.chance(0.5) else trees)(place)


def _lawn(place):
    with place.made_of(GRASS):
        pile, green = place.rng.uniform(0.5, 0.9), place.varied(LAWNS)
        place.add(box(-0.1, place.horizon, 1.1, 1.1), green, pile=pile)
        flowers(place)


def _along_the_wall(place, things):
    """Up to three things at the far end of the ground."""
    rng = place.rng
    for _ in range(rng.integers(1, 4)):
        thing = things[rng.integers(len(things))]
        x, y, s = rng.uniform(0.05, 0.95), place.horizon + rng.uniform(0.03, 0.14), rng.uniform(0.22, 0.34)
        with place.made_of(PLANT if thing in (plant, bush) else FURNITURE):
            thing(place, x, y, s)


def bricks(place: Place) -> None:
    """A wall of rows of bricks, or of plaster."""
    color = place.varied(BRICKS)
    rows = np.arange(0.0, place.horizon, place.rng.uniform(0.05, 0.09))
    joints = [(box(-0.1, y - 0.006, 1.1, y), shaded(color, 0.8)) for y in rows] if place.chance(0.7) else []
    place.add(box(-0.1, -0.1, 1.1, place.horizon + 0.01), color, 0, joints, pile=0.15, direction=0.0)


def hedge(place: Place) -> None:
    """A long bumpy hedge on the horizon."""
    rng, ground = place.rng, place.horizon
    top = ground - rng.uniform(0.1, 0.25)
    ridge = [(0.12 * k - 0.1, top + rng.uniform(-0.02, 0.02)) for k in range(11)]
    outline = blob(*ridge, (1.2, ground + 0.02), (0.5, ground + 0.03), (-0.2, ground + 0.02))
    place.add(outline, place.varied(LEAVES), 60, pile=0.6, direction=place.angle())


def trees(place: Place) -> None:
    """Round crowns side by side on the horizon."""
    rng, ground, leaf = place.rng, place.horizon, place.varied(LEAVES)
    place.add(box(-0.1, ground - 0.05, 1.1, ground + 0.02), shaded(leaf, 0.85), 30, pile=0.5)
    for x in np.linspace(-0.05, 1.05, int(rng.integers(4, 7))) + rng.uniform(-0.05, 0.05):
        r = rng.uniform(0.09, 0.17)
        _crown(place, x, ground - 0.8 * r, r, shaded(leaf, rng.uniform(0.85, 1.15)))


def bush(place: Place, x: float, y: float, s: float) -> None:
    """A round bush of size s that stands at (x, y)."""
    leaf = place.varied(LEAVES if place.chance(0.7) else GREENS)
    _crown(place, x, y - 0.42 * s, 0.5 * s, leaf)


def _crown(place, x, y, r, color):
    """Leaves in a round, bumpy shape, lighter in places."""
    angle = np.arange(11) * (2 * math.pi / 11)
    reach = r * place.rng.uniform(0.85, 1.15, 11)
    outline = blob(*np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], axis=1))
    spots = place.rng.uniform(-0.7, 0.7, (6, 2)) * r + (x, y)
    marks = [(oval(u, v, 0.25 * r, 0.18 * r, points=9), shaded(color, 1.2)) for u, v in spots]
    place.add(outline, color, 90, marks, pile=0.7, direction=place.angle())


def _sofa(place: Place, left: float, right: float, top: float, foot: float) -> None:
    """A sofa from left to right, with its back, seat and two arms."""
    cloth, pile = place.color(), place.rng.uniform(0, 0.4)
    seat, arm, deep = foot - 0.45 * (foot - top), 0.1 * (right - left), foot - 0.05
    for a, b in ((left, (left + right) / 2), ((left + right) / 2, right)):
        back = blob((a, top + 0.02), (a + 0.04, top), (b - 0.04, top), (b, top + 0.02), (b, deep), (a, deep))
        place.add(back, shaded(cloth, 0.92), 90, pile=pile)
    place.add(box(left, seat, right, foot), cloth, 120, pile=pile)
    place.add(box(left, seat + 0.35 * (foot - seat), right, foot), shaded(cloth, 0.85), 115, pile=pile)
    for x in (left, right):
        outline = blob(
            (x - arm, seat - 0.03), (x, seat - 0.06), (x + arm, seat - 0.03), (x + arm, foot), (x - arm, foot)
        )
        place.add(outline, shaded(cloth, 1.05), 140, pile=pile)
