"""What fits into the memory of a GPU: out of memory becomes advice on the batch size."""

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

from minunet.cuda import memory_free, release_memory
from minunet.device import OutOfMemory, ran_out_of_memory
from minunet.nn import Module
from minunet.nn.costs import training_costs


@contextlib.contextmanager
def advise_batch_size(model: Module, optimizer: Any, loader: Any) -> Iterator[None]:
    """Inside the block, a GPU that runs out of memory raises OutOfMemory, which names a batch size that fits.

    The free memory can be counted only once the arrays of the failed step are gone. What finished functions held is
    released here; so the block should call a function for each step, and hold no batch and no loss itself.
    """
    try:
        yield
        return
    except Exception as error:
        if model.device == "cpu" or not ran_out_of_memory(error):
            raise
        failure = _without_arrays(error)
    raise out_of_memory(model, optimizer, loader) from failure


def _without_arrays(error: BaseException) -> BaseException:
    """Returns the error, after clearing the local variables of all finished functions that it passed through."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link.__traceback__ = None
        link = link.__context__
    return error


def out_of_memory(model: Module, optimizer: Any, loader: Any) -> OutOfMemory:
    """Returns the OutOfMemory to raise, once the arrays of the failed step are gone."""
    optimizer.zero_grad()
    release_memory(model.device)
    size = loader.dataset[0][0].shape[:2]
    free = memory_free(model.device)
    failed = (
        f"{model.device}: out of memory with batches of {loader.batch_size} images of {size[0]}x{size[1]}; "
        f"{free / 1e9:.2f} GB are free between two steps"
    )
    try:
        to_come = 0 if optimizer.steps else len(optimizer.state_names)  # arrays made in the first step
        fits = batch_that_fits(model, size, free, to_come)
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        fits = 0  # there is no room even for the one image whose graph is to be measured
    fits = min(fits, loader.batch_size - 1)
    advice = f"a batch size of {fits} would fit" if fits else "not even one image fits, use smaller ones"
    return OutOfMemory(f"{failed}: {advice}. `nvidia-smi` lists what else is on the GPU")


def batch_that_fits(model: Module, image_size: tuple[int, int], free: int, state_arrays: int = 0) -> int:
    """Returns how many images of (H, W) a training step can take with `free` bytes; 0 if not even one.

    state_arrays: how many arrays per parameter the optimizer has yet to make. They and the gradients are subtracted
    first. A quarter of the rest is set aside for the patch matrix P(x), and for gaps between arrays of different sizes.
    """
    parameters = sum(p.data.nbytes for p in model.parameters())
    rest = free - (1 + state_arrays) * parameters
    return max(0, int(0.75 * rest // training_costs(model, image_size).peak))
