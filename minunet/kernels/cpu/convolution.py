"""Convolution and its transpose, as matrix products on all cores.

The output is cut into blocks of rows. The windows under a block fit into the processor's cache; there they are
multiplied by W while the cache still has them, and the next block overwrites them:

    for each block of output rows:
        strip    = the rows of x under the block, zero-padded                        (scratch memory)
                   (and beside their numbers those of a second array, if there is one)
        matrices = all windows of the strip: some rows of P(x)                       (scratch memory, see patches.py)
        y[block] = matrices @ W, + b, negative → 0 while it is warm

For most layers winograd.py does the last two lines with half the products.

The copy is cheap because the channels come last: KW·C numbers that are neighbors in the image are neighbors in a
window too (items.py).

Where a layer has few filters, the product is as narrow as W, and the processor's wide registers stay half empty. So two
neighboring pixels of a row are computed as one (`in_pairs`), with a window that is one pixel wider:

    y[n,i, 2j + t, f]  is filter t·F + f of the wide kernel:  wide[k, l + t, c, t·F + f] = w[k,l,c,f], 0 elsewhere

A quarter of the products are with zeros, but fewer numbers are copied, and the product is twice as wide. (Four pixels
at a time would be too many zeros. And where x is infinite, 0 · ∞ turns one more pixel than necessary into NaN.)

Where a layer has few pixels and many weights, W is cut, not the output: products.py says why.
"""

import numpy as np

from minunet.kernels.cpu import patches, winograd
from minunet.kernels.cpu.items import as_items
from minunet.kernels.cpu.patches import BLOCK_BYTES, Windows
from minunet.kernels.cpu.pieces import cut
from minunet.kernels.cpu.pooling import max_pool
from minunet.kernels.cpu.products import by_columns, by_rows, few_pixels
from minunet.kernels.threads import in_parallel, scratch
from minunet.kernels.windows import POOL, crop, output_size, tap

FEW_FILTERS = 10  # up to this many, pairs of pixels are faster (measured)


def convolve(x, w, b, stride, pads, relu=False, beside=None, pool=False):
    """y = P(x) W + b; negative results become 0 if `relu`. Shapes, and `pool`, as in `reference.convolve`."""
    if pool:
        y = convolve(x, w, b, stride, pads, relu, beside)
        return y, *max_pool(y, *POOL)
    x, beside = (None if array is None else np.ascontiguousarray(array) for array in (x, beside))
    KH, KW, C, F = w.shape
    OH, OW = output_size(x.shape[1:3], (KH, KW), stride, pads)
    if in_pairs(OW, F, KW, stride):
        b = None if b is None else np.tile(b, 2)
        return convolve(x, wide(w), b, (stride[0], 2), pads, relu, beside).reshape(-1, OH, OW, F)
    windows = Windows((KH, KW), stride, pads, (OH, OW))
    way = way_to_multiply(len(x), w.shape, windows)
    y = np.empty((len(x), OH, OW, F), x.dtype)
    W = way.of_kernel(w)
    if way is patches and few_pixels(len(x) * OH * OW, w.shape) and not windows.in_columns:
        strip = patches.strip_under(x, slice(0, OH), windows, beside=beside)
        by_columns(patches.window_matrices(strip, slice(0, OH), windows)[0], W, y.reshape(-1, F))
        if b is not None:
            y += b
        return np.maximum(y, 0, out=y) if relu else y
    # b and 0 repeated along a row: NumPy is several times faster on long rows than on F numbers, or one, at a time
    b_row = None if b is None else np.tile(b, OW)
    zero_row = np.zeros(OW * F, x.dtype)

    def task(chunk):
        for n, rows in chunk:
            strip = way.strip_under(x[n], rows, windows, beside=None if beside is None else beside[n])
            way.multiply(way.window_matrices(strip, rows, windows), W, y[n, rows], b_row)
            if relu:
                whole_rows = y[n, rows].reshape(-1, OW * F)
                np.maximum(whole_rows, zero_row, out=whole_rows)

    blocks = way.blocks(len(x), C * x.itemsize, windows)
    in_parallel(task, blocks, chunks=len(blocks))
    return y


def way_to_multiply(N, w_shape, windows):
    """Returns the file with the products that suit N images: patches or winograd. Both have the same functions."""
    return winograd if winograd.pays(N, w_shape, windows) else patches


def in_pairs(OW, F, KW, stride):
    """Returns whether two pixels of a row are computed as one."""
    return F <= FEW_FILTERS and OW % 2 == 0 and KW > 1 and stride[1] == 1


