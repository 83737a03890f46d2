"""Batches of a dataset: shuffled by (seed, epoch) alone, with the next ones prepared ahead in threads.

Threads are enough; no processes are needed. A dataset hands over images that are decoded already (cache.py), so a batch
is a copy from one part of memory to another; what augment.py does to it are NumPy's loops, during which other threads
run, the training step among them. One thread keeps up with a CPU, whose step takes long. A GPU may finish its step
before one thread has augmented the next batch; then several threads prepare several batches. How many threads there are
changes nothing in the batches: the random numbers of an image come from a generator that is made from (seed, epoch,
index), so it does not matter which thread has it, or what came before.
"""

import operator
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from minunet.data.labels import Labels
from minunet.data.sample import Pair, Pairs

Augment = Callable[[NDArray[np.uint8], Labels, np.random.Generator], Pair]


class Loader:
    """Serves a dataset of N images in ceil(N / batch_size) batches per epoch; the last one may be smaller.

    dataset     see sample.py; all images of one size
    batch_size  at least 1
    seed        at least 0; the order depends on (seed, epoch) alone
    shuffle     False: each epoch in the dataset's own order
    augment     changes an image with its labels: augment(image, labels, rng) -> (image, labels), called from several
                threads; see augment.py. None leaves them as they are
    encode      computes labels of labels, (H, W, L), after the augmentation; see `Task.encode`. None: as they are
    workers     at least 1: the number of threads, and so of batches that are prepared at a time; any number serves the
                same batches

    Raises ValueError for an empty dataset and for smaller numbers, TypeError for numbers that are not integers.

    >>> dataset = [(np.full((2, 2, 3), i, np.uint8), np.zeros((2, 2, 1), np.uint8)) for i in range(5)]
    >>> loader = Loader(dataset, batch_size=2, shuffle=False)
    >>> len(loader)
    3
    >>> [images.shape for images, masks in loader.batches(epoch=0)]
    [(2, 2, 2, 3), (2, 2, 2, 3), (1, 2, 2, 3)]
    """

    def __init__(
        self,
        dataset: Pairs,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        augment: Augment | None = None,
        encode: Callable[[Labels], Labels] | None = None,
        workers: int = 1,
    ) -> None:
        self.dataset = dataset
        self.batch_size = _at_least(1, "batch_size", batch_size)
        self.seed = _at_least(0, "seed", seed)
        self.shuffle = shuffle
        self.augment = augment
        self.encode = encode
        self.workers = _at_least(1, "workers", workers)
        if len(dataset) == 0:
            raise ValueError("the dataset is empty: there is nothing to load")

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return -(-len(self.dataset) // self.batch_size)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Returns the indices of an epoch's images in the order in which they are served: (N,)."""
        _at_least(0, "epoch", epoch)
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))

    def batches(self, epoch: int, start: int = 0) -> Iterator[Pair]:
        """Yields (images uint8 (N, H, W, 3), labels (N, H, W, L)) for each batch of the epoch.

        start: how many batches to skip at the beginning; they are not prepared, and the others are the same.
        The arrays are new for each batch: the caller may keep and change them. What goes wrong while a batch is
        prepared is raised here, when that batch is asked for. The threads end with this iterator: at its end, with an
        error, or when it is abandoned (`break` in a for loop, or its close()).
        """
        order = self.order(epoch)
        if _at_least(0, "start", start) > len(self):
            raise ValueError(f"start is {start}: an epoch has {len(self)} batches")
        firsts = iter(range(start * self.batch_size, len(order), self.batch_size))
        with ThreadPoolExecutor(self.workers, thread_name_prefix="minunet-loader") as threads:

            def prepare(first: int) -> Future[Pair]:
                return threads.submit(self._batch, epoch, order[first : first + self.batch_size])

            ahead = deque(prepare(first) for first in islice(firsts, self.workers))
            while ahead:
                batch = ahead.popleft().result()
                ahead.extend(prepare(first) for first in islice(firsts, 1))
                yield batch

    def _batch(self, epoch: int, indices: NDArray[np.int64]) -> Pair:
        images, masks = zip(*(self._sample(epoch, int(i)) for i in indices))
        return np.stack(images), np.stack(masks)

    def _sample(self, epoch: int, index: int) -> Pair:
        image, labels = self.dataset[index]
        if self.augment is not None:
            # spawn_key: [seed, epoch, 0] would be the generator of [seed, epoch], which made the order
            seeds = np.random.SeedSequence([self.seed, epoch], spawn_key=(index,))
            image, labels = self.augment(image, labels, np.random.default_rng(seeds))
        return image, labels if self.encode is None else self.encode(labels)


def _at_least(least: int, name: str, value: int) -> int:
    if operator.index(value) < least:
        raise ValueError(f"{name} is {value}: it must be an integer of at least {least}")
    return operator.index(value)
