"""Optimizers: an update is elementwise, so it is done piece by piece."""

from minunet.kernels.cpu.pieces import elementwise


def update(rule, numbers, rows, cuda=None):
    """As `reference.update`."""

    values = numbers()

    def task(*pieces):
        rule(*pieces, *values)

    for row in rows:
        elementwise(task, *row)


def decay(arrays, factor):
    """As `reference.decay`."""

    value = factor()

    def task(w):
        w *= value

    for w in arrays:
        elementwise(task, w)
