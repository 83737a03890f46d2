"""Devices: names, and the reasons why there may be no GPU, each simulated by a CuPy that fails in that way."""

import builtins
import sys
import types

import numpy as np
import pytest

from minunet import GpuUnavailable, device
from minunet.device import array_module, device_of, resolve_device, to_device, to_numpy


class CUDARuntimeError(RuntimeError):
    pass


class CUDADriverError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class FakeCuPy:
    """As much of CuPy as `resolve_device` uses. `count` GPUs; `failure` is raised by the first allocation."""

    def __init__(self, count=1, count_failure=None, failure=None):
        self.used = []
        self.ones = self._raiser(failure) if failure else lambda shape, dtype: np.ones(shape, dtype)
        get_count = self._raiser(count_failure) if count_failure else lambda: count
        runtime = types.SimpleNamespace(getDeviceCount=get_count, CUDARuntimeError=CUDARuntimeError)
        self.cuda = types.SimpleNamespace(
            runtime=runtime,
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            Device=lambda index: FakeDevice(index, self.used),
        )

    @staticmethod
    def _raiser(error):
        def fails(*arguments, **options):
            raise error

        return fails


class FakeDevice:
    def __init__(self, index, used):
        self.index, self.used = index, used

    def use(self):
        self.used.append(self.index)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


@pytest.fixture
def install(monkeypatch):
    """install(FakeCuPy(…)) makes it the CuPy of this machine for the duration of the test."""

    def install(cupy):
        monkeypatch.setattr(device, "cupy_module", lambda: cupy)
        device._try_out.cache_clear()
        return cupy

    yield install
    device._try_out.cache_clear()


@pytest.fixture
def without_cupy(monkeypatch):
    """without_cupy(error): `import cupy` raises that error."""
    device.cupy_module.cache_clear()
    device._try_out.cache_clear()
    real_import = builtins.__import__

    def without(error):
        def no_cupy(name, *arguments, **options):
            if name == "cupy":
                raise error
            return real_import(name, *arguments, **options)

        monkeypatch.delitem(sys.modules, "cupy", raising=False)
        monkeypatch.setattr(builtins, "__import__", no_cupy)

    yield without
    monkeypatch.undo()
    device.cupy_module.cache_clear()
    device._try_out.cache_clear()


# ---- names -------------------------------------------------------------------------------------------------


def test_names_of_devices(install):
    cupy = install(FakeCuPy(count=2))
    found = [resolve_device(name) for name in ("cpu", "gpu", "gpu:0", "gpu:1", "auto")]
    assert found == ["cpu", "gpu:0", "gpu:0", "gpu:1", "gpu:0"]
    assert cupy.used == [0, 0, 1, 0]  # this process works on the GPU that was asked for last


@pytest.mark.parametrize("name", ["cuda", "GPU", "gpu:", "gpu:-1", "gpu:a", "gpu 1", "cpu:0", "", None, 0])
def test_names_that_are_not_devices(name):
    with pytest.raises(ValueError, match='is not a device: use "cpu", "gpu", "gpu:1" or "auto"'):
        resolve_device(name)


def test_arrays_in_main_memory():
    array = np.ones(3)
    assert array_module(array) is np and array_module([1, 2]) is np and array_module(np.float32(1)) is np
    assert device_of(array) == "cpu"
    assert to_device(array, "cpu") is array and to_numpy(array) is array


def test_there_and_back(xp_array):
    array = xp_array(np.arange(6, dtype="float32").reshape(2, 3))
    assert to_device(array, device_of(array)) is array
    back = to_device(array, "cpu")
    assert type(back) is np.ndarray and back.dtype == np.float32 and back.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert type(array_module(array).zeros(2)) is type(array)


