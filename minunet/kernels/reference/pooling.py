"""Max pooling and its gradient, one output pixel at a time."""

import numpy as np

from minunet.device import array_module
from minunet.kernels.windows import argmax_dtype, crop, output_size, pad


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


def max_pool_gradient(gy, argmax, size, stride, pads, input_size, plus=None):
    """gy[n,i,j,c] goes to the pixel that was the largest; one that was the largest of several windows gets the sum.

    gy, argmax (N,OH,OW,C), input_size (H, W). Returns gx (N,H,W,C).
    plus: None, or an array like gx that is added: what comes to x from elsewhere.
    """
    xp = array_module(gy)
    KW, (SH, SW) = size[1], stride
    N, OH, OW, C = gy.shape
    gx = pad(xp.zeros((N, *input_size, C), gy.dtype), pads)
    for n, i, j, c in np.ndindex(N, OH, OW, C):
        k, l = divmod(int(argmax[n, i, j, c]), KW)
        gx[n, i * SH + k, j * SW + l, c] += gy[n, i, j, c]
    gx = crop(gx, pads, input_size)
    return gx if plus is None else gx + plus
