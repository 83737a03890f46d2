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

By hand, with two outputs instead of four and so with the points 0, 1, -1 and ∞, for d = (1, 2, 3, 4) and w = (5, 1, 2):

    Bᵀ d = (d_0 - d_2, (d_1 + d_2)/2, (d_2 - d_1)/2, d_3 - d_1) = (-2, 2.5, 0.5, 2)
    G w  = (w_0, w_0 + w_1 + w_2, w_0 - w_1 + w_2, w_2)         = ( 5, 8,   6,   2)
    m, their products                                           = (-10, 20, 3,   4)
    y    = (m_0 + m_1 + m_2, m_1 - m_2 + m_3)                   = (13, 21)

and 13 = 1·5 + 2·1 + 3·2, 21 = 2·5 + 3·1 + 4·2: four products in place of six.

In a convolution, d are six rows of the image and w the three rows of the kernel. Each of the six products becomes one
of matrices: the windows of a row of Bᵀ d, KW·C numbers each, times a row of G w as a matrix (KW·C, F). G, Bᵀ and Aᵀ are
applied as matrix products, too. Sums take time, so this is for layers where the products take more (`pays`).

Nothing needs to be copied for the windows, either. Neighboring windows share pixels, but with KW = 3, every third
window begins where the one before it ended. So windows 0, 3, 6, … are a matrix that is there already, and so are the
others:

    Bᵀ d                 · a b c d e f ·   of one row, zero-padded

    windows 0, 3       [ · a b ]           windows 1, 4     [ a b c ]         windows 2, 5     [ b c d ]
    (phase 0)          [ c d e ]           (phase 1)        [ d e f ]         (phase 2)        [ e f · ]

The rows of Bᵀ d lie one behind the other, each padded to a multiple of three pixels, so a phase goes on from row to
row. The windows that begin in one row and end in the next, and those of the padding, are multiplied for nothing, and
what comes of them is left out. In short rows there are too many of them: there, windows are copied.

Backward: gx is a convolution of gz, with the kernel flipped, so gx = Aᵀ [(G w) · v] with v = Bᵀ gz. The same v makes
gw: that of the flipped kernel is the gradient of Σ x gx (backward.py), which is Σ (A x) (G w) v. So gw = Gᵀ gu with
gu = (A x)ᵀ v, summed over all windows, for each of the six.

The sums round. In float32, results are off by 0.4 to 1.6 millionths of the largest one where plain products are off by
0.2 to 0.7 (measured on the lecture's layers); a number that should be 0 may be 1e-8. (Inside `kernels.plain_products`
this file is not used.) The points decide how much: 0, ±1, ±2, which one would take to calculate by hand, make half as
much again, since the powers of 2 are large beside those of 1. And one number that is not finite makes the four rows
that are computed with it NaN, since 0 · ∞ is NaN.