# ---- five reasons why there is no GPU ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "cupy, reason, message",
    [
        (
            FakeCuPy(count_failure=CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")),
            "device",
            "no NVIDIA GPU in this machine",
        ),
        (
            FakeCuPy(count_failure=CUDARuntimeError("cudaErrorInsufficientDriver: version is insufficient")),
            "driver",
            "driver is missing or too old .cudaErrorInsufficientDriver.*nvidia-smi",
        ),
        (FakeCuPy(count=0), "device", "there is no gpu:0 in this machine; it has: none"),
        (
            FakeCuPy(failure=OutOfMemoryError("Out of memory allocating 512 bytes")),
            "memory",
            "gpu:0 has no free memory: end the programs",
        ),
        (
            FakeCuPy(failure=CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")),
            "memory",
            "gpu:0 has no free memory",
        ),
        (
            FakeCuPy(failure=CUDARuntimeError("cudaErrorDevicesUnavailable: busy or unavailable")),
            "driver",
            "gpu:0 does not answer",
        ),
        (
            FakeCuPy(failure=CUDADriverError("CUDA_ERROR_OUT_OF_MEMORY: out of memory")),
            "memory",
            "gpu:0 has no free memory",
        ),
        (FakeCuPy(failure=RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")), "memory", "gpu:0 has no free memory"),
        (
            FakeCuPy(failure=CUDADriverError("CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image")),
            "driver",
            "gpu:0 does not answer",
        ),
        (
            FakeCuPy(failure=RuntimeError("Failed to dlopen libnvrtc.so.12\nand more")),
            "libraries",
            r'CUDA libraries are missing \(Failed to dlopen libnvrtc.so.12\): pip install "minunet\[gpu\]"',
        ),
        (
            FakeCuPy(failure=ImportError("libcublas.so.12: cannot open shared object file")),
            "libraries",
            "libcublas.so.12",
        ),
        (FakeCuPy(failure=RuntimeError("")), "libraries", "RuntimeError"),
    ],
    ids=[
        "no device",
        "old driver",
        "count 0",
        "out of memory",
        "no allocation",
        "busy",
        "driver out of memory",
        "cuBLAS out of memory",
        "no binary",
        "no NVRTC",
        "no cuBLAS",
        "no message",
    ],
)
def test_each_reason_has_its_own_message(install, cupy, reason, message):
    install(cupy)
    with pytest.raises(GpuUnavailable, match=message) as caught:
        resolve_device("gpu")
    assert caught.value.reason == reason and "\n" not in str(caught.value)
    assert resolve_device("auto") == "cpu"
    assert isinstance(caught.value, RuntimeError)


def test_a_gpu_that_does_not_exist_names_those_that_do(install):
    install(FakeCuPy(count=2))
    with pytest.raises(GpuUnavailable, match="there is no gpu:5 in this machine; it has: gpu:0, gpu:1") as caught:
        resolve_device("gpu:5")
    assert caught.value.reason == "device"


@pytest.mark.parametrize(
    "error, reason, message",
    [
        (
            ModuleNotFoundError("No module named 'cupy'", name="cupy"),
            "cupy",
            r'CuPy is not installed: pip install "minunet\[gpu\]"',
        ),
        (
            ModuleNotFoundError("No module named 'fastrlock'", name="fastrlock"),
            "libraries",
            "cannot be imported .No module named 'fastrlock'",
        ),
        (
            ImportError("libcuda.so.1: cannot open shared object file\nTry this"),
            "libraries",
            r"cannot be imported \(libcuda.so.1: [^\n]*\)",
        ),
    ],
)
def test_a_cupy_that_cannot_be_imported(without_cupy, error, reason, message):
    without_cupy(error)
    with pytest.raises(GpuUnavailable, match=message) as caught:
        resolve_device("gpu")
    assert caught.value.reason == reason
    assert resolve_device("auto") == "cpu"
    with pytest.raises(GpuUnavailable):
        to_device(np.ones(1), "gpu")


def test_a_gpu_is_tried_out_once(install):
    tried = []
    cupy = install(FakeCuPy())
    cupy.ones = lambda shape, dtype: tried.append(1) or np.ones(shape, dtype)
    for _ in range(3):
        resolve_device("gpu")
    assert len(tried) == 1


def test_a_gpu_that_failed_is_tried_again(install):
    cupy = install(FakeCuPy(failure=OutOfMemoryError("Out of memory")))
    with pytest.raises(GpuUnavailable):
        resolve_device("gpu")
    cupy.ones = lambda shape, dtype: np.ones(shape, dtype)
    assert resolve_device("gpu") == "gpu:0"  # another program has ended in the meantime


def test_gpu_memory_and_main_memory_are_told_apart():
    assert device.ran_out_of_memory(OutOfMemoryError("Out of memory allocating 512 bytes"))
    assert device.ran_out_of_memory(CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"))
    assert not device.ran_out_of_memory(MemoryError("Unable to allocate 8 GiB for an array"))
    assert not device.ran_out_of_memory(RuntimeError("cudaErrorIllegalAddress"))
