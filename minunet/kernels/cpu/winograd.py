"""Half the products for windows of three rows: Winograd's F(4, 3).

Four neighboring outputs of a column are y_i = d_i w_0 + d_(i+1) w_1 + d_(i+2) w_2, i = 0 … 3. That is twelve products
of the six numbers d under their windows with the three taps w. Six are enough, and the reason is one about polynomials.

Multiply p(t) = p_0 + p_1 t + p_2 t² + p_3 t³ by w(t) = w_0 + w_1 t + w_2 t². Coefficient by coefficient that is twelve
products as well. But p(t) w(t) has degree 5, so it is known from six of its values, and a value of a product is the
product of the values. Take t = 0, ±3/4, ±3/2, and ∞, by which the leading coefficient is meant:

    A  (6, 4)   from the coefficients of p to its values: the row of t is 1, t, t², t³, that of ∞ is 0, 0, 0, 1
    G  (6, 3)   the same for w
    B  (6, 6)   from the six values back to the coefficients of p w

    p w = B [(A p) · (G w)]          · multiplies number by number: the six products

With w fixed, this is a matrix that turns four numbers, p, into six. Its column i holds w_0, w_1, w_2, from row i on. So
its transpose turns six numbers d into four, and these are the y above:

    y = Aᵀ [(G w) · (Bᵀ d)]

In a convolution, d are six rows of the image and w the three rows of the kernel. Each of the six products becomes one
of matrices: the windows of a row of Bᵀ d, KW·C numbers each, times a row of G w as a matrix (KW·C, F). G, Bᵀ and Aᵀ are
applied as matrix products, too. Sums take time, so this is for layers where the products take more (`pays`).

Backward transposes once more. gx is a convolution, with the kernel flipped. What it multiplies, v = Bᵀ gz, also makes
the gradient of the kernel, as in backward.py: gw = Gᵀ gu, with gu = (A x)ᵀ v for each of the six.

The sums round. In float32, results are off by 0.4 to 1.6 millionths of the largest one where plain products are off by
0.2 to 0.7 (measured on the lecture's layers); a number that should be 0 may be 1e-8 (`kernels.plain_products`). The
points decide how much: 0, ±1, ±2, which one would take to calculate by hand, make half as much again, since the powers
of 2 are large beside those of 1. And one number that is not finite makes the four rows of its tile NaN, since 0 · ∞ is
NaN.

Source: Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional
Neural Networks", 2016, who do it along both axes: a quarter of the products, and so many sums that NumPy gains nothing.
"""

import numpy as np

from minunet.kernels import products_are_plain
from minunet.kernels.cpu.items import item_type
from minunet.kernels.cpu.patches import cut
from minunet.kernels.cpu.products import by_columns
from minunet.kernels.threads import scratch

ROWS = 4  # output rows of a tile
POINTS = (0, 0.75, -0.75, 1.5, -1.5)  # and ∞
MANY_WEIGHTS = 128  # in a tap of the kernel, from which fewer products are faster (measured)
BLOCK_BYTES = 3 << 19  # of windows per block: they stay in the cache
SMALL_PRODUCT = 10**6  # multiplications up to which OpenBLAS does not copy what it multiplies: a product for each row
LONG_ROW = 48  # windows in a row from which that is faster in backward, too (measured)


def _powers(count):
    """Returns the matrix (6, count) from a polynomial's coefficients to its values."""
    infinity = np.eye(1, count, count - 1)
    return np.concatenate([np.vander(POINTS, count, increasing=True), infinity])


A, G, B = _powers(ROWS), _powers(3), np.linalg.inv(_powers(len(POINTS) + 1))


def pays(N, kernel_shape, windows):
    """Returns whether the products of N images are those of this file."""
    KH, _, C, F = kernel_shape
    OH, OW = windows.out_size
    fits = KH == 3 and windows.stride[0] == 1 and OH % ROWS == 0
    enough = C * F >= MANY_WEIGHTS and N * OH * OW >= max(C, F)  # else the sums cost more than they save
    return fits and enough and not products_are_plain()


