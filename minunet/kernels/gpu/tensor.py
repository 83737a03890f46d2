"""Convolutions of stride 1 on tensor cores: where they apply, and how large a tile a block takes.

The kernels are in cuda/tensor_convolve.cu and cuda/tensor_weight_gradient.cu; cuda/fragments.cu explains what a tensor
core multiplies. They take tf32 (float32 arrays, whose factors are rounded) from sm_80 on, and 16 bits.
"""

import functools
from typing import NamedTuple

import numpy as np

from minunet.cuda import compute_capability
from minunet.device import array_module, device_of
from minunet.kernels.gpu.launch import THREADS, WARP, geometry, launch
from minunet.kernels.gpu.sums import sum_rows
from minunet.precision import precision_in_use

WARPS = THREADS // WARP
STEP = 8  # words of a pixel in one instruction
SHARED = 52 << 10  # bytes for a block, at most: three blocks on a multiprocessor of an A100, four on one of an H100
TILES = 4  # that a block convolves with the weights that it has laid out once
REGISTERS = 98  # words of fragments that a thread may keep for the weights' gradient, of 128 registers
PARTIAL_SUMS = 512  # blocks that share the pixels of a weights' gradient
TYPES = {"f": "TF32", "e": "FLOAT16", "E": "BFLOAT16"}  # by dtype.char


def uses_tensor_cores(x):
    """Returns whether products of x may be taken by tensor cores: for 16 bits, and for float32 if tf32 is in use."""
    if x.dtype.char == "f":
        return precision_in_use() == "tf32" and compute_capability(device_of(x)) >= 80
    return x.dtype.char in TYPES


class Plan(NamedTuple):
    """How a kernel divides its work: `shared` bytes, and the macros that it is compiled with."""

    shared: int
    filters: int  # eights of filters for a block
    rows: int  # for a warp
    across: int  # warps side by side
    pitch: int  # words of a pixel in shared memory


# Each of the following returns False, or None, where its kernel does not fit: then another way has to be taken.


def convolve(x, output, w, b, y, pads, relu):
    """Writes P(x) W + b to y, negative numbers as 0 if `relu`. Where `output` is given, x counts as 0 where it is not
    positive.
    """
    return _convolve(x, output, w, b, y, pads, relu, transposed=False)


def convolve_transposed(y, output, w, b, x, pads):
    """Writes Pᵀ(y Wᵀ) + b to x; `output` as above. With stride 1 that is a convolution whose taps are turned around."""
    turned = tuple((size - 1 - before, size - 1 - after) for size, (before, after) in zip(w.shape[:2], pads))
    return _convolve(y, output, w, b, x, turned, False, transposed=True)


