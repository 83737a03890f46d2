"""Convolution, its transpose and its weights' gradient, as matrix products on all cores.

P(x) is KH·KW times as large as x, if the stride is 1, so a large one is not built as a whole. The output is cut into
blocks of rows. The windows under a block fit into the processor's cache; there they are multiplied by W while they are
warm, and the next block overwrites them:

    for each block of output rows:
        strip   = the rows of x under the block, zero-padded                         (scratch memory)
        windows = all windows of the strip: some rows of P(x)                        (scratch memory)
        y[block] = windows @ W, + b, negative → 0 while it is warm

Where rows are long, the windows are those of sliding.py, which copies each row of a window once. Short rows are for
patches.py, which copies all of P(x) and needs one product for the block. Both copies are cheap because the channels
come last: KW·C numbers that are neighbors in the image are neighbors in a window too (items.py).

Where a layer has few filters, the product is as narrow as W, and the processor's wide registers stay half empty. So two
neighboring pixels of a row are computed as one (`in_pairs`), with a window that is one pixel wider:

    y[n,i, 2j + t, f]  is filter t·F + f of the wide kernel:  wide[k, l + t, c, t·F + f] = w[k,l,c,f], 0 elsewhere

A quarter of the products are with zeros, but P(x) is two thirds as large, and the product twice as wide. (Four pixels
at a time would be too many zeros. And where x is infinite, 0 · ∞ turns one more pixel than necessary into NaN.)
"""

import numpy as np

from minunet.kernels.cpu.items import as_items
from minunet.kernels.cpu.patches import blocks, patch_matrix, strip
from minunet.kernels.cpu.sliding import LONG_ROW, row_windows
from minunet.kernels.threads import in_parallel, scratch
from minunet.kernels.windows import crop, output_size, tap

FEW_FILTERS = 16  # up to this many, pairs of pixels are faster (measured)


def convolve(x, w, b, stride, pads, relu=False):
    """y = P(x) W + b; negative results become 0 if `relu`. Shapes as in `reference.convolve`."""
    x = np.ascontiguousarray(x)
    KH, KW, C, F = w.shape
    OH, OW = output_size(x.shape[1:3], (KH, KW), stride, pads)
    if in_pairs(OW, F, KW, stride):
        b = None if b is None else np.tile(b, 2)
        y = convolve(x, wide_kernel(w), b, (stride[0], 2), pads, relu)
        return y.reshape(-1, OH, OW, F)
    y = np.empty((len(x), OH, OW, F), x.dtype)
    W = np.ascontiguousarray(w).reshape(KH * KW * C, F)
    # b and 0 repeated along a row: NumPy is several times faster on long rows than on F numbers, or one, at a time
    b_row = None if b is None else np.tile(b, OW)
    zero_row = np.zeros(OW * F, x.dtype)

    def task(chunk):
        for n, rows in chunk:
            windows = windows_under(x, n, rows, (KH, KW), stride, pads, OW)
            np.matmul(windows, W, out=y[n, rows].reshape(*windows.shape[:-1], F))
            whole_rows = y[n, rows].reshape(-1, OW * F)
            if b is not None:
                np.add(whole_rows, b_row, out=whole_rows)
            if relu:
                np.maximum(whole_rows, zero_row, out=whole_rows)

    in_parallel(task, blocks(len(x), OH, bytes_per_row(x, (KH, KW), OW)))
    return y


def windows_under(x, n, rows, kernel_size, stride, pads, OW):
    """Returns the windows under output `rows` of images n, (…, KH·KW·C) in scratch memory, as the file says."""
    if not slides(kernel_size, OW):
        return patch_matrix(x, n, rows, kernel_size, stride, pads, OW)
    seen = strip(x[n], rows.start * stride[0], (rows.stop - 1) * stride[0] + kernel_size[0], pads)
    return row_windows(seen, rows.stop - rows.start, kernel_size, stride, OW)


def slides(kernel_size, OW):
    """Returns whether the windows are those of sliding.py."""
    return kernel_size[0] > 1 and OW >= LONG_ROW


