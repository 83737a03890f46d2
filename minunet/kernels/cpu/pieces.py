"""Work cut into pieces for all cores: numbers, rows, images, and blocks of rows.

A piece is so small that the intermediate results of a formula stay in the processor's cache.
"""

import functools
import math

import numpy as np

from minunet.kernels.threads import get_num_threads, in_parallel

PIECE = 1 << 17  # numbers in a piece


def elementwise(function, *arrays):
    """Returns [function(*pieces) for all pieces] of contiguous arrays of one size; it may write into the pieces."""
    flat = [array.reshape(-1) for array in arrays]

    def task(starts):
        return [function(*(array[start : start + PIECE] for array in flat)) for start in starts]

    return [result for results in in_parallel(task, range(0, flat[0].size, PIECE)) for result in results]


def by_rows(function, arrays, vectors):
    """Calls function(*pieces, *rows) for all pieces of `arrays` (N,H,W,C): some rows of W·C numbers each.

    rows are the `vectors` (C,), each repeated along such a row. If the function returns sums (K, W·C), this returns
    their sum (K, C), else None.
    """
    N, H, W, C = arrays[0].shape
    flat = [np.ascontiguousarray(array).reshape(N * H, W * C) for array in arrays]
    rows = [np.tile(vector, W) for vector in vectors]
    step = rows_per_piece(W * C)

    def task(starts):
        sums = (function(*(array[start : start + step] for array in flat), *rows) for start in starts)
        return functools.reduce(lambda a, b: a if a is None else a + b, sums)

    totals = in_parallel(task, range(0, N * H, step))
    return None if totals[0] is None else sum(totals).reshape(-1, W, C).sum(axis=1)


def rows_per_piece(row_size):
    """Returns how many rows of `row_size` numbers make a piece, at least one."""
    return max(1, PIECE // max(1, row_size))


def images_per_piece(N, numbers):
    """Returns N images of that many numbers each in pieces, slices of one image or, where these are small, of several.

    Threads that only make short calls wait for each other: one thread at a time runs Python (its lock is the GIL), and
    NumPy lets the others run only inside of a call.
    """
    share = N if N * numbers <= PIECE // 4 else -(-N // get_num_threads())  # too little work is not shared
    step = max(1, min(PIECE // max(1, numbers), share))
    return [slice(n, min(n + step, N)) for n in range(0, N, step)]


def cut(N, OH, fit, several_images=True):
    """Returns N·OH rows in blocks (images, rows) of about `fit` rows: as many blocks for each thread, where possible.

    Less than two thirds of a block are not shared: one thread is done with them before another has woken up (measured).
    """
    threads = get_num_threads() if 3 * N * OH > 2 * fit else 1
    if several_images and N >= threads and fit >= OH:
        count = threads * max(1, round(N * OH / max(1, fit) / threads))
        step = max(1, N // count)
        return [(slice(n, min(n + step, N)), slice(0, OH)) for n in range(0, N, step)]
    even = threads // math.gcd(N, threads)  # this many blocks per image, or a multiple of it, are shared out evenly
    count = min(OH, -(-OH // (even * max(1, fit))) * even)
    step = -(-OH // max(1, count))
    return [(slice(n, n + 1), slice(i, min(i + step, OH))) for n in range(N) for i in range(0, OH, max(1, step))]
