"""The definition of every kernel, one output pixel at a time: slow, and short enough to be seen to be correct.

The products visit the output pixels (n, i, j) and the window of x under each: the KH x KW pixels that start at row i·SH
and column j·SW of the padded image. Sums are in the arrays' own dtype, float32 or float64. The letters:

    x, gx  (N, H, W, C)      what the windows slide over          w, gw  (KH, KW, C, F)     b, gb  (F,) or None
    y, gy  (N, OH, OW, F)    F numbers per window                 size, kernel_size  (KH, KW)     stride  (SH, SW)
    pads   ((top, bottom), (left, right)): the width of the padding on each side
"""

import numpy as np

from minunet.device import array_module
from minunet.kernels.windows import argmax_dtype, crop, output_size, pad

# ---- convolution -------------------------------------------------------------------------------------------


def convolve(x, w, b, stride, pads, relu=False):
    """y[n,i,j,:] = Σ over the window under (i, j) of x · w, + b; negative results become 0 if `relu`.

    x (N,H,W,C), w (KH,KW,C,F), b (F,) or None. Returns y (N,OH,OW,F).
    """
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
    """Each y[n,i,j,:] times w is added to the window that it belongs to; then + b.

    y (N,OH,OW,F), w (KH,KW,C,F), b (C,) or None, size (H, W). Returns x (N,H,W,C).
    """
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
    """gw[k,l,c,f] = Σ over all output pixels of x under tap (k, l), channel c, times gy of filter f.

    x (N,H,W,C), gy (N,OH,OW,F). Returns gw (KH,KW,C,F).
    """
    xp = array_module(x)
    (KH, KW), (SH, SW) = kernel_size, stride
    N, OH, OW, F = gy.shape
    x = pad(x, pads)
    gw = xp.zeros((KH, KW, x.shape[3], F), x.dtype)
    for n, i, j in np.ndindex(N, OH, OW):
        gw += x[n, i * SH : i * SH + KH, j * SW : j * SW + KW, :, None] * gy[n, i, j]
    return gw


# ---- pooling -----------------------------------------------------------------------------------------------


def max_pool(x, size, stride, pads):
    """y[n,i,j,c] = the largest x in the window; argmax: its index there, l + KW·k for tap (k, l), the first of equals.

    x (N,H,W,C). Returns (y, argmax), both (N,OH,OW,C); argmax is uint8 if that can count the window's pixels, else
    int32. Padding counts as -∞.
    """
    xp = array_module(x)
    (KH, KW), (SH, SW), (N, _, _, C) = size, stride, x.shape
    OH, OW = output_size(x.shape[1:3], size, stride, pads)
    x = pad(x, pads, -float("inf"))
    y = xp.empty((N, OH, OW, C), x.dtype)
    argmax = xp.empty(y.shape, argmax_dtype(size))
    for n, i, j in np.ndindex(N, OH, OW):
        window = x[n, i * SH : i * SH + KH, j * SW : j * SW + KW].reshape(KH * KW, C)
        y[n, i, j] = window.max(axis=0)
        argmax[n, i, j] = window.argmax(axis=0)  # NumPy and CuPy return the first of equals
    return y, argmax


def max_pool_gradient(gy, argmax, size, stride, pads, input_size):
    """gy[n,i,j,c] goes to the pixel that was the largest; one that was the largest of several windows gets the sum.

    gy, argmax (N,OH,OW,C), input_size (H, W). Returns gx (N,H,W,C).
    """
    xp = array_module(gy)
    KW, (SH, SW) = size[1], stride
    N, OH, OW, C = gy.shape
    gx = pad(xp.zeros((N, *input_size, C), gy.dtype), pads)
    for n, i, j, c in np.ndindex(N, OH, OW, C):
        k, l = divmod(int(argmax[n, i, j, c]), KW)
        gx[n, i * SH + k, j * SW + l, c] += gy[n, i, j, c]
    return crop(gx, pads, input_size)


# ---- pointwise, and sums -----------------------------------------------------------------------------------


def relu_gradient(gy, y):
    """gz = gy where y > 0, else 0; any shape."""
    return gy * (y > 0)


def sum_over_pixels(gy):
    """Σ over N, H, W of gy (N,H,W,C). Returns an array (C,)."""
    return gy.sum(axis=(0, 1, 2))


def relu_gradient_and_sum(gy, y):
    """gz = relu_gradient(gy, y) and gb = sum_over_pixels(gz); gy, y (N,H,W,C). Returns (gz, gb)."""
    gz = relu_gradient(gy, y)
    return gz, sum_over_pixels(gz)


def concatenate(a, b):
    """a (…, A) and b (…, B) side by side along the last axis. Returns an array (…, A + B)."""
    return array_module(a).concatenate([a, b], axis=-1)


def split(y, A):
    """The reverse of concatenate: the first A numbers along the last axis, and the others. Returns (a, b).

    Both are copies: a view would keep all of y alive.
    """
    return y[..., :A].copy(), y[..., A:].copy()


