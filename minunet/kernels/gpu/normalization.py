"""Batch normalization, each function in one pass over memory."""

import numpy as np

from minunet.cuda import kept_zeros
from minunet.device import array_module
from minunet.kernels.gpu.launch import grid_of_columns, grid_of_numbers, launch, ready
from minunet.precision import sum_dtype


def moments(x, epsilon):
    """(μ, v, r) as in `reference.moments`."""
    x = ready(x)
    xp, C, dtype = array_module(x), x.shape[3], sum_dtype(x.dtype)
    mean, variance_and_r = xp.empty(C, dtype), xp.empty((2, C), dtype)
    _channel_sums("MEAN", mean, x)
    _channel_sums("VARIANCE", variance_and_r, x, mean=mean, epsilon=epsilon)
    return mean, variance_and_r[0], variance_and_r[1]


def normalize(x, mean, r, gamma, beta, relu):
    """As `reference.normalize`."""
    x = ready(x)
    y = array_module(x).empty(x.shape, x.dtype)
    arrays = x, *_contiguous(mean, r, gamma, beta), y
    sizes = np.int64(x.size), np.int32(x.shape[3]), np.int32(relu)
    launch("normalization.cu", "normalize", grid_of_numbers(x.size), x.dtype, *arrays, *sizes)
    return y


def normalize_sums(gy, x, mean, r, gamma, beta, relu):
    """(gβ, gγ) as in `reference.normalize_sums`."""
    gy, x = ready(gy), ready(x)
    sums = array_module(x).empty((2, x.shape[3]), sum_dtype(x.dtype))
    _channel_sums("GRADIENTS", sums, x, gy, *_contiguous(mean, r, gamma, beta), relu=relu)
    return sums[0], sums[1]


def normalize_gradient(gy, x, mean, r, gamma, beta, relu, gbeta, ggamma, one_over_M):
    """As `reference.normalize_gradient`."""
    gy, x = ready(gy), ready(x)
    gx = array_module(x).empty(x.shape, x.dtype)
    arrays = gy, x, *_contiguous(mean, r, gamma, beta, gbeta, ggamma), gx
    numbers = sum_dtype(x.dtype).type(one_over_M), np.int64(x.size), np.int32(x.shape[3]), np.int32(relu)
    launch("normalization.cu", "normalize_gradient", grid_of_numbers(x.size), x.dtype, *arrays, *numbers)
    return gx


def _channel_sums(which, out, x, gy=None, mean=None, r=None, gamma=None, beta=None, epsilon=0.0, relu=False):
    """Writes one of the sums of normalization.cu over the pixels of x into `out`."""
    F = x.shape[3]
    rows = x.size // F
    blocks, groups, columns = grid_of_columns(rows, F)
    dtype = sum_dtype(x.dtype)
    partial = array_module(x).empty((2, blocks, F), dtype)
    arrays = x, gy, mean, r, gamma, beta, out, partial, kept_zeros(groups)
    numbers = dtype.type(epsilon), np.int64(rows), np.int32(F), np.int32(columns), np.int32(relu)
    launch("normalization.cu", "channel_sums", (blocks, groups), x.dtype, *arrays, *numbers, SUM=which)


def _contiguous(*arrays):
    """Returns the arrays (C,) as the kernels read them."""
    return map(array_module(arrays[0]).ascontiguousarray, arrays)


def update_running_average(averages, values, momentum):
    """As `reference.update_running_average`."""
    (a, b), (u, v) = averages, values
    numbers = u.dtype.type(momentum), np.int32(a.size)
    launch("normalization.cu", "update_running_average", grid_of_numbers(a.size), u.dtype, a, b, u, v, *numbers)
