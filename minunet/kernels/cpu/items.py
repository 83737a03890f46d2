"""Rows of neighbouring numbers, copied as one item each.

The channels of a pixel, or of several neighbouring pixels, lie side by side in memory. Seen as a single item of that
many bytes, such a row is copied by NumPy in one go; number by number, a copy of many short rows takes several times as
long.
"""

import numpy as np


def item_type(length, dtype):
    """The type of `length` neighbouring numbers seen as one item, which can be copied and nothing else."""
    return np.dtype((np.void, length * dtype.itemsize))


def as_items(array):
    """A view of `array` without its last axis, each row along that axis being one item. The rows must be contiguous."""
    return array.view(item_type(array.shape[-1], array.dtype))[..., 0]
