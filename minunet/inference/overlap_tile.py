"""The overlap-tile strategy of the U-Net paper: images of any size through a network of valid convolutions.

Such a network answers for the inside of what it sees, `margin` pixels from the edges (models/valid_sizes.py). So an
image is mirrored around its edges by that much, and cut into windows whose answers lie side by side: the paper's
figure 2, which tile_picture.py draws. Nothing needs to be blended. Every number of an answer comes from the very pixels
that the whole image would have given it, so the answer in tiles is that of the whole, pixel for pixel, up to the
rounding of float32. Two things must be right for that:

Windows begin at multiples of 2^D. Pooling takes the pixels two by two, four times over; a window that began elsewhere
would pair other pixels than the whole image does, and would answer differently, everywhere. The paper asks only that
each pooling sees an even number of pixels, which is not enough.

Answers overlap. Their size is 4 above a multiple of 2^D (388 = 24·16 + 4), so a window that began where the last answer
ended would begin 4 too late. The windows move on by 384, and the last 4 rows of an answer are computed twice. Where 4
is itself a multiple of 2^D, in networks of one or two levels, nothing is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.models import UNet2015
from minunet.models.valid_sizes import input_size, margin, mirrored_indices, nearest_sizes, output_size


class Tile(NamedTuple):
    """One window along an axis: what it sees of the mirrored image, and what it answers for.

    seen      rows of the mirrored image, which begins `margin` rows before the image.
    answered  rows of the image.
    inner     the same rows within the window's answer.
    """

    seen: slice
    answered: slice
    inner: slice


def overlap_tiles(n: int, tile: int, depth: int = 4) -> list[Tile]:
    """Returns the windows that cover n pixels: each answers for pixels of its own, and together for all.

    tile: the most pixels that a window may see; the next smaller size that fits is taken, for the last window as small
    a size as is enough. Raises ValueError, naming the least, for a tile size that is too small.

    >>> for window in overlap_tiles(500, tile=572):
    ...     print(window.seen, window.answered)
    slice(0, 572, None) slice(0, 388, None)
    slice(384, 684, None) slice(388, 500, None)
    """
    overlap = 4 % 2**depth
    least = least_tile(depth)
    if tile < least:
        raise ValueError(
            f"the tile size is {tile} pixels: at depth {depth} it must be at least {least}; the larger the tiles, the "
            "less is computed twice"
        )
    tile = nearest_sizes(tile, depth)[0]
    whole, windows, start, done = input_size(n, depth), [], 0, 0
    while done < n:
        stop = min(start + tile, whole)
        first, done = done, min(start + output_size(stop - start, depth), n)
        windows.append(Tile(slice(start, stop), slice(first, done), slice(first - start, done - start)))
        start += output_size(tile, depth) - overlap
    return windows


def least_tile(depth: int = 4) -> int:
    """Returns the smallest tile size: its answer must be larger than what answers overlap by.

    >>> least_tile(), output_size(least_tile())
    (204, 20)
    """
    return input_size(4 % 2**depth + 1, depth)


def predict_overlap_tiles(model: UNet2015, image: NDArray, tile: int) -> NDArray:
    """Returns the outputs at full resolution, float32 (H, W, out_channels): those of model.predict, up to rounding.

    image: uint8 (H, W, in_channels). tile: as for `overlap_tiles`, which raises ValueError.
    """
    rows, columns = (mirrored_indices(n, model.depth) for n in image.shape[:2])
    answer = np.empty((*image.shape[:2], model.out_channels), np.float32)
    for down in overlap_tiles(image.shape[0], tile, model.depth):
        for across in overlap_tiles(image.shape[1], tile, model.depth):
            y = model.predict_inside(image[np.ix_(rows[down.seen], columns[across.seen])])
            answer[down.answered, across.answered] = y[down.inner, across.inner]
    return answer


def surroundings(image: NDArray, depth: int = 4) -> tuple[NDArray, int]:
    """Returns the image as the network sees it, with its edges mirrored, and how many rows come before its first."""
    rows, columns = (mirrored_indices(n, depth) for n in image.shape[:2])
    return image[np.ix_(rows, columns)], margin(depth)
