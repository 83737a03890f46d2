"""Max pooling and its gradient."""

import numpy as np

from minunet.device import array_module
from minunet.kernels.gpu.launch import C_NAMES, geometry, grid_of_rows, launch, ready, vector
from minunet.kernels.windows import argmax_dtype, output_size


def max_pool(x, size, stride, pads):
    """(y, argmax) as in `reference.max_pool`."""
    x = ready(x)
    xp, (N, _, _, C) = array_module(x), x.shape
    OH, OW = output_size(x.shape[1:3], size, stride, pads)
    y = xp.empty((N, OH, OW, C), x.dtype)
    argmax = xp.empty((N, OH, OW, C), argmax_dtype(size))
    sizes = np.int64(N * OH), geometry(x.shape, y.shape, size, stride, pads)
    launch("pooling.cu", "max_pool", grid_of_rows(N * OH, OW * C), x.dtype, x, y, argmax, *sizes, **_types(argmax))
    return y, argmax


def max_pool_gradient(gy, argmax, size, stride, pads, input_size, plus=None):
    """gx as in `reference.max_pool_gradient`."""
    gy, argmax, plus = ready(gy), ready(argmax), ready(plus)
    (N, _, _, C), (H, W) = gy.shape, input_size
    gx = array_module(gy).empty((N, H, W, C), gy.dtype)
    sizes = np.int64(N * H), geometry(gx.shape, gy.shape, size, stride, pads)
    grid = grid_of_rows(N * H, W * C)
    launch("pooling.cu", "max_pool_gradient", grid, gy.dtype, gy, argmax, plus, gx, *sizes, **_types(argmax))
    return gx


def _types(argmax):
    return {"VECTOR": vector(argmax.shape[3]), "Index": C_NAMES[argmax.dtype.char]}
