"""Whole animals: legs and tails, and the poses that put them together."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from minunet.data.drawn_pets.animals import COATS, Coat, Figure, choose_build, choose_coat, shaded
from minunet.data.drawn_pets.heads import add_head
from minunet.data.drawn_pets.paint import mirrored, oval, tube

Pose = Callable[[Figure], None]  # adds the parts of an animal to a figure


def choose_figure(
    species: str,
    rng: np.random.Generator,
    poses: Mapping[Pose, float] | None = None,
    coats: Mapping[str, Sequence[Coat]] = COATS,
) -> tuple[Figure, str]:
    """Returns a "cat" or "dog" with a random coat, build and pose, and the name of the pose.

    poses: those to choose from, each with its probability; by default POSES. coats: those of each species.
    """
    fig = Figure(choose_coat(species, rng, coats), choose_build(species, rng), rng)
    chances = POSES if poses is None else poses
    pose = list(chances)[rng.choice(len(chances), p=list(chances.values()))]
    pose(fig)
    return fig, pose.__name__


# ---- limbs ----


def _leg(fig, *knots, height, shade=1.0, foot=0.05):
    """A leg through (x, y, radius) knots, down to a paw that reaches forward by `foot`."""
    fig.limb(*knots, height=height, shade=shade, paw=fig.paw)
    x, y, r = knots[-1]
    color = shaded(fig.paw, shade)
    fig.add(oval(x + foot, y + 0.25 * r, 1.5 * r, 0.95 * r, points=16), fig.fur(color, height + 20, 0.3))
    for toe in (0.15, 0.75):
        gap = x + foot + toe * r
        line = tube((gap, y + 0.1 * r, 0.008), (gap + 0.1 * r, y + 0.8 * r, 0.01))[0]
        fig.detail(line, shaded(color, 0.5), height + 20)


def _tail(fig, x, y):
    """A tail, from its root at (x, y) to the left."""
    kind, lift = fig.build.tail, fig.rng.uniform(-0.5, 0.45)
    if kind == "curl":
        knots = (x, y, 0.09), (x - 0.16, y - 0.22, 0.1), (x + 0.02, y - 0.42, 0.1), (x + 0.17, y - 0.28, 0.07)
    elif kind == "short":
        knots = (x, y, 0.08), (x - 0.12, y - 0.16, 0.06), (x - 0.15, y - 0.24, 0.04)
    else:
        fat = 1.9 if kind == "plume" else 1.0
        knots = (
            (x, y, 0.07),
            (x - 0.25, y - 0.1 - 0.4 * lift, 0.065 * fat),
            (x - 0.42, y - 0.1 - lift, 0.07 * fat),
            (x - 0.5 + 0.2 * lift, y - 0.2 - 1.5 * lift, 0.045 * fat),
        )
    _tail_limb(fig, *knots)


def _tail_limb(fig, *knots, height=100):
    color = fig.coat.marks if fig.coat.pattern == "points" else None
    fig.limb(*knots, height=height, shade=0.92, color=color)


def _bib(fig, outline, height):
    """The light chest, if the coat has one."""
    if fig.coat.bib:
        fig.add(outline, fig.fur(fig.coat.light, height))


# ---- poses ----


def standing(fig: Figure) -> None:
    """Stands or walks in profile, the face turned to us."""
    b, rng, g = fig.build, fig.rng, fig.build.girth
    hip, y, r = b.length / 2, -b.leg - 0.9 * g, 0.07 + 0.1 * g
    gait = rng.uniform(-0.16, 0.16, 4)
    for x, step in ((hip - 0.1, gait[0]), (0.08 - hip, gait[1])):  # the far legs
        knee = x + 0.4 * step, 0.55 * y, 1.1 * r
        _leg(fig, (x, y, 0.5 * g), knee, (x + step, -r, r), height=80, shade=0.72)
    _tail(fig, -hip - 0.6 * g, y - 0.45 * g)
    fig.limb((-hip, y, 0.95 * g), (-0.3 * hip, y + 0.02, 0.9 * g), (0.4 * hip, y, g), (hip, y - 0.02, 1.02 * g))
    _bib(fig, oval(hip + 0.1 * g, y + 0.25 * g, 0.75 * g, 0.72 * g), 150)
    x, step = -hip - 0.02, gait[2]
    _leg(
        fig,
        (x, y - 0.05, 0.72 * g),
        (x + 0.05, 0.72 * y, 0.5 * g),
        (x - 0.09 + 0.5 * step, 0.35 * y, r),
        (x + step, -r, r),
        height=180,
    )
    step = gait[3]
    _leg(fig, (hip, y, 0.55 * g), (hip + 0.4 * step, 0.55 * y, 1.15 * r), (hip + step, -r, r), height=180)
    x, top = hip + rng.uniform(0.14, 0.28), y - g * rng.uniform(1.0, 1.4) - 0.45 * b.head
    fig.limb(
        (hip - 0.02, y - 0.3 * g, 0.85 * g),
        ((hip + x) / 2, (y + top) / 2 - 0.1 * g, 0.75 * g),
        (x, top, 0.7 * b.head),
        height=170,
    )
    add_head(fig, x + 0.06, top - 0.04, 1.12 * b.head, rng.uniform(-0.2, 0.25), rng.uniform(-0.2, 1.0))


def sitting(fig: Figure) -> None:
    """Sits in profile on its haunches, the face turned to us."""
    b, rng, g = fig.build, fig.rng, 1.1 * fig.build.girth
    chest = -0.82 - 0.28 * (b.leg - 0.45)
    _tail(fig, -0.33, -0.1)
    _leg(fig, (0.2, chest + 0.04, 0.5 * g), (0.3, -0.4, 0.1), (0.3, -0.08, 0.08), height=80, shade=0.74)
    fig.limb((-0.16, -1.05 * g, 1.08 * g), (-0.05, -0.56, g), (0.1, chest - 0.06, 0.82 * g))
    _bib(fig, oval(0.2, chest, 0.55 * g, 0.8 * g, 0.2), 165)
    _leg(fig, (0.1, chest + 0.04, 0.5 * g), (0.2, -0.4, 0.1), (0.2, -0.08, 0.08), height=185)
    _leg(fig, (-0.2, -0.2, 0.12), (-0.08, -0.08, 0.075), height=190, foot=0.08)
    fig.limb((-0.18, -0.4, 0.7 * g), (-0.08, -0.25, 0.72 * g), height=190)
    x, y = 0.18 + rng.uniform(-0.04, 0.1), chest - 0.2 - 0.62 * b.head
    fig.limb((0.1, chest - 0.08, 0.7 * g), (x, y, 0.72 * b.head), height=170)
    add_head(fig, x + 0.02, y, 1.08 * b.head, rng.uniform(-0.25, 0.25), rng.uniform(-0.5, 1.0))


def facing(fig: Figure) -> None:
    """Sits and faces us."""
    b, rng, g = fig.build, fig.rng, 1.15 * fig.build.girth
    chest, side = -0.95 - 0.3 * (b.leg - 0.4), rng.choice((-1, 1))
    _tail_limb(
        fig,
        (side * 0.25, -0.12, 0.07),
        (side * 0.55, -0.1, 0.08),
        (side * 0.72, -0.2, 0.08),
        (side * 0.75, -0.38, 0.05),
        height=90,
    )
    for s in (-1, 1):
        fig.limb((s * 0.95 * g, -0.42, 0.6 * g), (s * 1.1 * g, -0.22, 0.72 * g), height=120, shade=0.92)
    fig.limb((0, -g, 1.05 * g), (0, -0.6, 0.98 * g), (0, chest, 0.75 * g), height=160)
    _bib(fig, mirrored((0, chest - 0.15), (0.55 * g, chest), (0.5 * g, -0.6), (0, -0.42)), 175)
    for x in (-g, g):
        _leg(fig, (0.95 * x, -0.08, 0.07), (1.05 * x, -0.07, 0.075), height=170, shade=0.95, foot=0.1 * x)
    for x in (-g, g):
        _leg(
            fig,
            (0.5 * x, chest + 0.27, 0.4 * g),
            (0.46 * x, -0.35, 0.095),
            (0.44 * x, -0.08, 0.08),
            height=200,
            foot=0.03 * x,
        )
    y = chest - 0.07 - 0.6 * b.head
    fig.limb((0, chest + 0.05, 0.7 * g), (0, y, 0.7 * b.head), height=180)
    add_head(fig, 0, y, 1.12 * b.head, rng.uniform(-0.25, 0.25), rng.uniform(-0.6, 0.6))


def lying(fig: Figure) -> None:
    """Lies with its paws stretched forward; the head is up, or asleep on the paws."""
    b, rng, g = fig.build, fig.rng, 1.2 * fig.build.girth
    hip, awake, back = b.length / 2, rng.random() < 0.7, -b.length / 2 - 0.6 * fig.build.girth
    _tail_limb(
        fig, (back, -0.12, 0.07), (back - 0.25, -0.09, 0.07), (back - 0.45, -0.12, 0.075), (back - 0.6, -0.22, 0.05)
    )
    _leg(fig, (hip, -0.2, 0.13), (hip + 0.25, -0.09, 0.085), (hip + 0.5, -0.08, 0.075), height=110, shade=0.78)
    fig.limb((-hip, -g, g), (-0.2 * hip, -1.06 * g, 0.98 * g), (0.9 * hip, -1.08 * g, 1.02 * g))
    _bib(fig, oval(hip + 0.12, -0.95 * g, 0.75 * g, 0.8 * g), 160)
    _leg(fig, (0.05 - hip, -0.1, 0.09), (0.34 - hip, -0.07, 0.07), height=185)
    fig.limb((-hip - 0.02, -1.05 * g, 0.8 * g), (0.12 - hip, -0.72 * g, 0.7 * g), height=190)
    _leg(fig, (hip - 0.05, -0.24, 0.15), (hip + 0.15, -0.1, 0.09), (hip + 0.42, -0.07, 0.075), height=200)
    x = hip + rng.uniform(0.1, 0.25)
    y = -2 * g - b.head * rng.uniform(0.3, 0.6) if awake else -0.95 * b.head
    fig.limb((hip - 0.02, -1.2 * g, 0.85 * g), (x, y, 0.72 * b.head), height=180)
    add_head(fig, x + 0.05, y, 1.15 * b.head, rng.uniform(-0.2, 0.3), rng.uniform(-0.3, 0.9), not awake)


def curled(fig: Figure) -> None:
    """Sleeps rolled up, its tail around it."""
    b, rng, g = fig.build, fig.rng, 1.15 * fig.build.girth
    fig.limb((-0.38, -g, g), (-0.05, -1.25 * g, 1.05 * g), (0.32, -g, 0.95 * g))
    fig.limb((-0.42, -0.95 * g, 0.72 * g), (-0.25, -0.6 * g, 0.6 * g), height=185)
    _tail_limb(fig, (-0.62, -0.2, 0.07), (-0.45, -0.07, 0.08), (-0.1, -0.05, 0.09), (0.2, -0.07, 0.05), height=200)
    _leg(fig, (0.5, -0.16, 0.1), (0.3, -0.07, 0.07), height=190, shade=0.95, foot=-0.03)
    tilt, yaw = rng.uniform(-0.1, 0.5), rng.uniform(-0.4, 0.4)
    add_head(fig, 0.42, -0.85 * b.head, 1.1 * b.head, tilt, yaw, asleep=True)


def portrait(fig: Figure) -> None:
    """Head and shoulders, close up; the edge of the image cuts off the rest."""
    fig.limb((0, 1.0, 0.95), (0, 0.35, 0.72), (0, -0.1, 0.5), height=130)
    _bib(fig, mirrored((0, -0.2), (0.4, 0.1), (0.4, 0.8), (0, 1.5)), 150)
    add_head(fig, 0, -0.5, 0.75, fig.rng.uniform(-0.25, 0.25), fig.rng.uniform(-0.8, 0.8))


# Each pose with its probability.
POSES: Mapping[Pose, float] = {standing: 0.24, sitting: 0.2, facing: 0.2, lying: 0.16, curled: 0.06, portrait: 0.14}
