"""Rows of neighboring numbers, copied as one item each.

The channels of a pixel, or of several neighboring pixels, lie side by side in memory. Seen as a single item of that
many bytes, such a row is copied by NumPy in one go; number by number, a copy of many short rows takes several times as
long.
"""

import numpy as np


def item_type(length, dtype):
    """Returns the type of `length` neighboring numbers seen as one item, which can be copied and nothing else."""
    return np.dtype((np.void, length * dtype.itemsize))


def as_items(array):
    """Returns a view of `array` without its last axis: each (contiguous) row along it is one item."""
    return array.view(item_type(array.shape[-1], array.dtype))[..., 0]


def put_side_by_side(a, b, both):
    """both[..., :A] = a, both[..., A:] = b, for a (…, A) and b (…, B)."""
    A = a.shape[-1]
    as_items(both[..., :A])[...] = as_items(a)
    as_items(both[..., A:])[...] = as_items(b)
