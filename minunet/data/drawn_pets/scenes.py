"""Rooms, gardens and clutter to put a pet in front of, as lists of shapes (see paint.py).

The clutter is meant to mislead: most of it wears the colors of fur, often those of the very pet in the image, and
rugs, cushions and grass have a pile that looks like hair. What tells a pet apart is everything together: face, outline,
limbs, fur, and that the camera focuses on it.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from minunet.data.drawn_pets.animals import CAT_COATS, DOG_COATS, WHITE, Coat, Color, shaded
from minunet.data.drawn_pets.paint import Ink, Part, blob, oval, tube

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


def scene_parts(coat: Coat, horizon: float, rng: np.random.Generator) -> list[Part]:
    """Returns the shapes of a scene for a pet with this coat; horizon: where the ground begins, 0 top to 1 bottom."""
    scene = Scene(coat, horizon, rng)
    setting = list(SETTINGS)[rng.choice(len(SETTINGS), p=list(SETTINGS.values()))]
    setting(scene)
    for near in np.sort(rng.random(int(rng.integers(3, 8)))):  # what is far away first
        thing = CLUTTER[rng.integers(len(CLUTTER))]
        x, y = rng.uniform(-0.05, 1.05), horizon + 0.02 + (1 - horizon) * near
        thing(scene, x, y, rng.uniform(0.16, 0.3) * (0.6 + 0.7 * near))
    return scene.parts


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


# ---- settings ----


def room(scene):
    """A wall, plain or with stripes, a window or a picture on it, a baseboard, and a floor."""
    rng, ground = scene.rng, scene.horizon
    wall, stripes = scene.varied(FURS if scene.chance(0.6) else PAINTS), []
    if scene.chance(0.5):
        other, count, shift = shaded(wall, rng.uniform(0.75, 1.2)), int(rng.integers(4, 12)), rng.random()
        left = (np.arange(-1, count) + shift) / count
        stripes = [(box(x, -0.1, x + 0.5 / count, ground), other) for x in left]
    scene.add(box(-0.1, -0.1, 1.1, ground + 0.01), wall, 0, stripes)
    if scene.chance(0.6):
        (_window if scene.chance(0.5) else _framed_picture)(scene)
    rng.choice([boards, carpet, tiles], p=[0.45, 0.25, 0.3])(scene)
    scene.add(box(-0.1, ground - 0.03, 1.1, ground + 0.005), shaded(wall, rng.choice([0.7, 1.3])), 30)


def boards(scene):
    """Floor boards that run away from us."""
    rng, ground, wood = scene.rng, scene.horizon, scene.color()
    vanishing = rng.uniform(0.3, 0.7)
    near = np.linspace(-2.5, 3.5, 19) + rng.uniform(0, 0.3)
    far = vanishing + 0.35 * (near - vanishing)
    planks = [
        (
            [(far[k], ground), (far[k + 1], ground), (near[k + 1], 1.1), (near[k], 1.1)],
            shaded(wood, rng.uniform(0.84, 1.12)),
        )
        for k in range(18)
    ]
    scene.add(box(-0.1, ground, 1.1, 1.1), wood, 0, planks, pile=0.25)


def carpet(scene):
    """A carpet from wall to wall."""
    pile = scene.rng.uniform(0.3, 0.8)
    scene.add(box(-0.1, scene.horizon, 1.1, 1.1), scene.color(), pile=pile, direction=scene.angle())


def tiles(scene):
    """A checkered floor in perspective."""
    ground, middle = scene.horizon, scene.rng.uniform(0.2, 0.8)
    y = ground + (1.1 - ground) * np.linspace(0, 1, 7) ** 1.6
    x = middle + (np.linspace(-2.4, 3.4, 15) - middle) * (0.35 + 0.65 * np.linspace(0, 1, 7) ** 1.6)[:, None]
    other = scene.color()
    squares = [
        ([(x[r, c], y[r]), (x[r, c + 1], y[r]), (x[r + 1, c + 1], y[r + 1]), (x[r + 1, c], y[r + 1])], other)
        for r in range(6)
        for c in range(r % 2, 14, 2)
    ]
    scene.add(box(-0.1, ground, 1.1, 1.1), scene.color(), 0, squares)


def garden(scene):
    """Sky and clouds, a hill or a hedge, and a lawn or a dry field with flowers."""
    rng, ground = scene.rng, scene.horizon
    scene.add(box(-0.1, -0.1, 1.1, ground + 0.01), scene.varied(SKIES))
    for _ in range(rng.integers(1, 4)):
        x, y = rng.uniform(0, 1), rng.uniform(0, ground)
        cloud = blob((-0.2, 0), (-0.08, -0.06), (0.1, -0.05), (0.2, 0.01), (0, 0.03))
        scene.add(cloud + (x, y), scene.varied(CLOUDS))
    ridge = [(0.24 * k - 0.1, ground - rng.uniform(0.03, 0.3)) for k in range(6)]
    hill = blob(*ridge, (1.2, ground + 0.1), (0.5, ground + 0.2), (-0.2, ground + 0.1))
    scene.add(hill, shaded(scene.varied(GREENS if scene.chance(0.6) else FURS), 0.8), 20, pile=0.4)
    field = scene.varied(GREENS) if scene.chance(0.6) else scene.color()
    scene.add(box(-0.1, ground, 1.1, 1.1), field, pile=rng.uniform(0.4, 0.8))
    for _ in range(rng.integers(0, 9)):
        x, y = rng.uniform(0, 1), rng.uniform(ground, 1)
        scene.add(oval(x, y, 0.016, 0.013, points=8), scene.varied(FLOWERS), 60)


def sofa(scene):
    """The back and the seat of a sofa, close up."""
    rng, ground = scene.rng, scene.horizon
    scene.add(box(-0.1, -0.1, 1.1, 1.1), scene.color())
    cloth, pile, split = scene.color(), rng.uniform(0, 0.6), rng.uniform(0.3, 0.7)
    for left, right in ((-0.3, split), (split, 1.3)):
        top, low = ground - rng.uniform(0.45, 0.6), ground + 0.05
        back = blob(
            (left, top + 0.05), (left + 0.1, top), (right - 0.1, top), (right, top + 0.05), (right, low), (left, low)
        )
        scene.add(back, shaded(cloth, 0.93), 90, pile=pile)
    seat = blob((-0.3, ground), (0.5, ground - 0.03), (1.3, ground), (1.3, 1.2), (-0.3, 1.2))
    scene.add(seat, cloth, 120, pile=pile)


def far_away(scene):
    """Nothing but round spots of color, as a lens shows what is far behind its focus."""
    rng = scene.rng
    scene.add(box(-0.1, -0.1, 1.1, 1.1), scene.color())
    for _ in range(rng.integers(8, 18)):
        x, y, r = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.05, 0.3)
        scene.add(oval(x, y, r, r), scene.color() if scene.chance(0.7) else scene.varied(GREENS))


def _window(scene):
    x, y, w = scene.rng.uniform((0, -0.1, 0.25), (0.8, 0.1, 0.4))
    h = 0.7 * scene.horizon
    scene.add(box(x - 0.02, y - 0.02, x + w + 0.02, y + h + 0.03), scene.varied(WINDOW_FRAMES), 60)
    for left in (x, x + w / 2):
        scene.add(box(left + 0.01, y, left + w / 2 - 0.01, y + h), scene.varied(SKIES), 10)


def _framed_picture(scene):
    x, y, w = scene.rng.uniform((0, 0, 0.15), (0.8, 0.2, 0.3))
    scene.add(box(x, y, x + w, y + w), shaded(scene.color(), 0.7), 60)
    island = oval(x + 0.5 * w, y + 0.7 * w, 0.4 * w, 0.3 * w), scene.color()
    moon = oval(x + 0.7 * w, y + 0.3 * w, 0.1 * w, 0.1 * w), scene.color()
    scene.add(box(x + 0.02, y + 0.02, x + w - 0.02, y + w - 0.02), scene.color(), 20, [island, moon])


# ---- clutter: things of size s that stand at (x, y) ----


def cushion(scene, x, y, s):
    """A soft square cushion, plain or striped, smooth or with a pile."""
    lean, color = scene.rng.uniform(-0.4, 0.4), scene.color()
    turn = np.array([[math.cos(lean), math.sin(lean)], [-math.sin(lean), math.cos(lean)]])
    square = blob((-1, -0.9), (0, -0.75), (1, -0.9), (0.85, 0), (1, 0.9), (0, 0.75), (-1, 0.9), (-0.85, 0))
    stripes = _stripes(scene, color, s, turn, (x, y - 0.5 * s)) if scene.chance(0.4) else []
    scene.add(
        0.6 * s * square @ turn + (x, y - 0.5 * s),
        color,
        150,
        stripes,
        pile=scene.rng.choice([0.0, 0.5, 1.0]),
        direction=scene.angle(),
    )


def _stripes(scene, color, s, turn, center):
    """Stripes of a second color over a thing of size s."""
    other = scene.color() if scene.chance(0.5) else shaded(color, 0.6)
    gap = scene.rng.uniform(0.2, 0.45)
    return [(s * box(k * gap - 0.06, -2, k * gap + 0.06, 2) @ turn + center, other) for k in range(-4, 5)]


def ball(scene, x, y, s):
    """A beach ball, or a ball of wool."""
    r, color = 0.4 * s, scene.color()
    if scene.chance(0.5):
        return scene.add(oval(x, y - r, r, r), color, 170, pile=1.0, direction=scene.angle())
    band = oval(x, y - r, 0.35 * r, 1.1 * r, scene.rng.uniform(-0.6, 0.6)), scene.color()
    scene.add(oval(x, y - r, r, r), color, 170, [band])
    scene.add(oval(x - 0.3 * r, y - 1.4 * r, 0.15 * r, 0.12 * r), WHITE, 170)
    return None


def crate(scene, x, y, s):
    """A box, a chest, a cupboard: a front, and a lighter top and side."""
    w, h, d = s * scene.rng.uniform(0.35, 0.7), s * scene.rng.uniform(0.5, 1.6), 0.2 * s
    color, top = scene.color(), y - h
    back = [(x - w, top), (x - w + d, top - d), (x + w + d, top - d), (x + w + d, y - d), (x + w, y)]
    scene.add(back, shaded(color, 1.12), 110)
    drawers = (0.33, 0.66) if scene.chance(0.5) else ()
    lines = [(box(x - w, y - h * t - 0.006, x + w, y - h * t), shaded(color, 0.7)) for t in drawers]
    scene.add(box(x - w, top, x + w, y), color, 130, lines, pile=0.2, direction=0.0)


def plant(scene, x, y, s):
    """Leaves in a pot, or from the ground."""
    leaf = scene.varied(GREENS)
    if scene.chance(0.6):
        foot, y = y, y - 0.45 * s
        pot = [(x - 0.3 * s, y), (x + 0.3 * s, y), (x + 0.2 * s, foot), (x - 0.2 * s, foot)]
        scene.add(pot, scene.color(), 120)
    for angle in scene.rng.permutation(np.linspace(-1.3, 1.3, 9)):
        dx, dy = 0.9 * s * math.sin(angle), s * math.cos(angle) * scene.rng.uniform(0.6, 1.0)
        middle = x + dx / 2, y - dy / 2 - 0.1 * s, 0.1 * s
        outline = tube((x, y, 0.03 * s), middle, (x + dx, y - dy, 0.01 * s))[0]
        scene.add(outline, shaded(leaf, scene.rng.uniform(0.75, 1.2)), 120)


def rug(scene, x, y, s):
    """A round rug with a deep pile, flat on the ground."""
    y = max(y, scene.horizon + 0.3 * s)
    middle = [(oval(x, y, 0.8 * s, 0.22 * s), scene.color())] if scene.chance(0.5) else []
    scene.add(oval(x, y, 1.1 * s, 0.33 * s), scene.color(), 40, middle, pile=1.0, direction=scene.angle())


def blanket(scene, x, y, s):
    """A crumpled blanket, plain or striped."""
    rng, color = scene.rng, scene.color()
    angle = np.arange(9) * 0.7
    across, down = np.cos(angle) * rng.uniform(0.8, 1.2, 9), np.sin(angle) * rng.uniform(0.28, 0.48, 9)
    edge = np.stack([x + s * across, y + s * (down - 0.25)], axis=1)
    stripes = _stripes(scene, color, 0.6 * s, np.eye(2), (x, y)) if scene.chance(0.5) else []
    scene.add(blob(*edge), color, 120, stripes, pile=rng.uniform(0, 1), direction=scene.angle())
    for _ in range(3):
        fold = x + s * rng.uniform(-0.6, 0.6)
        middle = fold + 0.15 * s, y - 0.2 * s, 0.05 * s
        outline = tube((fold, y - 0.5 * s, 0.004), middle, (fold + 0.05 * s, y, 0.004))[0]
        scene.add(outline, shaded(color, 0.85), 150)


def stool(scene, x, y, s):
    """A seat on four thin legs."""
    color = scene.color()
    for leg in (-0.5, -0.25, 0.25, 0.5):
        outline = tube((x + leg * s, y, 0.04 * s), (x + 0.8 * leg * s, y - s, 0.05 * s))[0]
        scene.add(outline, shaded(color, 0.8), 80)
    seat = blob((-0.65, -1), (0, -1.12), (0.65, -1), (0.6, -0.85), (-0.6, -0.85))
    scene.add(s * seat + (x, y), color, 140, pile=scene.rng.choice([0.0, 0.7]))


SETTINGS = {room: 0.42, garden: 0.24, sofa: 0.2, far_away: 0.14}  # each with its probability
CLUTTER = (cushion, ball, crate, plant, rug, blanket, stool)
