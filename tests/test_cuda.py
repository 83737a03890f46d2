"""What only a GPU has; the clock and `release_memory` work for the CPU too."""

import time

import numpy as np
import pytest

from minunet import cuda
from minunet.device import array_module, device_of, resolve_device


@pytest.fixture(params=["cpu", "gpu"])
def device_name(request, array_on):
    return device_of(array_on(request.param)(np.zeros(1)))


@pytest.fixture
def gpu(array_on):
    return device_of(array_on("gpu")(np.zeros(1)))


def test_the_clock(device_name):
    start = cuda.mark(device_name)
    time.sleep(0.01)
    end = cuda.mark(device_name)
    cuda.synchronize(device_name)
    assert 0.005 < cuda.seconds_between(start, end) < 10


def test_memory_is_given_back(array_on):
    put = array_on("gpu")
    array = put(np.zeros(1 << 20, np.uint8))
    where = device_of(array)
    cuda.release_memory("cpu")  # does nothing
    cuda.release_memory(where)
    kept = cuda.memory_kept(where)
    assert kept >= array.nbytes and cuda.memory_free(where) > 0
    del array
    assert cuda.memory_kept(where) == kept  # kept for the next array
    cuda.release_memory(where)
    assert cuda.memory_kept(where) < kept


def test_kept_zeros_are_the_same_array_on_every_call(gpu):
    first = cuda.kept_zeros(5)
    assert cuda.kept_zeros(5) is first and cuda.kept_zeros(6) is not first
    assert first.dtype == np.uint32 and first.tolist() == [0] * 5


def test_a_copy_from_pinned_memory_on_a_second_stream(gpu):
    stream, arrived = cuda.side_stream(gpu), cuda.event()
    source = cuda.pinned((2, 3), "float32")
    source[:] = np.arange(6).reshape(2, 3)
    target = array_module(cuda.kept_zeros(1)).empty((2, 3), "float32")
    cuda.main_stream("gpu:0").synchronize()
    cuda.copy_async(target, source, stream)
    arrived.record(stream)
    cuda.main_stream("gpu:0").wait_event(arrived)
    assert target.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_shared_memory(gpu):
    """As in the CUDA Programming Guide, "Compute Capabilities"."""
    documented = {75: 64, 80: 164, 86: 100, 87: 164, 89: 100, 90: 228, 100: 228, 120: 100}
    capability = cuda.compute_capability(gpu)
    if capability not in documented:
        pytest.skip(f"sm_{capability} is not in the table")
    assert cuda.shared_memory(gpu) == documented[capability] << 10


def test_describe_gpu(gpu):
    assert resolve_device(gpu) == gpu
    assert all(word in cuda.describe_gpu(gpu) for word in (" GB, sm_", "CuPy ", "CUDA "))
