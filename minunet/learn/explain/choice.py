"""What of a network fits into a page: the rule by which maps and pixels are chosen.

All weights of the lecture's network are 26 MB, and all that its layers write for an image of 256 x 256 is as much
again. So a page holds

    maps     of each layer at most 16, those whose values vary most; of a concatenation half of them from each side;
             fewer if their filters would take more than a quarter of a megabyte
    pixels   each layer has an equal part of 3.3 MB. If what it read and wrote takes at most 2.8 times that,
             every pixel is there; else a grid of pixels with their windows, as many as fit into its part

and says which pixels these are: a click goes to the nearest of them.
"""

import numpy as np
from numpy.typing import NDArray

MOST_MAPS = 16
WEIGHT_BYTES = 250_000
PAGE_BYTES = 3_300_000
WHOLE = 2.8
FLOAT = 4  # bytes


def most_varied(output: NDArray, most: int) -> list[int]:
    """Returns at most `most` channels of an output (H, W, C), those of the largest variance, in rising order.

    >>> most_varied(np.array([[[1.0, 5, 3], [1, 9, 4]]]), 2)
    [1, 2]
    """
    variance = output.astype(np.float64).var(axis=(0, 1))
    return sorted(np.argsort(-variance, kind="stable")[:most].tolist())


def choose_maps(output: NDArray, halves: list[int], bytes_per_map: int = 0) -> list[int]:
    """Returns the channels of an output (H, W, C) that the page shows.

    halves: the channels of what was concatenated, else [C]. bytes_per_map: what the weights of one of them take.
    """
    most = min(MOST_MAPS, max(4, WEIGHT_BYTES // bytes_per_map)) if bytes_per_map else MOST_MAPS
    if sum(halves) <= most:
        return list(range(sum(halves)))
    chosen: list[int] = []
    start = 0
    for number, channels in enumerate(halves):
        room = (most - len(chosen)) // (len(halves) - number)
        chosen += [start + c for c in most_varied(output[..., start : start + channels], room)]
        start += channels
    return chosen


def choose_pixels(size: tuple[int, int], bytes_per_pixel: int, budget: int) -> tuple[list[int], ...]:
    """Returns the rows and the columns of a grid of pixels that take at most `budget` bytes, the edges included.

    >>> choose_pixels((9, 9), 100, 900)
    ([0, 4, 8], [0, 4, 8])
    """
    H, W = size
    pixels = max(4, budget // bytes_per_pixel)
    rows = min(H, max(2, int((pixels * H / W) ** 0.5)))
    columns = min(W, max(2, pixels // rows))
    rows = min(H, max(2, pixels // columns))
    return spread(H, rows), spread(W, columns)


def spread(n: int, count: int) -> list[int]:
    """Returns `count` of the numbers 0 … n - 1, evenly spread, the first and the last among them; all if n is less."""
    return np.unique(np.linspace(0, n - 1, min(n, count)).round().astype(int)).tolist()
