"""Batches of a dataset: in an order that (seed, epoch) decides alone, with the next ones prepared ahead.

Threads do that, and no process is needed. A dataset hands over pictures that are decoded already (cache.py),
so that a batch is a copy from one part of memory to another; what augment.py does to it are NumPy's loops,
during which other threads run, the training step among them. One thread keeps up with a CPU, whose step takes
long; a graphics card may be done with its step before one thread has augmented the next batch, and then
several prepare several. Their number changes no number: the chances of a picture are drawn from a generator
that is made anew from (seed, epoch, index), so it matters neither which thread has it nor what came before.
"""

import operator
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np


class Loader:
    """Serves a dataset of N pictures in ceil(N / batch_size) batches per epoch; the last one may be smaller.

    dataset     see minunet/data/__init__.py; all pictures of one size
    batch_size  1 or more
    seed        0 or more; the order depends on (seed, epoch) alone
    shuffle     False: each epoch in the dataset's own order
    augment     changes a picture with its mask: augment(image, mask, rng) -> (image, mask), called from
                several threads; see augment.py. None leaves them as they are
    workers     1 or more: threads, and so batches that are prepared at a time; the batches are the same

    Raises ValueError for an empty dataset and for smaller numbers, TypeError for what is no whole number.

    >>> dataset = [(np.full((2, 2, 3), i, np.uint8), np.zeros((2, 2, 1), np.uint8)) for i in range(5)]
    >>> loader = Loader(dataset, batch_size=2, shuffle=False)
    >>> len(loader)
    3
    >>> [images.shape for images, masks in loader.batches(epoch=0)]
    [(2, 2, 2, 3), (2, 2, 2, 3), (1, 2, 2, 3)]
    """

    def __init__(self, dataset, batch_size, seed=0, shuffle=True, augment=None, workers=1):
        self.dataset = dataset
        self.batch_size = _at_least(1, "batch_size", batch_size)
        self.seed = _at_least(0, "seed", seed)
        self.shuffle, self.augment = shuffle, augment
        self.workers = _at_least(1, "workers", workers)
        if len(dataset) == 0:
            raise ValueError("the dataset is empty: there is nothing to load")

    def __len__(self):
        """The number of batches in an epoch."""
        return -(-len(self.dataset) // self.batch_size)

    def order(self, epoch):
        """The indices of an epoch's pictures in the order in which they are served: int array (N,)."""
        _at_least(0, "epoch", epoch)
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))

    def batches(self, epoch, start=0):
        """Yields (images uint8 (N, H, W, 3), masks uint8 (N, H, W, 1)) for each batch of the epoch.

        start: how many of the first batches to leave out; they are not prepared, and the others are the same.
        The arrays are new for each batch: the caller may keep and change them. What goes wrong while a batch
        is prepared is raised here, where that batch is asked for. The threads end with this iterator: at its
        end, with an error, or when it is let go (`break` in a for loop, or its close()).
        """
        order = self.order(epoch)
        if _at_least(0, "start", start) > len(self):
            raise ValueError(f"start is {start}; an epoch has {len(self)} batches")
        firsts = iter(range(start * self.batch_size, len(order), self.batch_size))
        with ThreadPoolExecutor(self.workers, thread_name_prefix="minunet-loader") as threads:

            def prepare(first):
                return threads.submit(self._batch, epoch, order[first : first + self.batch_size])

            ahead = deque(prepare(first) for first in islice(firsts, self.workers))
            while ahead:
                batch = ahead.popleft().result()
                ahead.extend(prepare(first) for first in islice(firsts, 1))
                yield batch

    def _batch(self, epoch, indices):
        images, masks = zip(*(self._picture(epoch, int(i)) for i in indices))
        return np.stack(images), np.stack(masks)

    def _picture(self, epoch, index):
        image, mask = self.dataset[index]
        if self.augment is None:
            return image, mask
        # spawn_key: [seed, epoch, 0] would be the generator of [seed, epoch], which made the order
        chances = np.random.SeedSequence([self.seed, epoch], spawn_key=(index,))
        return self.augment(image, mask, np.random.default_rng(chances))


def _at_least(least, name, value):
    if operator.index(value) < least:
        raise ValueError(f"{name} is {value}; it must be {least} or more")
    return operator.index(value)
