"""Painting by numbers: shapes become an image of ink numbers, and the numbers become fur, relief and light.

A drawing is a list of `Part`s, back to front. Each is an outline with an ink, and marks (stripes, patches) that stay
inside that outline. Coordinates are in units of the image: (0, 0) top left, (1, 1) bottom right.

`paint` first draws only which ink lies where. Then fur moves the inks along the direction of its hairs, which frays
every edge. Only after that does each number get its color, the streaks of its hair, and the light on its height.
"""

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

DIRECTIONS = 8  # how many directions of hair are distinguished, over half a turn
TILE = 256  # side of a tile of hair before it is scaled to the image
HAIR_CONTRAST = 0.13  # how much lighter or darker than its ink a hair is
HAIR_LENGTH = 0.016  # how far long hair reaches over an edge, in units of the drawn thing
RELIEF = ((0.02, 0.5), (0.06, 0.9))  # (softness, strength) of the light on edges, and on whole bodies
SHEEN = 30  # what even black reflects, of 255


class Ink(NamedTuple):
    """What a number stands for."""

    color: tuple[int, ...]  # (r, g, b), 0..255
    height: int = 0  # toward us, 0..255, for the relief
    direction: float = math.pi / 2  # of the hair, in radians
    texture: float = 0.0  # how clearly hair shows, 0..1
    length: float = 0.0  # of the hair, 0..1


class Part(NamedTuple):
    """A shape: its outline, float (k, 2); its ink; and marks [(outline, ink), …] that are clipped to it."""

    outline: NDArray
    ink: Ink
    marks: Sequence[tuple[NDArray, Ink]] = ()


class Painted(NamedTuple):
    """A painted drawing; all float32."""

    rgb: NDArray  # (size, size, 3), about 0..255; where nothing is drawn, the first ink
    cover: NDArray  # (size, size), 0..1: how much of the paper is hidden
    solid: NDArray  # the same without the lines


def paint(
    parts: Sequence[Part],
    details: Sequence[Part],
    lines: Sequence[Part],
    size: int,
    rng: np.random.Generator,
    scale: float = 1.0,
    light: tuple[float, float] = (-0.6, -0.8),
    zoom: int = 2,
) -> Painted:
    """Paints what has fur, then smooth details on top, then thin lines.

    parts, details, lines   lists of Part, back to front
    size    side of the image in pixels
    rng     decides where hairs lie; how often it is asked does not depend on the size
    scale   size of the drawn thing in the image: the length of its hair and the softness of its relief
    light   the direction that light comes from
    zoom    inks are first drawn this many times larger, so that edges come out smooth
    """
    palette = _Palette()
    numbers = Image.new("L", (zoom * size, zoom * size))
    _draw(numbers, parts, palette)
    if any(palette.table(lambda ink: 255 * ink.length)):
        numbers = Image.fromarray(_fray(np.asarray(numbers), palette, zoom, rng, scale))

    def reduced(value):
        return np.asarray(numbers.point(palette.table(value)).reduce(zoom))

    _draw(numbers, details, palette)
    solid = reduced(lambda ink: 255) / np.float32(255)
    _draw(numbers, lines, palette)
    cover = reduced(lambda ink: 255) / np.float32(255) if lines else solid
    tiles = palette.tiles()[np.asarray(numbers)[::zoom, ::zoom]]
    shine = _streaks(tiles, rng) * (reduced(lambda ink: 255 * ink.texture) * np.float32(HAIR_CONTRAST / 255))
    shine += _relief(reduced(lambda ink: ink.height), scale, light)
    numbers.putpalette(palette.colors())
    rgb = np.asarray(numbers.convert("RGB").reduce(zoom)).astype(np.float32)
    rgb += (rgb + SHEEN) * shine[:, :, None]
    return Painted(rgb, cover, solid)


# ---- shapes ----


def oval(x: float, y: float, rx: float, ry: float, tilt: float = 0.0, points: int = 28) -> NDArray:
    """Returns the outline (points, 2) of an ellipse with its center at (x, y), rotated by tilt radians."""
    c, s = math.cos(tilt), math.sin(tilt)
    return _circle(points) @ np.array([[rx * c, rx * s], [-ry * s, ry * c]]) + (x, y)


def blob(*points: tuple[float, float]) -> NDArray:
    """Returns a smooth closed outline through (x, y) points."""
    return _closed_curve(len(points)) @ np.array(points, dtype=float)


