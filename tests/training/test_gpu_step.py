"""What a training step on a GPU may not do: ask the driver for memory, read anything back, launch more than it must."""

import numpy as np
import pytest

from minunet import UNet, optim
from minunet.checks.speed import lecture_step
from minunet.cuda import release_memory, synchronize
from minunet.data.drawn_pets import DrawnPets
from minunet.data.loader import Loader
from minunet.device import OutOfMemory, array_module
from minunet.kernels import gpu
from minunet.training.loop import Trainer

LAUNCHES = 250  # of a step of the lecture's U-Net, at most
MEGABYTE = 1_000_000


@pytest.fixture
def cupy(array_on):
    return array_module(array_on("gpu")(np.ones(1)))


def setup(batch_size, count, size=64):
    model = UNet(depth=2, width=4, seed=0).to("gpu")
    optimizer = optim.RMSprop(model.parameters(), lr=1e-3)
    training, validation = Loader(DrawnPets(count, size=size), batch_size), Loader(DrawnPets(2, size=size), 2)
    return Trainer(model, optimizer, "bce"), training, validation


def fresh(trainer):
    """A Trainer that begins anew with the same model and optimizer."""
    return Trainer(trainer.model, trainer.optimizer, "bce")


def test_after_the_first_epoch_no_memory_is_requested_from_the_driver(cupy):
    class Hook(cupy.cuda.memory_hook.MemoryHook):
        name, sizes = "from the driver", []

        def alloc_preprocess(self, **about):
            self.sizes.append(about["mem_size"])

    release_memory("gpu")
    trainer, training, validation = setup(batch_size=2, count=7)
    rows = trainer.epochs(training, validation, 3)
    with Hook() as first:
        next(rows)
    assert len(first.sizes) > 5  # so the hook works
    first.sizes.clear()
    with first:
        assert len(list(rows)) == 2
    assert first.sizes == []


# ---- the memory of the card --------------------------------------------------------------------------------


@pytest.fixture
def limited(cupy):
    """limited(bytes): so much memory has the card; the same as before after the test."""
    pool = cupy.get_default_memory_pool()
    before = pool.get_limit()
    release_memory("gpu")
    yield lambda size: pool.set_limit(pool.used_bytes() + size)
    pool.set_limit(before)
    release_memory("gpu")


def test_too_large_a_batch_is_one_message_and_the_size_that_it_names_fits(limited):
    trainer, training, validation = setup(batch_size=32, count=32)
    limited(16 * MEGABYTE)
    met = r"gpu:0: out of memory with batches of 32 images of 64x64; 0.0\d GB"
    with pytest.raises(OutOfMemory, match=met) as caught:
        list(trainer.epochs(training, validation, 1))
    named = int(str(caught.value).partition("a batch size of ")[2].split()[0])
    assert 4 <= named < 32
    smaller = Loader(training.dataset, named)
    assert len(list(fresh(trainer).epochs(smaller, validation, 1))) == 1
    with pytest.raises(OutOfMemory):
        list(fresh(trainer).epochs(Loader(training.dataset, 2 * named), validation, 1))


def test_not_even_one_image(limited):
    trainer, training, validation = setup(batch_size=2, count=2)
    limited(MEGABYTE // 2)
    with pytest.raises(OutOfMemory, match="not even one image fits, use smaller ones"):
        list(trainer.epochs(training, validation, 1))


# ---- launches and copies, as the driver sees them ----------------------------------------------------------


def test_a_step_launches_little_and_reads_nothing_back(cupy):
    torch = pytest.importorskip("torch", reason="PyTorch's profiler counts what the driver does")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch's profiler counts what the driver does, this PyTorch has no GPU")
    profiler = torch.profiler
    step = lecture_step("gpu:0", batch=2, size=64)
    step()
    step()
    synchronize("gpu:0")
    activities = [profiler.ProfilerActivity.CPU, profiler.ProfilerActivity.CUDA]
    with profiler.profile(activities=activities, acc_events=True) as profile:
        step()
        synchronize("gpu:0")
    names = [event.name for event in profile.events() if "cuda" in str(event.device_type).lower()]
    launches = [name for name in names if not name.startswith(("Memcpy", "Memset"))]
    assert 100 < len(launches) < LAUNCHES
    assert [name for name in names if "DtoH" in name] == []


def test_images_with_too_many_numbers_to_index_are_refused():
    """Rows of P(x) are counted in 32 bits: 2**20 windows of 9 x 9 pixels and 64 channels are too many."""
    wide = (1, 2, 1 << 20, 64)
    with pytest.raises(ValueError, match="too large for the CUDA kernels"):
        gpu.launch.geometry(wide, wide, (9, 9), (1, 1), ((4, 4), (4, 4)))
