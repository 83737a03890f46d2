"""The gradients of a convolution, on all cores.

`convolve_backward` makes one pass over gy. The window slides by one pixel, so gx = Pᵀ(gz Wᵀ) is a convolution too: of
gz, with the kernel flipped. And the windows of gz that it multiplies are all that gW needs:

    for each block of rows of x:
        strip    = gz under the block: gy where y > 0, zero-padded                   (scratch memory)
        matrices = all windows of the strip: some rows of P(gz)                      (scratch memory, see patches.py)
        gx[block] = matrices @ flipped W
        gW += x[block]ᵀ @ matrices                                                   (flipped back at the end)
        gb += the rows of the strip

gw[k,l,c,f] is a sum over the pixels of x, each times the gz whose window has the pixel under tap (k, l). Seen from the
pixel, that gz lies under tap (KH-1-k, KW-1-l) of the flipped kernel.

With a larger stride, and where gx is not needed, each of the three is computed on its own. (An infinite number at the
edge of x makes one more tap of gW NaN than necessary: it meets the zeros of gz's padding, and 0 · ∞ is NaN.)
"""

import numpy as np

from minunet.kernels.cpu import winograd
from minunet.kernels.cpu.convolution import as_convolution, convolve_transposed, flipped, flipped_pads, in_pairs, wide
from minunet.kernels.cpu.patches import Windows, blocks, strip_under, window_matrices
from minunet.kernels.cpu.products import by_columns, few_pixels
from minunet.kernels.cpu.sums import relu_gradient_and_sum, sum_over_pixels
from minunet.kernels.threads import in_parallel


def convolve_backward(x, w, gy, y, stride, pads, needs):
    """(gx, gw, gb) as in `reference.convolve_backward`."""
    needs_gx, needs_gw, needs_gb = needs
    size, kernel_size = x.shape[1:3], w.shape[:2]
    gy_pads = flipped_pads(gy.shape[1:3], size, kernel_size, pads)
    if needs_gx and needs_gw and as_convolution(gy, w, stride, gy_pads):
        gx, gw, gb = _in_one_pass(x, w, gy, y, gy_pads)
        return gx, gw, gb if needs_gb else None
    gz, gb = gy, None
    if y is not None:
        gz, gb = relu_gradient_and_sum(gy, y)
    elif needs_gb:
        gb = sum_over_pixels(gy)
    gw = weight_gradient(x, gz, kernel_size, stride, pads) if needs_gw else None
    gx = convolve_transposed(gz, w, None, stride, pads, size) if needs_gx else None
    return gx, gw, gb if needs_gb else None


def _in_one_pass(x, w, gy, y, pads):
    """(gx, gw, gb) for windows that slide by one pixel; pads: those of gy, from flipped_pads."""
    x, gy, y = (None if array is None else np.ascontiguousarray(array) for array in (x, gy, y))
    KH, KW, C, F = w.shape
    (N, H, W, _), OH = x.shape, gy.shape[1]
    W_back, pair = flipped(w), 1
    if in_pairs(W, C, KW, (1, 1)):
        W_back, pair = wide(W_back), 2
    windows = Windows(W_back.shape[:2], (1, pair), pads, (H, W // pair))
    fewer_products = winograd.pays(N, W_back.shape, windows)
    W_back = winograd.of_kernel(W_back) if fewer_products else W_back.reshape(-1, pair * C)
    gx = np.empty(x.shape, x.dtype)

    def task(chunk):
        products, sums = None, 0
        for n, rows in chunk:
            strip = strip_under(gy[n], *windows.rows_under(rows), pads, None if y is None else y[n])
            if fewer_products:
                matrices = winograd.window_matrices(strip, windows)
                winograd.multiply(matrices, W_back, out=gx[n, rows])
                gu = winograd.kernel_products(matrices, x[n, rows])
                products = gu if products is None else np.add(products, gu, out=products)
            else:
                matrices = window_matrices(strip, rows, windows)
                x_rows, gx_rows = (array[n, rows].reshape(len(matrices), -1, pair * C) for array in (x, gx))
                np.matmul(matrices, W_back, out=gx_rows)
                products = _add_products(products, x_rows, matrices)
            own = slice(pads[0][0], pads[0][0] + (OH if rows.stop == H else rows.stop) - rows.start)
            sums = sums + strip[:, own].reshape(-1, strip.shape[2] * F).sum(axis=0)
        return products, sums

    cut_up = winograd.blocks if fewer_products else blocks
    done = in_parallel(task, cut_up(N, F * x.itemsize, windows))
    totals, sums = zip(*done) if done else ((), ())
    if fewer_products:
        gw = winograd.kernel_gradient(_added(totals, None, None))
        gw = gw.reshape(3, pair, C, -1, F).transpose(1, 2, 0, 3, 4)
    else:
        gw = _added(totals, (pair * C, windows.kernel_size[0] * windows.kernel_size[1] * F), x.dtype)
        gw = gw.reshape(pair, C, *windows.kernel_size, F)
    gw = gw[0] if pair == 1 else gw[0, :, :, :-1] + gw[1, :, :, 1:]  # of the wide kernel
    gw = np.ascontiguousarray(gw[:, ::-1, ::-1].transpose(1, 2, 0, 3))
    gb = sum(sums, np.zeros(F, x.dtype)) if not sums else sum(sums).reshape(-1, F).sum(axis=0)
    return gx, gw, gb


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
    if few_pixels(N * OH * OW, (KH, KW, C, F)) and not windows.in_columns:
        gw = np.empty((KH * KW * C, F), x.dtype)
        P = window_matrices(strip_under(x, *windows.rows_under(slice(0, OH)), pads), slice(0, OH), windows)[0]
        by_columns(P.T, gy.reshape(-1, F), gw)
        return gw.reshape(KH, KW, C, F)

    def task(chunk):
        total = None
        for n, rows in chunk:
            matrices = window_matrices(strip_under(x[n], *windows.rows_under(rows), pads), rows, windows)
            total = _add_products(total, matrices, gy[n, rows].reshape(len(matrices), -1, F))
        return total

    totals = in_parallel(task, blocks(N, C * x.itemsize, windows))
    return _added(totals, (KH * KW * C, F), x.dtype).reshape(KH, KW, C, F)


def _add_products(total, left, right):
    """Returns total + leftᵀ right, summed over the matrices (products, pixels, K) and (products, pixels, F): (K, F)."""
    products = left.transpose(0, 2, 1) @ right
    product = products[0] if len(products) == 1 else products.sum(axis=0)
    return product if total is None else np.add(total, product, out=total)


def _added(totals, shape, dtype):
    """Returns the sum of the threads' arrays, in the first of them."""
    result = totals[0] if totals else np.zeros(shape, dtype)
    for other in totals[1:]:
        result += other
    return result