def mirrored(*points: tuple[float, float]) -> NDArray:
    """Returns a smooth closed outline, symmetric in x, from the points of its right half, top to bottom."""
    return blob(*points, *((-x, y) for x, y in reversed(points) if x))


def tube(*knots: tuple[float, float, float]) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Returns a round limb through (x, y, radius) knots: outline, spine (k, 2), normals (k, 2), radii (k, 1).

    The normals have length 1, and point up if the spine runs to the right.
    """
    curve = _open_curve(len(knots)) @ np.array(knots, dtype=float)
    spine, radii = curve[:, :2], curve[:, 2:]
    step = np.empty_like(spine)
    step[1:-1] = spine[2:] - spine[:-2]
    step[0], step[-1] = spine[1] - spine[0], spine[-1] - spine[-2]
    step /= np.hypot(step[:, :1], step[:, 1:]) + 1e-9
    normals = step[:, ::-1] * (1, -1)
    half = _circle(16)[1:8]  # for the round ends
    front = spine[-1] + radii[-1] * (half @ np.stack([normals[-1], step[-1]]))
    back = spine[0] - radii[0] * (half @ np.stack([normals[0], step[0]]))
    side = radii * normals
    return np.concatenate([spine + side, front, (spine - side)[::-1], back]), spine, normals, radii


@cache
def _circle(points):
    angle = np.arange(points) * (2 * math.pi / points)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _catmull_rom(steps):
    """Weights (steps, 4) of four neighboring knots for points on a smooth curve between the middle two."""
    t = np.arange(steps) / steps
    weights = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]
    return np.stack(weights, axis=1) / 2


@cache
def _open_curve(knots, steps=7):
    """Matrix ((knots - 1) * steps + 1, knots) from knots to points on the smooth curve through them."""
    matrix = np.zeros(((knots - 1) * steps + 1, knots))
    for k in range(knots - 1):
        for j, weights in enumerate(_catmull_rom(steps).T):
            matrix[k * steps : (k + 1) * steps, min(max(k + j - 1, 0), knots - 1)] += weights
    matrix[-1, -1] = 1
    return matrix


@cache
def _closed_curve(knots, steps=6):
    """Matrix (knots * steps, knots) from knots to points on the smooth closed curve through them."""
    matrix = np.zeros((knots * steps, knots))
    for k in range(knots):
        for j, weights in enumerate(_catmull_rom(steps).T):
            matrix[k * steps : (k + 1) * steps, (k + j - 1) % knots] += weights
    return matrix


# ---- ink ----


class _Palette:
    """Gives each ink a number from 1 on (0 is bare paper), and turns numbers into what the inks hold."""

    def __init__(self):
        self._numbers = {}

    def number(self, ink):
        """Returns the ink's number: a new one if it has none yet."""
        number = self._numbers.setdefault(ink, len(self._numbers) + 1)
        if number > 255:
            raise ValueError("a drawing has more than 255 inks: let some of its shapes share one")
        return number

    def table(self, value, paper=0):
        """Returns a list of 256 ints: value(ink) for each number."""
        values = [paper, *(int(value(ink)) for ink in self._numbers)]
        return values + [0] * (256 - len(values))

    def tiles(self):
        """Returns int32 (256,): the number of the tile of hair for each ink number."""
        steps = DIRECTIONS / math.pi
        return np.array(self.table(lambda ink: round(ink.direction * steps) % DIRECTIONS), np.int32)

    def colors(self):
        """Returns a flat list r, g, b, r, g, b … for an image of mode "P"; paper has the color of the first ink."""
        inks = list(self._numbers)
        return [value for ink in inks[:1] + inks for value in ink.color]


def _draw(numbers, parts, palette):
    """Draws parts into the image of ink numbers; the marks of each stay inside its own outline."""
    pen = ImageDraw.Draw(numbers)
    for part in parts:
        outline = part.outline * numbers.width
        pen.polygon(outline.ravel().tolist(), fill=palette.number(part.ink))
        if part.marks:
            _draw_marks(numbers, outline, part.marks, palette)


