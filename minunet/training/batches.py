"""Batches for the training step: on the device, as numbers, and on a GPU copied one step ahead.

A batch leaves the loader as bytes, and travels as bytes, a quarter of what floats would take. On the device the task
makes floats of it (`Task.targets`).

    Loader ──▶ pinned memory ──▶ GPU memory ──▶ the training step        two slots, used in turn
               copied by Python   second stream   main stream

Prefetching. While the GPU computes one step, it can already fetch the next batch, under two conditions: the batch lies
in pinned memory (pages that the system promises not to move), and the copy is queued on a stream of its own. A stream
is a queue of work; nothing but events orders two of them. Three things must be waited for, each by the one who would do
the damage:

    the step        until its batch has arrived                            the main stream waits for `arrived`
    the copy        until the step two batches ago has read the slot       the second stream waits for `free`
    the Loader      until the pinned slot was copied, two batches ago      Python waits for `arrived`

Only the last one makes Python wait, and only when it is two steps ahead of the GPU; the GPU never waits for Python. All
memory is allocated with the first batches and reused for the whole training.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor
from minunet.cuda import copy_async, event, main_stream, pinned, side_stream
from minunet.device import Array, to_device
from minunet.tasks import Task


class Batch(NamedTuple):
    """A batch on the device.

    x        images, floats of 0 to 1, (N, H, W, C)
    targets  what the loss compares with, see `Task.targets`
    weights  how much each pixel counts in the loss
    labels   uint8, for the scores
    """

    x: Tensor
    targets: Any
    weights: Any
    labels: Array

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.labels)


def ready_batches(task: Task, prefetcher: "Prefetcher", source: Iterable[tuple[NDArray, NDArray]]) -> Iterator[Batch]:
    """Yields a Batch for each pair of NumPy arrays (images, labels) of `source`; on a GPU its labels are only lent.

    >>> from minunet.tasks import Binary
    >>> source = [(np.zeros((2, 4, 4, 3), np.uint8), np.ones((2, 4, 4, 1), np.uint8))]
    >>> (batch,) = ready_batches(Binary(), Prefetcher("cpu"), source)
    >>> batch.x.shape, batch.targets.shape, len(batch)
    ((2, 4, 4, 3), (2, 4, 4, 1), 2)
    """
    for images, labels in prefetcher.batches(source):
        yield ready_batch(task, images, labels)


def ready_batch(task: Task, images: Array, labels: Array) -> Batch:
    """Returns the Batch of images and labels that are on the device."""
    x, targets, weights = task.targets(images, labels)
    return Batch(Tensor(x), targets, weights, labels)


class Prefetcher:
    """Brings batches to a device; one Prefetcher serves all epochs of a training."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.stream: Any = None if device == "cpu" else side_stream(device)
        self.slots: list[_Slot | None] = [None, None]

    def batches(self, source: Iterable[tuple[NDArray, ...]]) -> Iterator[tuple[Array, ...]]:
        """Yields each batch of `source`, a tuple of NumPy arrays of equal length, as arrays on the device.

        On a GPU they are lent: the batch after the next overwrites them, once the work that the caller has queued on
        them by then is done. On the CPU they are passed on as they are.
        """
        if self.device == "cpu":
            yield from source
            return
        try:
            sent = None
            for number, arrays in enumerate(source):
                slot = self._slot(number % 2, arrays)
                slot.send(arrays)
                if sent is not None:
                    yield from sent.lend()
                sent = slot
            if sent is not None:
                yield from sent.lend()
        finally:
            self.stream.synchronize()  # whoever drops the slots early must not free memory that is being copied to

    def _slot(self, i, arrays):
        """Returns slot i, after replacing it if the arrays do not fit into it."""
        if self.slots[i] is None or not self.slots[i].fits(arrays):
            self.stream.synchronize()
            self.slots[i] = _Slot(arrays, self.device, self.stream)
        return self.slots[i]


class _Slot:
    """Room for one batch in pinned memory and on the GPU."""

    def __init__(self, arrays, device, stream):
        self.device = device
        self.stream = stream
        self.pinned = [pinned(a.shape, a.dtype) for a in arrays]
        self.on_device = [to_device(np.empty(a.shape, a.dtype), device) for a in arrays]
        self.arrived = event()
        self.free = event()
        self.free.record(main_stream(self.device))  # the main stream may have been using this memory a moment ago
        self.length = 0

    def fits(self, arrays):
        return all(
            len(a) <= len(room) and a.shape[1:] == room.shape[1:] and a.dtype == room.dtype
            for a, room in zip(arrays, self.pinned, strict=True)
        )

    def send(self, arrays):
        """Copies the batch to pinned memory, and queues its copy to the GPU."""
        self.length = len(arrays[0])
        self.arrived.synchronize()
        self.stream.wait_event(self.free)
        for a, room, target in zip(arrays, self.pinned, self.on_device):
            np.copyto(room[: self.length], a)
            copy_async(target[: self.length], room[: self.length], self.stream)
        self.arrived.record(self.stream)

    def lend(self):
        """Yields the arrays on the GPU, once, and marks when the work on them is done."""
        main_stream(self.device).wait_event(self.arrived)
        try:
            yield tuple(a[: self.length] for a in self.on_device)
        finally:
            self.free.record(main_stream(self.device))
