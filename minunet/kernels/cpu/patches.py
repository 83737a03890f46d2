"""Blocks of output rows, and the rows of P(x) under each of them, in scratch memory."""

import numpy as np

from minunet.kernels.cpu.items import item_type
from minunet.kernels.threads import get_num_threads, scratch

BLOCK_BYTES = 2 << 20  # of P(x) per block: it stays in the cache, and deep layers do not read their W too often


def blocks(N, OH, bytes_per_row):
    """Returns the N·OH output rows in blocks (images, rows) of about BLOCK_BYTES of P(x), two slices each.

    A block is some rows of one image or, where images are small, several whole ones. Each thread gets at least one
    block if there are enough rows.
    """
    rows_wanted = max(1, min(BLOCK_BYTES // max(1, bytes_per_row), -(-N * OH // get_num_threads())))
    if rows_wanted >= OH:
        step = max(1, rows_wanted // max(1, OH))
        return [(slice(n, min(n + step, N)), slice(0, OH)) for n in range(0, N, step)]
    step = -(-OH // -(-OH // rows_wanted))  # blocks of nearly equal height
    return [(slice(n, n + 1), slice(i, min(i + step, OH))) for n in range(N) for i in range(0, OH, step)]


def patch_matrix(x, n, rows, kernel_size, stride, pads, OW):
    """Returns the windows under output `rows` of images `n`: rows of P(x), (pixels, KH·KW·C), in scratch memory."""
    (KH, KW), (SH, SW), C = kernel_size, stride, x.shape[3]
    if (KH, KW, SH, SW) == (1, 1, 1, 1) and not any(map(sum, pads)):
        return x[n, rows].reshape(-1, C)  # P(x) is x
    seen = strip(x[n], rows.start * SH, (rows.stop - 1) * SH + KH, pads)
    count, OH = len(seen), rows.stop - rows.start
    s_n, s_h, s_w, _ = seen.strides
    window_row = item_type(KW * C, x.dtype)  # the numbers under one row of a window are neighbors
    windows = np.ndarray((count, OH, OW, KH), window_row, seen, 0, (s_n, s_h * SH, s_w * SW, s_h))
    patches = scratch("patches", windows.shape, window_row)
    for k in range(KH):
        patches[..., k] = windows[..., k]
    return np.ndarray((count * OH * OW, KH * KW * C), x.dtype, patches)


def strip(x, start, stop, pads):
    """Returns rows start to stop of the zero-padded x, in scratch memory; a view of x where no padding is needed."""
    (top, _), (left, right) = pads
    N, H, W, C = x.shape
    first, last = max(start - top, 0), min(stop - top, H)
    if not (left or right) and last - first == stop - start and (N == 1 or last - first == H):
        return x[:, first:last]  # the rows are contiguous in x itself
    padded, inside = zero_edged(x.shape, start, stop, pads, x.dtype)
    inside[...] = x[:, first : max(first, last)]
    return padded


def zero_edged(shape, start, stop, pads, dtype):
    """Returns scratch memory for rows `start` to `stop` of padded images of `shape`, the padding set to 0; and the
    part of it that belongs to the images, to be filled.
    """
    (top, _), (left, right) = pads
    N, H, W, C = shape
    first, last = max(start - top, 0), min(stop - top, H)
    above, below = first - (start - top), max(first, last) - (start - top)
    padded = scratch("strip", (N, stop - start, W + left + right, C), dtype)
    padded[:, :above] = 0
    padded[:, below:] = 0
    padded[:, :, :left] = 0
    padded[:, :, left + W :] = 0
    return padded, padded[:, above:below, left : left + W]
