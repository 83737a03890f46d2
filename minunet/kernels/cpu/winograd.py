"""Half the products for windows of three rows: Winograd's F(4, 3).

Four neighboring outputs of a column, y_i = d_i w_0 + d_(i+1) w_1 + d_(i+2) w_2 for i = 0 … 3, take twelve products. Here
they take six, and sums. The idea is one about polynomials. Let p(t) = p_0 + p_1 t + p_2 t² + p_3 t³ and
w(t) = w_0 + w_1 t + w_2 t². Multiplied coefficient by coefficient, they take twelve products. But p(t) w(t) is of degree
5, so six of its values decide it: at t = 0, 1, -1, 2, -2, and at ∞, by which its leading coefficient is meant. A value
of a product is the product of the values, so six products are enough:

    A  (6, 4)   from the coefficients of p to its values: the row of t is 1, t, t², t³; that of ∞ is 0, 0, 0, 1
    G  (6, 3)   the same for w
    B  (6, 6)   from six values back to the coefficients of p w

    p w = B [(A p) · (G w)]          · takes the products, one by one

For fixed w this is a linear map from p to p w, and its transpose takes six numbers d to four: y. So, transposed:

    y = Aᵀ [(G w) · (Bᵀ d)]          d: the six numbers of a column that lie under the windows of four outputs

In a convolution, d_i is a row of pixels and w_k a row of the kernel. Then each of the six products is one of matrices:
the windows of a row of Bᵀ d, each KW·C numbers, times a matrix (KW·C, F).

Backward is the same with other things transposed. gx is a convolution with the flipped kernel, and of its windows the
gradient of the kernel is made, as in backward.py: gw = Gᵀ gu, where each of the six gu is (A x)ᵀ times those windows.

The sums round, too: results differ from the exact ones about three times as much as those of plain products do. And a
number that is not finite spreads over the rows of its tile: 0 · ∞ is NaN.

Source: Winograd, 1980; Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.
"""

import numpy as np

from minunet.kernels.cpu.items import item_type
from minunet.kernels.cpu.patches import BLOCK_BYTES, cut
from minunet.kernels.cpu.products import by_columns
from minunet.kernels.threads import scratch

ROWS = 4  # output rows of a tile
POINTS = (0, 1, -1, 2, -2)  # and ∞
SMALL_PRODUCT = 1_000_000  # multiplications up to which OpenBLAS multiplies at once; above, it first copies both sides
LONG_ROW = 48


def _powers(count):
    """Returns the matrix (6, count) from a polynomial's coefficients to its values."""
    infinity = np.eye(1, count, count - 1)
    return np.concatenate([np.vander(POINTS, count, increasing=True), infinity])


A, G, B = _powers(ROWS), _powers(3), np.linalg.inv(_powers(len(POINTS) + 1))


def pays(N, kernel_shape, windows):
    """Returns whether the products of N images are those of this file."""
    KH, _, C, F = kernel_shape
    OH, OW = windows.out_size
    many_pixels = N * OH * OW >= max(C, F)  # else G w costs more than it saves
    return KH == 3 and windows.stride[0] == 1 and OH % ROWS == 0 and many_pixels


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


def window_matrices(strip, windows):
    """Returns the windows of Bᵀ d (6, tiles, OW, KW·C) for a strip of the image, in scratch memory."""
    KW, SW, OW = windows.kernel_size[1], windows.stride[1], windows.out_size[1]
    count, height, columns, C = strip.shape
    s_n, s_h, _, size = strip.strides
    tiles = (height - 2) // ROWS
    d = np.ndarray((count, tiles, len(B), columns * C), strip.dtype, strip, 0, (s_n, ROWS * s_h, s_h, size))
    t = np.matmul(B.T.astype(d.dtype), d, out=scratch("tiles", d.shape, d.dtype))
    window_row = item_type(KW * C, d.dtype)
    v = scratch("windows", (len(B), count, tiles, OW), window_row)
    v[...] = np.ndarray((count, tiles, len(B), OW), window_row, t, 0, (*t.strides[:3], SW * C * size)).transpose(2, 0, 1, 3)
    return np.ndarray((len(B), count * tiles, OW, KW * C), d.dtype, v)


def multiply(v, u, out):
    """out = Aᵀ [v u]: some output rows, contiguous, in any shape."""
    tiles, OW, K = v.shape[1:]
    F = u.shape[2]
    m = scratch("products", (len(A), tiles, OW * F), v.dtype)
    rows = tiles if OW * K * F <= SMALL_PRODUCT else 1
    np.matmul(v.reshape(len(A), rows, -1, K), u[:, None], out=m.reshape(len(A), rows, -1, F))
    np.matmul(A.T.astype(m.dtype), m.transpose(1, 0, 2), out=out.reshape(tiles, ROWS, OW * F))


def kernel_products(v, x):
    """Returns gu: (A x)ᵀ v, for the windows v and rows of x, contiguous, in any shape: (6, C, KW·F)."""
    tiles, OW = v.shape[1:3]
    rows = x.reshape(tiles, ROWS, -1)
    a = scratch("products", (len(A), tiles, rows.shape[2]), v.dtype)
    np.matmul(A.astype(v.dtype), rows, out=a.transpose(1, 0, 2))
    if OW >= LONG_ROW:
        products = a.reshape(len(A), tiles, OW, -1).swapaxes(2, 3) @ v
        return products.sum(axis=1)
    return a.reshape(len(A), tiles * OW, -1).swapaxes(1, 2) @ v.reshape(len(A), tiles * OW, -1)


def kernel_gradient(gu):
    """Returns Gᵀ gu, in the shape (3, …) of gu (6, …)."""
    g = np.empty((3, *gu.shape[1:]), gu.dtype)
    by_columns(G.T.astype(gu.dtype), gu.reshape(len(G), -1), g.reshape(3, -1))
    return g
