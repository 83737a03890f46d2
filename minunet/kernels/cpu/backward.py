"""The gradients of a convolution, on all cores.

`convolve_backward` makes one pass over gy. The window slides by one pixel, so gx = Pᵀ(gz Wᵀ) is a convolution too: of
gz, with the kernel flipped. And the windows of gz that it multiplies are all that gW needs:

    for each block of rows of x:
        strip    = gz under the block: gy where y > 0, zero-padded                   (scratch memory)
        matrices = all windows of the strip: some rows of P(gz)                      (scratch memory, see patches.py)
        gx[block] = matrices @ flipped W                                             (or winograd.py's products)
        gW += x[block]ᵀ @ matrices                                                   (flipped back at the end)
        gb += the rows of the strip

gw[k,l,c,f] is a sum over the pixels of x, each times the gz whose window has the pixel under tap (k, l). Seen from the
pixel, that gz lies under tap (KH-1-k, KW-1-l) of the flipped kernel.

Of two arrays side by side (`beside`), the block of x is put together in scratch memory, and that of gx is cut in two.

With a larger stride, and where gx is not needed, each of the three is computed on its own. (An infinite number at the
edge of x makes one more tap of gW NaN than necessary: it meets the zeros of gz's padding, and 0 · ∞ is NaN.)
"""

import functools

import numpy as np

from minunet.kernels.cpu import patches
from minunet.kernels.cpu.convolution import (
    as_convolution,
    convolve_transposed,
    flipped,
    flipped_pads,
    in_pairs,
    way_to_multiply,
    wide,
)
from minunet.kernels.cpu.items import as_items, put_side_by_side
from minunet.kernels.cpu.patches import Windows
from minunet.kernels.cpu.pointwise import concatenate, split
from minunet.kernels.cpu.products import by_columns, few_pixels
from minunet.kernels.cpu.sums import relu_gradient_and_sum, sum_over_pixels
from minunet.kernels.threads import in_parallel, scratch


def convolve_backward(x, w, gy, y, stride, pads, needs, beside=None):
    """(gx, gw, gb), with `beside` (gx, gw, gb, gbeside), as in `reference.convolve_backward`."""
    needs_gx, needs_gw, needs_gb, *needs_gbeside = needs
    needs_gx = needs_gx or any(needs_gbeside)
    size, kernel_size = x.shape[1:3], w.shape[:2]
    gy_pads = flipped_pads(gy.shape[1:3], size, kernel_size, pads)
    if needs_gx and needs_gw and as_convolution(gy, w, stride, gy_pads):
        gradients = _in_one_pass(x, w, gy, y, gy_pads, beside)
    else:
        gradients = _one_by_one(x, w, gy, y, stride, pads, (needs_gx, needs_gw, needs_gb), beside)
    return tuple(gradient if need else None for gradient, need in zip(gradients, needs))


def _one_by_one(x, w, gy, y, stride, pads, needs, beside):
    """(gx, gw, gb, gbeside), each computed on its own."""
    if beside is not None:
        gx, gw, gb, _ = _one_by_one(concatenate(x, beside), w, gy, y, stride, pads, needs, None)
        gx, gbeside = (None, None) if gx is None else split(gx, x.shape[3])
        return gx, gw, gb, gbeside
    needs_gx, needs_gw, needs_gb = needs
    gz, gb = gy, None
    if y is not None:
        gz, gb = relu_gradient_and_sum(gy, y)
    elif needs_gb:
        gb = sum_over_pixels(gy)
    gw = weight_gradient(x, gz, w.shape[:2], stride, pads) if needs_gw else None
    gx = convolve_transposed(gz, w, None, stride, pads, x.shape[1:3]) if needs_gx else None
    return gx, gw, gb, None


