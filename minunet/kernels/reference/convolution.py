"""The three products of a convolution, one output pixel at a time; minunet/ops/conv2d.py derives them.

Numbers by hand, for one row: x = 1 2 3 with one zero after it, w = 5 1, y or gy = 1 10 100.

    convolve               5·1 + 1·2    5·2 + 1·3    5·3 + 1·0               =    7   13   15
    convolve_transposed    5·1    1·1 + 5·10    1·10 + 5·100                 =    5   51  510
    weight_gradient        1·1 + 2·10 + 3·100    2·1 + 3·10 + 0·100          =  321   32
"""

import numpy as np

from minunet.device import array_module
from minunet.kernels.reference.pointwise import concatenate, relu_gradient, split, sum_over_pixels
from minunet.kernels.reference.pooling import max_pool, max_pool_gradient
from minunet.kernels.windows import POOL, crop, output_size, pad


def convolve(x, w, b, stride, pads, relu=False, beside=None, pool=False):
    """y[n,i,j,:] = Σ over the window under (i, j) of x · w, + b; negative results become 0 if `relu`.

    x (N,H,W,C), w (KH,KW,C,F), b (F,) or None. Returns y (N,OH,OW,F).
    beside: None, or a second array (N,H,W,B) that is read as if it lay beside x: w is (KH,KW,C+B,F) then.
    pool: whether y is pooled, too, by windows of 2x2 side by side. Returns (y, *max_pool(y)) then.
    """
    if beside is not None:
        x = concatenate(x, beside)
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
    y = xp.maximum(y, 0) if relu else y
    return (y, *max_pool(y, *POOL)) if pool else y


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


def convolve_backward(x, w, gy, y, stride, pads, needs, beside=None, pooled=None):
    """The gradients of y = P(x) W + b, with a ReLU after it unless y is None: then y tells what it let through.

    x (N,H,W,C), w (KH,KW,C,F), gy, y (N,OH,OW,F), needs: three bools. Returns (gx, gw, gb), None where not needed.
    beside: as in `convolve`; then there are four needs and gradients, the last of them of `beside`.
    pooled: None, or (gpooled, argmax), where `convolve` has pooled y: what comes back that way is added to gy, which is
    None if nothing else has read y.
    """
    if pooled is not None:
        size = output_size(x.shape[1:3], w.shape[:2], stride, pads)
        gy = max_pool_gradient(*pooled, *POOL, size, plus=gy)
    if beside is not None:
        needs_gx, needs_gw, needs_gb, needs_gbeside = needs
        needs = needs_gx or needs_gbeside, needs_gw, needs_gb
        gx, gw, gb = convolve_backward(concatenate(x, beside), w, gy, y, stride, pads, needs)
        gx, gbeside = (None, None) if gx is None else split(gx, x.shape[3])
        return gx if needs_gx else None, gw, gb, gbeside if needs_gbeside else None
    needs_gx, needs_gw, needs_gb = needs
    gz = gy if y is None else relu_gradient(gy, y)
    gx = convolve_transposed(gz, w, None, stride, pads, x.shape[1:3]) if needs_gx else None
    gw = weight_gradient(x, gz, w.shape[:2], stride, pads) if needs_gw else None
    gb = sum_over_pixels(gz) if needs_gb else None
    return gx, gw, gb
