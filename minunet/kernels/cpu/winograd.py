"""Convolution with fewer products, for 3x3 windows, stride 1 and many channels: Winograd's F(2x2, 3x3).

Two neighboring outputs of a row, y₀ = d₀w₀ + d₁w₁ + d₂w₂ and y₁ = d₁w₀ + d₂w₁ + d₃w₂, take six products. Here they take
four, and sums:

    m₀ = (d₀ - d₂) w₀                     y₀ = m₀ + m₁ + m₂
    m₁ = (d₁ + d₂) (w₀ + w₁ + w₂)/2       y₁ = m₁ - m₂ - m₃
    m₂ = (d₂ - d₁) (w₀ - w₁ + w₂)/2
    m₃ = (d₁ - d₃) w₂

Done along both axes, a tile of 2x2 outputs takes 16 products in place of 36: v = Bᵀ d B from the 4x4 pixels d under the
tile, u = G w Gᵀ from the kernel, y = Aᵀ (u · v) A. With C channels and F filters, each of the 16 is a matrix product,
(tiles, C) times (C, F). The sums cost time too, so it pays only from about 64 channels on (measured).

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016.
"""

import numpy as np

from minunet.kernels.cpu.items import as_items
from minunet.kernels.cpu.patches import cut
from minunet.kernels.threads import scratch

MANY = 64  # channels and filters from which it pays (measured)
BLOCK_BYTES = 1 << 20  # of v per block: it stays in the cache


def pays(N, kernel_shape, stride, out_size):
    """Returns whether a convolution of N images is computed in this way."""
    KH, KW, C, F = kernel_shape
    OH, OW = out_size
    fits = (KH, KW) == (3, 3) and stride == (1, 1) and OH % 2 == OW % 2 == 0
    return fits and min(C, F) >= MANY and N * OH * OW // 4 >= max(C, F)  # for few tiles, u costs more than it saves


def blocks(N, C, itemsize, out_size):
    """Returns the output rows of N images in blocks (images, rows), two slices each; each has whole tiles."""
    OH, OW = out_size
    cuts = cut(N, OH // 2, BLOCK_BYTES // (16 * C * itemsize * (OW // 2)))
    return [(n, slice(2 * rows.start, 2 * rows.stop)) for n, rows in cuts]


def of_kernel(w):
    """Returns u = G w Gᵀ for a kernel (3, 3, C, F), as 16 matrices (C, F)."""
    u = np.empty((4, 4, *w.shape[2:]), w.dtype)
    along_rows = np.empty((4, *w.shape[1:]), w.dtype)
    for taps, out in ((w, along_rows), (along_rows.swapaxes(0, 1), u.swapaxes(0, 1))):
        out[0], out[3] = taps[0], taps[2]
        half = (taps[0] + taps[2]) / 2
        np.multiply(taps[1], 0.5, out=out[2])
        np.add(half, out[2], out=out[1])
        np.subtract(half, out[2], out=out[2])
    return u.reshape(16, *u.shape[2:])


def convolve_strip(strip, u, y):
    """y = P(x) W for a strip of x (images, rows + 2, OW + 2, C), padded. Returns whether all of y is finite.

    One infinite number in x makes whole tiles NaN, more than it should.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        v = of_image(strip)
        m = np.matmul(v, u, out=scratch("products", (16, v.shape[1], u.shape[2]), v.dtype))
        _to_output(m.reshape(4, 4, *m.shape[1:]), y)
        return bool(np.isfinite(y.sum()))


def of_gradient(gy):
    """Returns A gy Aᵀ for all tiles of some rows of gy (images, 2·rows, OW, F), as 16 matrices (tiles, F)."""
    count, height, OW, F = gy.shape
    tiles = as_items(gy).reshape(count, height // 2, 2, OW // 2, 2).transpose(4, 2, 0, 1, 3)
    g = scratch("outputs", (*tiles.shape, F), gy.dtype)
    as_items(g)[...] = tiles
    s = scratch("output rows", (2, 4, *tiles.shape[2:], F), gy.dtype)
    _two_transposed(g.swapaxes(0, 1), s.swapaxes(0, 1))
    m = scratch("products", (4, 4, *tiles.shape[2:], F), gy.dtype)
    _two_transposed(s, m.swapaxes(0, 1))
    return m.reshape(16, -1, F)


def _two_transposed(g, out):
    """The transpose of _two: the gradients of two outputs, along one axis, to those of four products."""
    out[0] = g[0]
    np.add(g[0], g[1], out=out[1])
    np.subtract(g[0], g[1], out=out[2])
    np.negative(g[1], out=out[3])


def kernel_gradient(gu):
    """Returns gw = Gᵀ gu G for 16 matrices (16, C, F): the transpose of of_kernel."""
    gu = gu.reshape(4, 4, *gu.shape[1:])
    along_rows = np.empty((3, *gu.shape[1:]), gu.dtype)
    gw = np.empty((3, 3, *gu.shape[2:]), gu.dtype)
    for g, out in ((gu, along_rows), (along_rows.swapaxes(0, 1), gw.swapaxes(0, 1))):
        half = (g[1] + g[2]) / 2
        np.add(g[0], half, out=out[0])
        np.add(g[3], half, out=out[2])
        np.multiply(g[1] - g[2], 0.5, out=out[1])
    return gw


def of_image(strip):
    """v = Bᵀ d B for all tiles of a strip (images, 2·rows + 2, columns, C), as 16 matrices (tiles, C)."""
    count, height, width, C = strip.shape
    rows, columns = height // 2 - 1, width // 2 - 1
    halves = scratch("halves", (count, height, 2, width // 2, C), strip.dtype)  # even and odd columns: long rows
    as_items(halves)[...] = as_items(strip).reshape(count, height, width // 2, 2).swapaxes(2, 3)
    t = scratch("tile rows", (4, count, rows, 2, width // 2, C), strip.dtype)
    _four([halves[:, k : k + 2 * rows : 2] for k in range(4)], t)
    v = scratch("tiles", (4, 4, count, rows, columns, C), strip.dtype)
    even, odd = t[:, :, :, 0], t[:, :, :, 1]
    _four([even[..., :-1, :], odd[..., :-1, :], even[..., 1:, :], odd[..., 1:, :]], v.swapaxes(0, 1))
    return v.reshape(16, -1, C)


def _four(d, out):
    """Four pixels, along one axis, to what is multiplied."""
    np.subtract(d[0], d[2], out=out[0])
    np.add(d[1], d[2], out=out[1])
    np.subtract(d[2], d[1], out=out[2])
    np.subtract(d[1], d[3], out=out[3])


def _to_output(m, block):
    """y = Aᵀ m A for 16 matrices (4, 4, tiles, F), into rows (images, 2·rows, OW, F) of the output."""
    count, height, OW, F = block.shape
    s = scratch("output rows", (2, *m.shape[1:]), m.dtype)
    _two(m, s)
    y = scratch("outputs", (2, 2, *m.shape[2:]), m.dtype)
    _two(s.swapaxes(0, 1), y.swapaxes(0, 1))
    tiles = as_items(block).reshape(count, height // 2, 2, OW // 2, 2)
    tiles[...] = as_items(y).reshape(2, 2, count, height // 2, OW // 2).transpose(2, 3, 0, 4, 1)


def _two(m, out):
    """Four products, along one axis, to two outputs."""
    np.add(m[0], m[1], out=out[0])
    np.add(out[0], m[2], out=out[0])
    np.subtract(m[1], m[2], out=out[1])
    np.subtract(out[1], m[3], out=out[1])
