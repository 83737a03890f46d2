"""Optimizers: one launch changes many parameters, most of them so small that their own launch would cost too much."""

import numpy as np

from minunet.kernels import reference
from minunet.kernels.gpu.launch import BLOCKS, THREADS, as_struct, launch

TENSORS = 96  # parameters per launch: the arguments of a launch may take 4 KB


def update(rule, numbers, rows, cuda=None):
    """As `reference.update`; rules without a kernel in optimizers.cu run as they are."""
    if cuda is None:
        reference.update(rule, numbers, rows)
    else:
        _launch_for_all(cuda, rows, numbers)


def decay(arrays, factor):
    """As `reference.decay`."""
    _launch_for_all("decay", [(w,) for w in arrays], [factor])


def _launch_for_all(kernel, rows, numbers):
    """Runs a kernel of optimizers.cu on rows of arrays (w, g, *state), up to TENSORS of one type at a time."""
    for dtype in {row[0].dtype for row in rows}:
        same_type = [row for row in rows if row[0].dtype == dtype]
        for start in range(0, len(same_type), TENSORS):
            group = same_type[start : start + TENSORS]
            grid = min(BLOCKS // 8, -(-max(row[0].size for row in group) // THREADS)), len(group)
            scalars = map(dtype.type, numbers)
            launch("optimizers.cu", kernel, grid, dtype, _tensors(group), *scalars, TENSORS=TENSORS)


def _tensors(rows):
    """Returns struct Tensors of optimizers.cu: the addresses of each row's arrays, then their size."""
    table = np.zeros((5, TENSORS), np.uint64)
    for column, arrays in enumerate(rows):
        for line, array in enumerate(arrays):
            table[line, column] = array.data.ptr
        table[4, column] = arrays[0].size
    return as_struct(table)
