"""The windows under a block of output rows as matrices, ready to be multiplied, in scratch memory.

P(x), a row of KH·KW·C numbers for each output pixel, is KH·KW times as large as x if the stride is 1, so it is built
for some output rows at a time, from a strip: the rows of x under them, zero-padded. It comes in one of two layouts.

patches   P(x) itself: one matrix, all windows of the block one below the other.
columns   Where rows are long. Windows above one another share all but one of their rows, so only the rows of windows
          are copied: Q[j, i] has the KW·C numbers of row i under the windows of column j. Of one column:

              strip            Q[j]                      windows (0, j), (1, j), (2, j): each is a part of Q[j]
              row 0   · a b c ·       a b c  ┐
              row 1   · d e f ·       d e f  │ ┐         a b c d e f g h i
              row 2   · g h i ·       g h i  ┘ │ ┐             d e f g h i j k l
              row 3   · j k l ·       j k l    ┘ │                   g h i j k l m n o
              row 4   · m n o ·       m n o      ┘

          The numbers of Q[j] lie one behind the other in memory, so window (i, j) is there already: KH·KW·C numbers
          that begin at Q[j, i·SH]. The windows of output row i are a matrix whose rows are as far apart as Q[j] and
          Q[j + 1]. A matrix product takes such a matrix as it is: the BLAS asks how far apart the rows are. So each
          number is copied about KW times, not KH·KW times, and there is one product per output row.

In a short row the product would be too small; there, patches are faster (measured).

The functions below the layouts multiply them. winograd.py has functions of the same names, which do the same with half
the products; convolution.py and backward.py use one file or the other.
"""

from typing import NamedTuple

import numpy as np

from minunet.kernels.cpu.items import item_type, put_side_by_side
from minunet.kernels.cpu.pieces import cut
from minunet.kernels.cpu.pointwise import where_positive
from minunet.kernels.cpu.products import by_rows, sum_by_rows
from minunet.kernels.threads import scratch

BLOCK_BYTES = 2 << 20  # of windows per block: they stay in the cache, and deep layers do not read their W too often
LONG_ROW = 48  # windows in an output row from which columns are faster (measured)


class Windows(NamedTuple):
    """How windows slide over an image, and how many there are."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    out_size: tuple[int, int]

    @property
    def in_columns(self):
        """Whether their matrices are columns."""
        return self.out_size[1] >= LONG_ROW and self.kernel_size[0] > self.stride[0]


def blocks(N, row_bytes, windows):
    """Returns the output rows of N images in blocks (images, rows), two slices each, of about BLOCK_BYTES of windows.

    row_bytes: of a pixel of the image. A block is some rows of one image or, where images are small, several whole
    ones.
    """
    (KH, KW), SH, (OH, OW) = windows.kernel_size, windows.stride[0], windows.out_size
    window_row = OW * KW * row_bytes
    if windows.in_columns:
        fit = (BLOCK_BYTES // max(1, window_row) - KH) // SH + 1
    else:
        fit = BLOCK_BYTES // max(1, KH * window_row)
    return cut(N, OH, fit, several_images=not windows.in_columns)


def first_row(rows, windows):
    """Returns which row of the image is the first one of the strip under output `rows`; negative if it is padding."""
    return rows.start * windows.stride[0] - windows.pads[0][0]


def strip_under(x, rows, windows, y=None, beside=None):
    """Returns the rows of the zero-padded x under output `rows`, in scratch memory; a view where no padding is needed.

    With y, shaped like x: of x where y > 0, else 0. With `beside`: of both, side by side along the channels.
    """
    (left, right), (N, H, W, C) = windows.pads[1], x.shape
    C += 0 if beside is None else beside.shape[3]
    start, height = first_row(rows, windows), (rows.stop - 1 - rows.start) * windows.stride[0] + windows.kernel_size[0]
    first, last = max(start, 0), min(start + height, H)
    if y is beside is None and not (left or right) and last - first == height and (N == 1 or height == H):
        return x[:, first:last]  # the rows are contiguous in x itself
    strip = scratch("strip", (N, height, W + left + right, C), x.dtype)
    above, below = first - start, max(first, last) - start
    strip[:, :above] = 0
    strip[:, below:] = 0
    strip[:, :, :left] = 0
    strip[:, :, left + W :] = 0
    inside, pixels = strip[:, above:below, left : left + W], slice(first, max(first, last))
    if beside is not None:
        put_side_by_side(x[:, pixels], beside[:, pixels], inside)
    elif y is None:
        inside[...] = x[:, pixels]
    else:
        where_positive(x[:, pixels], y[:, pixels], inside)
    return strip


def window_matrices(strip, rows, windows):
    """Returns the windows under output `rows` as matrices (products, pixels, KH·KW·C), usually in scratch memory.

    strip (images, rows, columns, C): what lies under them, padded. Row by row, the pixels of all matrices are those of
    the output. It is one matrix, or one for each output row.
    """
    (KH, KW), (SH, SW), OW = windows.kernel_size, windows.stride, windows.out_size[1]
    (count, height, _, C), OH = strip.shape, rows.stop - rows.start
    if (KH, KW, SH, SW) == (1, 1, 1, 1):
        return strip.reshape(1, -1, C)  # P(x) is x
    s_n, s_h, s_w, _ = strip.strides
    window_row = item_type(KW * C, strip.dtype)  # the numbers under one row of a window are neighbors
    if windows.in_columns:
        columns = scratch("windows", (OW, height), window_row)
        columns[...] = np.ndarray((OW, height), window_row, strip, 0, (s_w * SW, s_h))
        size = window_row.itemsize
        return np.ndarray(
            (OH, OW, KH * KW * C), strip.dtype, columns, 0, (SH * size, height * size, strip.dtype.itemsize)
        )
    taps = np.ndarray((count, OH, OW, KH), window_row, strip, 0, (s_n, s_h * SH, s_w * SW, s_h))
    patches = scratch("windows", taps.shape, window_row)
    for k in range(KH):
        patches[..., k] = taps[..., k]
    return np.ndarray((1, count * OH * OW, KH * KW * C), strip.dtype, patches)


def of_kernel(w):
    """Returns W, the kernel as a matrix (KH·KW·C, F)."""
    return np.ascontiguousarray(w).reshape(-1, w.shape[3])


def multiply(matrices, W, out, b_row=None):
    """out = P(x) W, + b_row in each row. out: the output rows, contiguous."""
    if len(matrices) == 1:
        by_rows(matrices[0], W, out.reshape(-1, W.shape[1]))
    else:
        np.matmul(matrices, W, out=out.reshape(len(matrices), -1, W.shape[1]))
    if b_row is not None:
        whole_rows = out.reshape(-1, len(b_row))
        np.add(whole_rows, b_row, out=whole_rows)


def kernel_products(matrices, gy):
    """Returns gyᵀ P(x) (F, KH·KW·C), the share of some output rows in gWᵀ. gy: those rows, contiguous."""
    if len(matrices) == 1:
        return sum_by_rows(gy.reshape(-1, gy.shape[-1]), matrices[0])
    return (gy.reshape(len(matrices), -1, gy.shape[-1]).transpose(0, 2, 1) @ matrices).sum(axis=0)


def kernel_gradient(total, windows):
    """Returns the gradient of the kernel (F, KH, KW, C) from the sum of all `kernel_products`."""
    return total.reshape(len(total), *windows.kernel_size, -1)
