"""Kernels that treat each number on its own."""

import numpy as np

from minunet.device import array_module
from minunet.kernels import reference
from minunet.kernels.gpu.launch import C_NAMES, grid_of_numbers, launch, ready


def relu_gradient(gy, y):
    """As `reference.relu_gradient`."""
    gy, y = ready(gy), ready(y)
    gz = array_module(gy).empty(gy.shape, gy.dtype)
    launch("pointwise.cu", "relu_gradient", grid_of_numbers(gy.size), gy.dtype, gy, y, gz, np.int64(gy.size))
    return gz


def concatenate(a, b):
    """As `reference.concatenate`."""
    if a.dtype.char not in C_NAMES:
        return reference.concatenate(a, b)
    a, b, A, B = ready(a), ready(b), a.shape[-1], b.shape[-1]
    y = array_module(a).empty((*a.shape[:-1], A + B), a.dtype)
    sizes = np.int64(y.size), np.int32(A), np.int32(B)
    launch("pointwise.cu", "concatenate", grid_of_numbers(y.size), y.dtype, a, b, y, *sizes)
    return y


def split(y, A):
    """As `reference.split`."""
    y, xp, B = ready(y), array_module(y), y.shape[-1] - A
    a = xp.empty((*y.shape[:-1], A), y.dtype)
    b = xp.empty((*y.shape[:-1], B), y.dtype)
    sizes = np.int64(y.size), np.int32(A), np.int32(B)
    launch("pointwise.cu", "split", grid_of_numbers(y.size), y.dtype, y, a, b, *sizes)
    return a, b


def to_float(images, masks, ignored):
    """(x, t, weights) as in `reference.to_float`."""
    images, masks, xp = ready(images), ready(masks), array_module(images)
    x = xp.empty(images.shape, "float32")
    t = xp.empty(masks.shape, "float32")
    weights = xp.empty(masks.shape, "float32")
    sizes = np.int64(images.size), np.int64(masks.size), np.int32(ignored)
    launch("pointwise.cu", "to_float", grid_of_numbers(images.size), x.dtype, images, masks, x, t, weights, *sizes)
    return x, t, weights
