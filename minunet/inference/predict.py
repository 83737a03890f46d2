"""What a trained network says about whole pictures, of any size.

Squeezed. The network has learnt from pictures of one size, into which each was stretched, 256 x 256 for
example. In a photograph of 4000 x 3000 a pet is fifteen times as large as any that it has seen: it sees fur
and no animal. So a picture is stretched as in training, and the probabilities back. This is the default.

At full resolution. For a network that was trained so, or to see what it makes of details: `model.predict`.
It keeps a few activations of the whole picture in memory, 250 bytes per pixel for the lecture's network.

In tiles. The same as at full resolution, for pictures that are too large for that: windows one after
another. A mask pixel depends on the picture around it, so a window must reach beyond the pixels that it
answers for. How far? Follow a mask pixel at the left edge of a window's answer, x = 0, back to the picture.
Let a be the leftmost pixel that it depends on, counted at the level that was reached. Two 3x3 convolutions
look 2 further, and a pixel that was upsampled comes from ⌊a/2⌋ one level below:

    up      a_0 = -2,   a_(l+1) = ⌊a_l / 2⌋ - 2              -2, -3, -4, -4, … and never below -4

A pixel at the bottom was pooled from 2a and 2a + 1 one level above, where two convolutions look 2 further:

    down    a_l = 2 a_(l+1) - 2                              -4, -10, -22, …, -(6·2^D - 2) after D levels

On the right it is the same, mirrored. So 6·2^D pixels beyond are enough, 384 for the lecture's D = 6, if
the edges of windows and answers lie at multiples of 2^D: then a window groups the same pixels into one
pooled pixel as the whole picture does. (Elsewhere the grouping differs, and so does the answer,
everywhere.) At the edges of the picture a window ends too, and both continue with the same zeros. What
comes out is the answer of the whole picture at every pixel, at the edges of the picture and of the tiles
too, up to the rounding of float32: the tests allow 1e-5 in a probability.

With a smaller margin tiles cost less and are no longer exact: the farthest pixels weigh little, but they
weigh. Answers overlap by 2^D pixels and are blended there from one into the other, so that such a
difference, or one of rounding, becomes a slope and never a seam.
"""

from typing import NamedTuple

import numpy as np

from minunet.data.sample import height_width, resize_image


def predict_squeezed(model, images, size):
    """Probabilities for pictures of any size, each stretched to the size of training, and the answer back.

    images: list of uint8 (H, W, 3); size: (H, W), or an int for squares.
    Returns a list of float32 (H, W), of each picture's own size.
    """
    squeezed = np.stack([resize_image(image, height_width(size)) for image in images])
    answers = model.predict(squeezed)[..., 0].astype(np.float32)
    return [resize_image(p, image.shape[:2]) for p, image in zip(answers, images, strict=True)]


def exact_margin(depth):
    """How many pixels beyond its answer a window must see for the answer to be that of the whole picture."""
    return 6 * 2**depth


def check_tile(depth, tile, margin):
    """Raises ValueError, naming the sizes that fit, unless windows of this size and margin can do."""
    step = 2**depth
    least = 2 * margin + 2 * step
    if margin < 0 or margin % step:
        fitting = f"{depth} poolings need a multiple of {step}"
        raise ValueError(f"a margin of {margin} pixels does not fit: {fitting}")
    if tile < least or tile % step:
        fitting = f"{depth} poolings need a multiple of {step} from {least} on"
        raise ValueError(f"tiles of {tile} pixels do not fit: {fitting}; larger ones compute less twice")


def predict_tiled(model, image, tile=2048, margin=None):
    """Probabilities at full resolution, computed in overlapping square windows and blended.

    image: uint8 (H, W, in_channels). tile: side of a window in pixels, a multiple of 2**model.depth. margin:
    how far a window sees beyond its answer, a multiple of 2**model.depth; by default as far as the answer
    depends on anything, so that it is that of model.predict(image) up to rounding.
    Returns float32 (H, W, out_channels). Raises ValueError for a tile or margin that does not fit.
    """
    margin = exact_margin(model.depth) if margin is None else margin
    check_tile(model.depth, tile, margin)
    step = 2**model.depth
    rows, columns = (_reflected(n, step) for n in image.shape[:2])
    answer = np.zeros((len(rows), len(columns), model.out_channels), np.float32)
    for down in _windows(len(rows), tile, margin, step):
        for across in _windows(len(columns), tile, margin, step):
            p = model.predict(image[np.ix_(rows[down.seen], columns[across.seen])])
            weight = down.weight[:, None, None] * across.weight[:, None]
            answer[down.answered, across.answered] += weight * p[down.inner, across.inner]
    return answer[: image.shape[0], : image.shape[1]]


class _Window(NamedTuple):
    """A window along one axis: slices of the picture, and how its answer is weighed, pixel by pixel."""

    seen: slice
    answered: slice
    inner: slice  # `answered` within `seen`
    weight: np.ndarray


def _windows(n, tile, margin, overlap):
    """The windows that cover n pixels; wherever two answers overlap, their weights add up to 1.

    >>> for window in _windows(20, tile=12, margin=2, overlap=2):
    ...     print(window.seen, window.answered)
    slice(0, 12, None) slice(0, 10, None)
    slice(6, 18, None) slice(8, 16, None)
    slice(12, 20, None) slice(14, 20, None)
    """
    slope = ((np.arange(overlap) + 0.5) / overlap).astype(np.float32)
    windows, start, stop = [], 0, 0
    while stop < n:
        stop = min(start + tile, n)
        first, last = start + margin if start else 0, stop if stop == n else stop - margin
        weight = np.ones(last - first, np.float32)
        if first:
            weight[:overlap] = slope
        if last < n:
            weight[-overlap:] = slope[::-1]
        inner = slice(first - start, last - start)
        windows.append(_Window(slice(start, stop), slice(first, last), inner, weight))
        start += tile - 2 * margin - overlap
    return windows


def _reflected(n, step):
    """The indices of n pixels and of those mirrored behind, up to a multiple of `step` (model.predict)."""
    return np.pad(np.arange(n), (0, -n % step), mode="reflect")
