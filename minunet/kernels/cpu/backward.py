"""The backward of a convolution, ReLU included, in one pass over gy.

    gz = gy where y > 0, else 0        gb = Σ gz        gW = P(x)ᵀ gz        gx = Pᵀ(gz Wᵀ)

With stride 1, gx is a convolution too: of gz with the flipped kernel, C and F swapped. The window of gz that pixel
(p, q) of x then looks at holds every gz that this pixel had a part in, so the same windows give the weights' gradient:

    gw[k,l,c,f] = Σ over (n,i,j) of x[n, i + k - top, j + l - left, c] · gz[n,i,j,f]
                = Σ over (n,p,q) of x[n,p,q,c] · gz[n, p + top - k, q + left - l, f]

with gz = 0 outside of its image. So for a block of rows of x, the gz under it is made in scratch memory; its windows Q
are built once (sliding.py) and used twice,

    gx[block] = Q · flipped W         flipped gW += x[block]ᵀ Q

and gb is summed as it passes. No gz as a whole is written to memory and read again.
"""

import numpy as np

from minunet.kernels.cpu.convolution import (
    bytes_per_row,
    convolve_transposed,
    flipped_pads,
    in_pairs,
    slides,
    sum_of_products,
    weight_gradient,
    wide_kernel,
)
from minunet.kernels.cpu.patches import blocks, zero_edged
from minunet.kernels.cpu.pointwise import where_positive
from minunet.kernels.cpu.sliding import row_windows
from minunet.kernels.cpu.sums import relu_gradient_and_sum, sum_over_pixels
from minunet.kernels.threads import in_parallel


def convolve_backward(x, w, gy, y, stride, pads, needs):
    """(gx, gw, gb), None for what is not needed. Shapes as in `reference.convolve_backward`."""
    around = flipped_pads(gy.shape[1:3], x.shape[1:3], w.shape[:2], pads)
    if stride == (1, 1) and min(map(min, around)) >= 0 and slides(w.shape[:2], x.shape[2]) and (needs[0] or needs[1]):
        return _in_one_pass(x, w, gy, y, around, needs)
    gz, gb = relu_gradient_and_sum(gy, y) if y is not None else (gy, sum_over_pixels(gy) if needs[2] else None)
    gw = weight_gradient(x, gz, w.shape[:2], stride, pads) if needs[1] else None
    gx = convolve_transposed(gz, w, None, stride, pads, x.shape[1:3]) if needs[0] else None
    return gx, gw, gb


def _in_one_pass(x, w, gy, y, pads, needs):
    """pads: those of gz, for the flipped kernel."""
    x, gy, y = (None if array is None else np.ascontiguousarray(array) for array in (x, gy, y))
    N, H, W, C = x.shape
    flipped = np.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))  # (KH, KW, F, C)
    pairs = in_pairs(W, C, w.shape[1], (1, 1))
    kernel, columns, stride = (wide_kernel(flipped), W // 2, (1, 2)) if pairs else (flipped, W, (1, 1))
    KH, KW, F, _ = kernel.shape
    x = x.reshape(N, H, columns, -1)
    gx = np.empty(x.shape, x.dtype) if needs[0] else None
    matrix = kernel.reshape(KH * KW * F, -1)

    def task(chunk):
        gw, gb = 0, 0
        for n, rows in chunk:
            gz, gb_rows = _gz_strip(gy, y, n, rows, KH, pads)
            windows = row_windows(gz, rows.stop - rows.start, (KH, KW), stride, columns)
            gb = gb + gb_rows
            if needs[0]:
                np.matmul(windows, matrix, out=gx[n, rows])
            if needs[1]:
                gw = gw + sum_of_products(x[n, rows], windows)
        return gw, gb

    totals = in_parallel(task, blocks(N, H, bytes_per_row(gy, (KH, KW), columns)))
    gw, gb_row = (sum(parts) for parts in zip(*totals))
    if needs[1]:
        gw = gw.reshape(-1, KH, KW, F)
        if pairs:
            gw = gw[:C, :, :-1] + gw[C:, :, 1:]
        gw = np.ascontiguousarray(gw[:, ::-1, ::-1].transpose(1, 2, 0, 3))
    gx = None if gx is None else gx.reshape(N, H, W, C)
    return gx, gw if needs[1] else None, gb_row.reshape(-1, F).sum(axis=0) if needs[2] else None


def _gz_strip(gy, y, n, rows, KH, pads):
    """Returns gz under `rows` of x, zero-padded, in scratch memory, and the sum (OW, F) of the rows that it adds to gb.

    A row of gz lies under the windows of several blocks. It counts in the block that has its number; those beyond the
    last row of x, in the last block.
    """
    top, OH = pads[0][0], gy.shape[1]
    first, last = max(rows.start - top, 0), min(rows.stop - 1 + KH - top, OH)
    strip, gz = zero_edged((n.stop - n.start, *gy.shape[1:]), rows.start, rows.stop - 1 + KH, pads, gy.dtype)
    if y is None:
        gz[...] = gy[n, first:last]
    else:
        where_positive(gy[n, first:last], y[n, first:last], gz)
    counted = gz[:, rows.start - first : None if last == OH else rows.stop - first]
    return strip, counted.sum(axis=(0, 1))
