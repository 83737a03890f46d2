"""Where arrays live: NumPy arrays in main memory, CuPy arrays on a GPU.

The two libraries offer the same functions, so an operation is written once: it asks `array_module` for the library of
the array it was given and calls that. This is the only file that imports CuPy; everything above works without it.
What only a GPU has (kernels, streams, memory of its own) is in cuda.py.

A device is named by a string: "cpu", "gpu" (the first GPU), "gpu:1" (the second), or "auto".
"""

import functools
import re
import sys
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Array",
    "ArrayLike",
    "GpuUnavailable",
    "OutOfMemory",
    "array_module",
    "cupy_module",
    "device_of",
    "ran_out_of_memory",
    "resolve_device",
    "to_device",
    "to_numpy",
]

INSTALL = 'pip install "minunet[gpu]"  (cupy-cuda12x with the CUDA libraries; "minunet[gpu13]": cupy-cuda13x)'
OUT_OF_MEMORY = "cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED"


class Array(Protocol):
    """What numpy.ndarray and cupy.ndarray share, for type checkers: annotate with it what may live on either device.

    Results are `Any` where the libraries return an array, a scalar, or either, depending on the arguments.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def T(self) -> Any: ...

    def astype(self, dtype: Any, *, copy: bool = ...) -> Any: ...
    def reshape(self, shape: Any, /) -> Any: ...
    def transpose(self, axes: Any, /) -> Any: ...
    def ravel(self) -> Any: ...
    def copy(self) -> Any: ...
    def sum(self) -> Any: ...
    def mean(self) -> Any: ...
    def min(self) -> Any: ...
    def max(self) -> Any: ...
    def item(self) -> Any: ...
    def tolist(self) -> Any: ...

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> Any: ...
    def __setitem__(self, index: Any, value: Any, /) -> None: ...

    def __neg__(self) -> Any: ...
    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...
    def __rtruediv__(self, other: Any, /) -> Any: ...
    def __pow__(self, other: Any, /) -> Any: ...
    def __matmul__(self, other: Any, /) -> Any: ...
    def __lt__(self, other: Any, /) -> Any: ...
    def __le__(self, other: Any, /) -> Any: ...
    def __gt__(self, other: Any, /) -> Any: ...
    def __ge__(self, other: Any, /) -> Any: ...
    def __eq__(self, other: Any, /) -> Any: ...
    def __ne__(self, other: Any, /) -> Any: ...


class GpuUnavailable(RuntimeError):
    """No usable GPU. `.reason` is one of "cupy", "driver", "device", "libraries", "memory"; the message has the fix."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class OutOfMemory(MemoryError):
    """The memory of a GPU is used up."""


def array_module(array: Any) -> ModuleType:
    """Returns the library that owns `array`: `cupy` for a CuPy array, `numpy` for everything else.

    CuPy allocates and computes on the current GPU, whatever GPU its arguments are on. So the array's GPU becomes the
    current one here, where every operation asks before it does anything else.
    """
    cupy = sys.modules.get("cupy")  # no CuPy array can exist before CuPy is imported
    if cupy is None or not isinstance(array, cupy.ndarray):
        return np
    if cupy.cuda.runtime.getDevice() != array.data.device_id:
        array.device.use()
    return cupy


def device_of(array: Any) -> str:
    """Returns the name of the device that holds `array`: "cpu" or "gpu:K"."""
    return "cpu" if array_module(array) is np else f"gpu:{array.device.id}"


def to_device(array: Array, device: str) -> Array:
    """Returns `array` on `device`; the same array if it is already there.

    Raises GpuUnavailable if there is no such GPU, ValueError for a name that is not a device.

    >>> to_device(np.arange(3), "cpu")
    array([0, 1, 2])
    """
    device = resolve_device(device)
    if device_of(array) == device:
        return array
    array = to_numpy(array)
    if device == "cpu":
        return array
    resolve_device(device)  # the current GPU again, in place of the one that the array was on
    return cupy_module().asarray(array)


def to_numpy(array: Any) -> NDArray[Any]:
    """Returns `array` as a NumPy array in main memory (waits for the GPU if it comes from there)."""
    return np.asarray(array) if array_module(array) is np else array.get()


def resolve_device(name: str) -> str:
    """Returns the full name of a device, "cpu" or "gpu:K"; for "auto", the first GPU if it works, else "cpu".

    The first time a GPU is named, it is tried out (memory, a kernel, a matrix product); each time, it becomes the
    current one, on which new arrays are made. Raises GpuUnavailable (see its `.reason`) or ValueError.

    >>> resolve_device("cpu")
    'cpu'
    """
    if name == "cpu":
        return "cpu"
    if name == "auto":
        try:
            return resolve_device("gpu")
        except GpuUnavailable:
            return "cpu"
    match = re.fullmatch(r"gpu(?::(\d+))?", str(name))
    if match is None:
        raise ValueError(f'{name!r} is not a device: use "cpu", "gpu", "gpu:1" or "auto"')
    index = int(match[1] or 0)
    _try_out(index)
    cupy_module().cuda.Device(index).use()
    return f"gpu:{index}"


def ran_out_of_memory(error: BaseException) -> bool:
    """Returns whether `error` is what CuPy or a CUDA library raises when the memory of a GPU is used up.

    Not every MemoryError is one: running out of main memory calls for a different remedy.
    """
    return type(error).__name__ == "OutOfMemoryError" or any(sign in str(error) for sign in OUT_OF_MEMORY)


@functools.cache
def cupy_module() -> Any:
    """Returns the module cupy. Raises GpuUnavailable if it is not installed or cannot be imported."""
    try:
        import cupy
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            raise GpuUnavailable("cupy", f"CuPy is not installed: {INSTALL}") from None
        raise GpuUnavailable("libraries", f"CuPy cannot be imported ({error}): {INSTALL}") from error
    except ImportError as error:
        raise GpuUnavailable("libraries", f"CuPy cannot be imported ({_first_line(error)}): {INSTALL}") from error
    return cupy


@functools.cache
def _try_out(index: int) -> None:
    """Raises GpuUnavailable unless GPU number `index` can allocate, compile, launch and multiply."""
    cupy = cupy_module()
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if "NoDevice" in str(error):
            raise GpuUnavailable("device", "there is no NVIDIA GPU in this machine: use the device cpu") from error
        raise GpuUnavailable(
            "driver",
            f"the NVIDIA driver is missing or too old ({_first_line(error)}): `nvidia-smi` "
            "shows it and its CUDA; cupy-cuda12x needs 12, cupy-cuda13x 13",
        ) from error
    if index >= count:
        names = ", ".join(f"gpu:{k}" for k in range(count)) or "none"
        raise GpuUnavailable("device", f"there is no gpu:{index} in this machine; it has: {names}")
    try:
        with cupy.cuda.Device(index):
            ones = cupy.ones((2, 2), dtype="float32")
            (ones @ ones + ones).sum().item()
    except Exception as error:  # of many kinds, where NVRTC, cuBLAS or the CUDA headers cannot be loaded
        if ran_out_of_memory(error):
            raise GpuUnavailable(
                "memory",
                f"gpu:{index} has no free memory: end the programs that `nvidia-smi` lists, or choose another GPU",
            ) from error
        if type(error).__name__ in ("CUDARuntimeError", "CUDADriverError"):
            raise GpuUnavailable(
                "driver", f"gpu:{index} does not answer ({_first_line(error)}): see `nvidia-smi`"
            ) from error
        raise GpuUnavailable("libraries", f"CUDA libraries are missing ({_first_line(error)}): {INSTALL}") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
