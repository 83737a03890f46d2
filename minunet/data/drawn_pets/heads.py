"""Faces of cats and dogs, drawn with radius 1 about (0, 0), x to the right and y down."""

import math

import numpy as np

from minunet.data.drawn_pets.animals import BLACK, PINK, WHITE, Figure, patch, shaded
from minunet.data.drawn_pets.paint import blob, mirrored, oval, tube

CAT_FACE = mirrored((0, -0.84), (0.5, -0.78), (0.9, -0.38), (1.02, 0.08), (0.98, 0.45), (0.6, 0.78), (0, 0.9))
DOG_FACE = mirrored((0, -0.9), (0.45, -0.84), (0.78, -0.45), (0.82, 0), (0.66, 0.45), (0.45, 0.75), (0, 0.95))
ALMOND = blob((-0.25, 0.06), (-0.1, -0.15), (0.1, -0.2), (0.25, -0.05), (0.11, 0.16), (-0.1, 0.2))
IRISES = ((132, 168, 70), (206, 160, 56), (110, 160, 190), (178, 132, 60))


def add_head(
    fig: Figure, x: float, y: float, size: float, tilt: float = 0.0, yaw: float = 0.0, asleep: bool = False
) -> None:
    """Adds a head of that size at (x, y), tilted by radians, turned a little to the side by yaw (-1..1)."""
    with fig.frame(x, y, size, tilt):
        (_cat_head if fig.build.species == "cat" else _dog_head)(fig, 0.16 * yaw, asleep)


# ---- cats ----


def _cat_head(fig, turn, asleep):
    """Pointed ears, almond eyes, a small nose, whiskers; turn: how far the features are shifted."""
    coat = fig.coat
    for side in (-1, 1):
        _pointed_ear(fig, side, (0.22, -0.72), (0.78, -1.5), (0.96, -0.28))
    skin = fig.fur(coat.main, 225)
    sides = (-0.75, 0.8), (0.75, 2.3)
    cheeks = [(oval(x, 0.6, 0.6, 0.6), fig.fur(coat.main, 225, lean)) for x, lean in sides]
    marks = _face_marks(fig, turn, skin)
    muzzle = coat.light if coat.bib else shaded(coat.main, 1.08)
    if coat.pattern == "points":
        muzzle = coat.marks
        marks = [(oval(turn, 0.25, 0.62, 0.62), fig.fur(coat.marks, 225))]
    fig.add(CAT_FACE, skin, cheeks + marks)
    for side, lean in ((-1, 2.7), (1, 0.4)):
        fig.add(oval(0.2 * side + 1.5 * turn, 0.45, 0.28, 0.22), fig.fur(muzzle, 250, lean))
    fig.add(oval(1.4 * turn, 0.68, 0.18, 0.14), fig.fur(muzzle, 235))
    iris, pupil = IRISES[fig.rng.integers(len(IRISES))], fig.rng.uniform(0.06, 0.15)
    for side in (-1, 1):
        _cat_eye(fig, side, side * 0.42 + turn, -0.06, iris, pupil, asleep)
    x, pale = 1.7 * turn, sum(coat.main) > 240 and coat.pattern != "points"
    fig.detail(blob((x - 0.14, 0.24), (x, 0.21), (x + 0.14, 0.24), (x, 0.38)), PINK if pale else (90, 66, 66))
    _mouth(fig, 1.6 * turn, 0.38, 0.52, 0.2)
    _whiskers(fig, turn)


def _pointed_ear(fig, side, inner, tip, outer):
    """An ear, from its inner base over the tip to its outer base, pink inside."""
    (ax, ay), (tx, ty), (bx, by) = inner, tip, outer
    up, down = ((ax + tx) / 2, (ay + ty) / 2 - 0.05), ((bx + tx) / 2 + 0.06, (by + ty) / 2)
    outline = blob(inner, up, tip, down, outer, ((ax + bx) / 2, max(ay, by))) * (side, 1)
    lean = math.atan2(ty - ay, side * (tx - ax)) % math.pi
    middle = outline.mean(axis=0)
    hollow = (outline - middle) * (0.55, 0.68) + middle + (0, 0.04)
    fig.add(outline, fig.fur(fig.ear, 190, lean), [(hollow, fig.fur(shaded(PINK, 0.85), 150, lean))])


def _cat_eye(fig, side, x, y, iris, pupil, asleep):
    """An almond that slants up to the outside, with an upright pupil; or a closed eye."""
    if asleep:
        return _closed_eye(fig, x, y, 0.2)
    for grow, color in ((1.22, BLACK), (1.0, iris)):
        fig.detail(ALMOND * (side * grow, grow) + (x, y), color)
    fig.detail(oval(x, y, pupil, 0.17), (14, 12, 14))
    fig.detail(oval(x - 0.06, y - 0.08, 0.055, 0.055, points=10), WHITE)
    return None


def _whiskers(fig, turn):
    """Three on each side, light on a dark coat and dark on a light one."""
    color = (240, 238, 232) if sum(fig.coat.main) < 560 else (120, 110, 104)
    for side in (-1, 1):
        for row in (-1, 0, 1):
            x, y = side * 0.26 + 1.5 * turn, 0.46 + 0.07 * row
            far = side * fig.rng.uniform(1.35, 1.6) + turn
            low = 0.46 + 0.26 * row + fig.rng.uniform(-0.08, 0.08)
            middle = (x + far) / 2, (y + low) / 2 - 0.07
            fig.whisker(tube((x, y, 0.014), (*middle, 0.012), (far, low, 0.004))[0], color)


