"""Where arrays live: NumPy arrays in main memory, CuPy arrays on a graphics card.

The two libraries offer the same functions, so an operation is written once: it asks `array_module` for the
library of the array in its hands and calls that. This is the only file that imports CuPy; everything above
works without it.

A device is named by a string: "cpu", "gpu" (the first card), "gpu:1" (the second), or "auto".
"""

import functools
import re
import sys
import time

import numpy as np

INSTALL = 'pip install "minunet[gpu]"  (cupy-cuda12x with the CUDA libraries; "minunet[gpu13]": cupy-cuda13x)'
OUT_OF_MEMORY = "cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "CUBLAS_STATUS_ALLOC_FAILED"


class GpuUnavailable(RuntimeError):
    """No usable GPU. `.reason` is one of "cupy", "driver", "device", "libraries", "memory"; the message has the fix."""

    def __init__(self, reason, message):
        super().__init__(message)
        self.reason = reason


class OutOfMemory(MemoryError):
    """The memory of a GPU is used up."""


def array_module(array):
    """The library that owns `array`: `cupy` for a CuPy array, `numpy` for everything else."""
    cupy = sys.modules.get("cupy")  # no CuPy array can exist before CuPy was imported
    return cupy if cupy is not None and isinstance(array, cupy.ndarray) else np


def device_of(array):
    """The name of the device that holds `array`: "cpu" or "gpu:K"."""
    return "cpu" if array_module(array) is np else f"gpu:{array.device.id}"


def to_device(array, device):
    """`array` on `device`; the same array if it is there already.

    Raises GpuUnavailable when there is no such GPU, ValueError for a name that is not a device.

    >>> to_device(np.arange(3), "cpu")
    array([0, 1, 2])
    """
    device = resolve_device(device)
    if device_of(array) == device:
        return array
    array = to_numpy(array)
    return array if device == "cpu" else _cupy().asarray(array)


def to_numpy(array):
    """`array` as a NumPy array in main memory (waits for the GPU if it comes from there)."""
    return np.asarray(array) if array_module(array) is np else array.get()


def resolve_device(name):
    """The device called `name`: "cpu" or "gpu:K". "auto" is the first GPU if it can be used, else "cpu".

    A GPU is tried out (memory, a kernel, a matrix product) the first time, and becomes the card that
    this process works on. Raises GpuUnavailable (see its `.reason`) or ValueError.

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
    _cupy().cuda.Device(index).use()
    return f"gpu:{index}"


def compile_kernel(source, name):
    """The kernel `name` of CUDA C++ `source`, as a function of (blocks, threads, arguments)."""
    return _cupy().RawKernel(source, name, options=("-std=c++17",))


def kept_zeros(size):
    """unsigned integers that start as 0 and stay on the card: the same array for each call, one per card and stream."""
    cupy = _cupy()
    return _kept_zeros(size, cupy.cuda.Device().id, cupy.cuda.get_current_stream().ptr)


@functools.cache
def _kept_zeros(size, describe_gpu, stream):
    return _cupy().zeros(size, dtype="uint32")


def describe_gpu(device):
    """The card in words, with the versions that matter: "NVIDIA T4, 15 GB, sm_75, CuPy 14.2.0, CUDA 12.9"."""
    cupy, properties = _cupy(), _cupy().cuda.runtime.getDeviceProperties(_index(device))
    cuda = cupy.cuda.runtime.runtimeGetVersion()
    return (
        f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 1e9:.0f} GB, "
        f"sm_{properties['major']}{properties['minor']}, CuPy {cupy.__version__}, CUDA {cuda // 1000}.{cuda % 1000 // 10}"
    )


def memory_kept(device):
    """Bytes that this process keeps on a card for its arrays, in use or to be used again; it falls only when asked to."""
    with _cupy().cuda.Device(_index(device)):
        return _cupy().get_default_memory_pool().total_bytes()


def memory_free(device):
    """Bytes that new arrays can still take on a card: free on the card, or kept by this process and not in use."""
    cupy = _cupy()
    with cupy.cuda.Device(_index(device)):
        pool = cupy.get_default_memory_pool()
        free = cupy.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
        return min(free, pool.get_limit() - pool.used_bytes()) if pool.get_limit() else free


def ran_out_of_memory(error):
    """Is this what CuPy or a library of CUDA raises when the memory of a card is used up?

    Not every MemoryError is: the one of main memory asks for another remedy.
    """
    return type(error).__name__ == "OutOfMemoryError" or any(sign in str(error) for sign in OUT_OF_MEMORY)


def release_memory(device):
    """Gives the memory back that this process keeps on a card and does not use. On the CPU there is none."""
    if device != "cpu":
        with _cupy().cuda.Device(_index(device)):
            _cupy().get_default_memory_pool().free_all_blocks()


# ---- streams: queues of work on a card, for minunet/feed.py; the objects are CuPy's ----


def main_stream():
    """The stream on which everything is computed."""
    return _cupy().cuda.get_current_stream()


def side_stream(device):
    """A second stream of the card, which does not wait for the first."""
    with _cupy().cuda.Device(_index(device)):
        return _cupy().cuda.Stream(non_blocking=True)


def event():
    """A mark for streams to record and to wait for: record(stream), stream.wait_event(event), synchronize()."""
    return _cupy().cuda.Event(disable_timing=True)


def pinned(shape, dtype):
    """An uninitialised NumPy array in pinned memory, from which a card copies while everything else goes on."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(_cupy().cuda.alloc_pinned_memory(size), dtype, int(np.prod(shape))).reshape(shape)


def copy_async(target, source, stream):
    """Copies a pinned array to one on the card, both contiguous, as soon as the stream comes to it."""
    target.set(source, stream=stream)


# ---- time: a card works through what it was given while Python goes on, so a clock on the wall says little ----


def synchronize(device):
    """Waits until the card has done all that it was given. On the CPU there is nothing to wait for."""
    if device != "cpu":
        _cupy().cuda.Device(_index(device)).synchronize()


def mark(device):
    """A point in time, reached when everything asked of the device so far is done; for `seconds_between`."""
    return time.perf_counter() if device == "cpu" else _cupy().cuda.get_current_stream().record()


def seconds_between(first, second):
    """Seconds from one mark to another of the same device (waits for the second one)."""
    if isinstance(first, float):
        return second - first
    second.synchronize()
    return _cupy().cuda.get_elapsed_time(first, second) / 1e3


def _index(device):
    return int(resolve_device(device).removeprefix("gpu:"))


@functools.cache
def _cupy():
    """The cupy module, or GpuUnavailable."""
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
def _try_out(index):
    """Raises GpuUnavailable unless GPU number `index` can allocate, compile, launch and multiply."""
    cupy = _cupy()
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
    except Exception as error:  # CuPy raises many kinds when NVRTC, cuBLAS or the CUDA headers cannot be loaded
        if ran_out_of_memory(error):
            raise GpuUnavailable(
                "memory",
                f"gpu:{index} has no free memory: end the programs that `nvidia-smi` lists, or choose another card",
            ) from error
        if type(error).__name__ in ("CUDARuntimeError", "CUDADriverError"):
            raise GpuUnavailable(
                "driver", f"gpu:{index} does not answer ({_first_line(error)}): see `nvidia-smi`"
            ) from error
        raise GpuUnavailable("libraries", f"CUDA libraries are missing ({_first_line(error)}): {INSTALL}") from error


def _first_line(error):
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
