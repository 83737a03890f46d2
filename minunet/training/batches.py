"""Batches on their way to a graphics card: the next one travels while the card still works on this one.

    Loader ──▶ pinned memory ──▶ card ──▶ the training step        two slots, used in turn
               host copy         second stream    main stream

A card can fetch data by itself only from pinned memory (pages that the system promises not to move), and
only on a stream beside the one that computes does it do both at once. A stream is a queue of work; nothing
but events orders two of them. Three things must be waited for, each by the one who would spoil it:

    the step        until its batch has arrived                           main stream waits for `arrived`
    the copy        until the step two batches ago has read the slot      second stream waits for `free`
    the Loader      until the pinned slot has left, two batches ago       Python waits for `arrived`

Only the last one holds Python up, and only if it runs two steps ahead of the card; the card never waits for
it. All memory is taken with the first batches and used again for the whole training.
"""

import numpy as np

from minunet.cuda import copy_async, event, main_stream, pinned, side_stream
from minunet.device import to_device


class Feed:
    """Brings batches to a device; one Feed serves all epochs of a training.

    >>> batches = [(np.zeros((2, 4, 4, 3), np.uint8), np.ones((2, 4, 4, 1), np.uint8))]
    >>> [(images.shape, masks.shape) for images, masks in Feed("cpu").batches(batches)]
    [((2, 4, 4, 3), (2, 4, 4, 1))]
    """

    def __init__(self, device):
        self.device = device
        self.stream = None if device == "cpu" else side_stream(device)
        self.slots = [None, None]

    def batches(self, source):
        """Yields each batch of `source`, a tuple of NumPy arrays of equal length, as arrays on the device.

        On a GPU they are lent: the next batch but one overwrites them, after the work on them that the caller
        has asked for by then. On the CPU they are passed on as they are.
        """
        if self.device == "cpu":
            yield from source
            return
        try:
            sent = None
            for number, batch in enumerate(source):
                slot = self._slot(number % 2, batch)
                slot.send(batch)
                if sent is not None:
                    yield from sent.lend()
                sent = slot
            if sent is not None:
                yield from sent.lend()
        finally:
            self.stream.synchronize()  # whoever lets go of the slots early must not free memory under a copy

    def _slot(self, i, batch):
        """Slot i, made anew where the batch does not fit into it."""
        if self.slots[i] is None or not self.slots[i].fits(batch):
            self.stream.synchronize()
            self.slots[i] = _Slot(batch, self.device, self.stream)
        return self.slots[i]


class _Slot:
    """Room for one batch in pinned memory and on the card."""

    def __init__(self, batch, device, stream):
        self.stream = stream
        self.pinned = [pinned(a.shape, a.dtype) for a in batch]
        self.arrays = [to_device(np.empty(a.shape, a.dtype), device) for a in batch]
        self.arrived, self.free = event(), event()
        self.free.record(main_stream())  # memory that the main stream may have had in use a moment ago
        self.length = 0

    def fits(self, batch):
        return all(
            len(a) <= len(room) and a.shape[1:] == room.shape[1:] and a.dtype == room.dtype
            for a, room in zip(batch, self.pinned, strict=True)
        )

    def send(self, batch):
        """Copies the batch to pinned memory, and asks for its copy to the card."""
        self.length = len(batch[0])
        self.arrived.synchronize()
        self.stream.wait_event(self.free)
        for a, room, array in zip(batch, self.pinned, self.arrays):
            np.copyto(room[: self.length], a)
            copy_async(array[: self.length], room[: self.length], self.stream)
        self.arrived.record(self.stream)

    def lend(self):
        """Yields the arrays on the card, once, and notes when the work on them is done."""
        main_stream().wait_event(self.arrived)
        try:
            yield tuple(array[: self.length] for array in self.arrays)
        finally:
            self.free.record(main_stream())
