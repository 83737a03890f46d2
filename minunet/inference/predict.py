"""What a trained network says about whole images, of any size: resized, at full resolution, or in tiles.

Resized. The network was trained on images of one size, to which each was resized, 256 x 256 for example. In a
photograph of 4000 x 3000 a pet is twelve to sixteen times as large as it would have been there: the network sees fur
and no animal. So an image is resized as in training, and the outputs are resized back. This is the default.

At full resolution. For a network that was trained so, or to see what it makes of details: `model.predict`. It keeps a
few activations of the whole image in memory, about 110 bytes per pixel for the lecture's network.

In tiles. The same as at full resolution, for images that are too large for that: one window after another. An output
pixel depends on the image around it, so a window must reach beyond the pixels that it answers for. How far? Take the
output pixel at the left edge of a window's answer, x = 0, and follow what it depends on to the left, back to the image.
Level 0 is the image's, level D the bottleneck.

Through the decoder. Let u_l be the leftmost pixel that the two 3x3 convolutions of level l read. At level 0 they look 2
further than the output pixel. Pixel u_l was upsampled from pixel ⌊u_l / 2⌋ of the level below, whose convolutions look
2 further again:

    u_0 = -2,   u_(l+1) = ⌊u_l / 2⌋ - 2           -2, -3, -4, -4, … and never below -4

Through the encoder. Let v_l be the leftmost pixel that the convolutions of level l read on the way down. At the bottom
they are the same, so v_D = u_D, at worst -4. Pixel v_(l+1) was pooled from 2 v_(l+1) and the pixel right of it, and the
convolutions that made these look 2 further:

    v_D = -4,   v_l = 2 v_(l+1) - 2               -4, -10, -22, … and v_0 = -(6·2^D - 2) on the image

The skip connections reach less far: over skip l it is u_l - 2, at worst -6, where v_l is -10 or less.

On the right it is the same, mirrored. So 6·2^D pixels beyond are enough, 384 for the lecture's D = 6, if the edges of
windows and answers lie at multiples of 2^D: then a window pools the same pixels into one as the whole image does.
(Elsewhere the grouping differs, and with it the answer, also in the middle.) At the edges of the image a window ends
too, and both continue with the same zeros. The result is the answer of the whole image at every pixel, at the edges of
the image and of the tiles too, up to the rounding of float32: the tests allow 1e-5 in a probability.

With a smaller margin tiles cost less and are no longer exact: the farthest pixels weigh little, but they weigh
something. Answers overlap by 2^D pixels and are blended there from one into the other, so that such a difference, or
one of rounding, becomes a slope and never a seam.

The paper's network, of valid convolutions, is cut into tiles as the paper does it: overlap_tile.py.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.data.sample import resize_image
from minunet.inference.overlap_tile import overlap_tiles, predict_overlap_tiles
from minunet.models import SegmentationModel, UNet2015
from minunet.models.unet import reflected_indices


def predict_resized(
    model: SegmentationModel,
    images: Sequence[NDArray],
    size: int | tuple[int, int],
    rescale: Callable[[NDArray, tuple[float, float]], NDArray] | None = None,
) -> list[NDArray]:
    """Returns the outputs for images of any size: each is resized to the training size, and its outputs back.

    images: uint8 (H, W, 3) each; size: (H, W), or an int for squares. rescale: what becomes of outputs that are lengths
    in pixels, see `Task.rescale`. Returns float32 arrays (H, W, out_channels), each of its own image's size.
    """
    height, width = (size, size) if isinstance(size, int) else size
    outputs = model.predict(np.stack([resize_image(image, (height, width)) for image in images])).astype(np.float32)
    resized = []
    for output, image in zip(outputs, images, strict=True):
        own = image.shape[:2]
        resized.append(np.empty((*own, model.out_channels), np.float32))
        for k in range(model.out_channels):  # one after the other: they may be large
            resized[-1][..., k] = resize_image(output[..., k], own)
        if rescale is not None:
            resized[-1] = rescale(resized[-1], (own[0] / height, own[1] / width))
    return resized


def exact_margin(depth: int) -> int:
    """Returns how many pixels beyond its answer a window must see for the answer to be that of the whole image."""
    return 6 * 2**depth


def check_tile(depth: int, tile: int, margin: int) -> None:
    """Raises ValueError, naming the sizes that fit, unless windows of this size and margin do."""
    step = 2**depth
    least = 2 * margin + 2 * step
    if margin < 0 or margin % step:
        raise ValueError(f"the margin is {margin} pixels: at depth {depth} it must be a multiple of {step}")
    if tile < least or tile % step:
        raise ValueError(
            f"the tile size is {tile} pixels: at depth {depth} it must be a multiple of {step}, at least {least}; "
            "the larger the tiles, the less is computed twice"
        )


def check_tiles(model: SegmentationModel, tile: int, margin: int | None = None) -> None:
    """Raises ValueError, naming the sizes that fit, for what `predict_tiled` would not take."""
    if not isinstance(model, UNet2015):
        check_tile(model.depth, tile, exact_margin(model.depth) if margin is None else margin)
    elif margin not in (None, model.margin):
        raise ValueError(
            f"the margin is {margin} pixels: a network of valid convolutions sees exactly {model.margin} beyond its "
            "answer: leave the margin out"
        )
    else:
        overlap_tiles(1, tile, model.depth)


def predict_tiled(model: SegmentationModel, image: NDArray, tile: int = 2048, margin: int | None = None) -> NDArray:
    """Returns the outputs at full resolution, computed in overlapping square windows and blended.

    image: uint8 (H, W, in_channels). tile: side of a window in pixels, a multiple of 2**model.depth. margin: how far a
    window sees beyond its answer, a multiple of 2**model.depth; by default as far as the answer depends on anything, so
    that it is that of model.predict(image) up to rounding. Returns float32 (H, W, out_channels). Raises ValueError for
    a tile size or margin that does not fit.

    For a UNet2015: tile is the most that a window may see, and its margin is what it is; nothing needs to be blended.
    """
    check_tiles(model, tile, margin)
    if isinstance(model, UNet2015):
        return predict_overlap_tiles(model, image, tile)
    margin = exact_margin(model.depth) if margin is None else margin
    step = 2**model.depth
    rows, columns = (reflected_indices(n, step) for n in image.shape[:2])  # as model.predict pads the whole image
    answer = np.zeros((len(rows), len(columns), model.out_channels), np.float32)
    for down in _windows(len(rows), tile, margin, step):
        for across in _windows(len(columns), tile, margin, step):
            p = model.predict(image[np.ix_(rows[down.seen], columns[across.seen])])
            weight = down.weight[:, None, None] * across.weight[:, None]
            answer[down.answered, across.answered] += weight * p[down.inner, across.inner]
    return answer[: image.shape[0], : image.shape[1]]


class _Window(NamedTuple):
    """A window along one axis: slices of the image, and how its answer is weighted, pixel by pixel."""

    seen: slice
    answered: slice
    inner: slice  # `answered` within `seen`
    weight: NDArray


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
