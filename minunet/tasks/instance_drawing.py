"""Drawing objects: a color for each, and an image with their outlines, numbers and bounding boxes.

Object n gets the hue n·φ (φ = 0.618…, the golden ratio; 1 is once around the color wheel): numbers that follow each
other lie far apart on the wheel. But n and n + 13 are nearly alike, and may be neighbors. So where two objects that lie
close together would get colors that are hard to tell apart, the later one moves on to a hue that its neighbors do not
have. Objects that lie far apart may look alike: the eye can tell about a dozen hues from each other.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from minunet.data.labels import IGNORE_OBJECT, as_segments
from minunet.metrics.objects import Objects, measure

GOLDEN = (5**0.5 - 1) / 2
NEAR = 3  # objects with at most this many pixels from one to the other, along a row or a column, are neighbors
DISTINCT = 90  # colors of neighbors differ by at least this, the sum of the differences of red, green and blue
TRIES = 24  # hues that an object tries; more neighbors than that see some color twice
IGNORED_COLOR = (128, 128, 128)
MOST_NUMBERS = 1000  # of more objects, no numbers are drawn: nobody could read them, and it would take long
GAP = 4  # white columns between two images side by side


def color_instances(segments: NDArray) -> NDArray[np.uint8]:
    """Returns segments as an image, uint8 (H, W, 3): each object in one color, neighbors in distinct ones.

    segments: integers (H, W), 0 (drawn black) where there is no object, 65535 (gray) where pixels are ignored.
    """
    segments = as_segments(segments, ignore=True)
    numbers, index = np.unique(segments, return_inverse=True)
    return _colors(segments, numbers)[index.reshape(segments.shape)]


def instance_overlay(image: NDArray, segments: NDArray, boxes: bool = False, scale: int = 1) -> NDArray[np.uint8]:
    """Returns the image with each object's outline and number drawn over it, and with its bounding box if `boxes`.

    image: uint8 (H, W, 3); segments: integers (H, W), 0 where there is no object; of more than 1000 objects, no numbers
    are drawn. scale: the drawing is so many times as large as the image, so that numbers fit into small objects.
    Returns uint8 (scale H, scale W, 3). Raises ValueError if the sizes differ, or for a scale below 1.
    """
    image, segments, colors = _prepare(image, segments, scale)
    drawn = image.copy()
    edge = _outlines(segments, thickness=max(1, round(max(segments.shape) / 400)))
    drawn[edge] = colors[segments[edge]]
    objects = measure(segments)
    canvas = Image.fromarray(drawn)
    if boxes:
        _draw_boxes(canvas, objects, colors)
    _draw_numbers(canvas, segments, objects)
    return np.array(canvas)


def boxes_and_outlines(image: NDArray, segments: NDArray, scale: int = 1) -> NDArray[np.uint8]:
    """Returns two images side by side: what object detection answers, boxes, and what segmentation answers, outlines.

    Arguments and errors as `instance_overlay`. Returns uint8 (scale H, 2 scale W + 4, 3).
    """
    left, resized, colors = _prepare(image, segments, scale)
    canvas = Image.fromarray(left)
    _draw_boxes(canvas, measure(resized), colors)
    gap = np.full((len(left), GAP, 3), 255, np.uint8)
    return np.concatenate([np.array(canvas), gap, instance_overlay(image, segments, scale=scale)], axis=1)


def _prepare(image, segments, scale):
    """Returns the image and the segments, enlarged, and the color of each number: uint8 (65536, 3)."""
    segments = as_segments(segments, ignore=True)
    if scale < 1:
        raise ValueError(f"scale is {scale}: it must be a whole number of at least 1")
    if image.shape != (*segments.shape, 3):
        raise ValueError(
            f"the image is {image.shape}, the segments {segments.shape}: they must be (H, W, 3) and (H, W)"
        )
    numbers = np.unique(segments)
    colors = np.zeros((IGNORE_OBJECT + 1, 3), np.uint8)
    colors[numbers] = _colors(segments, numbers)
    return image.repeat(scale, 0).repeat(scale, 1), segments.repeat(scale, 0).repeat(scale, 1), colors


# ---- colors ----


def _colors(segments, numbers):
    """Returns the color of each of the numbers in the segments, uint8 (len(numbers), 3)."""
    colors = _hues(numbers)
    first, second = _neighbors(segments, numbers)
    alike = np.abs(colors[first].astype(int) - colors[second]).sum(axis=1) < DISTINCT
    one, other = np.concatenate([first, second]), np.concatenate([second, first])
    order = np.argsort(one, kind="stable")
    neighbors, starts = other[order], np.searchsorted(one[order], np.arange(len(numbers) + 1))
    for late in np.unique(second[alike]):  # in rising order: what is early has its color already
        # Objects that come later have theirs, too, unless they move on themselves, when they will look at this one.
        around = colors[neighbors[starts[late] : starts[late + 1]]].astype(int)
        others = _hues(numbers[late] + np.arange(TRIES) * 5)
        distances = np.abs(others[:, None].astype(int) - around).sum(axis=2).min(axis=1)
        good = np.flatnonzero(distances >= DISTINCT)
        colors[late] = others[good[0] if len(good) else distances.argmax()]
    colors[numbers == 0] = 0
    colors[numbers == IGNORE_OBJECT] = IGNORED_COLOR
    return colors


def _hues(numbers):
    """Returns the colors with the hues n·φ, bright and fairly pure, uint8 (len(numbers), 3)."""
    hue = np.asarray(numbers, np.float64) * GOLDEN % 1
    # Red is full within 1/6 of hue 0 and falls to nothing at 1/3; green is the same around 1/3, blue around 2/3.
    distance = np.abs((hue[:, None] - np.array([0, 1 / 3, 2 / 3]) + 0.5) % 1 - 0.5)
    return (70 + 185 * np.clip(2 - 6 * distance, 0, 1)).astype(np.uint8)


def _neighbors(segments, numbers):
    """Returns the pairs of objects that lie close together, as indices into numbers, the lower one first."""
    pairs = []
    for step in range(1, NEAR + 2):
        pairs += [(segments[step:], segments[:-step]), (segments[:, step:], segments[:, :-step])]
    a = np.concatenate([one.ravel() for one, _ in pairs]).astype(np.int64)
    b = np.concatenate([other.ravel() for _, other in pairs]).astype(np.int64)
    objects = (a != b) & (a > 0) & (b > 0) & (a != IGNORE_OBJECT) & (b != IGNORE_OBJECT)
    a, b = a[objects], b[objects]
    codes = np.unique((np.minimum(a, b) << 16) | np.maximum(a, b))
    return np.searchsorted(numbers, codes >> 16), np.searchsorted(numbers, codes & 0xFFFF)


# ---- lines and numbers ----


def _outlines(segments, thickness):
    """Returns the pixels of objects within `thickness` steps of a pixel that is not of the same object, bool (H, W).

    The edge of the image does not count, as in outline.py.
    """
    inside = np.ones(segments.shape, bool)
    s = np.pad(segments, 1, mode="edge")
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        inside &= s[dy : dy + len(segments), dx : dx + segments.shape[1]] == segments
    for _ in range(thickness - 1):
        p = np.pad(inside, 1, constant_values=True)
        inside = inside & p[:-2, 1:-1] & p[2:, 1:-1] & p[1:-1, :-2] & p[1:-1, 2:]
    return ~inside & (segments != 0) & (segments != IGNORE_OBJECT)


def _draw_boxes(canvas: Image.Image, objects: Objects, colors: NDArray) -> None:
    draw = ImageDraw.Draw(canvas)
    for number, (x0, y0, x1, y1) in zip(objects.numbers, objects.boxes.tolist()):
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=tuple(colors[number].tolist()))


def _draw_numbers(canvas: Image.Image, segments: NDArray, objects: Objects) -> None:
    if len(objects) > MOST_NUMBERS:
        return
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default()
    draw.fontmode = "1"  # no half tones: at 10 pixels they only blur
    for number, (y, x) in zip(objects.numbers.tolist(), _places(segments, objects).tolist()):
        text = str(number)
        left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
        # Numbers of objects at the edge stay within the image.
        x0 = min(max(x - (right - left) // 2, 1), max(canvas.width - (right - left) - 1, 1)) - left
        y0 = min(max(y - (bottom - top) // 2, 1), max(canvas.height - (bottom - top) - 1, 1)) - top
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):  # a dark rim, so that it can be read on anything
            draw.text((x0 + dx, y0 + dy), text, fill=(0, 0, 0), font=font)
        draw.text((x0, y0), text, fill=(255, 255, 255), font=font)


def _places(segments, objects):
    """Returns the pixel (y, x) of each object that is nearest to its centroid, int (A, 2): of a ring, on it."""
    y, x = np.nonzero((segments != 0) & (segments != IGNORE_OBJECT))
    index = np.searchsorted(objects.numbers, segments[y, x])
    squares = (y - objects.centroids[index, 0]) ** 2 + (x - objects.centroids[index, 1]) ** 2
    order = np.lexsort((squares, index))
    first = order[np.cumsum(objects.areas) - objects.areas]
    return np.stack([y[first], x[first]], axis=1)