def blocks(N, row_bytes, windows):
    """Returns the output rows of N images in blocks (images, rows), as `patches.blocks` does; each has whole tiles."""
    OH, OW = windows.out_size
    tile_bytes = len(A) * OW * windows.kernel_size[1] * row_bytes
    tiles = cut(N, OH // ROWS, BLOCK_BYTES // max(1, tile_bytes))
    return [(images, slice(ROWS * rows.start, ROWS * rows.stop)) for images, rows in tiles]


def of_kernel(w):
    """Returns G w, six matrices (6, KW·C, F)."""
    _, KW, C, F = w.shape
    u = np.empty((len(G), KW * C, F), w.dtype)
    by_columns(G.astype(w.dtype), np.ascontiguousarray(w).reshape(3, -1), u.reshape(len(G), -1))
    return u


def window_matrices(strip, rows, windows):
    """Returns the windows of Bᵀ d (6, tiles, OW, KW·C) for a strip of the image, in scratch memory.

    Bᵀ d itself is not needed any longer, so its memory ("values") is used again by the functions below.
    """
    KW, SW, OW = windows.kernel_size[1], windows.stride[1], windows.out_size[1]
    count, height, columns, C = strip.shape
    s_n, s_h, _, size = strip.strides
    tiles = (height - 2) // ROWS
    d = np.ndarray((count, tiles, len(B), columns * C), strip.dtype, strip, 0, (s_n, ROWS * s_h, s_h, size))
    t = np.matmul(B.T.astype(d.dtype), d, out=scratch("values", d.shape, d.dtype))
    window_row = item_type(KW * C, d.dtype)  # its numbers are neighbors, as in patches.py
    windows_of_t = np.ndarray((count, tiles, len(B), OW), window_row, t, 0, (*t.strides[:3], SW * C * size))
    v = scratch("windows", (len(B), count, tiles, OW), window_row)
    v[...] = windows_of_t.transpose(2, 0, 1, 3)
    return np.ndarray((len(B), count * tiles, OW, KW * C), d.dtype, v)


def multiply(v, u, out):
    """out = Aᵀ [v u]. out: the output rows, contiguous."""
    tiles, OW, K = v.shape[1:]
    F = u.shape[2]
    m = scratch("values", (len(A), tiles, OW * F), v.dtype)
    rows = tiles if OW * K * F <= SMALL_PRODUCT else 1
    np.matmul(v.reshape(len(A), rows, -1, K), u[:, None], out=m.reshape(len(A), rows, -1, F))
    np.matmul(A.T.astype(m.dtype), m.transpose(1, 0, 2), out=out.reshape(tiles, ROWS, OW * F))


def kernel_products(v, gy):
    """Returns (A gy)ᵀ v (6, F, KW·C), the share of some output rows in the six gu. gy: those rows, contiguous."""
    tiles, OW, K = v.shape[1:]
    a = scratch("values", (len(A), tiles, OW * gy.shape[-1]), v.dtype)
    np.matmul(A.astype(v.dtype), gy.reshape(tiles, ROWS, -1), out=a.transpose(1, 0, 2))
    rows = tiles if OW >= LONG_ROW else 1
    a = a.reshape(len(A), rows, -1, gy.shape[-1])
    products = a.swapaxes(2, 3) @ v.reshape(len(A), rows, -1, K)
    return products[:, 0] if rows == 1 else products.sum(axis=1)


def kernel_gradient(total, windows):
    """Returns Gᵀ gu, the gradient of the kernel (F, 3, KW, C), from the sum of all `kernel_products`."""
    F = total.shape[1]
    gw = np.empty((3, F, windows.kernel_size[1], total.shape[2] // windows.kernel_size[1]), total.dtype)
    by_columns(G.T.astype(total.dtype), total.reshape(len(G), -1), gw.reshape(3, -1))
    return gw.swapaxes(0, 1)
