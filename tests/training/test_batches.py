"""Batches on their way to the GPU: however far that is behind, no slot is overwritten too early."""

import collections

import numpy as np
import pytest

from minunet.cuda import memory_kept
from minunet.device import to_numpy
from minunet.training import batches as module
from minunet.training.batches import Prefetcher


def batches(lengths, size=4, seed=0):
    """Tuples of random images and masks."""
    rng = np.random.default_rng(seed)
    return [
        (rng.integers(0, 256, (n, size, size, 3), np.uint8), rng.integers(0, 2, (n, size, size, 1), np.uint8))
        for n in lengths
    ]


def test_on_the_cpu_batches_are_passed_on_as_they_are():
    given = batches([3, 2])
    assert list(Prefetcher("cpu").batches(given)) == given


def test_on_the_gpu_they_arrive_intact_epoch_after_epoch_in_the_same_memory(array_on):
    array_on("gpu")  # or skip
    prefetcher, places = Prefetcher("gpu"), []
    for epoch in range(3):
        given = batches([5, 5, 5, 2], seed=epoch)
        for (images, masks), (lent_images, lent_masks) in zip(given, prefetcher.batches(given), strict=True):
            np.testing.assert_array_equal(to_numpy(lent_images), images)
            np.testing.assert_array_equal(to_numpy(lent_masks), masks)
            places.append(lent_images.data.ptr)
    assert len(set(places)) == 2 and places[:4] == places[4:8] == places[8:]
    kept = memory_kept("gpu")
    list(prefetcher.batches(batches([5, 4])))
    assert memory_kept("gpu") == kept


def test_a_larger_batch_gets_a_larger_slot(array_on):
    array_on("gpu")
    prefetcher, given = Prefetcher("gpu"), batches([2, 2]) + batches([3, 1, 2], size=6)
    for (images, _), (lent, _) in zip(given, prefetcher.batches(given), strict=True):
        np.testing.assert_array_equal(to_numpy(lent), images)


# ---- a GPU that runs behind -------------------------------------------------------------------------------


class Gpu:
    """Two streams as queues of work that is done when somebody waits for it; of the `eager` one, at once."""

    def __init__(self, monkeypatch):
        self.main, self.side, self.eager = Stream(self), Stream(self), None
        replacements = {
            "main_stream": lambda device: self.main,
            "side_stream": lambda device: self.side,
            "event": Event,
            "pinned": np.empty,
            "to_device": lambda array, device: array.copy(),
            "copy_async": self.copy,
        }
        for name, replacement in replacements.items():
            monkeypatch.setattr(module, name, replacement)

    def copy(self, target, source, stream):
        stream.add(lambda: np.copyto(target, source))

    def run_what_can_run(self, *streams):
        """Works through the streams until each waits for an event or has nothing to do."""
        while any(stream.run_one() for stream in streams):
            pass


class Stream:
    def __init__(self, gpu):
        self.gpu, self.work = gpu, collections.deque()

    def add(self, work, ready=lambda: True):
        self.work.append((ready, work))
        if self.gpu.eager is self:
            self.gpu.run_what_can_run(self)

    def wait_event(self, event):
        count = event.recorded  # only what was recorded by now
        self.add(lambda: None, lambda: event.reached >= count)

    def run_one(self):
        if not self.work or not self.work[0][0]():
            return False
        self.work.popleft()[1]()
        return True

    def synchronize(self):
        self.gpu.run_what_can_run(self.gpu.main, self.gpu.side)
        assert not self.work


class Event:
    def __init__(self):
        self.recorded = self.reached = 0
        self.streams = []

    def record(self, stream):
        self.recorded += 1
        number = self.recorded
        self.streams.append(stream)
        stream.add(lambda: setattr(self, "reached", number))

    def synchronize(self):
        for stream in self.streams[-1:]:
            while self.reached < self.recorded:
                stream.gpu.run_what_can_run(stream.gpu.side)
                if self.reached < self.recorded:
                    assert stream.gpu.main.run_one()


@pytest.mark.parametrize("eager", [None, "side", "main"])
@pytest.mark.parametrize("breaks_at", [None, 3])
def test_no_slot_is_overwritten_before_it_was_read(monkeypatch, eager, breaks_at):
    gpu = Gpu(monkeypatch)
    gpu.eager = eager and getattr(gpu, eager)
    prefetcher, seen, expected = Prefetcher("gpu:0"), [], []
    for epoch in range(3):
        given = batches([3, 3, 3, 3, 2], seed=epoch)
        for number, (pair, lent) in enumerate(zip(given, prefetcher.batches(given))):
            gpu.main.add(lambda lent=lent: seen.append([array.copy() for array in lent]))  # a step
            expected.append(pair)
            if number == breaks_at:
                break
    gpu.main.synchronize()
    assert len(seen) == len(expected)
    for found, pair in zip(seen, expected):
        for a, b in zip(found, pair, strict=True):
            np.testing.assert_array_equal(a, b)


def test_slots_are_kept_for_batches_of_the_same_size_and_replaced_for_larger_ones(monkeypatch):
    Gpu(monkeypatch)
    prefetcher = Prefetcher("gpu:0")
    list(prefetcher.batches(batches([3, 3, 3])))
    first = list(prefetcher.slots)
    list(prefetcher.batches(batches([3, 2, 1, 3])))
    assert all(a is b for a, b in zip(first, prefetcher.slots, strict=True))
    for given in (batches([4, 4]), batches([3, 3], size=6), [(a.astype(np.int16), b) for a, b in batches([3, 3])]):
        list(prefetcher.batches(given))
        assert not any(a is b for a, b in zip(first, prefetcher.slots, strict=True))
        first = list(prefetcher.slots)


def test_whoever_stops_early_waits_for_the_copies_on_their_way(monkeypatch):
    gpu = Gpu(monkeypatch)
    lent = Prefetcher("gpu:0").batches(batches([2, 2, 2]))
    next(lent)
    assert gpu.side.work  # the next batch has been queued
    lent.close()
    assert not gpu.side.work


def test_the_next_batch_travels_before_this_one_is_lent(monkeypatch):
    gpu, taken = Gpu(monkeypatch), []

    def source():
        for number, batch in enumerate(batches([2, 2, 2])):
            taken.append(number)
            yield batch

    prefetcher = Prefetcher("gpu:0").batches(source())
    next(prefetcher)
    gpu.main.add(lambda: None, ready=lambda: False)  # a step that takes forever
    gpu.run_what_can_run(gpu.main, gpu.side)
    assert taken == [0, 1] and not gpu.side.work  # both copies are done
    gpu.main.work.clear()
    prefetcher.close()
