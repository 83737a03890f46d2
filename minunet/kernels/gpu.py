"""The products for CuPy arrays: the same blocks as on the CPU, a few pictures at a time.

Every line is CuPy's own: windows of the padded pictures as a view without copies, one copy into P(x), one product.
Nothing is added by atomics, so the same run gives the same bits.
"""

import numpy as np

from minunet.device import array_module
from minunet.kernels.gpu_batch_norm import (  # noqa: F401  (the same names as in the other kernels)
    follow, moments, normalize, normalize_gradient, normalize_sums,
)
from minunet.kernels.reference import elementwise, relu_gradient, sum_over_pixels  # noqa: F401  (serve here as they are)
from minunet.kernels.windows import crop, output_size, pad, tap, winner_dtype

WORKSPACE_BYTES = 1 << 28  # of P(x) at a time


def convolve(x, w, b, stride, pads, relu=False):
    """y = P(x) W + b; negative results become 0 if `relu`. Shapes as in `reference.convolve`."""
    xp = array_module(x)
    KH, KW, C, F = w.shape
    OH, OW = output_size(x.shape[1:3], (KH, KW), stride, pads)
    y = xp.empty((len(x), OH, OW, F), x.dtype)
    for n in _chunks(len(x), OH * OW * KH * KW * C * x.itemsize):
        y[n] = (_patches(x[n], (KH, KW), stride, pads) @ w.reshape(-1, F)).reshape(-1, OH, OW, F)
    if b is not None:
        y += b
    return xp.maximum(y, 0, out=y) if relu else y


def convolve_transposed(y, w, b, stride, pads, size):
    """x = Pᵀ(y Wᵀ) + b: the product, then each tap's part added where it came from."""
    xp = array_module(y)
    KH, KW, C, F = w.shape
    N, OH, OW, _ = y.shape
    x = xp.empty((N, *size, C), y.dtype)
    Wt = w.reshape(KH * KW * C, F).T
    for n in _chunks(N, OH * OW * KH * KW * C * y.itemsize):
        parts = (y[n].reshape(-1, F) @ Wt).reshape(-1, OH, OW, KH, KW, C)
        padded = pad(xp.zeros((len(parts), *size, C), y.dtype), pads)
        for k, l in np.ndindex(KH, KW):
            target = tap(padded, k, l, stride, (OH, OW))
            target += parts[:, :, :, k, l]
        x[n] = crop(padded, pads, size)
    return x if b is None else x + b


def weight_gradient(x, gy, kernel_size, stride, pads):
    """gW = P(x)ᵀ gy, summed over the chunks in their order."""
    xp = array_module(x)
    (KH, KW), C, F = kernel_size, x.shape[3], gy.shape[3]
    gw = xp.zeros((KH * KW * C, F), x.dtype)
    for n in _chunks(len(x), gy.shape[1] * gy.shape[2] * KH * KW * C * x.itemsize):
        gw += _patches(x[n], kernel_size, stride, pads).T @ gy[n].reshape(-1, F)
    return gw.reshape(KH, KW, C, F)


def max_pool(x, size, stride, pads):
    """(y, winner) as in `reference.max_pool`."""
    xp = array_module(x)
    OH, OW = output_size(x.shape[1:3], size, stride, pads)
    padded = pad(x, pads, -float("inf"))
    y = tap(padded, 0, 0, stride, (OH, OW)).copy()
    winner = xp.zeros(y.shape, winner_dtype(size))
    for place, (k, l) in enumerate(np.ndindex(*size)):
        values = tap(padded, k, l, stride, (OH, OW))
        winner = xp.where(values > y, winner.dtype.type(place), winner)
        y = xp.maximum(values, y)
    return y, winner


def max_pool_gradient(gy, winner, size, stride, pads, input_size):
    """gx as in `reference.max_pool_gradient`: for each tap, gy where that tap has won."""
    xp = array_module(gy)
    N, OH, OW, C = gy.shape
    gx = pad(xp.zeros((N, *input_size, C), gy.dtype), pads)
    for place, (k, l) in enumerate(np.ndindex(*size)):
        target = tap(gx, k, l, stride, (OH, OW))
        target += gy * (winner == place)
    return crop(gx, pads, input_size).copy()


def _chunks(N, bytes_per_picture):
    """Slices over the N pictures, each with at most WORKSPACE_BYTES of P(x), and at least one picture."""
    step = max(1, WORKSPACE_BYTES // max(1, bytes_per_picture))
    return [slice(n, min(n + step, N)) for n in range(0, N, step)]


def _patches(x, kernel_size, stride, pads):
    """P(x) of some pictures as a (pixels, KH·KW·C) matrix."""
    xp = array_module(x)
    (KH, KW), (SH, SW) = kernel_size, stride
    OH, OW = output_size(x.shape[1:3], kernel_size, stride, pads)
    padded = pad(x, pads)
    (N, _, _, C), (s_n, s_h, s_w, s_c) = padded.shape, padded.strides
    windows = xp.lib.stride_tricks.as_strided(padded, (N, OH, OW, KH, KW, C), (s_n, s_h * SH, s_w * SW, s_h, s_w, s_c))
    return windows.reshape(N * OH * OW, KH * KW * C)