def bytes_per_row(x, kernel_size, OW):
    """Returns how many bytes the windows under one output row take."""
    return OW * kernel_size[1] * x.shape[3] * x.itemsize * (1 if slides(kernel_size, OW) else kernel_size[0])


def in_pairs(OW, F, KW, stride):
    """Returns whether two pixels of a row are computed as one."""
    return F <= FEW_FILTERS and OW % 2 == 0 and KW > 1 and stride[1] == 1


def wide_kernel(w):
    """Returns the kernel (KH, KW + 1, C, 2F) that computes two pixels as one."""
    KH, KW, C, F = w.shape
    wide = np.zeros((KH, KW + 1, C, 2, F), w.dtype)
    wide[:, :-1, :, 0] = wide[:, 1:, :, 1] = w
    return wide.reshape(KH, KW + 1, C, 2 * F)


def convolve_transposed(y, w, b, stride, pads, size):
    """x = Pᵀ(y Wᵀ) + b. Shapes as in `reference.convolve_transposed`."""
    KH, KW, C, F = w.shape
    around_y = flipped_pads(y.shape[1:3], size, (KH, KW), pads)
    many_pixels = y.shape[0] * y.shape[1] * y.shape[2] > 2 * F  # for few, flipping w would cost more than it saves
    if stride == (1, 1) and many_pixels and min(map(min, around_y)) >= 0:
        # The window slides by one pixel: Pᵀ is a convolution too, its kernel flipped both ways, C and F swapped.
        flipped = np.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))
        return convolve(y, flipped, b, (1, 1), around_y)
    return _scatter(np.ascontiguousarray(y), w, b, stride, pads, size)


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

    def task(chunk):
        for n, _ in chunk:
            count = n.stop - n.start
            products = scratch("values", (count, OH, OW, KH, KW, C), y.dtype)
            np.matmul(y[n].reshape(-1, F), Wt, out=products.reshape(-1, KH * KW * C))
            if tiles:
                rows = products.reshape(count, OH, OW, KH, KW * C).transpose(0, 1, 3, 2, 4)
                as_items(x[n].reshape(count, OH, KH, OW, KW * C))[:] = as_items(rows)
            else:
                x[n] = _add_windows(products, stride, pads, size)
            if b is not None:
                x[n].reshape(-1, W * C)[:] += b_row

    bytes_per_image = OH * OW * KH * KW * C * y.itemsize
    in_parallel(task, blocks(N, 1, bytes_per_image))  # an image counts as one row here
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


def weight_gradient(x, gy, kernel_size, stride, pads):
    """gW = P(x)ᵀ gy, each thread summing over its own blocks. Shapes as in `reference.weight_gradient`."""
    x, gy = np.ascontiguousarray(x), np.ascontiguousarray(gy)
    KH, KW = kernel_size
    N, OH, OW, F = gy.shape
    if in_pairs(OW, F, KW, stride):
        wide = weight_gradient(x, gy.reshape(N, OH, OW // 2, 2 * F), (KH, KW + 1), (stride[0], 2), pads)
        wide = wide.reshape(KH, KW + 1, -1, 2, F)
        return wide[:, :-1, :, 0] + wide[:, 1:, :, 1]
    K = KH * KW * x.shape[3]

    def task(chunk):
        total = None
        for n, rows in chunk:
            windows = windows_under(x, n, rows, kernel_size, stride, pads, OW)
            product = sum_of_products(windows, gy[n, rows].reshape(*windows.shape[:-1], F))
            total = product if total is None else np.add(total, product, out=total)
        return total

    totals = in_parallel(task, blocks(N, OH, bytes_per_row(x, kernel_size, OW)))
    gw = totals[0] if totals else np.zeros((K, F), x.dtype)
    for other in totals[1:]:
        gw += other
    return gw.reshape(KH, KW, x.shape[3], F)


def sum_of_products(a, b):
    """Returns Σ aᵀ b over all the matrices in a (…, M, K) and b (…, M, F), a matrix (K, F)."""
    products = np.matmul(np.swapaxes(a, -1, -2), b)
    return products.reshape(-1, *products.shape[-2:]).sum(axis=0)
