"""Convolution, its transpose and its weights' gradient, each in one of three ways:

narrow   few channels, many pixels (the upper levels). P(x) would be KH·KW times the image, and writing it to memory
         would cost more than all the arithmetic: cuda/convolve.cu keeps the sums in registers and reads x itself.
wide     many channels, few pixels (the lower levels). Arithmetic is what counts, and nothing multiplies as fast as the
         GPU's own library: some rows of P(x) go into a workspace (patches.py), then one product with W follows.
tensor   in tf32 and 16 bits, windows that slide by one pixel, unless a layer has so many weights that they do not fit
         into shared memory: as narrow, but the products are those of tensor cores (tensor.py).
"""

import math

import numpy as np

from minunet.device import array_module
from minunet.kernels.gpu import tensor
from minunet.kernels.gpu.launch import (
    BLOCKS,
    THREADS,
    channels_of,
    geometry,
    grid_of_numbers,
    grid_of_rows,
    launch,
    ready,
    tile,
    vector,
)
from minunet.kernels.gpu.patches import images_at_once, patch_matrices
from minunet.kernels.gpu.pointwise import split
from minunet.kernels.gpu.pooling import max_pool, max_pool_gradient
from minunet.kernels.gpu.products import product
from minunet.kernels.gpu.sums import relu_gradient_and_sum, sum_over_pixels, sum_rows
from minunet.kernels.windows import POOL, argmax_dtype, output_size
from minunet.precision import sum_dtype

PIXELS = 4  # per thread in convolve.cu
TILE = 16  # channels per thread there, at most
SUMS = 32  # per thread in weight_gradient.cu, and weights held at a time in convolve.cu, at most
# channels in times channels out from which the library's product is faster (measured on an H100)
WIDE = {"convolve": 64 * 64, "convolve_transposed": 32 * 64, "weight_gradient": 16 * 32}


def convolve(x, w, b, stride, pads, relu=False, beside=None, pool=False):
    """y = P(x) W + b; negative results become 0 if `relu`. Shapes, and `pool`, as in `reference.convolve`."""
    if pool:
        return _convolve_and_pool(x, w, b, stride, pads, relu, beside)
    x, w, b, beside = ready(x), ready(w), ready(b), ready(beside)
    KH, KW, C, F = w.shape
    OH, OW = output_size(x.shape[1:3], (KH, KW), stride, pads)
    y = array_module(x).empty((len(x), OH, OW, F), x.dtype)
    if stride == (1, 1) and tensor.uses_tensor_cores(x) and tensor.convolve(x, w, b, y, pads, relu, beside=beside):
        return y
    if C * F < WIDE["convolve"]:
        windows = geometry((*x.shape[:3], C), y.shape, (KH, KW), stride, pads)
        _launch_narrow("convolve", (x, beside), w, b, y, windows, np.int32(relu))
        return y
    pixels, W = y.reshape(-1, F), w.reshape(-1, F).astype(x.dtype, copy=False)
    for rows, P in patch_matrices(x, y.shape, (KH, KW), stride, pads, beside):
        product(P, W, pixels[rows.start * OW : rows.stop * OW])
    if b is not None or relu:
        sizes = np.int64(y.size), np.int32(F), np.int32(relu)
        launch("pointwise.cu", "add_bias", grid_of_numbers(y.size), y.dtype, y, b, *sizes)
    return y


