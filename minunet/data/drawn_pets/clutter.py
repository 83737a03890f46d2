"""Things that stand around in a scene: of size s, with their foot at (x, y), in units of the image."""

import math

import numpy as np

from minunet.data.drawn_pets.animals import WHITE, shaded
from minunet.data.drawn_pets.backdrop import GREENS, box
from minunet.data.drawn_pets.paint import blob, oval, tube


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


CLUTTER = (cushion, ball, crate, plant, rug, blanket, stool)