def _in_one_pass(x, w, gy, y, pads, beside):
    """(gx, gw, gb, gbeside) for windows that slide by one pixel; pads: those of gy, from flipped_pads."""
    x, gy, y, beside = (None if array is None else np.ascontiguousarray(array) for array in (x, gy, y, beside))
    KH, KW, C, F = w.shape
    (N, H, W, A), OH = x.shape, gy.shape[1]
    w_back, pair = flipped(w), 1
    if in_pairs(W, C, KW, (1, 1)):
        w_back, pair = wide(w_back), 2
    windows = Windows(w_back.shape[:2], (1, pair), pads, (H, W // pair))
    way = way_to_multiply(N, w_back.shape, windows)
    gx, gbeside = (None if array is None else np.empty(array.shape, array.dtype) for array in (x, beside))
    W_back = way.of_kernel(w_back)

    def task(chunk):
        products, sums = None, 0
        for n, rows in chunk:
            strip = way.strip_under(gy[n], rows, windows, None if y is None else y[n])
            matrices = way.window_matrices(strip, rows, windows)
            block, gx_block = x[n, rows], gx[n, rows]
            if beside is not None:
                size = n.stop - n.start, rows.stop - rows.start, W, C
                block, gx_block = scratch("block of x", size, x.dtype), scratch("block of gx", size, x.dtype)
                put_side_by_side(x[n, rows], beside[n, rows], block)
            pairs = len(block), -1, W // pair, pair * C
            way.multiply(matrices, W_back, gx_block.reshape(pairs))
            products = _added(products, way.kernel_products(matrices, block.reshape(pairs)))
            if beside is not None:
                as_items(gx[n, rows])[...] = as_items(gx_block[..., :A])
                as_items(gbeside[n, rows])[...] = as_items(gx_block[..., A:])
            first, stop = way.first_row(rows, windows), OH if rows.stop == H else rows.stop
            sums = sums + strip[:, rows.start - first : stop - first].reshape(-1, strip.shape[2] * F).sum(axis=0)
        return products, sums

    done = in_parallel(task, way.blocks(N, F * x.itemsize, windows))
    if not done:
        return gx, np.zeros(w.shape, w.dtype), np.zeros(F, x.dtype), gbeside
    totals, sums = zip(*done)
    gw = way.kernel_gradient(functools.reduce(_added, totals), windows)
    gw = gw.reshape(pair, C, *windows.kernel_size, F)
    gw = gw[0] if pair == 1 else gw[0, :, :, :-1] + gw[1, :, :, 1:]  # of the wide kernel
    gw = np.ascontiguousarray(gw[:, ::-1, ::-1].transpose(1, 2, 0, 3))
    return gx, gw, sum(sums).reshape(-1, F).sum(axis=0), gbeside


def weight_gradient(x, gy, kernel_size, stride, pads):
    """gW = P(x)ᵀ gy, each thread summing over its own blocks. Shapes as in `reference.weight_gradient`."""
    x, gy = np.ascontiguousarray(x), np.ascontiguousarray(gy)
    KH, KW = kernel_size
    N, OH, OW, F = gy.shape
    if in_pairs(OW, F, KW, stride):
        wide = weight_gradient(x, gy.reshape(N, OH, OW // 2, 2 * F), (KH, KW + 1), (stride[0], 2), pads)
        wide = wide.reshape(KH, KW + 1, -1, 2, F)
        return wide[:, :-1, :, 0] + wide[:, 1:, :, 1]
    windows, C = Windows(kernel_size, stride, pads, (OH, OW)), x.shape[3]
    way = way_to_multiply(N, (KH, KW, C, F), windows)
    if way is patches and few_pixels(N * OH * OW, (KH, KW, C, F)) and not windows.in_columns:
        gw = np.empty((KH, KW, C, F), x.dtype)
        strip = patches.strip_under(x, slice(0, OH), windows)
        P = patches.window_matrices(strip, slice(0, OH), windows)[0]
        by_columns(P.T, gy.reshape(-1, F), gw.reshape(-1, F))
        return gw

    def task(chunk):
        total = None
        for n, rows in chunk:
            matrices = way.window_matrices(way.strip_under(x[n], rows, windows), rows, windows)
            total = _added(total, way.kernel_products(matrices, gy[n, rows]))
        return total

    totals = in_parallel(task, way.blocks(N, C * x.itemsize, windows))
    if not totals:
        return np.zeros((KH, KW, C, F), x.dtype)
    gw = way.kernel_gradient(functools.reduce(_added, totals), windows)
    return np.ascontiguousarray(gw.transpose(1, 2, 3, 0))


def _added(total, array):
    """Returns total + array, in the memory of total; array itself where there is no total yet."""
    return array if total is None else np.add(total, array, out=total)
