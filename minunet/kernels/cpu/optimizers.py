"""Optimizers: an update is elementwise, so it is done piece by piece, those of all arrays in one go."""

from minunet.kernels.cpu.pieces import PIECE, elementwise
from minunet.kernels.threads import in_parallel


def update(rule, numbers, rows, cuda=None, skip=None):
    """As `reference.update`."""
    if skip is not None and skip:
        return
    values = numbers()
    flat = [[array.reshape(-1) for array in row] for row in rows]

    def task(pieces):
        for arrays, start in pieces:
            rule(*(array[start : start + PIECE] for array in arrays), *values)

    in_parallel(task, [(arrays, start) for arrays in flat for start in range(0, arrays[0].size, PIECE)])


def decay(arrays, factor, skip=None):
    """As `reference.decay`."""
    if skip is not None and skip:
        return
    value = factor()

    def task(w):
        w *= value

    for w in arrays:
        elementwise(task, w)
