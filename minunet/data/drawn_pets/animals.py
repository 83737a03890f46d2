"""Coats, builds, and an animal under construction: limbs that wear the pattern of a coat.

Figure units: x to the right, y down, the ground at y = 0, a sitting animal about 1.5 high and facing right.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.data.drawn_pets.paint import Ink, Part, blob, oval, tube

Color = tuple[int, ...]  # (r, g, b), 0..255

BLACK = (34, 28, 30)
PINK = (206, 140, 134)
WHITE = (255, 255, 255)


class Coat(NamedTuple):
    """Colors of a coat, and the pattern that its marks make."""

    main: Color
    marks: Color  # of stripes, spots, patches
    light: Color  # of muzzle, chest and paws
    pattern: str  # "plain", "tabby", "patches", "spots", "points" (dark face, paws, tail) or "saddle"
    bib: bool  # whether muzzle, chest and paws are light


CAT_COATS = (
    Coat((212, 142, 78), (160, 92, 42), (244, 226, 200), "tabby", True),  # ginger
    Coat((150, 144, 134), (84, 78, 72), (226, 222, 214), "tabby", True),  # silver
    Coat((138, 110, 82), (66, 50, 38), (206, 186, 156), "tabby", False),  # brown
    Coat((226, 192, 146), (206, 166, 116), (246, 232, 208), "tabby", True),  # cream
    Coat((70, 66, 68), (48, 44, 46), (236, 232, 226), "plain", True),  # tuxedo
    Coat((68, 64, 66), (54, 50, 52), (92, 86, 86), "plain", False),  # black
    Coat((128, 130, 140), (110, 112, 122), (160, 162, 170), "plain", False),  # blue
    Coat((236, 230, 220), (214, 204, 190), (246, 242, 236), "plain", False),  # white
    Coat((226, 208, 180), (84, 64, 54), (240, 230, 212), "points", False),  # siamese
    Coat((238, 232, 222), (206, 132, 66), (244, 240, 232), "patches", True),  # white and orange
    Coat((236, 230, 222), (62, 56, 56), (244, 240, 234), "patches", True),  # white and black
    Coat((196, 150, 96), (96, 64, 40), (232, 208, 172), "spots", True),  # bengal
)
DOG_COATS = (
    Coat((212, 168, 104), (190, 144, 82), (236, 208, 160), "plain", False),  # golden
    Coat((104, 70, 48), (84, 54, 38), (132, 96, 70), "plain", False),  # chocolate
    Coat((70, 64, 62), (54, 48, 48), (96, 88, 84), "plain", False),  # black
    Coat((234, 218, 190), (214, 190, 152), (246, 236, 218), "plain", False),  # cream
    Coat((204, 132, 70), (176, 106, 52), (246, 238, 226), "plain", True),  # corgi
    Coat((126, 122, 120), (92, 88, 88), (184, 180, 174), "plain", True),  # schnauzer
    Coat((72, 66, 64), (58, 52, 52), (196, 140, 86), "plain", True),  # black and tan
    Coat((190, 128, 70), (62, 50, 46), (244, 236, 224), "saddle", True),  # beagle
    Coat((130, 128, 132), (78, 76, 82), (240, 236, 230), "saddle", True),  # husky
    Coat((178, 134, 84), (58, 48, 44), (208, 172, 122), "saddle", False),  # shepherd
    Coat((236, 232, 226), (52, 48, 50), (244, 242, 238), "spots", False),  # dalmatian
    Coat((238, 230, 218), (158, 100, 58), (246, 240, 230), "patches", True),  # terrier
)
COATS = {"cat": CAT_COATS, "dog": DOG_COATS}


class Build(NamedTuple):
    """Proportions of an animal, in figure units."""

    species: str  # "cat" or "dog"
    length: float  # of the body, from hip to shoulder
    girth: float  # radius of the body
    leg: float  # length of the legs
    head: float  # radius of the head
    ears: str  # "pointed", "floppy" or "folded"
    tail: str  # "long", "plume", "curl" or "short"
    muzzle: float  # size of a dog's muzzle, about 1
    hair: float  # length of the fur, 0..1


def choose_coat(species: str, rng: np.random.Generator, among: Mapping[str, Sequence[Coat]] = COATS) -> Coat:
    """Returns a coat of that species, a little lighter, darker or warmer than in the table."""
    coats = among[species]
    coat = coats[int(rng.integers(len(coats)))]
    tint = rng.uniform(0.9, 1.08) * rng.uniform(0.97, 1.03, 3)
    colors = (np.array(coat[:3]) * tint).clip(0, 255).astype(int).tolist()
    main, marks, light = map(tuple, colors)
    return Coat(main, marks, light, coat.pattern, coat.bib)


def choose_build(species: str, rng: np.random.Generator) -> Build:
    """Returns the proportions of a cat, or of a dog anywhere between dachshund and hound."""
    if species == "cat":
        tail = "plume" if rng.random() < 0.25 else "long"
        return Build(
            "cat",
            rng.uniform(0.78, 0.95),
            rng.uniform(0.22, 0.27),
            rng.uniform(0.40, 0.52),
            rng.uniform(0.31, 0.36),
            "pointed",
            tail,
            0.0,
            rng.uniform(0.35, 1.0),
        )
    leg = rng.choice([0.22, 0.42, 0.55, 0.68], p=[0.2, 0.3, 0.3, 0.2]) + rng.uniform(-0.03, 0.03)
    ears = rng.choice(["floppy", "folded", "pointed"], p=[0.6, 0.2, 0.2])
    tail = rng.choice(["long", "plume", "curl", "short"])
    return Build(
        "dog",
        rng.uniform(0.85, 1.05),
        rng.uniform(0.24, 0.31),
        float(leg),
        rng.uniform(0.30, 0.36),
        str(ears),
        str(tail),
        rng.uniform(0.85, 1.15),
        rng.uniform(0.3, 1.0),
    )


def shaded(color: Color, factor: float) -> Color:
    """Returns the color made darker (factor < 1) or lighter."""
    return tuple(int(min(255, v * factor)) for v in color)


class Figure:
    """An animal under construction: shapes are added back to front, in the current frame.

    parts     what grows fur
    details   eyes, noses, mouths, on top of all fur
    whiskers  what is too thin to count as pet
    """

    def __init__(self, coat: Coat, build: Build, rng: np.random.Generator) -> None:
        self.coat = coat
        self.build = build
        self.rng = rng
        self.parts: list[Part] = []
        self.details: list[Part] = []
        self.whiskers: list[Part] = []
        self._turn, self._origin = np.eye(2), np.zeros(2)
        dark = coat.pattern in ("saddle", "points") or (coat.pattern != "spots" and rng.random() < 0.5)
        self.ear = coat.marks if dark else shaded(coat.main, 0.85)
        self.paw = coat.light if coat.bib else coat.marks if coat.pattern == "points" else coat.main

    @contextmanager
    def frame(self, x: float, y: float, scale: float = 1.0, tilt: float = 0.0) -> Iterator[None]:
        """Within it, shapes are placed at (x, y), scaled, and rotated by tilt radians."""
        before = self._turn, self._origin
        c, s = scale * math.cos(tilt), scale * math.sin(tilt)
        self._origin = self._origin + self._turn @ (x, y)
        self._turn = self._turn @ np.array([[c, -s], [s, c]])
        yield
        self._turn, self._origin = before

    def fur(self, color: Color, height: int, direction: float = math.pi / 2) -> Ink:
        """Returns a furry ink; height and direction are explained in paint.Ink."""
        return Ink(color, height, direction, 1.0, self.build.hair)

    def add(self, outline: NDArray, ink: Ink, marks: Sequence[tuple[NDArray, Ink]] = ()) -> None:
        """Adds a furry part, with marks [(outline, ink), …] inside it."""
        self.parts.append(Part(self._out(outline), ink, [(self._out(mark), ink) for mark, ink in marks]))

    def detail(self, outline: NDArray, color: Color, height: int = 200) -> None:
        """Adds something smooth."""
        self.details.append(Part(self._out(outline), Ink(color, height)))

    def whisker(self, outline: NDArray, color: Color) -> None:
        """Adds a line that does not count as pet."""
        self.whiskers.append(Part(self._out(outline), Ink(color, 210)))

    def limb(
        self,
        *knots: tuple[float, float, float],
        height: int = 150,
        shade: float = 1.0,
        color: Color | None = None,
        paw: Color | None = None,
    ) -> None:
        """Adds a round limb through (x, y, radius) knots.

        It has one color, or the coat's pattern; paw is the color of its lower end; shade darkens it.
        """
        outline, spine, normals, radii = tube(*knots)
        run = spine[-1] - spine[0]
        ink = self.fur(shaded(color or self.coat.main, shade), height, math.atan2(run[1], run[0]) % math.pi)
        marked = ink._replace(color=shaded(self.coat.marks, shade))
        marks = [] if color else [(mark, marked) for mark in self._pattern(spine, normals, radii)]
        if paw:
            low = slice(len(spine) * 5 // 8, None)
            side, end = 1.5 * (radii * normals)[low], spine[-1:] + 2 * radii[-1] * (spine[-1] - spine[-2])
            sock = np.concatenate([spine[low] + side, end, (spine[low] - side)[::-1]])
            marks.append((sock, ink._replace(color=shaded(paw, shade))))
        self.add(outline, ink, marks)

    def _out(self, outline):
        return outline @ self._turn.T + self._origin

    def _pattern(self, spine, normals, radii):
        """Outlines of the coat's marks on a limb with this spine (k, 2), normals (k, 2) and radii (k, 1)."""
        pattern, rng, thick = self.coat.pattern, self.rng, radii.mean()
        if pattern == "tabby":
            return [_stripe(spine, normals, radii, t, rng) for t in _spread(spine, thick, rng)]
        if pattern == "spots":
            count = int(rng.integers(8, 14))
            at, across = rng.integers(len(spine), size=count), rng.uniform(-0.9, 0.9, (count, 1))
            sizes = rng.uniform(0.08, 0.2, count) * (0.3 + thick)
            centers = spine[at] + across * radii[at] * normals[at]
            return [oval(x, y, r, 0.8 * r, points=9) for (x, y), r in zip(centers, sizes)]
        if pattern == "patches" and thick > 0.1:
            at, across = rng.integers(len(spine), size=2), rng.uniform(-0.3, 0.8, (2, 1))
            centers = spine[at] + across * radii[at] * normals[at]
            return [patch(x, y, r, rng) for (x, y), (r,) in zip(centers, radii[at])]
        if pattern == "saddle" and thick > 0.15 and len(spine) > 14:
            return [np.concatenate([spine + 1.3 * radii * normals, (spine + 0.25 * radii * normals)[::-1]])]
        return []


