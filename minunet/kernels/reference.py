"""The definitions, one output pixel at a time. Slow, and short enough to be seen to be right.

Every loop visits the output pixels (n, i, j) and the window of x under each: the KH x KW numbers, per channel, that
start at row i·SH and column j·SW of the zero-padded picture. Sums are in the array's own dtype.
"""

import numpy as np

from minunet.device import array_module
from minunet.kernels.windows import crop, output_size, pad, winner_dtype


def convolve(x, w, b, stride, pads, relu=False):
    """y[n,i,j,:] = Σ over the window under (i, j) of x · w, + b; negative results become 0 if `relu`."""
    xp = array_module(x)
    KH, KW, C, F = w.shape
    (SH, SW), N = stride, len(x)
    OH, OW = output_size(x.shape[1:3], (KH, KW), stride, pads)
    x = pad(x, pads)
    y = xp.empty((N, OH, OW, F), x.dtype)
    for n, i, j in np.ndindex(N, OH, OW):
        window = x[n, i * SH:i * SH + KH, j * SW:j * SW + KW]
        y[n, i, j] = (window[..., None] * w).sum(axis=(0, 1, 2))
        if b is not None:
            y[n, i, j] += b
    return xp.maximum(y, 0) if relu else y


def convolve_transposed(y, w, b, stride, pads, size):
    """Each y[n,i,j,:] is multiplied with w and the result added to the window that it came from; then + b."""
    xp = array_module(y)
    KH, KW, C, F = w.shape
    SH, SW = stride
    N, OH, OW, _ = y.shape
    x = pad(xp.zeros((N, *size, C), y.dtype), pads)
    for n, i, j in np.ndindex(N, OH, OW):
        x[n, i * SH:i * SH + KH, j * SW:j * SW + KW] += (w * y[n, i, j]).sum(axis=3)
    x = crop(x, pads, size)
    return x if b is None else x + b


def weight_gradient(x, gy, kernel_size, stride, pads):
    """gw[k,l,c,f] = Σ over all output pixels of x under tap (k, l), channel c, times gy of filter f."""
    xp = array_module(x)
    (KH, KW), (SH, SW) = kernel_size, stride
    N, OH, OW, F = gy.shape
    x = pad(x, pads)
    gw = xp.zeros((KH, KW, x.shape[3], F), x.dtype)
    for n, i, j in np.ndindex(N, OH, OW):
        gw += x[n, i * SH:i * SH + KH, j * SW:j * SW + KW, :, None] * gy[n, i, j]
    return gw


def max_pool(x, size, stride, pads):
    """(y, winner): y[n,i,j,c] is the largest x in the window, winner its place: l + KW·k for tap (k, l), the first of equals."""
    xp = array_module(x)
    (KH, KW), (SH, SW), (N, _, _, C) = size, stride, x.shape
    OH, OW = output_size(x.shape[1:3], size, stride, pads)
    x = pad(x, pads, -float("inf"))
    y = xp.empty((N, OH, OW, C), x.dtype)
    winner = xp.empty(y.shape, winner_dtype(size))
    for n, i, j in np.ndindex(N, OH, OW):
        window = x[n, i * SH:i * SH + KH, j * SW:j * SW + KW].reshape(KH * KW, C)
        y[n, i, j] = window.max(axis=0)
        winner[n, i, j] = window.argmax(axis=0)  # NumPy and CuPy return the first of equals
    return y, winner


def max_pool_gradient(gy, winner, size, stride, pads, input_size):
    """gy[n,i,j,c] goes to the one element that won; an element that won several windows gets the sum."""
    xp = array_module(gy)
    (KH, KW), (SH, SW) = size, stride
    N, OH, OW, C = gy.shape
    gx = pad(xp.zeros((N, *input_size, C), gy.dtype), pads)
    for n, i, j, c in np.ndindex(N, OH, OW, C):
        k, l = divmod(int(winner[n, i, j, c]), KW)
        gx[n, i * SH + k, j * SW + l, c] += gy[n, i, j, c]
    return crop(gx, pads, input_size)


def sum_over_pixels(gy):
    """Σ over N, H, W of gy (N,H,W,C), as an array (C,)."""
    return gy.sum(axis=(0, 1, 2))


def relu_gradient(gy, y):
    """gy where y > 0, else 0."""
    return gy * (y > 0)


def moments(x):
    """(μ, v): mean and variance of each channel over N, H, W, arrays (C,); why in two steps: ops/batch_norm.py."""
    M = x.size // x.shape[3]
    mean = sum_over_pixels(x) / M
    return mean, sum_over_pixels((x - mean) ** 2) / M


def normalize(x, mean, scale, shift, relu=False):
    """(x - mean) scale + shift with one mean, scale and shift (C,) per channel; negative results become 0 if `relu`."""
    y = (x - mean) * scale + shift
    return array_module(x).maximum(y, 0) if relu else y


def normalize_sums(gy, x, mean, scale, shift, relu):
    """(Σ gz, Σ gz (x - mean)) over N, H, W, arrays (C,); gz is gy, or, if `relu`, gy where normalize(x) > 0, else 0."""
    gz = gy * (normalize(x, mean, scale, shift) > 0) if relu else gy
    return sum_over_pixels(gz), sum_over_pixels(gz * (x - mean))


def normalize_gradient(gy, x, mean, scale, shift, relu, a, b):
    """gx = scale (gz - a - (x - mean) b), with gz as in normalize_sums and a, b (C,)."""
    gz = gy * (normalize(x, mean, scale, shift) > 0) if relu else gy
    return (gz - a - (x - mean) * b) * scale


def follow(averages, values, momentum):
    """average ← momentum · average + (1 - momentum) · value, in place, for each pair of arrays (C,)."""
    for average, value in zip(averages, values):
        average *= momentum
        average += (1 - momentum) * value


def elementwise(function, *arrays):
    """function(*arrays): work that is done element by element and written into the arguments."""
    function(*arrays)
