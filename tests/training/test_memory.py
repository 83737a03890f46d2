"""What fits into the memory of a GPU, and the advice when something did not."""

import gc
import weakref

import numpy as np
import pytest

from minunet import OutOfMemory, Tensor, UNet, optim
from minunet.cuda import release_memory
from minunet.device import array_module
from minunet.nn.costs import training_costs
from minunet.ops.losses import LOSSES
from minunet.training import memory
from minunet.training.memory import advise_batch_size

MEGABYTE = 1 << 20


class OutOfMemoryError(MemoryError):
    """What CuPy raises is told by this name."""


class FakeLoader:
    def __init__(self, batch_size, size=(64, 64)):
        self.batch_size = batch_size
        self.dataset = [(np.zeros((*size, 3), np.uint8), np.zeros((*size, 1), np.uint8))]


def test_the_batch_that_fits():
    model = UNet(depth=1, width=2)
    peak, parameters = training_costs(model, (64, 64)).peak, sum(p.data.nbytes for p in model.parameters())
    for images in (1, 10):
        enough = 2 * parameters + images * peak / 0.75
        assert memory.batch_that_fits(model, (64, 64), int(enough) + 1, state_arrays=1) == images
        assert memory.batch_that_fits(model, (64, 64), int(enough) - 1, state_arrays=1) == images - 1
    assert memory.batch_that_fits(model, (64, 64), parameters // 2) == 0
    enough = parameters + peak / 0.75  # the gradients alone: the optimizer has all its arrays
    assert [memory.batch_that_fits(model, (64, 64), int(enough) + more) for more in (1, -1)] == [1, 0]


# ---- the context manager, with a GPU that is made up --------------------------------------------------------


@pytest.fixture
def setup(monkeypatch):
    """setup(free) is a model that claims to be on a GPU with `free` bytes free, and its optimizer."""

    def make(free):
        monkeypatch.setattr(UNet, "device", "gpu:7")
        monkeypatch.setattr(memory, "release_memory", lambda device: None)
        monkeypatch.setattr(memory, "memory_free", lambda device: free)
        monkeypatch.setattr(memory, "training_costs", lambda model, size: costs)
        return model, optim.SGD(model.parameters())

    model = UNet(depth=1, width=2)
    costs = training_costs(model, (64, 64))
    return make


def fails(error):
    raise error


def test_out_of_memory_names_a_batch_size_that_fits(setup):
    model, optimizer = setup(free=100 * MEGABYTE)
    for p in optimizer.params:
        p.grad = np.ones(p.shape, p.dtype)
    fits = memory.batch_that_fits(model, (64, 64), 100 * MEGABYTE)
    assert 10 < fits < 1000
    message = rf"gpu:7: out of memory with batches of 1000 images of 64x64; 0.10 GB.*: a batch size of {fits} would fit"
    with pytest.raises(OutOfMemory, match=message) as caught, advise_batch_size(model, optimizer, FakeLoader(1000)):
        fails(OutOfMemoryError("Out of memory allocating 512 bytes"))
    assert type(caught.value.__cause__) is OutOfMemoryError
    assert all(p.grad is None for p in optimizer.params)


def test_the_size_named_is_smaller_than_the_one_that_failed(setup):
    model, optimizer = setup(free=100 * MEGABYTE)
    with (
        pytest.raises(OutOfMemory, match="a batch size of 4 would fit"),
        advise_batch_size(model, optimizer, FakeLoader(5)),
    ):
        fails(OutOfMemoryError())


def test_not_even_one_image_fits(setup):
    model, optimizer = setup(free=1000)
    with (
        pytest.raises(OutOfMemory, match="not even one image fits, use smaller ones"),
        advise_batch_size(model, optimizer, FakeLoader(5)),
    ):
        fails(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"))


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_arrays_of_the_failed_step_are_gone_before_the_free_memory_is_counted(
    setup, monkeypatch, no_collector, wrapped
):
    model, optimizer = setup(free=100 * MEGABYTE)
    order, arrays = [], []
    monkeypatch.setattr(memory, "release_memory", lambda device: order.append([a() is None for a in arrays]))
    monkeypatch.setattr(memory, "memory_free", lambda device: order.append("counted") or 0)

    def step():
        batch = np.zeros(5)
        arrays.append(weakref.ref(batch))
        loss = Tensor(batch, requires_grad=True) * 2
        arrays.append(weakref.ref(loss.data))
        try:
            fails(OutOfMemoryError())
        except OutOfMemoryError as error:
            if wrapped:
                raise RuntimeError("CUDA_ERROR_OUT_OF_MEMORY") from error
            raise

    with pytest.raises(OutOfMemory), advise_batch_size(model, optimizer, FakeLoader(5)):
        step()
    assert order == [[True, True], "counted"]


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError("Unable to allocate 8 GiB for an array")])
def test_other_errors_pass_unchanged(setup, error):
    model, optimizer = setup(free=0)
    with pytest.raises(type(error)) as caught, advise_batch_size(model, optimizer, FakeLoader(5)):
        fails(error)
    assert caught.value is error and error.__traceback__ is not None


def test_on_the_cpu_nothing_is_changed():
    model, error = UNet(depth=1, width=2), OutOfMemoryError()
    with pytest.raises(OutOfMemoryError) as caught, advise_batch_size(model, None, None):
        fails(error)
    assert caught.value is error


def test_without_an_error_nothing_happens():
    done = []
    with advise_batch_size(UNet(depth=1, width=2), None, None):
        done.append(1)
    assert done == [1]


# ---- on a GPU -----------------------------------------------------------------------------------------------


def test_the_size_that_a_gpu_is_advised_to_take_fits(array_on):
    """With a limit on the pool, a step with the batch size in the advice succeeds."""
    cupy = array_module(array_on("gpu")(np.zeros(1)))
    model = UNet(depth=2, width=4).to("gpu")
    optimizer = optim.RMSprop(model.parameters())
    pool = cupy.get_default_memory_pool()

    def step(batch_size):
        x = Tensor(cupy.zeros((batch_size, 64, 64, 3), "float32"))
        LOSSES["bce"](model.logits(x), cupy.zeros((batch_size, 64, 64, 1), "float32")).backward()
        optimizer.step()
        optimizer.zero_grad()

    def named(batch_size):
        with pytest.raises(OutOfMemory) as caught, advise_batch_size(model, optimizer, FakeLoader(batch_size)):
            step(batch_size)
        return int(str(caught.value).partition("a batch size of ")[2].split()[0])

    gc.collect()  # what other tests have left behind must not turn into free memory on the way
    release_memory("gpu")
    pool.set_limit(size=pool.used_bytes() + 16 * MEGABYTE)
    try:
        fits = named(64)
        assert 8 <= fits < 32  # careful, but not timid
        step(fits)
    finally:
        pool.set_limit(size=0)
        release_memory("gpu")
