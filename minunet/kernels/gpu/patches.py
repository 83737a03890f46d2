"""P(x) in a workspace, as many rows at a time as it holds, for products by the GPU's own library (cuBLAS).

The workspace takes at most MINUNET_GPU_WORKSPACE bytes (default: a quarter of the GPU's free memory, at most 1 GiB).
"""

import functools
import math
import os

import numpy as np

from minunet.cuda import memory_free
from minunet.device import array_module, device_of
from minunet.kernels.gpu.launch import channels_of, geometry, grid_of_rows, launch, vector
from minunet.precision import sum_dtype


def patch_matrices(x, y_shape, kernel_size, stride, pads, beside=None):
    """Yields (rows, P): a slice of all the rows of windows, and P(x) under them. The next P overwrites it.

    beside: None, or a second array that is read as if it lay beside x.
    """
    (N, OH, OW, _), C = y_shape, channels_of(x, beside)
    rows, K = N * OH, kernel_size[0] * kernel_size[1] * C
    if kernel_size == stride == (1, 1) and x.shape[:3] == y_shape[:3] and beside is None:
        yield slice(0, rows), x.reshape(-1, K)  # P(x) is x
        return
    at_once = max(1, min(rows, workspace_bytes(device_of(x)) // (OW * K * x.itemsize)))
    workspace = array_module(x).empty((at_once * OW, K), x.dtype)
    windows = geometry((*x.shape[:3], C), y_shape, kernel_size, stride, pads)
    definitions = {"VECTOR": vector(math.gcd(x.shape[3], C)), "BESIDE": C - x.shape[3]}
    for start in range(0, rows, at_once):
        count = min(at_once, rows - start)
        P = workspace[: count * OW]
        grid = grid_of_rows(count, OW * K)
        sizes = np.int64(start), np.int64(count), windows
        launch("patches.cu", "patches", grid, x.dtype, x, beside, P, *sizes, **definitions)
        yield slice(start, start + count), P


def images_at_once(y, K):
    """Returns for how many images the workspace holds the product y Wᵀ, K numbers for each pixel of y; perhaps 0."""
    _, OH, OW, _ = y.shape
    return workspace_bytes(device_of(y)) // max(1, OH * OW * K * sum_dtype(y.dtype).itemsize)


@functools.cache
def workspace_bytes(device):
    """Returns how many bytes P(x) may take at a time.

    Raises ValueError if MINUNET_GPU_WORKSPACE is not a number of bytes.
    """
    text = os.environ.get("MINUNET_GPU_WORKSPACE")
    if text is None:
        return max(1, min(memory_free(device) // 4, 1 << 30))
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"MINUNET_GPU_WORKSPACE is {text!r}: it must be a number of bytes, such as 1000000000")
    return int(text)
