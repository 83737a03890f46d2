"""Optimizers: one launch changes many parameters, most of them so small that their own launch would cost too much."""

import numpy as np

from minunet.cuda_graph import each_step, for_each_step
from minunet.device import array_module
from minunet.kernels import reference
from minunet.kernels.gpu.launch import BLOCKS, THREADS, as_struct, launch

TENSORS = 96  # parameters per launch: the arguments of a launch may take 4 KB
NUMBERS = 5  # hyperparameters of a rule, at most


def update(rule, numbers, rows, cuda=None, skip=None):
    """As `reference.update`; rules without a kernel in optimizers.cu run as they are."""
    if cuda is None:
        reference.update(rule, numbers, rows, skip=skip)
    else:
        _launch_for_all(cuda, rows, numbers, skip)


def decay(arrays, factor, skip=None):
    """As `reference.decay`."""
    _launch_for_all("decay", [(w,) for w in arrays], lambda: (factor(),), skip)


def flatten(arrays):
    """As `reference.flatten`; arrays of several types, or not contiguous, cost more copies."""
    xp, dtypes = array_module(arrays[0]), {a.dtype for a in arrays}
    if len(dtypes) > 1 or not all(a.flags.c_contiguous for a in arrays):
        return reference.flatten(arrays)
    flat = xp.empty(sum(a.size for a in arrays), *dtypes)
    starts = np.cumsum([0, *(a.size for a in arrays[:-1])]).tolist()
    rows = [(flat[start : start + a.size], a) for start, a in zip(starts, arrays)]
    for group in _groups(rows):
        launch("optimizers.cu", "copy", _grid(group), flat.dtype, _tensors(group), TENSORS=TENSORS)
    return flat


def _launch_for_all(kernel, rows, numbers, skip):
    """Runs a kernel of optimizers.cu on rows of arrays (w, g, *state). It reads numbers(), and skip, from memory."""
    for dtype in {row[0].dtype for row in rows}:
        array_module(rows[0][0])  # its GPU becomes the current one
        in_memory = _in_memory(dtype, numbers)
        for group in _groups([row for row in rows if row[0].dtype == dtype]):
            launch("optimizers.cu", kernel, _grid(group), dtype, _tensors(group), in_memory, skip, TENSORS=TENSORS)


def _in_memory(dtype, numbers):
    """Returns an array on the GPU, filled with numbers() in each step, also where the step is recorded.

    They travel as arguments of a launch, which are read when it is asked for: memory of the host would have to stay as
    it is until the GPU has come to copy it.
    """
    array = for_each_step((NUMBERS,), dtype)

    def fill():
        values = [*numbers(), *(0.0,) * NUMBERS][:NUMBERS]
        launch("optimizers.cu", "store", (1,), dtype, array, *map(dtype.type, values), TENSORS=TENSORS)

    each_step(fill)
    return array


def _groups(rows):
    """Yields up to TENSORS rows at a time."""
    return (rows[start : start + TENSORS] for start in range(0, len(rows), TENSORS))


def _grid(group):
    return min(BLOCKS // 8, -(-max(row[0].size for row in group) // THREADS)), len(group)


def _tensors(rows):
    """Returns struct Tensors of optimizers.cu: the addresses of each row's arrays, then their size."""
    table = np.zeros((5, TENSORS), np.uint64)
    for column, arrays in enumerate(rows):
        for line, array in enumerate(arrays):
            table[line, column] = array.data.ptr
        table[4, column] = arrays[0].size
    return as_struct(table)
