"""What only a GPU has: kernels, memory of its own, streams, and a clock that does not stop Python.

The objects are CuPy's; device.py imports it, and everything here raises GpuUnavailable where it cannot be imported.
"""

import functools
import time
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minunet.device import Array, cupy_module, resolve_device


def compile_kernel(source: str, name: str) -> Any:
    """Returns the kernel `name` of the CUDA C++ `source`, a function of (blocks, threads, arguments)."""
    return cupy_module().RawKernel(source, name, options=("-std=c++17",))


def describe_gpu(device: str) -> str:
    """Returns the GPU in words, with the versions that matter: "NVIDIA T4, 15 GB, sm_75, CuPy 14.2.0, CUDA 12.9"."""
    cupy = cupy_module()
    properties = cupy.cuda.runtime.getDeviceProperties(_index(device))
    version = cupy.cuda.runtime.runtimeGetVersion()
    return (
        f"{properties['name'].decode()}, {properties['totalGlobalMem'] / 1e9:.0f} GB, "
        f"sm_{properties['major']}{properties['minor']}, CuPy {cupy.__version__}, "
        f"CUDA {version // 1000}.{version % 1000 // 10}"
    )


@functools.cache
def compute_capability(device: str) -> int:
    """Returns the generation of a GPU, as in sm_75 (Turing, the T4) or sm_80 (Ampere, the A100): 75 or 80."""
    return int(cupy_module().cuda.Device(_index(device)).compute_capability)


@functools.cache
def shared_memory(device: str) -> int:
    """Returns the bytes of shared memory that all blocks on one multiprocessor of a GPU have together."""
    properties = cupy_module().cuda.runtime.getDeviceProperties(_index(device))
    return int(properties["sharedMemPerMultiprocessor"])


# ---- memory ----


def kept_zeros(size: int) -> Array:
    """Returns an array of unsigned integers, 0 at first, that stays on the GPU: one per size, GPU and stream."""
    cupy = cupy_module()
    return _kept_zeros(size, cupy.cuda.Device().id, cupy.cuda.get_current_stream().ptr)


@functools.cache
def _kept_zeros(size: int, device: int, stream: int) -> Array:
    return cupy_module().zeros(size, dtype="uint32")


def memory_kept(device: str) -> int:
    """Returns how many bytes this process holds on a GPU, in use or not; only `release_memory` lowers that."""
    with cupy_module().cuda.Device(_index(device)):
        return cupy_module().get_default_memory_pool().total_bytes()


def memory_free(device: str) -> int:
    """Returns how many bytes new arrays can still take on a GPU: free there, or held by this process and not in use."""
    cupy = cupy_module()
    with cupy.cuda.Device(_index(device)):
        pool = cupy.get_default_memory_pool()
        free = cupy.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
        return min(free, pool.get_limit() - pool.used_bytes()) if pool.get_limit() else free


def memory_room() -> int:
    """Returns how many bytes the limit of CuPy's memory pool leaves on the current GPU; 0: there is no limit."""
    pool = cupy_module().get_default_memory_pool()
    return max(1, pool.get_limit() - pool.used_bytes()) if pool.get_limit() else 0


def release_memory(device: str) -> None:
    """Gives back the memory that this process holds on a GPU and does not use. Does nothing for the CPU."""
    if device != "cpu":
        with cupy_module().cuda.Device(_index(device)):
            cupy_module().get_default_memory_pool().free_all_blocks()


# ---- streams: queues of work on a GPU ----


def main_stream(device: str) -> Any:
    """Returns the stream of the GPU on which everything is computed; the GPU becomes the current one."""
    return cupy_module().cuda.get_current_stream(_index(device))


def side_stream(device: str) -> Any:
    """Returns a second stream of the GPU, which does not wait for the first."""
    with cupy_module().cuda.Device(_index(device)):
        return cupy_module().cuda.Stream(non_blocking=True)


def event() -> Any:
    """Returns a mark that streams record and wait for: record(stream), stream.wait_event(event), synchronize()."""
    return cupy_module().cuda.Event(disable_timing=True)


def pinned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Returns an uninitialized NumPy array in pinned memory, from which a GPU copies while everything else goes on."""
    count = int(np.prod(shape))
    memory = cupy_module().cuda.alloc_pinned_memory(count * np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype, count).reshape(shape)


def copy_async(target: Any, source: NDArray[Any], stream: Any) -> None:
    """Copies a pinned array to one on the GPU, both contiguous, once the stream gets to it."""
    target.set(source, stream=stream)


# ---- time: a GPU works through its queue while Python runs ahead, so a wall clock says little ----


def synchronize(device: str) -> None:
    """Waits until the GPU has finished everything in its queues. Does nothing for the CPU."""
    if device != "cpu":
        cupy_module().cuda.Device(_index(device)).synchronize()


def mark(device: str) -> Any:
    """Returns a point in time, reached when all work queued on the device so far is done; for `seconds_between`."""
    return time.perf_counter() if device == "cpu" else main_stream(device).record()


def seconds_between(first: Any, second: Any) -> float:
    """Returns the seconds from one mark to another of the same device (waits for the second)."""
    if isinstance(first, float):
        return second - first
    second.synchronize()
    return cupy_module().cuda.get_elapsed_time(first, second) / 1e3


def _index(device: str) -> int:
    return int(resolve_device(device).removeprefix("gpu:"))
