"""Kernels that treat each number, or each pixel, on its own."""

import numpy as np

from minunet.kernels.cpu.items import as_items
from minunet.kernels.cpu.pieces import elementwise, images_per_piece
from minunet.kernels.threads import in_parallel, scratch


def relu_gradient(gy, y):
    """As `reference.relu_gradient`."""
    gz = np.empty(gy.shape, gy.dtype)
    elementwise(where_positive, np.ascontiguousarray(gy), np.ascontiguousarray(y), gz)
    return gz


def where_positive(gy, y, gz):
    """gz ← gy where y > 0, else 0."""
    np.multiply(gy, np.greater(y, 0, out=scratch("flags", y.shape, bool)), out=gz)


def concatenate(a, b):
    """As `reference.concatenate`."""
    a, b, A = np.ascontiguousarray(a), np.ascontiguousarray(b), a.shape[-1]
    y = np.empty((*a.shape[:-1], A + b.shape[-1]), a.dtype)

    def task(pieces):
        for n in pieces:
            as_items(y[n, ..., :A])[...] = as_items(a[n])
            as_items(y[n, ..., A:])[...] = as_items(b[n])

    in_parallel(task, images_per_piece(len(a), y[:1].size))
    return y


def split(y, A):
    """As `reference.split`."""
    y = np.ascontiguousarray(y)
    a = np.empty((*y.shape[:-1], A), y.dtype)
    b = np.empty((*y.shape[:-1], y.shape[-1] - A), y.dtype)

    def task(pieces):
        for n in pieces:
            as_items(a[n])[...] = as_items(y[n, ..., :A])
            as_items(b[n])[...] = as_items(y[n, ..., A:])

    in_parallel(task, images_per_piece(len(y), y[:1].size))
    return a, b