# ---- dogs ----


def _dog_head(fig, turn, asleep):
    """A long muzzle with a dark nose, round eyes, ears as the build says; turn: the features' shift."""
    coat, m, x = fig.coat, fig.build.muzzle, 1.8 * turn
    if fig.build.ears == "pointed":
        for side in (-1, 1):
            _pointed_ear(fig, side, (0.18, -0.7), (0.66, -1.55), (0.8, -0.35))
    skin = fig.fur(coat.main, 215)
    fig.add(DOG_FACE, skin, _face_marks(fig, turn, skin))
    muzzle = coat.light if coat.bib else shaded(coat.main, 1.06)
    if fig.rng.random() < 0.45 and not asleep:
        tongue = tube((x, 0.75, 0.14 * m), (x + 0.02, 0.98 * m, 0.15 * m), (x + 0.03, 1.12 * m, 0.12 * m))[0]
        fig.detail(tongue, (222, 116, 122))
    fig.add(oval(x, 0.72, 0.26 * m, 0.26 * m), fig.fur(shaded(muzzle, 0.9), 225))
    lips = mirrored((0, 0.05), (0.22, 0.12), (0.42, 0.42), (0.44, 0.68), (0.22, 0.82), (0, 0.74))
    fig.add(lips * (m, 1) + (x, 0), fig.fur(muzzle, 250))
    if fig.build.ears != "pointed":
        _hanging_ears(fig)
    for side in (-1, 1):
        _dog_eye(fig, side * 0.37 + turn, -0.12, asleep)
    fig.detail(mirrored((0, 0.2), (0.17, 0.22), (0.19, 0.34), (0, 0.46)) * (m, 1) + (1.05 * x, 0), BLACK, 255)
    fig.detail(oval(x - 0.06, 0.27, 0.06, 0.03, points=10), (150, 146, 150), 255)
    _mouth(fig, x, 0.44, 0.7, 0.3 * m)


def _hanging_ears(fig):
    """Ears that hang beside the face, or fold forward over the brow."""
    long = fig.rng.uniform(0.25, 0.75)
    for side in (-1, 1):
        if fig.build.ears == "folded":
            ear = blob((0.3, -0.88), (0.62, -1.08), (0.95, -0.85), (1.02, -0.4), (0.84, -0.28), (0.5, -0.62))
            fig.add(ear * (side, 1), fig.fur(fig.ear, 255, 0.9 if side > 0 else 2.2))
        else:
            fig.limb(
                (side * 0.58, -0.72, 0.2),
                (side * 0.9, -0.38, 0.27),
                (side, 0.05, 0.29),
                (side * 0.97, long, 0.2),
                height=250,
                color=fig.ear,
            )


def _dog_eye(fig, x, y, asleep):
    """A round brown eye, or a closed one."""
    if asleep:
        return _closed_eye(fig, x, y, 0.15)
    fig.detail(oval(x, y, 0.17, 0.155), (44, 32, 28))
    fig.detail(oval(x, y, 0.125, 0.125), (104, 66, 36))
    fig.detail(oval(x, y, 0.08, 0.085), (12, 10, 12))
    fig.detail(oval(x - 0.05, y - 0.05, 0.05, 0.05, points=10), WHITE)
    return None


# ---- both ----


def _closed_eye(fig, x, y, wide):
    fig.detail(tube((x - wide, y - 0.01, 0.025), (x, y + 0.09, 0.035), (x + wide, y - 0.01, 0.025))[0], BLACK)


def _mouth(fig, x, top, low, wide):
    """A line down from the nose that splits into two arcs."""
    fig.detail(tube((x, top, 0.02), (x, low, 0.02))[0], BLACK)
    for w in (-wide, wide):
        arc = tube((x, low, 0.02), (x + w / 2, low + 0.09, 0.024), (x + w, low + 0.02, 0.016))[0]
        fig.detail(arc, BLACK)


def _face_marks(fig, turn, skin):
    """Marks [(outline, ink), …] on a face: a tabby's M, spots, patches, a dark cap, a blaze."""
    coat, rng = fig.coat, fig.rng
    marked = skin._replace(color=coat.marks)
    if coat.pattern == "tabby":
        places = (-0.42, -0.14, 0.14, 0.42)
        brow = [[(x - 0.09, -1.1), (x + 0.09, -1.1), (0.7 * x + turn, -0.32)] for x in places]
        cheek = [[(s * 1.2, y), (s * 1.2, y + 0.16), (s * 0.62, y - 0.02)] for s in (-1, 1) for y in (0, 0.3)]
        return [(np.array(mark), marked) for mark in brow + cheek]
    if coat.pattern == "spots":
        places = rng.uniform((-0.6, -0.9), (0.6, 0.2), (8, 2))
        return [(oval(x, y, 0.1, 0.08, points=9), marked) for x, y in places]
    if coat.pattern == "patches":
        side = rng.choice((-1, 1))
        return [(patch(0.5 * side, -0.35, 0.6, rng), marked), (patch(-0.7 * side, -0.7, 0.4, rng), marked)]
    marks = []
    if coat.pattern == "saddle":
        marks.append((mirrored((0, -1.2), (1.2, -1.2), (1.2, -0.1), (0.5, -0.3), (0, -0.25)), marked))
    if coat.bib and rng.random() < 0.7:
        blaze = mirrored((0, -1.0), (0.1, -0.9), (0.12, -0.3), (0.3, 0.3), (0, 0.5))
        marks.append((blaze + (turn, 0), skin._replace(color=coat.light)))
    return marks