def wide(w):
    """Returns the kernel (KH, KW + 1, C, 2·F) that computes two neighboring pixels."""
    KH, KW, C, F = w.shape
    wide = np.zeros((KH, KW + 1, C, 2, F), w.dtype)
    wide[:, :-1, :, 0] = wide[:, 1:, :, 1] = w
    return wide.reshape(KH, KW + 1, C, 2 * F)


def convolve_transposed(y, w, b, stride, pads, size):
    """x = Pᵀ(y Wᵀ) + b. Shapes as in `reference.convolve_transposed`."""
    back = flipped_pads(y.shape[1:3], size, w.shape[:2], pads)
    if as_convolution(y, w, stride, back):
        return convolve(y, flipped(w), b, (1, 1), back)
    return _scatter(np.ascontiguousarray(y), w, b, stride, pads, size)


def as_convolution(y, w, stride, pads):
    """Returns whether Pᵀ is computed as a convolution with the flipped kernel: the window must slide by one pixel.

    pads: those of y, from flipped_pads.
    """
    many_pixels = y.shape[0] * y.shape[1] * y.shape[2] >= w.shape[3]  # else flipping w costs more than it saves
    return stride == (1, 1) and many_pixels and min(map(min, pads)) >= 0


def flipped(w):
    """Returns the kernel that goes the other way: flipped both ways, C and F swapped."""
    return np.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))


def flipped_pads(out_size, size, kernel_size, pads):
    """Returns the padding of y that lets the flipped kernel reach all of x: K - 1 - p before, what is missing after."""
    before = [k - 1 - p[0] for k, p in zip(kernel_size, pads)]
    return tuple((p, n + k - 1 - o - p) for p, n, k, o in zip(before, size, kernel_size, out_size))


def _scatter(y, w, b, stride, pads, size):
    """Pᵀ step by step: the product y Wᵀ, then each tap's numbers added to its pixels, some images at a time."""
    KH, KW, C, F = w.shape
    N, OH, OW, _ = y.shape
    H, W = size
    Wt = np.ascontiguousarray(w).reshape(KH * KW * C, F).T
    x = np.empty((N, H, W, C), y.dtype)
    tiles = (KH, KW) == stride and (H, W) == (OH * KH, OW * KW)  # the windows lie side by side and cover x
    b_row = None if b is None else np.tile(b, W)
    of_all = None
    if few_pixels(N * OH * OW, w.shape):
        of_all = scratch("windows", (N, OH, OW, KH, KW, C), y.dtype)
        by_columns(y.reshape(-1, F), Wt, of_all.reshape(-1, KH * KW * C))

    def task(chunk):
        for n, rows in chunk:
            count, height = y[n, rows].shape[:2]
            if of_all is not None:
                products = of_all[n, rows]
            else:
                products = scratch("windows", (count, height, OW, KH, KW, C), y.dtype)
                by_rows(y[n, rows].reshape(-1, F), Wt, products.reshape(-1, KH * KW * C))
            if tiles:
                covered = x[n, rows.start * KH : rows.stop * KH]
                products = products.reshape(count, height, OW, KH, KW * C).transpose(0, 1, 3, 2, 4)
                as_items(covered.reshape(count, height, KH, OW, KW * C))[:] = as_items(products)
            else:
                covered = x[n]
                covered[:] = _add_windows(products, stride, pads, size)
            if b is not None:
                covered.reshape(-1, W * C)[:] += b_row

    fit = BLOCK_BYTES // max(1, OW * KH * KW * C * y.itemsize)
    if tiles and fit < OH:
        in_parallel(task, cut(N, OH, fit))
    else:
        in_parallel(task, [(n, slice(0, OH)) for n, _ in cut(N, 1, fit // max(1, OH))])  # an image counts as a row here
    return x


def _add_windows(products, stride, pads, size):
    """Returns images of `size`, in scratch memory: `products` (count, OH, OW, KH, KW, C), added up over the windows."""
    count, OH, OW, KH, KW, C = products.shape
    (top, bottom), (left, right) = pads
    padded = scratch("padded", (count, size[0] + top + bottom, size[1] + left + right, C), products.dtype)
    padded[:] = 0
    for k, l in np.ndindex(KH, KW):
        pixels = tap(padded, k, l, stride, (OH, OW))
        pixels += products[:, :, :, k, l]
    return crop(padded, pads, size)