Source: Winograd, "Arithmetic Complexity of Computations", 1980; Lavin and Gray, "Fast Algorithms for Convolutional
Neural Networks", 2016, who do it along both axes: a quarter of the products, and so many sums that NumPy gains nothing.
"""

import numpy as np

from minunet.kernels import products_are_plain
from minunet.kernels.cpu.items import item_type, put_side_by_side
from minunet.kernels.cpu.pieces import cut
from minunet.kernels.cpu.pointwise import where_positive
from minunet.kernels.cpu.products import FEW_ROWS, FEW_TERMS, by_columns, small_slices
from minunet.kernels.threads import scratch

ROWS = 4  # output rows of a tile
POINTS = (0, 0.75, -0.75, 1.5, -1.5)  # and ∞
MANY_WEIGHTS = 128  # in a tap of the kernel, from which fewer products are faster (measured)
BLOCK_BYTES = 3 << 20  # of scratch memory per block: more leaves the cache, with less there are too many short calls
LONG_ROW = 48  # windows in a row from which phases are faster than a copy (measured)


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
    arrays = 2 if _in_phases(windows) else windows.kernel_size[1]  # Bᵀ d and the products, or the copy of the windows
    tile_bytes = arrays * len(A) * OW * windows.stride[1] * row_bytes
    tiles = cut(N, OH // ROWS, BLOCK_BYTES // max(1, tile_bytes))
    return [(images, slice(ROWS * rows.start, ROWS * rows.stop)) for images, rows in tiles]


def of_kernel(w):
    """Returns G w, six matrices (6, KW·C, F)."""
    _, KW, C, F = w.shape
    u = np.empty((len(G), KW * C, F), w.dtype)
    by_columns(G.astype(w.dtype), np.ascontiguousarray(w).reshape(3, -1), u.reshape(len(G), -1))
    return u


def first_row(rows, windows):
    """Returns which row of the image is the first one of the strip under output `rows`."""
    return max(rows.start - windows.pads[0][0], 0)


def strip_under(x, rows, windows, y=None, beside=None):
    """Returns the rows of x under output `rows`, without padding. With y, shaped like x: of x where y > 0, else 0.

    With `beside`: of both, side by side along the channels.
    """
    first, last = first_row(rows, windows), min(rows.stop + 2 - windows.pads[0][0], x.shape[1])
    pixels = slice(first, max(first, last))
    if beside is not None:
        size, channels = x[:, pixels].shape[:3], x.shape[3] + beside.shape[3]
        strip = scratch("strip", (*size, channels), x.dtype)
        put_side_by_side(x[:, pixels], beside[:, pixels], strip)
        return strip
    if y is None:
        return x[:, pixels]
    strip = scratch("strip", x[:, pixels].shape, x.dtype)
    where_positive(x[:, pixels], y[:, pixels], strip)
    return strip


def window_matrices(strip, rows, windows):
    """Returns the windows of Bᵀ d for a strip of the image: matrices (phases, 6, ·, KW·C), in scratch memory.

    If the rows of Bᵀ d are short, its phases would be too, and there is one matrix for each of the six, a copy.
    """
    (KW, SW, OW), (count, _, _, C) = (windows.kernel_size[1], windows.stride[1], windows.out_size[1]), strip.shape
    tiles, pixel = count * (rows.stop - rows.start) // ROWS, C * strip.itemsize
    padded = strip.shape[2] + sum(windows.pads[1])
    if not _in_phases(windows):
        t = _values(strip, rows, windows, padded, 0, "values")
        window_row = item_type(KW * C, strip.dtype)  # its numbers are neighbors, as in patches.py
        v = scratch("windows", (len(B), tiles, OW), window_row)
        v[...] = np.ndarray(v.shape, window_row, t, 0, (t.strides[0], padded * pixel, SW * pixel))
        return np.ndarray((1, len(B), tiles * OW, KW * C), strip.dtype, v)
    phases = -(-KW // SW)
    apart = phases * SW
    columns = -(-padded // apart) * apart
    t = _values(strip, rows, windows, columns, apart - SW, "windows")
    shape = phases, len(B), tiles * columns // apart, KW * C
    return np.ndarray(shape, strip.dtype, t, 0, (SW * pixel, t.strides[0], apart * pixel, strip.itemsize))


def _in_phases(windows):
    return windows.out_size[1] >= LONG_ROW


def _values(strip, rows, windows, columns, more, name):
    """Returns Bᵀ d, six rows of tiles · `columns` pixels each and `more` of zeros, in scratch memory.

    The rows of d that lie in the padding are left out: their products are 0.
    """
    count, height, W, C = strip.shape
    tiles, left = (rows.stop - rows.start) // ROWS, windows.pads[1][0]
    t = scratch(name, (len(B), (count * tiles * columns + more) * C), strip.dtype)
    of_tiles = t[:, : count * tiles * columns * C].reshape(len(B), count, tiles, columns * C)
    t[:, of_tiles[0].size :] = 0
    of_tiles[..., : left * C] = 0
    of_tiles[..., (left + W) * C :] = 0
    inside = of_tiles[..., left * C : (left + W) * C].transpose(1, 2, 0, 3)
    start = rows.start - windows.pads[0][0] - first_row(rows, windows)  # of the first tile in the strip, or above it
    s_n, s_h, _, _ = strip.strides
    for tile, after in _tiles_alike(tiles, start, height):
        top = min(start + ROWS * tile, height)
        first, last = max(top, 0), max(0, min(top + len(B), height))
        shape = count, after - tile, max(0, last - first), W * C
        d = np.ndarray(shape, strip.dtype, strip, first * s_h, (s_n, ROWS * s_h, s_h, strip.itemsize))
        np.matmul(B.T[:, first - top : last - top].astype(d.dtype), d, out=inside[:, tile:after])
    return t


def _tiles_alike(tiles, start, height):
    """Yields (tile, after): those with all of their rows in the strip together, the others one by one."""
    whole = range(-(start // ROWS), min(tiles, (height - start - len(B)) // ROWS + 1))
    yield from ((tile, tile + 1) for tile in range(tiles) if tile not in whole)
    if whole:
        yield whole.start, whole.stop


def multiply(v, u, out, b_row=None):
    """out = Aᵀ [v u], + b_row in each row. out (images, rows, OW, F): the output rows, contiguous.

    b comes in as a seventh product, with the factor 1: that is faster than a sum of its own.
    """
    (*_, OW, F), tiles, (phases, _, windows, _) = out.shape, out.shape[0] * out.shape[1] // ROWS, v.shape
    terms, factors = len(A), A
    if b_row is not None:
        terms, factors = len(A) + 1, np.concatenate([A, np.ones((1, ROWS))])
    m = scratch("values", (terms, tiles, phases * windows // tiles, F), out.dtype)
    of_phases = m[: len(A)].reshape(len(A), windows, phases, F).transpose(2, 0, 1, 3)
    for some in small_slices(windows, u[0].size, FEW_ROWS):
        np.matmul(v[:, :, some], u, out=of_phases[:, :, some])
    m = m.reshape(terms, tiles, -1)[..., : OW * F]
    if b_row is not None:
        m[-1] = b_row
    np.matmul(factors.T.astype(m.dtype), m.transpose(1, 0, 2), out=out.reshape(tiles, ROWS, OW * F))


def kernel_products(v, gy):
    """Returns (A gy)ᵀ v (6, F, KW·C), the share of some output rows in the six gu. gy: those rows, contiguous."""
    (*_, OW, F), tiles, (phases, _, windows, size) = gy.shape, gy.shape[0] * gy.shape[1] // ROWS, v.shape
    a = scratch("values", (len(A), tiles, phases * windows // tiles * F), gy.dtype)
    a[..., OW * F :] = 0
    np.matmul(A.astype(a.dtype), gy.reshape(tiles, ROWS, -1), out=a[..., : OW * F].transpose(1, 0, 2))
    of_phases, total = a.reshape(len(A), windows, phases, F).transpose(2, 0, 3, 1), None
    for some in small_slices(windows, F * size, FEW_TERMS):
        for products in of_phases[..., some] @ v[:, :, some]:
            total = products if total is None else np.add(total, products, out=total)
    return total


def kernel_gradient(total, windows):
    """Returns Gᵀ gu, the gradient of the kernel (F, 3, KW, C), from the sum of all `kernel_products`."""
    F = total.shape[1]
    gw = np.empty((3, F, windows.kernel_size[1], total.shape[2] // windows.kernel_size[1]), total.dtype)
    by_columns(G.T.astype(total.dtype), total.reshape(len(G), -1), gw.reshape(3, -1))
    return gw.swapaxes(0, 1)
