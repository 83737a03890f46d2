"""Compiling and launching: how a kernel in `minunet/kernels/cuda/` gets its constants, its arguments and its grid.

Each kernel is compiled with the constants of its call as macros (Real, Sum, VECTOR, TILE, …), so that the compiler can
unroll loops and keep sums in registers. Pixels are counted in 64 bits, images and what lies within a row in 32:
`geometry` refuses what is too large for that.
"""

import functools
from pathlib import Path

import numpy as np

from minunet.cuda import compile_kernel
from minunet.device import array_module

SOURCES = Path(__file__).parents[1] / "cuda"
THREADS = 256  # in a block
BLOCKS = 2048  # enough to fill any GPU, where the threads of a kernel move on to the next piece of work
WARP = 32  # threads that run in step
DEFAULT_SHARED = 48 << 10  # bytes of shared memory that any block may have; for more, the kernel must ask
C_NAMES = {  # by NumPy's dtype.char; E is the bfloat16 of the package ml_dtypes
    "f": "float",
    "d": "double",
    "e": "__half",
    "E": "__nv_bfloat16",
    "B": "unsigned char",
    "i": "int",
    "?": "bool",
}
HEADERS = {"__half": "#include <cuda_fp16.h>\n", "__nv_bfloat16": "#include <cuda_bf16.h>\n"}
DEFINITIONS = {  # what a kernel sees unless its launch says otherwise
    "THREADS": THREADS,
    "WARP": WARP,
    "VECTOR": 1,
    "TILE": 1,
    "BESIDE": 0,
    "PIXELS": 1,
    "TENSORS": 1,
    "Index": "unsigned char",
    "Mask": "unsigned char",
    "SUM": "MEAN",
}


def launch(file, kernel, blocks, dtype, *arguments, shared=0, **definitions):
    """Runs `kernel` of the CUDA file on `blocks`, compiled for `dtype`. None stands for an array that is left out.

    shared: how many bytes of shared memory a block gets beside those that the kernel declares itself.
    """
    if 0 in blocks:
        return
    if dtype.char not in C_NAMES:
        raise TypeError(f'there are no CUDA kernels for {dtype}: give array.astype("float32")')
    function = _compiled(file, kernel, C_NAMES[dtype.char], shared, tuple(sorted(definitions.items())))
    function(blocks, (THREADS,), tuple(np.uint64(0) if a is None else a for a in arguments), shared_mem=shared)


@functools.cache
def _compiled(file, kernel, real, shared, definitions):
    """Returns the kernel, compiled once for each set of definitions; CuPy keeps it on disk for the next process."""
    defined = {"Real": real, "Sum": "double" if real == "double" else "float"} | DEFINITIONS | dict(definitions)
    head = HEADERS.get(real, "") + "".join(f"#define {name} {value}\n" for name, value in defined.items())
    files = "common.cu", *(("fragments.cu", "copies.cu", "tiles.cu") if file.startswith("tensor_") else ()), file
    source = "".join((SOURCES / name).read_text("utf-8") for name in files)
    function = compile_kernel(head + source, kernel)
    if shared > DEFAULT_SHARED:
        function.max_dynamic_shared_size_bytes = shared
    return function


# ---- grids -------------------------------------------------------------------------------------------------


def grid_of_numbers(size):
    """Returns the grid for `size` numbers in a row, each thread taking every (blocks · THREADS)-th."""
    return (min(BLOCKS, -(-size // THREADS)),)


def grid_of_rows(rows, row_size):
    """Returns the grid for rows of `row_size` numbers: blocks along x take rows, blocks along y divide a long row."""
    return min(rows, 1 << 20), max(1, min(row_size // (4 * THREADS), 64))


def grid_of_columns(rows, F):
    """Returns (blocks, groups, columns) for sums over the rows of a (rows, F) matrix; a block has THREADS // columns
    lanes.
    """
    columns = min(F, THREADS)
    blocks = max(1, min(BLOCKS // 4, rows // (8 * (THREADS // columns))))
    return blocks, -(-F // columns), columns


# ---- arguments ---------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1000)
def geometry(x_shape, y_shape, kernel_size, stride, pads):
    """Returns struct Geometry of common.cu. Raises ValueError for images that the kernels' integers cannot count."""
    (_, H, W, C), (_, OH, OW, F) = x_shape, y_shape
    longest_row = max(W * C, OW * F, OW * kernel_size[0] * kernel_size[1] * C)  # the last is one of P(x)
    if longest_row >= 1 << 31 or max(H * W, OH * OW) >= 1 << 32 or x_shape[0] >= 1 << 31:
        raise ValueError(
            f"images {x_shape} and {y_shape} with windows {kernel_size} are too large for the CUDA kernels: a row of "
            "windows must have fewer than 2**31 numbers, an image fewer than 2**32 pixels, a batch fewer than 2**31 "
            "images; cut them into tiles"
        )
    numbers = np.array((H, W, C, OH, OW, F, *kernel_size, *stride, pads[0][0], pads[1][0]), np.int32)
    return as_struct(numbers)


def as_struct(numbers):
    """Returns the bytes of an array as one argument, which the kernel receives as a struct."""
    return numbers.reshape(-1).view(f"V{numbers.nbytes}").reshape(())


def ready(array):
    """Returns `array` so that a kernel can read it: contiguous, and aligned to four numbers and to 16 bytes, which are
    the most that are read at a time.
    """
    if array is None:
        return None
    if array.flags.c_contiguous and array.data.ptr % max(16, 4 * array.itemsize) == 0:
        return array
    array_module(array)  # the copy belongs on its GPU
    return array.copy(order="C")


# ---- constants to compile with -----------------------------------------------------------------------------


def channels_of(x, beside):
    """Returns how many channels x has, with those of a second array beside it, if there is one."""
    return x.shape[3] + (0 if beside is None else beside.shape[3])


def vector(channels):
    """Returns VECTOR: how many neighboring numbers can be read at a time if a pixel has that many channels."""
    return 4 if channels % 4 == 0 else 2 if channels % 2 == 0 else 1


def tile(channels, most):
    """Returns TILE, a divisor of `channels` up to `most`: large, and better still a multiple of four, read in fours."""
    divisors = [d for d in range(1, most + 1) if channels % d == 0]
    return max(divisors, key=lambda d: d if d % 4 == 0 else 0.6 * d)
