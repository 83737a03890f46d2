"""Convolutions of stride 1 on tensor cores: where they apply, and how large a tile a block takes.

The kernels are in cuda/tensor_convolve.cu and cuda/tensor_backward.cu; cuda/fragments.cu explains what a tensor core
multiplies, cuda/tiles.cu and copies.cu how an image gets there. They take tf32, that is, float32 arrays whose factors
are rounded, from sm_80 on, and arrays of 16 bits.

What limits a tile is shared memory: tiles.cu keeps a tile with its margin there, and all weights. Where nothing fits,
the functions return False, and another way has to be taken: layers so wide are better off with cuBLAS anyway. A second
tile, which arrives while the first one is multiplied, gets only what no other block on the multiprocessor could use.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from minunet.cuda import compute_capability, shared_memory
from minunet.device import array_module, device_of
from minunet.kernels.gpu.launch import THREADS, WARP, channels_of, geometry, launch
from minunet.kernels.gpu.sums import sum_rows
from minunet.precision import FIRST_WITH_TF32, precision_in_use

WARPS = THREADS // WARP
STEP = 8  # words of a pixel in one instruction
# Tiles that a block convolves one after another, at most, with the weights that it has laid out once: by the number of
# its buffers. With two, it has nothing to multiply only while the first tile arrives, which is thus one of eight. But
# not before there are so many blocks: eight for each multiprocessor of an H100, so that one with a block more than the
# others works no more than an eighth longer.
TILES = {1: 4, 2: 8}
ENOUGH_BLOCKS = 1056
PARTIAL_SUMS = 528  # blocks that share the pixels of a weights' gradient: four for each of them
TYPES = {"f": "TF32", "e": "FLOAT16", "E": "BFLOAT16"}  # by dtype.char
# Bytes of shared memory for a block, at most. Four blocks of a convolution fit on a multiprocessor of an H100, three on
# one of an A100. Two of a backward fit on both in tf32; in 16 bits it must be possible on a T4, which has 64 KB.
CONVOLVE_SHARED = 52 << 10
CONVOLVE_BLOCKS = 4  # on a multiprocessor, at most: it has no registers for more
BACKWARD_SHARED = {4: 80 << 10, 2: 64 << 10}  # by bytes of a number
SHARED_FOR_SYSTEM = 1 << 10  # of each block, from sm_80 on
ASYNC = True  # whether cp.async is used where it can be; benchmarks compare both
# Registers that a thread may take for sums and weights, so that nothing spills: of the 64 that it has where four blocks
# run on a multiprocessor, and of the 128 where two do.
CONVOLVE_SUMS = 40
BACKWARD_SUMS = 28  # for gx
GW_SUMS = 40
FEW_SUMS = 16  # of both kinds: with so few, four blocks of a backward have enough with 64 registers, too


def uses_tensor_cores(x):
    """Returns whether products of x may be taken by tensor cores: for 16 bits, and for float32 if tf32 is in use."""
    if x.dtype.char == "f":
        return precision_in_use() == "tf32" and compute_capability(device_of(x)) >= FIRST_WITH_TF32
    return x.dtype.char in TYPES


class Plan(NamedTuple):
    """How a kernel divides its work: the bytes of shared memory, and macros with which it is compiled."""

    shared: int
    eights: int  # of filters (or channels of gx) for a block
    rows: int  # of pixels for a warp
    across: int  # warps side by side, of 16 pixels each
    pitch: int  # words of a pixel in shared memory

    @property
    def tile(self):
        """Rows and columns of a tile, without its margin."""
        return WARPS // self.across * self.rows, 16 * self.across

    def tiles(self, size):
        """Returns how many tiles cover an image of (height, width)."""
        return -(-size[0] // self.tile[0]) * -(-size[1] // self.tile[1])

    def macros(self, x, kernel_size, beside=None):
        """Returns the definitions that both kernels have in common; what is convolved is x and what lies beside it."""
        definitions = {"EIGHTS": self.eights, "ROWS": self.rows, "ACROSS": self.across, "PITCH": self.pitch}
        definitions |= {"CHANNELS": channels_of(x, beside), "TAPS_H": kernel_size[0], "TAPS_W": kernel_size[1]}
        return definitions | {"VECTOR": _vector(x, beside), "TENSOR_TYPE": TYPES[x.dtype.char]}


# ---- forward -----------------------------------------------------------------------------------------------


def convolve(x, w, b, y, pads, relu, transposed=False, beside=None, pooled=None, argmax=None):
    """Writes P(x) W + b to y, negative numbers as 0 if `relu`. Returns False if it cannot.

    transposed: with the weights of the transpose, w (KH,KW,F,C), whose taps are turned around.
    beside: None, or a second array that is read as if it lay beside x.
    pooled, argmax: None, or where to write the largest of each 2x2 numbers of y, and which of them it is.
    """
    kernel_size, C = w.shape[:2], channels_of(x, beside)
    plan = _plan_convolution(y.shape, C, kernel_size, x.dtype.itemsize, pooled is not None)
    if plan is None:
        return False
    tiles, groups = len(y) * plan.tiles(y.shape[1:3]), -(-y.shape[3] // (8 * plan.eights))
    asynchronous = _copies_behind(_vector(x, beside), x)
    tile = 4 * plan.pitch * _pixels(plan.tile, kernel_size)
    buffers = _buffers(plan.shared, tile, x) if asynchronous else 1
    tiles_of_block = max(1, min(TILES[buffers], tiles * groups // ENOUGH_BLOCKS))
    grid = -(-tiles // tiles_of_block), groups
    windows = geometry((*x.shape[:3], C), y.shape, kernel_size, (1, 1), pads)
    arrays = x, beside, w, b, y, pooled, argmax
    arguments = *arrays, np.int32(tiles), np.int32(tiles_of_block), windows, np.int32(relu)
    definitions = plan.macros(x, kernel_size, beside) | {"TRANSPOSED": int(transposed), "BESIDE": C - x.shape[3]}
    definitions |= {"POOL": int(pooled is not None), "ASYNC": int(asynchronous), "BUFFERS": buffers}
    shared = plan.shared + (buffers - 1) * tile
    launch("tensor_convolve.cu", "tensor_convolve", grid, x.dtype, *arguments, shared=shared, **definitions)
    return True


def convolve_transposed(y, w, b, x, pads):
    """Writes Pᵀ(y Wᵀ) + b to x, with stride 1 a convolution with the taps turned around. Returns False if it cannot."""
    turned = tuple((size - 1 - before, size - 1 - after) for size, (before, after) in zip(w.shape[:2], pads))
    return convolve(y, w, b, x, turned, relu=False, transposed=True)


@functools.lru_cache(maxsize=1000)
def _plan_convolution(y_shape, C, kernel_size, itemsize, pool=False):
    """Returns the Plan that reads the fewest pixels, margins and repetitions counted; None where nothing fits.

    pool: with an even number of rows, since two must be in the registers of one thread. None, too, if it costs more
    than it saves: more numbers of x are read than there are in y, which need not be read once more.
    """
    _, OH, OW, F = y_shape
    if F % 2:
        return None
    plans = []
    for groups, eights, rows, across in _divisions(F, kernel_size, CONVOLVE_SUMS):
        pitch, weights = _pitch(C, itemsize), _weight_words(C, kernel_size, itemsize, eights)
        plan = Plan(0, eights, rows, across, pitch)
        pixels = _pixels(plan.tile, kernel_size)
        plan = plan._replace(shared=4 * (pixels * pitch + weights))
        if plan.shared <= CONVOLVE_SHARED:
            plans.append((groups * pixels * plan.tiles((OH, OW)), plan))
    fewest = min((pixels for pixels, _ in plans), default=0)
    if pool:
        most = fewest + OH * OW * F / C
        plans = [(pixels, plan) for pixels, plan in plans if plan.rows % 2 == 0 and pixels <= most]
    return min(plans, key=lambda plan: plan[0])[1] if plans else None


def _buffers(shared, tile, x):
    """Returns how many tiles a block keeps in shared memory: two, if no fewer blocks fit on a multiprocessor then.

    shared: bytes of a block with one tile, which takes `tile` of them.
    """

    def blocks(bytes_of_block):
        return min(CONVOLVE_BLOCKS, shared_memory(device_of(x)) // (bytes_of_block + SHARED_FOR_SYSTEM))

    return 2 if blocks(shared + tile) == blocks(shared) else 1


# ---- backward ----------------------------------------------------------------------------------------------


def backward(x, w, gy, y, gx, gw, gb, pads, beside=None, gbeside=None, pooled=None):
    """Writes gx = Pᵀ(gz Wᵀ), gW = P(x)ᵀ gz and gb = Σ gz; gz is gy, or 0 where y, if given, is not positive.

    gx and gb may be None, and w without gx. beside: None, or a second array that is read as if it lay beside x; its
    gradient is written to gbeside, which is given if gx is. pooled: None, or (gpooled, argmax) as in
    `reference.convolve_backward`. Returns False if it cannot.
    """
    (KH, KW, C, F), itemsize, xp = gw.shape, x.dtype.itemsize, array_module(x)
    fits_margin = max(pads[0]) < KH and max(pads[1]) < KW
    planned = _plan_backward(C, F, (KH, KW), itemsize)
    if planned is None or not fits_margin or (gx is not None and (C % 2 or x.shape[3] % 2)):
        return False
    plan, split, sums = planned
    tiles = len(x) * plan.tiles([max(pair) for pair in zip(x.shape[1:3], gy.shape[1:3])])
    blocks = min(tiles, PARTIAL_SUMS)
    partial = xp.empty((blocks, gw.size), gw.dtype)
    partial_gb = None if gb is None else xp.empty((blocks, F), gb.dtype)
    grid = blocks, -(-C // (8 * plan.eights))
    arguments = (
        x,
        beside,
        w,
        gy,
        y,
        *(pooled or (None, None)),
        gx,
        gbeside,
        partial,
        partial_gb,
        np.int32(tiles),
        geometry((*x.shape[:3], C), gy.shape, (KH, KW), (1, 1), pads),
    )
    definitions = plan.macros(gy, (KH, KW)) | {"TRANSPOSED": 1, "SPLIT": split}
    x_vector = _vector(x, beside)
    definitions |= {"X_PITCH": _x_pitch(plan.eights, itemsize), "X_VECTOR": x_vector}
    definitions["ASYNC"] = int(_copies_behind(x_vector, x))
    definitions |= {"BLOCKS": _blocks(plan, sums, KW, x)}
    definitions |= {"BESIDE": C - x.shape[3], "POOLED": int(pooled is not None)}
    launch("tensor_backward.cu", "tensor_backward", grid, x.dtype, *arguments, shared=plan.shared, **definitions)
    sum_rows(partial, gw)
    if gb is not None:
        sum_rows(partial_gb, gb)
    return True


@functools.lru_cache(maxsize=1000)
def _plan_backward(C, F, kernel_size, itemsize):
    """Returns (plan, SPLIT, sums of a thread): the Plan with the fewest groups of channels, then the fewest pixels in
    margins; None where nothing fits.
    """
    pitch, plans = _pitch(F, itemsize), []
    for groups, eights, rows, across in _divisions(C, kernel_size, BACKWARD_SUMS):
        plan = Plan(0, eights, rows, across, pitch)
        pixels, own_pixels = _pixels(plan.tile, kernel_size), plan.tile[0] * plan.tile[1]
        tiles = (
            pixels * pitch + own_pixels * _x_pitch(eights, itemsize) + _weight_words(F, kernel_size, itemsize, eights)
        )
        units = -(-kernel_size[1] * -(-F // 8) // 2) * eights
        split = next((s for s in (1, 2, 4, 8) if 4 * kernel_size[0] * -(-units // s) <= GW_SUMS), None)
        if split is None:
            continue
        sums = 4 * rows * eights + 4 * kernel_size[0] * -(-units // split)
        totals = max(4 * kernel_size[0] * -(-units // split) * split * WARP, 8 * THREADS)
        plan = plan._replace(shared=4 * max(tiles, totals))
        if plan.shared <= BACKWARD_SHARED[itemsize]:
            plans.append((groups, pixels / own_pixels, plan, split, sums))
    return min(plans)[2:] if plans else None


def _blocks(plan, sums, kernel_width, x):
    """Returns how many blocks of a backward are to run on a multiprocessor: two, or four with few sums.

    On GPUs before sm_80 one, where there is no room for two, and for windows wider than three, which would spill.
    """
    older = compute_capability(device_of(x)) < FIRST_WITH_TF32
    if older and (2 * plan.shared > shared_memory(device_of(x)) or kernel_width > 3):
        return 1
    return 4 if sums <= FEW_SUMS else 2


def _x_pitch(eights, itemsize):
    """Returns the words of a pixel of x in shared memory, where fragments have pixels for rows."""
    return _odd_multiple(eights * 2 * itemsize, 8 if itemsize == 4 else 4)


# ---- both --------------------------------------------------------------------------------------------------


def _divisions(filters, kernel_size, registers):
    """Yields (groups, eights, rows, across): groups of filters, of that many eights each, and the tile of a block."""
    total = -(-filters // 8)
    for groups in range(1, total + 1):
        eights = -(-total // groups)
        for rows in (4, 2, 1):
            if (
                4 * rows * eights + 2 * kernel_size[0] * eights <= registers
            ):  # sums, and the weights of a column of taps
                yield groups, eights, rows, 2
                yield groups, eights, rows, 1


def _pixels(tile, kernel_size):
    """Returns the pixels of a tile with the margin that the windows need."""
    return (tile[0] + kernel_size[0] - 1) * (tile[1] + kernel_size[1] - 1)


def _weight_words(C, kernel_size, itemsize, eights):
    return kernel_size[0] * kernel_size[1] * -(-C * itemsize // (4 * STEP)) * eights * 64


def _pitch(C, itemsize):
    """Returns the words of a pixel in shared memory: an odd multiple of 8, see tiles.cu."""
    return _odd_multiple(-(-C * itemsize // 4), STEP)


def _odd_multiple(words, unit):
    """Returns the smallest odd multiple of `unit` that holds `words`."""
    return (-(-words // unit) | 1) * unit


def _copies_behind(vector, x):
    """Returns whether cp.async can copy tiles of x: so many numbers at a time, 4, 8 or 16 bytes."""
    return ASYNC and vector * x.dtype.itemsize >= 4 and compute_capability(device_of(x)) >= FIRST_WITH_TF32


def _vector(x, beside):
    """Returns how many neighboring numbers of a pixel are read at a time: up to 16 bytes, all of one array."""
    channels = math.gcd(x.shape[3], channels_of(x, beside))
    return max(v for v in (1, 2, 4, 8) if channels % v == 0 and v * x.dtype.itemsize <= 16)
