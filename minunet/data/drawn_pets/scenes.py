"""Rooms, gardens and clutter to put a pet in front of, as lists of shapes (see paint.py).

The clutter is meant to mislead: most of it wears the colors of fur, often those of the very pet in the image, and
rugs, cushions and grass have a pile that looks like hair. What tells a pet apart is everything together: face, outline,
limbs, fur, and that the camera focuses on it.
"""

import numpy as np

from minunet.data.drawn_pets.animals import Coat, shaded
from minunet.data.drawn_pets.backdrop import CLOUDS, FLOWERS, FURS, GREENS, PAINTS, SKIES, WINDOW_FRAMES, Scene, box
from minunet.data.drawn_pets.clutter import CLUTTER
from minunet.data.drawn_pets.paint import Part, blob, oval


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


def room(scene):
    """A wall, plain or with stripes, a window or a picture on it, a baseboard, and a floor."""
    color = wall(scene)
    floor(scene)
    baseboard(scene, color)


def wall(scene):
    """A wall, plain or with stripes, often with a window or a picture on it. Returns its color."""
    rng, ground = scene.rng, scene.horizon
    paper, stripes = scene.varied(FURS if scene.chance(0.6) else PAINTS), []
    if scene.chance(0.5):
        other, count, shift = shaded(paper, rng.uniform(0.75, 1.2)), int(rng.integers(4, 12)), rng.random()
        left = (np.arange(-1, count) + shift) / count
        stripes = [(box(x, -0.1, x + 0.5 / count, ground), other) for x in left]
    scene.add(box(-0.1, -0.1, 1.1, ground + 0.01), paper, 0, stripes)
    if scene.chance(0.6):
        (_window if scene.chance(0.5) else _framed_picture)(scene)
    return paper


def floor(scene):
    """A floor of boards or tiles, or a carpet from wall to wall."""
    scene.rng.choice([boards, carpet, tiles], p=[0.45, 0.25, 0.3])(scene)


def baseboard(scene, color):
    """A strip between a wall of that color and the floor, lighter or darker than the wall."""
    strip = box(-0.1, scene.horizon - 0.03, 1.1, scene.horizon + 0.005)
    scene.add(strip, shaded(color, scene.rng.choice([0.7, 1.3])), 30)


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
    sky(scene, SKIES)
    ridge = [(0.24 * k - 0.1, ground - rng.uniform(0.03, 0.3)) for k in range(6)]
    hill = blob(*ridge, (1.2, ground + 0.1), (0.5, ground + 0.2), (-0.2, ground + 0.1))
    scene.add(hill, shaded(scene.varied(GREENS if scene.chance(0.6) else FURS), 0.8), 20, pile=0.4)
    field = scene.varied(GREENS) if scene.chance(0.6) else scene.color()
    scene.add(box(-0.1, ground, 1.1, 1.1), field, pile=rng.uniform(0.4, 0.8))
    flowers(scene)


def sky(scene, colors):
    """A sky of one of the colors, with some clouds."""
    rng, ground = scene.rng, scene.horizon
    scene.add(box(-0.1, -0.1, 1.1, ground + 0.01), scene.varied(colors))
    for _ in range(rng.integers(1, 4)):
        x, y = rng.uniform(0, 1), rng.uniform(0, ground)
        cloud = blob((-0.2, 0), (-0.08, -0.06), (0.1, -0.05), (0.2, 0.01), (0, 0.03))
        scene.add(cloud + (x, y), scene.varied(CLOUDS))


def flowers(scene):
    """Some flowers on the ground, or none."""
    for _ in range(scene.rng.integers(0, 9)):
        x, y = scene.rng.uniform(0, 1), scene.rng.uniform(scene.horizon, 1)
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


SETTINGS = {room: 0.42, garden: 0.24, sofa: 0.2, far_away: 0.14}  # each with its probability