def _convolve(x, output, w, b, y, pads, relu, transposed):
    KH, KW = w.shape[:2]
    C, F = x.shape[3], y.shape[3]
    plan = _plan_convolution(y.shape, C, (KH, KW), x.dtype.itemsize)
    if plan is None:
        return False
    tile_rows, tile_columns = WARPS // plan.across * plan.rows, 16 * plan.across
    tiles = len(y) * -(-y.shape[1] // tile_rows) * -(-y.shape[2] // tile_columns)
    grid = -(-tiles // TILES), -(-F // (8 * plan.filters))
    windows = geometry(x.shape, y.shape, (KH, KW), (1, 1), pads)
    arguments = x, output, w, b, y, np.int64(tiles), windows, np.int32(relu)
    definitions = {"FILTERS": plan.filters, "ROWS": plan.rows, "ACROSS": plan.across, "PITCH": plan.pitch}
    definitions |= {"TILES": TILES, "TRANSPOSED": int(transposed)} | _constants(x, (KH, KW))
    launch("tensor_convolve.cu", "tensor_convolve", grid, x.dtype, *arguments, shared=plan.shared, **definitions)
    return True


@functools.lru_cache(maxsize=1000)
def _plan_convolution(y_shape, C, kernel_size, itemsize):
    """Returns the Plan that reads the fewest pixels, margins and repetitions counted; None where nothing fits."""
    _, OH, OW, F = y_shape
    KH, KW = kernel_size
    if F % 2:
        return None
    words = -(-C * itemsize // (4 * STEP)) * STEP
    pitch, eights = _odd_multiple(words, STEP), -(-F // 8)
    plans = []
    for groups in range(1, eights + 1):
        filters = -(-eights // groups)
        for rows, across in [(4, 2), (4, 1), (2, 2), (2, 1), (1, 2), (1, 1)]:
            tile_rows, tile_columns = WARPS // across * rows, 16 * across
            pixels = (tile_rows + KH - 1) * (tile_columns + KW - 1)
            shared = 4 * (pixels * pitch + KH * KW * words // STEP * filters * 64)
            if shared > SHARED or rows * filters > 8:
                continue
            read = groups * pixels * -(-OH // tile_rows) * -(-OW // tile_columns)
            plans.append((read, Plan(shared, filters, rows, across, pitch)))
    return min(plans, key=lambda plan: plan[0])[1] if plans else None


def convolve_backward(x, w, gy, output, pads, needs):
    """Returns (gx, gw, gb). ReLU's mask is applied where gy is read: gz is never written."""
    needs_gx, needs_gw, needs_gb = needs
    if not (needs_gw and _plan_weight_gradient(x.shape[3], gy.shape[3], w.shape[:2], x.dtype.itemsize)):
        return None
    xp, gx, gb = array_module(x), None, None
    if needs_gx:
        gx = xp.empty(x.shape, x.dtype)
        if not convolve_transposed(gy, output, w, None, gx, pads):
            return None
    gw = xp.empty(w.shape, w.dtype)
    if needs_gb:
        gb = xp.empty(gy.shape[3], w.dtype)
    weight_gradient(x, gy, output, gw, gb, pads)
    return gx, gw, gb


def weight_gradient(x, gy, output, gw, gb, pads):
    """Writes gW = P(x)ᵀ gz to gw and Σ gz to gb, if that is given; gz is gy, or 0 where `output`, if given, is not
    positive.
    """
    KH, KW, C, F = gw.shape
    plan = _plan_weight_gradient(C, F, (KH, KW), x.dtype.itemsize)
    if plan is None:
        return False
    xp, across = array_module(x), _warps_across(x.dtype.itemsize)
    tiles = len(gy) * -(-gy.shape[1] // (WARPS // across * plan.rows)) * -(-gy.shape[2] // 32)
    blocks = min(tiles, PARTIAL_SUMS)
    partial = xp.empty((blocks, gw.size), gw.dtype)
    partial_gb = None if gb is None else xp.empty((blocks, F), gb.dtype)
    grid = blocks, -(-F // (8 * plan.filters))
    windows = geometry(x.shape, gy.shape, (KH, KW), (1, 1), pads)
    arguments = x, gy, output, partial, partial_gb, np.int64(tiles), windows
    words = plan.filters * 8 * x.dtype.itemsize // 4
    gz = {"GZ_PITCH": _odd_multiple(words, _unit(x.dtype.itemsize)), "GZ_VECTOR": _vector(F, x.dtype.itemsize)}
    definitions = {"FILTERS": plan.filters, "ROWS": plan.rows, "PITCH": plan.pitch} | gz | _constants(x, (KH, KW))
    kernel = "tensor_weight_gradient"
    launch(f"{kernel}.cu", kernel, grid, x.dtype, *arguments, shared=plan.shared, **definitions)
    for rows, total in [(partial, gw), (partial_gb, gb)]:
        if total is not None:
            sum_rows(rows, total)
    return True


@functools.lru_cache(maxsize=1000)
def _plan_weight_gradient(C, F, kernel_size, itemsize):
    """Returns the Plan with the most filters, then rows, for a block; None where nothing fits."""
    KH, KW = kernel_size
    if F % 2:
        return None
    across, eights, pairs = _warps_across(itemsize), -(-F // 8), -(-KW * -(-C // 8) // 2)
    pitch = _odd_multiple(-(-C // 8) * 2 * itemsize, _unit(itemsize))
    for groups in range(1, eights + 1):
        filters = -(-eights // groups)
        for rows in (4, 2, 1):
            tile_rows = WARPS // across * rows
            gz_pitch = _odd_multiple(filters * 2 * itemsize, _unit(itemsize))
            tiles = (tile_rows + KH - 1) * (32 + KW - 1) * pitch + tile_rows * 32 * gz_pitch
            totals = max(KH * pairs * filters * 4 * WARP, 8 * THREADS)
            shared = 4 * max(tiles, totals)
            if shared <= SHARED and 4 * KH * pairs * filters + 2 * rows * filters <= REGISTERS:
                return Plan(shared, filters, rows, across, pitch)
    return None


def _warps_across(itemsize):
    """Returns how many warps, each with the pixels of one instruction, lie side by side on 32 pixels."""
    return 32 // (STEP * 4 // itemsize)


def _unit(itemsize):
    """Returns the words by which pixels must differ for fragments whose columns are pixels, see _odd_multiple."""
    return 8 if itemsize == 4 else 4


def _odd_multiple(words, unit):
    """Returns the smallest odd multiple of `unit` that holds `words`: neighboring pixels begin in different banks."""
    return (-(-words // unit) | 1) * unit


def _constants(x, kernel_size):
    """Returns the macros that both kernels have in common."""
    C = x.shape[3]
    constants = {"CHANNELS": C, "TAPS_H": kernel_size[0], "TAPS_W": kernel_size[1]}
    return constants | {"VECTOR": _vector(C, x.dtype.itemsize), "TENSOR_TYPE": TYPES[x.dtype.char]}


def _vector(channels, itemsize):
    """Returns how many neighboring numbers of a pixel are read at a time: up to 16 bytes."""
    return max(v for v in (1, 2, 4, 8) if channels % v == 0 and v * itemsize <= 16)