def patch(x: float, y: float, r: float, rng: np.random.Generator) -> NDArray:
    """Returns an uneven blob of radius about r at (x, y)."""
    reach = r * rng.uniform(0.5, 1.1, 7)
    return blob(*((x + q * math.cos(a), y + q * math.sin(a)) for q, a in zip(reach, np.arange(7) * 0.9)))


def _spread(spine, thick, rng):
    """Places (indices) for stripes along a spine: the thicker the limb, the further apart."""
    length = np.hypot(*np.diff(spine, axis=0).T).sum()
    count = int(np.clip(length / (0.05 + 0.45 * thick), 2, 9))
    return ((np.arange(count) + rng.uniform(0.3, 0.7, count)) / count * (len(spine) - 1)).astype(int)


def _stripe(spine, normals, radii, t, rng):
    """A stripe across a limb at index t: wide at the upper edge, tapering toward the lower."""
    (r,), normal = radii[t], normals[t]
    along = np.array([-normal[1], normal[0]]) * (0.02 + 0.14 * r) * rng.uniform(0.8, 1.3)
    reach = rng.uniform(-0.6, 0.2) if r > 0.12 else -1.2  # thin limbs wear rings
    tip, top = spine[t] + normal * r * reach, spine[t] + normal * r * 1.3
    lean = along * rng.uniform(-1.5, 1.5)
    middle = (top + tip) / 2 + lean
    return np.stack([top - along, middle - 0.8 * along, tip + 0.5 * lean, middle + 0.8 * along, top + along])
