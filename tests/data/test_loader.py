"""Batches: which, in what order, and what becomes of the background thread."""

import threading
import time

import numpy as np
import pytest

from minunet.data.augment import PRESETS
from minunet.data.loader import Loader


class Numbers:
    """Image i is filled with i, its mask with i % 2. `asked` lists the indices asked for, in order."""

    def __init__(self, length):
        self.length, self.asked = length, []

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.asked.append(index)
        return np.full((4, 6, 3), index, np.uint8), np.full((4, 6, 1), index % 2, np.uint8)


def served(loader, epoch):
    """The numbers of an epoch in the order in which they come."""
    return [int(n) for images, masks in loader.batches(epoch) for n in images[:, 0, 0, 0]]


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("minunet-loader")]


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    assert loader_threads() == []


def test_batches_hold_images_and_their_masks_and_the_last_may_be_smaller():
    loader = Loader(Numbers(10), batch_size=4)
    batches = list(loader.batches(0))
    assert len(loader) == len(batches) == 3
    assert [images.shape for images, masks in batches] == [(4, 4, 6, 3), (4, 4, 6, 3), (2, 4, 6, 3)]
    assert [masks.shape for images, masks in batches] == [(4, 4, 6, 1), (4, 4, 6, 1), (2, 4, 6, 1)]
    for images, masks in batches:
        assert images.dtype == masks.dtype == np.uint8
        np.testing.assert_array_equal(images[:, :, :, :1] % 2, masks)


@pytest.mark.parametrize("length, batch_size, batches", [(1, 1, 1), (1, 9, 1), (8, 4, 2), (9, 4, 3)])
def test_each_image_is_served_once_per_epoch(length, batch_size, batches):
    loader = Loader(Numbers(length), batch_size)
    assert len(loader) == batches == sum(1 for _ in loader.batches(0))
    assert sorted(served(loader, 3)) == list(range(length))


def test_seed_and_epoch_alone_decide_the_order():
    first = served(Loader(Numbers(50), 7, seed=1), epoch=2)
    later = Loader(Numbers(50), 3, seed=1)  # another batch size, after other epochs, one of them abandoned
    served(later, 0)
    next(later.batches(5))
    assert served(later, 2) == first
    others = [served(Loader(Numbers(50), 7, seed=s), epoch=e) for s, e in [(1, 0), (1, 1), (2, 1), (0, 2)]]
    assert all(order != first for order in others)
    assert len({tuple(order) for order in others}) == 4
    assert first != sorted(first)


def test_without_shuffling_the_order_is_the_datasets():
    assert served(Loader(Numbers(7), 3, shuffle=False), epoch=4) == list(range(7))


def test_the_caller_may_change_a_batch():
    loader = Loader(Numbers(6), 2, shuffle=False)
    kept = []
    for images, masks in loader.batches(0):
        kept.append(images)
        images += 100
    assert [int(images[0, 0, 0, 0]) for images in kept] == [100, 102, 104]
    assert served(loader, 0) == list(range(6))


@pytest.mark.parametrize("start", [0, 1, 3, 4])
@pytest.mark.parametrize("workers", [1, 3])
def test_what_comes_after_a_start_is_the_same_as_without(start, workers):
    numbers, later = Numbers(10), Numbers(10)
    whole = list(Loader(numbers, 3, seed=2, augment=shake).batches(5))
    rest = list(Loader(later, 3, seed=2, augment=shake, workers=workers).batches(5, start=start))
    assert len(rest) == 4 - start
    for (images, masks), (same_images, same_masks) in zip(whole[start:], rest):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(masks, same_masks)
    assert sorted(later.asked) == sorted(numbers.asked[3 * start :])  # what is left out is not prepared


def test_a_start_beyond_the_epoch_is_refused():
    loader = Loader(Numbers(10), 3)
    with pytest.raises(ValueError, match="start is -1: it must be an integer of at least 0"):
        next(loader.batches(0, start=-1))
    with pytest.raises(ValueError, match="start is 5: an epoch has 4 batches"):
        next(loader.batches(0, start=5))


def shake(image, mask, rng):
    """An augmentation that can be seen in every pixel."""
    return image + rng.integers(0, 50, image.shape, np.uint8), mask


def shaken(loader, epoch):
    """What shake added to each image: {number: array}."""
    numbers = loader.order(epoch).tolist()
    images = np.concatenate([images for images, _ in loader.batches(epoch)])
    return {number: image - np.uint8(number) for number, image in zip(numbers, images)}


def test_seed_epoch_and_index_alone_decide_what_an_image_gets():
    first = shaken(Loader(Numbers(20), 4, seed=1, augment=shake), epoch=2)
    for other in (
        Loader(Numbers(20), 7, seed=1, augment=shake, workers=4),
        Loader(Numbers(20), 20, seed=1, shuffle=False, augment=shake),
    ):
        again = shaken(other, epoch=2)
        assert all(np.array_equal(again[number], first[number]) for number in range(20))
    seeds_and_epochs = [(1, 1), (2, 2), (2, 1)]
    others = [shaken(Loader(Numbers(20), 4, seed=s, augment=shake), epoch=e) for s, e in seeds_and_epochs]
    drawn = {added.tobytes() for epoch in [first, *others] for added in epoch.values()}
    assert len(drawn) == 4 * 20


