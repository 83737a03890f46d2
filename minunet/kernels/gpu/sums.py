"""Sums over all pixels, in an order that the sizes alone decide."""

import numpy as np

from minunet.cuda import kept_zeros
from minunet.device import array_module
from minunet.kernels.gpu.launch import WARP, grid_of_columns, launch, ready
from minunet.precision import sum_dtype


def sum_over_pixels(gy):
    """As `reference.sum_over_pixels`."""
    return _sum_over_pixels(ready(gy), None, None)


def sum_rows(rows, out):
    """Writes the sums over the first axis of `rows`, contiguous, to `out`."""
    sizes = np.int64(len(rows)), np.int64(out.size)
    launch("sums.cu", "sum_rows", (-(-out.size // WARP),), out.dtype, rows, out, *sizes)


def relu_gradient_and_sum(gy, y):
    """(gz, gb) of a convolution's backward, in one pass."""
    gy = ready(gy)
    gz = array_module(gy).empty(gy.shape, gy.dtype)
    return gz, _sum_over_pixels(gy, ready(y), gz)


def _sum_over_pixels(gy, y, gz):
    """Returns Σ gy or, where y and gz are given, Σ gz; gz is written on the way."""
    xp, F = array_module(gy), gy.shape[-1]
    rows = gy.size // F
    blocks, groups, columns = grid_of_columns(rows, F)
    gb, partial = xp.empty(F, sum_dtype(gy.dtype)), xp.empty((blocks, F), sum_dtype(gy.dtype))
    sizes = np.int64(rows), np.int32(F), np.int32(columns)
    arrays = gy, y, gz, gb, partial, kept_zeros(groups)
    launch("sums.cu", "sum_over_rows", (blocks, groups), gy.dtype, *arrays, *sizes)
    return gb
