"""Kernels that treat each number, or each pixel, on its own."""

import numpy as np

from minunet.kernels.cpu.items import as_items
from minunet.kernels.cpu.pieces import elementwise
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
    """As `reference.concatenate`, image by image."""
    a, b, A = np.ascontiguousarray(a), np.ascontiguousarray(b), a.shape[-1]
    y = np.empty((*a.shape[:-1], A + b.shape[-1]), a.dtype)

    def task(images):
        for n in images:
            as_items(y[n, ..., :A])[...] = as_items(a[n])
            as_items(y[n, ..., A:])[...] = as_items(b[n])

    in_parallel(task, range(len(a)))
    return y


def split(y, A):
    """As `reference.split`, image by image."""
    y = np.ascontiguousarray(y)
    a = np.empty((*y.shape[:-1], A), y.dtype)
    b = np.empty((*y.shape[:-1], y.shape[-1] - A), y.dtype)

    def task(images):
        for n in images:
            as_items(a[n])[...] = as_items(y[n, ..., :A])
            as_items(b[n])[...] = as_items(y[n, ..., A:])

    in_parallel(task, range(len(y)))
    return a, b
