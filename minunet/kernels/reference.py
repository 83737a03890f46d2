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
        window = x[n, i * SH : i * SH + KH, j * SW : j * SW + KW]
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
        x[n, i * SH : i * SH + KH, j * SW : j * SW + KW] += (w * y[n, i, j]).sum(axis=3)
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
        gw += x[n, i * SH : i * SH + KH, j * SW : j * SW + KW, :, None] * gy[n, i, j]
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
        window = x[n, i * SH : i * SH + KH, j * SW : j * SW + KW].reshape(KH * KW, C)
        y[n, i, j] = window.max(axis=0)
        winner[n, i, j] = window.argmax(axis=0)  # NumPy and CuPy return the first of equals
    return y, winner


def max_pool_gradient(gy, winner, size, stride, pads, input_size):
    """gy[n,i,j,c] goes to the one element that won; an element that won several windows gets the sum."""
    xp = array_module(gy)
    KW, (SH, SW) = size[1], stride
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


def relu_gradient_and_sum(gy, y):
    """(gz, gb): gz = relu_gradient(gy, y), and its sum over the pixels."""
    gz = relu_gradient(gy, y)
    return gz, sum_over_pixels(gz)


def moments(x, epsilon):
    """(μ, v, r) of each channel over N, H, W, arrays (C,): mean, variance, and 1 / √(v + ε); why in two steps: ops/batch_norm.py."""
    M = x.size // x.shape[3]
    mean = sum_over_pixels(x) / M
    variance = sum_over_pixels((x - mean) ** 2) / M
    return mean, variance, 1 / array_module(x).sqrt(variance + epsilon)


def normalize(x, mean, r, gamma, beta, relu):
    """z = γ (x - μ) r + β, with arrays (C,); negative results become 0 if `relu`."""
    z = (x - mean) * (gamma * r) + beta
    return array_module(x).maximum(z, 0) if relu else z


def normalize_sums(gy, x, mean, r, gamma, beta, relu):
    """(gβ, gγ) = (Σ gz, Σ gz x̂) over N, H, W, arrays (C,); gz is gy, or, if `relu`, gy where normalize(x) > 0, else 0."""
    gz = gy * (normalize(x, mean, r, gamma, beta, relu) > 0) if relu else gy
    return sum_over_pixels(gz), sum_over_pixels(gz * (x - mean)) * r


def normalize_gradient(gy, x, mean, r, gamma, beta, relu, gbeta, ggamma, share):
    """gx = γ r (gz - share (gβ + x̂ gγ)): a share of 1/M where μ and v are those of the batch, 0 where they are constant."""
    gz = gy * (normalize(x, mean, r, gamma, beta, relu) > 0) if relu else gy
    return (gz - share * gbeta - (x - mean) * (r * share * ggamma)) * (gamma * r)


def follow(averages, values, momentum):
    """average ← momentum · average + (1 - momentum) · value, in place, for each of the two pairs of arrays (C,)."""
    for average, value in zip(averages, values):
        average *= momentum
        average += (1 - momentum) * value


def join(a, b):
    """a (…, A) and b (…, B) side by side along the last axis: (…, A + B)."""
    return array_module(a).concatenate([a, b], axis=-1)


def split(y, A):
    """The first A numbers along the last axis, and the others: join backwards. Copies: a view would keep all of y alive."""
    return y[..., :A].copy(), y[..., A:].copy()


def cross_entropy(z, t, weights):
    """(L, share, error) with l = max(z, 0) - t z + ln(1 + e^(-|z|)) and weights w, None for all 1:

    L = Σ w l / Σ w,  share = 1 / Σ w  (both 0 where all weights are 0),  error = w (σ(z) - t).
    """
    xp = array_module(z)
    e = xp.exp(-xp.abs(z))
    loss = xp.maximum(z, 0) - t * z + xp.log1p(e)
    error = xp.where(z >= 0, xp.ones_like(e), e) / (1 + e) - t
    w = xp.ones_like(z) if weights is None else weights
    total = w.sum()
    share = (total != 0) / (total + (total == 0))
    return ((w * loss).sum() * share).astype(z.dtype), share.astype(z.dtype), w * error


def overlap(p, t, weights):
    """Σ w p t, Σ w p and Σ w t of each picture: an array (N, 3). All are (N, …); weights None for all 1."""
    w = 1 if weights is None else weights
    axes = tuple(range(1, p.ndim))
    return array_module(p).stack([(w * p * t).sum(axis=axes), (w * p).sum(axis=axes), (w * t).sum(axis=axes)], axis=1)


def mask_counts(values, masks, threshold, ignored):
    """Per picture (guessed and true, guessed, true, counted, known) pixels: an integer array (N, 5).

    Guessed are those with a value above the threshold; pixels whose mask is `ignored` are not counted; known are those
    with a mask of 0 or 1. values, masks: (N, …), real numbers.
    """
    xp, axes = array_module(values), tuple(range(1, values.ndim))
    valid, truth = masks != ignored, masks == 1
    guess = (values > threshold) & valid
    flags = guess & truth, guess, truth, valid, truth | (masks == 0)
    return xp.stack([flag.sum(axis=axes) for flag in flags], axis=1)


def decode(images, masks, ignored):
    """A batch of bytes as float32: x = images / 255, t = 1 where the mask is 1, weights = 0 where it is `ignored`."""
    x = images.astype("float32")
    x /= 255
    return x, (masks == 1).astype("float32"), (masks != ignored).astype("float32")


def update(optimizer, rows):
    """optimizer.update(w, g, *memory) for each row (w, g, *memory): changes w and the memory in place."""
    for row in rows:
        optimizer.update(*row)


def decay(arrays, factor):
    """w ← factor · w, in place, for each of the arrays."""
    for w in arrays:
        w *= factor