def to_float(images, masks, ignored):
    """A batch of bytes as float32: x = images / 255, t = 1 where the mask is 1, weights = 0 where it is `ignored`.

    images uint8 (N,H,W,C), masks uint8 (N,H,W,1). t and weights are 0 or 1. Returns (x, t, weights).
    """
    x = images.astype("float32")
    x /= 255
    return x, (masks == 1).astype("float32"), (masks != ignored).astype("float32")


# ---- batch normalization: x, y (N,H,W,C); all that belongs to a channel (C,) -------------------------------


def moments(x, epsilon):
    """Mean μ and variance v of each channel over N, H, W, and r = 1 / √(v + ε). Returns (μ, v, r), arrays (C,).

    Why in two passes: minunet/ops/batch_norm.py.
    """
    M = x.size // x.shape[3]
    mean = sum_over_pixels(x) / M
    variance = sum_over_pixels((x - mean) ** 2) / M
    return mean, variance, 1 / array_module(x).sqrt(variance + epsilon)


def normalize(x, mean, r, gamma, beta, relu):
    """z = γ (x - μ) r + β; negative results become 0 if `relu`. Returns an array (N,H,W,C)."""
    z = (x - mean) * (gamma * r) + beta
    return array_module(x).maximum(z, 0) if relu else z


def normalize_sums(gy, x, mean, r, gamma, beta, relu):
    """gβ = Σ gz and gγ = Σ gz x̂ over N, H, W; gz is gy or, if `relu`, gy where normalize(x) > 0, else 0.

    Returns (gβ, gγ), arrays (C,).
    """
    gz = gy * (normalize(x, mean, r, gamma, beta, relu) > 0) if relu else gy
    return sum_over_pixels(gz), sum_over_pixels(gz * (x - mean)) * r


def normalize_gradient(gy, x, mean, r, gamma, beta, relu, gbeta, ggamma, one_over_M):
    """gx = γ r (gz - (gβ + x̂ gγ) / M), with gz, gβ and gγ as in normalize_sums. Returns an array (N,H,W,C).

    one_over_M is 1 / (N·H·W) where μ and v are those of the batch, and 0 where they are constants.
    """
    gz = gy * (normalize(x, mean, r, gamma, beta, relu) > 0) if relu else gy
    return (gz - one_over_M * gbeta - (x - mean) * (r * one_over_M * ggamma)) * (gamma * r)


def update_running_average(averages, values, momentum):
    """average ← momentum · average + (1 - momentum) · value, in place, for two averages and two values, arrays (C,)."""
    for average, value in zip(averages, values):
        average *= momentum
        average += (1 - momentum) * value


# ---- losses and scores -------------------------------------------------------------------------------------


def cross_entropy(z, t, weights):
    """The mean of l = max(z, 0) - t z + ln(1 + e^(-|z|)) with weights w, and what its gradient needs.

        loss = Σ w l / Σ w        scale = 1 / Σ w        error = w (σ(z) - t), so that gz = gy · scale · error

    z, t and weights have one shape; None for weights that are all 1. Returns (loss, scale, error), the first two with a
    single element; both are 0 if all weights are.
    """
    xp = array_module(z)
    e = xp.exp(-xp.abs(z))
    loss = xp.maximum(z, 0) - t * z + xp.log1p(e)
    error = xp.where(z >= 0, xp.ones_like(e), e) / (1 + e) - t
    w = xp.ones_like(z) if weights is None else weights
    total = w.sum()
    scale = (total != 0) / (total + (total == 0))
    return ((w * loss).sum() * scale).astype(z.dtype), scale.astype(z.dtype), w * error


def overlap(p, t, weights):
    """Σ w p t, Σ w p, Σ w t of each image; p, t, weights (N,…), None for weights all 1. Returns an array (N, 3)."""
    w = 1 if weights is None else weights
    axes = tuple(range(1, p.ndim))
    return array_module(p).stack([(w * p * t).sum(axis=axes), (w * p).sum(axis=axes), (w * t).sum(axis=axes)], axis=1)


def mask_counts(values, masks, threshold, ignored):
    """Counts pixels per image: predicted and true, predicted, true, valid, known. Returns an integer array (N, 5).

    Predicted are valid pixels with a value above the threshold, true those whose mask is 1, valid those whose mask is
    not `ignored`, known those whose mask is 0 or 1. values, masks: real numbers (N,…).
    """
    xp, axes = array_module(values), tuple(range(1, values.ndim))
    valid, truth = masks != ignored, masks == 1
    predicted = (values > threshold) & valid
    flags = predicted & truth, predicted, truth, valid, truth | (masks == 0)
    return xp.stack([flag.sum(axis=axes) for flag in flags], axis=1)


# ---- optimizers --------------------------------------------------------------------------------------------


def update(rule, numbers, rows, cuda=None):
    """Calls rule(w, g, *state, *numbers) for each row (w, g, *state) of arrays: it changes w and the state in place.

    rule is elementwise, and may be called on pieces of the arrays, flattened. cuda: the name of the kernel in
    cuda/optimizers.cu that does the same and takes the same numbers, or None.
    """
    for row in rows:
        rule(*row, *numbers)


def decay(arrays, factor):
    """w ← factor · w, in place, for each of the arrays."""
    for w in arrays:
        w *= factor