def test_the_first_image_gets_different_random_numbers_from_the_order():
    """NumPy takes the seeds [3, 1] and [3, 1, 0] for the same."""
    got = []

    def note(image, mask, rng):
        got.append(rng.random())
        return image, mask

    list(Loader(Numbers(1), 1, seed=3, augment=note).batches(1))
    assert got != [np.random.default_rng([3, 1]).random()]


@pytest.mark.parametrize("workers", [1, 2, 5, 30])
def test_any_number_of_workers_serves_the_same_batches(workers):
    expected = list(Loader(Numbers(23), 4, seed=1, augment=shake).batches(1))
    batches = list(Loader(Numbers(23), 4, seed=1, augment=shake, workers=workers).batches(1))
    assert len(batches) == 6
    for (images, masks), (same_images, same_masks) in zip(expected, batches):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(masks, same_masks)


def test_several_workers_prepare_several_batches_and_no_more_than_that():
    numbers, together = Numbers(24), threading.Barrier(3, timeout=5)

    class Meeting(Numbers):
        def __getitem__(self, index):
            if index % 2 == 0 and index < 6:
                together.wait()  # passed only if three batches are under way at once
            return numbers[index]

    batches = Loader(Meeting(24), 2, shuffle=False, workers=3).batches(0)
    next(batches)
    deadline = time.monotonic() + 5
    while len(numbers.asked) < 8 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert sorted(numbers.asked) == list(range(8))
    batches.close()


def test_an_error_of_an_augmentation_reaches_the_caller_and_ends_all_threads():
    def broken(image, mask, rng):
        if image[0, 0, 0] == 4:
            raise ValueError("no such image")
        return image, mask

    batches = Loader(Numbers(20), 2, shuffle=False, augment=broken, workers=3).batches(0)
    next(batches), next(batches)
    with pytest.raises(ValueError, match="no such image"):
        next(batches)
    assert loader_threads() == []
    assert list(batches) == []


def test_the_next_batch_is_prepared_while_one_is_in_use_and_no_more_than_that():
    numbers = Numbers(9)
    batches = Loader(numbers, 3, shuffle=False).batches(0)
    assert numbers.asked == [] and loader_threads() == []  # nothing happens before the first batch is wanted
    next(batches)
    deadline = time.monotonic() + 5
    while len(numbers.asked) < 6 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert numbers.asked == [0, 1, 2, 3, 4, 5]
    batches.close()


def test_an_error_reaches_the_caller_when_its_batch_is_asked_for():
    class Broken(Numbers):
        def __getitem__(self, index):
            if index == 4:
                raise OSError("the disk is gone")
            return super().__getitem__(index)

    batches = Loader(Broken(8), 2, shuffle=False).batches(0)
    assert int(next(batches)[0][1, 0, 0, 0]) == 1
    assert int(next(batches)[0][1, 0, 0, 0]) == 3
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert loader_threads() == []
    assert list(batches) == []


def test_images_of_different_sizes_are_an_error():
    dataset = [(np.zeros((n, 2, 3), np.uint8), np.zeros((n, 2, 1), np.uint8)) for n in (2, 3)]
    with pytest.raises(ValueError, match="same shape"):
        next(Loader(dataset, 2).batches(0))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_in_the_training_step_ends_the_thread(error):
    def train():
        for images, masks in Loader(Numbers(20), 2).batches(0):
            raise error

    with pytest.raises(error):
        train()


def test_leaving_the_loop_ends_the_thread():
    for images, masks in Loader(Numbers(20), 2).batches(0):
        assert len(loader_threads()) == 1
        break


def test_two_epochs_at_once_do_not_mix():
    loader = Loader(Numbers(20), 4)
    pairs = list(zip(loader.batches(0), loader.batches(1)))
    assert [int(n) for (images, _), _ in pairs for n in images[:, 0, 0, 0]] == served(loader, 0)
    assert [int(n) for _, (images, _) in pairs for n in images[:, 0, 0, 0]] == served(loader, 1)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"batch_size": 0}, ValueError, "batch_size is 0: it must be an integer of at least 1"),
        ({"batch_size": -3}, ValueError, "batch_size is -3"),
        ({"batch_size": 2.5}, TypeError, "float"),
        ({"batch_size": 2, "workers": 0}, ValueError, "workers is 0: it must be an integer of at least 1"),
        ({"batch_size": 2, "seed": -1}, ValueError, "seed is -1: it must be an integer of at least 0"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Loader(Numbers(3), **arguments)


def test_an_empty_dataset_and_a_negative_epoch_are_refused():
    with pytest.raises(ValueError, match="empty"):
        Loader([], 2)
    with pytest.raises(ValueError, match="epoch is -1"):
        next(Loader(Numbers(3), 2).batches(-1))


def test_labels_of_any_kind_come_in_batches():
    image, labels = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 2), 60000, np.uint16)
    (images, batch), *_ = Loader([(image, labels)] * 3, 2, augment=PRESETS["flips"]).batches(0)
    assert images.shape == (2, 4, 4, 3) and batch.shape == (2, 4, 4, 2) and batch.dtype == np.uint16
    assert (batch == 60000).all()
