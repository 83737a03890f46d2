"""Batches of a dataset: in an order that (seed, epoch) decides alone, with the next batch prepared ahead.

One background thread is enough, and no process is needed. A dataset hands over pictures that are decoded
already (minunet/data/cache.py), so that a batch is a copy from one part of memory to another. NumPy lets
other threads run while it multiplies matrices: the batch is ready long before the training step is over.
"""

import operator
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class Loader:
    """Serves a dataset of N pictures in ceil(N / batch_size) batches per epoch; the last one may be smaller.

    dataset     see minunet/data/__init__.py; all pictures of one size
    batch_size  1 or more
    seed        0 or more; the order depends on (seed, epoch) alone
    shuffle     False: each epoch in the dataset's own order

    Raises ValueError for an empty dataset and for smaller numbers, TypeError for what is no whole number.

    >>> dataset = [(np.full((2, 2, 3), i, np.uint8), np.zeros((2, 2, 1), np.uint8)) for i in range(5)]
    >>> loader = Loader(dataset, batch_size=2, shuffle=False)
    >>> len(loader)
    3
    >>> [images.shape for images, masks in loader.batches(epoch=0)]
    [(2, 2, 2, 3), (2, 2, 2, 3), (1, 2, 2, 3)]
    """

    def __init__(self, dataset, batch_size, seed=0, shuffle=True):
        self.dataset = dataset
        self.batch_size = _at_least(1, "batch_size", batch_size)
        self.seed = _at_least(0, "seed", seed)
        self.shuffle = shuffle
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
        is prepared is raised here, where that batch is asked for. The thread ends with this iterator: at its
        end, with an error, or when it is let go (`break` in a for loop, or its close()).
        """
        order = self.order(epoch)
        if _at_least(0, "start", start) > len(self):
            raise ValueError(f"start is {start}; an epoch has {len(self)} batches")
        parts = np.split(order, range(self.batch_size, len(order), self.batch_size))[start:]
        if not parts:
            return
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="minunet-loader") as thread:
            ahead = thread.submit(self._stack, parts[0])
            for part in parts[1:]:
                batch = ahead.result()
                ahead = thread.submit(self._stack, part)
                yield batch
            yield ahead.result()

    def _stack(self, indices):
        images, masks = zip(*(self.dataset[int(i)] for i in indices))
        return np.stack(images), np.stack(masks)


def _at_least(least, name, value):
    if operator.index(value) < least:
        raise ValueError(f"{name} is {value}; it must be {least} or more")
    return operator.index(value)
