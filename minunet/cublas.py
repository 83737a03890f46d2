"""Matrix products by cuBLAS, the GPU's own library, called directly.

CuPy's products are the same calls, but CuPy makes none while a stream is captured (cuda_graph.py), where cuBLAS itself
may be called: what it launches is recorded as any other kernel. So minunet calls the library that CuPy has loaded, with
handles of its own. A handle is what cuBLAS remembers between calls: here its stream, and a workspace. The workspace is
given, since cuBLAS would otherwise ask for memory during a capture, and may choose another algorithm, with other last
bits, where it gets none.
"""

import ctypes
import functools
import sys
import threading
from typing import Any

from minunet.device import Array, cupy_module

MEBIBYTE = 1 << 20
KINDS = {"f": 0, "d": 1, "e": 2, "E": 14}  # cudaDataType_t by dtype.char: CUDA_R_32F, R_64F, R_16F, R_16BF
COMPUTE_32, COMPUTE_64, COMPUTE_TF32 = 68, 70, 77  # CUBLAS_COMPUTE_32F, _64F, _32F_FAST_TF32
DEFAULT_ALGORITHM = -1


def product(a: Array, b: Array, out: Array, tf32: bool = False) -> None:
    """Writes the matrix product a b to `out`: all three float32 or float64, on the current GPU.

    a and b may also be float16 or bfloat16, both the same: the sums are float32, and `out` is that or their dtype.
    tf32: the factors of a float32 product are rounded to 11 bits, so that tensor cores can multiply them.

    a and b may be transposed views of contiguous matrices; `out` is contiguous. Raises ValueError for other arrays,
    RuntimeError where cuBLAS reports an error.

    cuBLAS stores matrices by columns. What is stored by rows is, read by columns, the transposed matrix; so it is asked
    for outᵀ = bᵀ aᵀ, and reads b and a as they are.
    """
    (n, k), m = a.shape, b.shape[1]
    is_half = a.dtype.char in "eE"
    fits = a.dtype == b.dtype and (out.dtype == a.dtype or (is_half and out.dtype.char == "f"))
    if not fits or b.shape[0] != k or out.shape != (n, m):
        raise ValueError(f"product: {a.shape} {a.dtype} times {b.shape} {b.dtype} into {out.shape} {out.dtype}")
    if not out.flags.c_contiguous:  # type: ignore[attr-defined]
        raise ValueError("product: out must be contiguous")
    if 0 in (n, k, m):
        out[...] = 0
        return
    (of_a, lead_a), (of_b, lead_b) = _layout(a), _layout(b)
    kind, is_double = KINDS[a.dtype.char], a.dtype.char == "d"
    compute = COMPUTE_64 if is_double else COMPUTE_TF32 if tf32 and not is_half else COMPUTE_32
    one, zero = ((ctypes.c_double if is_double else ctypes.c_float)(number) for number in (1, 0))
    _check(
        _library().cublasGemmEx(
            *(_handle(_stream()), of_b, of_a, m, n, k, ctypes.byref(one)),
            *(_pointer(b), kind, lead_b, _pointer(a), kind, lead_a, ctypes.byref(zero)),
            *(_pointer(out), KINDS[out.dtype.char], m, compute, DEFAULT_ALGORITHM),
        )
    )


def _layout(matrix):
    """Returns (1 if it is a transposed view, else 0; how many numbers lie between the starts of two stored rows)."""
    if matrix.flags.c_contiguous:
        return 0, matrix.shape[1]
    if matrix.flags.f_contiguous:
        return 1, matrix.shape[0]
    raise ValueError(f"product: a matrix of shape {matrix.shape} is not contiguous, nor is its transpose")


def _pointer(array):
    return ctypes.c_void_p(array.data.ptr)


def _stream():
    """Returns what a handle belongs to: (GPU, stream, thread). No two threads may use one at the same time."""
    cuda = cupy_module().cuda
    return cuda.runtime.getDevice(), cuda.get_current_stream().ptr, threading.get_ident()


@functools.cache
def _handle(place: tuple[int, int, int]) -> ctypes.c_void_p:
    """Returns the handle of a place, see `_stream`; it and its workspace stay for the whole process."""
    device, stream, _ = place
    library, handle = _library(), ctypes.c_void_p()
    _check(library.cublasCreate_v2(ctypes.byref(handle)))
    _check(library.cublasSetStream_v2(handle, ctypes.c_void_p(stream)))
    size = _workspace_size(device)
    _check(library.cublasSetWorkspace_v2(handle, ctypes.c_void_p(_workspace(place, size).ptr), ctypes.c_size_t(size)))
    return handle


@functools.cache
def _workspace(place: tuple[int, int, int], size: int) -> Any:
    """Returns memory straight from the driver: no array is ever put there."""
    return cupy_module().cuda.Memory(size)


def _workspace_size(device):
    """Returns what cuBLAS recommends: 32 MiB from Hopper (sm_90) on, else 4 MiB."""
    major = cupy_module().cuda.runtime.getDeviceProperties(device)["major"]
    return (32 if major >= 9 else 4) * MEBIBYTE


@functools.cache
def _library() -> ctypes.CDLL:
    """Returns the cuBLAS that CuPy has loaded. Raises OSError if there is none of that name."""
    cupy = cupy_module()
    cupy.cuda.device.get_cublas_handle()  # loads it
    version = cupy.cuda.runtime.runtimeGetVersion() // 1000
    return ctypes.CDLL(f"cublas64_{version}.dll" if sys.platform == "win32" else f"libcublas.so.{version}")


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"cuBLAS reports error {status} (cublasStatus_t)")