def _convolve_and_pool(x, w, b, stride, pads, relu, beside):
    """(y, pooled, argmax): in one pass on tensor cores, if they can, else one after the other."""
    if stride == (1, 1) and tensor.uses_tensor_cores(x):
        x, w, b, beside, xp = ready(x), ready(w), ready(b), ready(beside), array_module(x)
        N, (OH, OW), F = len(x), output_size(x.shape[1:3], w.shape[:2], stride, pads), w.shape[3]
        y, pooled = xp.empty((N, OH, OW, F), x.dtype), xp.empty((N, OH // 2, OW // 2, F), x.dtype)
        argmax = xp.empty(pooled.shape, argmax_dtype(POOL[0]))
        if tensor.convolve(x, w, b, y, pads, relu, beside=beside, pooled=pooled, argmax=argmax):
            return y, pooled, argmax
    y = convolve(x, w, b, stride, pads, relu, beside)
    return y, *max_pool(y, *POOL)


def convolve_transposed(y, w, b, stride, pads, size):
    """x = Pᵀ(y Wᵀ) + b. Shapes as in `reference.convolve_transposed`."""
    y, w, b = ready(y), ready(w), ready(b)
    KH, KW, C, F = w.shape
    x = array_module(y).empty((len(y), *size, C), y.dtype)
    if stride == (1, 1) and tensor.uses_tensor_cores(y) and tensor.convolve_transposed(y, w, b, x, pads):
        return x
    windows = geometry(x.shape, y.shape, (KH, KW), stride, pads)
    at_once = images_at_once(y, KH * KW * C)  # whole images: a pixel lies under many windows
    if C * F < WIDE["convolve_transposed"] or at_once == 0:
        _launch_narrow("convolve_transposed", (y,), w, b, x, windows)
        return x
    W = w.reshape(-1, F).astype(y.dtype, copy=False)
    for n in range(0, len(y), at_once):
        products = product(y[n : n + at_once].reshape(-1, F), W.T)
        images = x[n : n + at_once]
        rows = len(images) * size[0]
        grid = grid_of_rows(rows, size[1] * C)
        launch("patches.cu", "gather", grid, y.dtype, products, b, images, np.int64(rows), windows, VECTOR=vector(C))
    return x


def _launch_narrow(kernel, sources, w, b, target, windows, *flags):
    """Runs a kernel of convolve.cu: each thread computes PIXELS pixels of `target` in a tile of its channels.

    sources: the array that it reads and, for `convolve`, what lies beside it, or None.
    """
    source, beside = sources[0], sources[-1] if len(sources) > 1 else None
    C = channels_of(source, beside)
    channels, across = target.shape[3], vector(math.gcd(source.shape[3], C))
    # Read side by side are the weights of a tile in `convolve`, and those of a vector in `convolve_transposed`: that is
    # the larger one. More than SUMS at a time, and some would no longer fit into registers, where numbers of 16 bits
    # take up room twice: as they are read, and as floats.
    if kernel == "convolve" and source.dtype.itemsize > 2:
        width = tile(channels, TILE)
        across = min(across, 2 if width > SUMS // 4 else 4)
    else:
        width = tile(channels, SUMS // 4)
    pixels = target.size // channels
    tiles = channels // width
    grid = (-(-pixels // (THREADS * PIXELS)) * tiles,)
    definitions = {"VECTOR": across, "TILE": width, "TILES": tiles, "PIXELS": PIXELS, "BESIDE": C - source.shape[3]}
    arguments = *sources, w, b, target, np.int64(pixels), windows, *flags
    launch("convolve.cu", kernel, grid, source.dtype, *arguments, **definitions)


def weight_gradient(x, gy, kernel_size, stride, pads):
    """gW = P(x)ᵀ gy. Shapes as in `reference.weight_gradient`."""
    return _weight_gradient(x, None, gy, kernel_size, stride, pads)


def _weight_gradient(x, beside, gy, kernel_size, stride, pads):
    """gW = P([x, beside])ᵀ gy; beside may be None."""
    x, beside, gy = ready(x), ready(beside), ready(gy)
    xp, C, (_, _, OW, F) = array_module(x), channels_of(x, beside), gy.shape
    gw = xp.empty((*kernel_size, C, F), sum_dtype(x.dtype))
    if stride == (1, 1) and tensor.uses_tensor_cores(x):
        if tensor.backward(x, None, gy, None, None, gw, None, pads, beside):
            return gw
    if C * F < WIDE["weight_gradient"] or gy.size == 0:
        windows = geometry((*x.shape[:3], C), gy.shape, kernel_size, stride, pads)
        _narrow_weight_gradient(x, beside, gy, windows, gw)
        return gw
    pixels, gW = gy.reshape(-1, F), gw.reshape(-1, F)
    for rows, P in patch_matrices(x, gy.shape, kernel_size, stride, pads, beside):
        gy_rows = pixels[rows.start * OW : rows.stop * OW]
        if rows.start == 0:
            product(P.T, gy_rows, gW)
        else:
            gW += product(P.T, gy_rows)
    return gw


def _narrow_weight_gradient(x, beside, gy, windows, gw):
    """Each block sums over some rows of windows into a gw of its own, then the blocks' sums are added."""
    KH, KW, C, F = gw.shape
    rows = gy.shape[0] * gy.shape[1]
    across = vector(math.gcd(x.shape[3], C))
    width = tile(F, min(TILE, SUMS // across))
    pieces = KH * KW * (C // across) * (F // width)
    groups = -(-pieces // THREADS)
    per_group = -(-pieces // groups)
    blocks = max(1, min(rows, BLOCKS // 2 // groups))
    partial = array_module(x).empty((blocks, gw.size), gw.dtype)
    sizes = np.int64(rows), np.int32(pieces), np.int32(per_group), windows
    definitions = {"VECTOR": across, "TILE": width, "BESIDE": C - x.shape[3]}
    arguments = x, beside, gy, partial, *sizes
    launch("weight_gradient.cu", "weight_gradient", (blocks, groups), x.dtype, *arguments, **definitions)
    sum_rows(partial, gw)


def convolve_backward(x, w, gy, y, stride, pads, needs, beside=None, pooled=None):
    """(gx, gw, gb), with `beside` (gx, gw, gb, gbeside), as in `reference.convolve_backward`."""
    needs_gx, needs_gw, needs_gb, *needs_gbeside = needs
    needs_gx = needs_gx or any(needs_gbeside)
    if stride == (1, 1) and needs_gw and tensor.uses_tensor_cores(x) and gy is not None:
        gradients = _on_tensor_cores(x, w, gy, y, pads, (needs_gx, needs_gb), beside, pooled)
        if gradients is not None:
            return tuple(gradient if need else None for gradient, need in zip(gradients, needs))
    if pooled is not None:
        size = output_size(x.shape[1:3], w.shape[:2], stride, pads)
        gy = max_pool_gradient(*pooled, *POOL, size, plus=gy)
        return convolve_backward(x, w, gy, y, stride, pads, needs, beside)
    if y is not None:
        gy, gb = relu_gradient_and_sum(gy, y)
    else:
        gb = sum_over_pixels(gy) if needs_gb else None
    gw = _weight_gradient(x, beside, gy, w.shape[:2], stride, pads) if needs_gw else None
    gx = convolve_transposed(gy, w, None, stride, pads, x.shape[1:3]) if needs_gx else None
    gx, gbeside = (gx, None) if gx is None or beside is None else split(gx, x.shape[3])
    return tuple(gradient if need else None for gradient, need in zip((gx, gw, gb, gbeside), needs))


def _on_tensor_cores(x, w, gy, y, pads, needs, beside, pooled):
    """Returns (gx, gw, gb, gbeside), or None if tensor.backward cannot; needs: whether gx, and whether gb."""
    x, w, gy, y, beside = (ready(array) for array in (x, w, gy, y, beside))
    pooled = None if pooled is None else tuple(map(ready, pooled))
    xp, (needs_gx, needs_gb) = array_module(x), needs
    gx, gbeside = (xp.empty_like(array) if needs_gx and array is not None else None for array in (x, beside))
    gw, gb = xp.empty(w.shape, w.dtype), xp.empty(gy.shape[3], w.dtype) if needs_gb else None
    done = tensor.backward(x, w, gy, y, gx, gw, gb, pads, beside, gbeside, pooled)
    return (gx, gw, gb, gbeside) if done else None