def _draw_marks(numbers, outline, marks, palette):
    """Draws marks inside an outline, which is in pixels here."""
    side = numbers.width
    low = (outline.min(axis=0) - 1).clip(0, side).astype(int)
    high = (outline.max(axis=0) + 2).clip(0, side).astype(int)
    if (low >= high).any():
        return  # all of it lies outside the image
    inside = Image.new("L", tuple((high - low).tolist()))
    ImageDraw.Draw(inside).polygon((outline - low).ravel().tolist(), fill=255)
    marked = numbers.crop((*low.tolist(), *high.tolist()))
    pen = ImageDraw.Draw(marked)
    for mark, ink in marks:
        pen.polygon((mark * side - low).ravel().tolist(), fill=palette.number(ink))
    numbers.paste(marked, tuple(low.tolist()), inside)


# ---- hair and light ----


@lru_cache(maxsize=4)
def _hair(size):
    """Tiles of streaks, one per direction, float32 (DIRECTIONS * size * size,), mean 0 and standard deviation about 1.

    White noise, smoothed in the frequency domain: much along the hair, little across it. The tiles wrap around.
    """
    noise = np.fft.rfft2(np.random.default_rng(0).standard_normal((TILE, TILE)))
    fy, fx = np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)
    tiles = []
    for angle in np.arange(DIRECTIONS) * (math.pi / DIRECTIONS):
        along = fx * np.cos(angle) + fy * np.sin(angle)
        across = fy * np.cos(angle) - fx * np.sin(angle)
        tile = np.fft.irfft2(noise * np.exp(-2 * math.pi**2 * ((4.5 * along) ** 2 + (0.7 * across) ** 2)))
        tiles.append(Image.fromarray((tile / tile.std()).astype(np.float32)).resize((size, size)))
    return np.stack(tiles).ravel()


@lru_cache(maxsize=4)
def _pixels(size):
    return np.arange(size * size, dtype=np.int32).reshape(size, size)


def _streaks(tiles, rng):
    """Hair, float32 (size, size), each pixel from the tile that int32 (size, size) names, placed at random."""
    size = len(tiles)
    pixels = np.roll(_pixels(size), [int(v * size) for v in rng.random(2)], axis=(0, 1))
    return np.take(_hair(size), tiles * np.int32(size * size) + pixels)


def _fray(numbers, palette, zoom, rng, scale):
    """Moves ink numbers (zoom * size, zoom * size) along the hair in random streaks: edges become fur."""
    side = len(numbers)
    small = numbers[::zoom, ::zoom]
    tiles = palette.tiles()[small]
    # Bare paper takes from its surroundings, too: that is how hair reaches out of the outline.
    length = np.array(palette.table(lambda ink: 255 * ink.length, paper=100), np.float32)
    sway = _streaks(tiles, rng) * (length * np.float32(HAIR_LENGTH / 255 * scale * side))[small]
    angle = np.arange(DIRECTIONS) * (math.pi / DIRECTIONS)
    corner = np.arange(0, side, zoom, dtype=np.int32)
    x = corner + np.rint(sway * np.cos(angle).astype(np.float32)[tiles]).astype(np.int32)
    y = corner[:, None] + np.rint(sway * np.sin(angle).astype(np.float32)[tiles]).astype(np.int32)
    source = y.clip(0, side - zoom) * np.int32(side) + x.clip(0, side - zoom)
    within = np.arange(zoom, dtype=np.int32)
    source = source[:, None, :, None] + (side * within)[:, None, None] + within  # (size, zoom, size, zoom)
    return np.take(numbers, source).reshape(side, side)


def _relief(height, scale, light):
    """Light on a softened height map, float32 (size, size): > 0 on what faces it, < 0 on what faces away."""
    size = len(height)
    relief = np.zeros((size, size), np.float32)
    for softness, strength in RELIEF:
        reach = max(0.5, softness * scale * size)
        d = max(1, round(reach))
        padded = np.pad(soften(height, reach), d, mode="edge").astype(np.float32)
        x, y = round(d * light[0]), round(d * light[1])
        toward = padded[d + y : d + y + size, d + x : d + x + size]
        away = padded[d - y : d - y + size, d - x : d - x + size]
        relief += (away - toward) * np.float32(strength / 255)
    return relief


def soften(pixels: NDArray[np.uint8], radius: float) -> NDArray[np.uint8]:
    """Returns uint8 (size, size) or (size, size, 3) blurred twice over a square of that radius in pixels."""
    blur = ImageFilter.BoxBlur(float(radius))
    return np.asarray(Image.fromarray(pixels).filter(blur).filter(blur))
