"""Optimizers: an update is elementwise, so it is done piece by piece."""

from minunet.kernels.cpu.pieces import elementwise


def update(rule, numbers, rows, cuda=None):
    """As `reference.update`."""

    def task(*pieces):
        rule(*pieces, *numbers)

    for row in rows:
        elementwise(task, *row)


def decay(arrays, factor):
    """As `reference.decay`."""

    def task(w):
        w *= factor

    for w in arrays:
        elementwise(task, w)
