"""Sums over all pixels. Whole rows of W·C numbers are added first: adding C numbers at a time is slow."""

import numpy as np

from minunet.kernels.cpu.pieces import images_per_piece, rows_per_piece
from minunet.kernels.cpu.pointwise import where_positive
from minunet.kernels.threads import in_parallel


def sum_over_pixels(gy):
    """As `reference.sum_over_pixels`."""
    N, H, W, C = gy.shape

    def task(pieces):
        return sum(gy[n].reshape(-1, W * C).sum(axis=0) for n in pieces)

    return sum(in_parallel(task, images_per_piece(N, H * W * C))).reshape(W, C).sum(axis=0)


def relu_gradient_and_sum(gy, y):
    """(gz, gb) of a convolution's backward: some rows at a time, summed while they are in the cache."""
    gy, y = np.ascontiguousarray(gy), np.ascontiguousarray(y)
    N, H, W, C = gy.shape
    gz = np.empty(gy.shape, gy.dtype)
    gy_rows, y_rows, gz_rows = (array.reshape(N * H, W * C) for array in (gy, y, gz))
    step = rows_per_piece(W * C)

    def task(starts):
        total = np.zeros(W * C, gy.dtype)
        for start in starts:
            rows = slice(start, start + step)
            where_positive(gy_rows[rows], y_rows[rows], gz_rows[rows])
            total += gz_rows[rows].sum(axis=0)
        return total

    row_sums = sum(in_parallel(task, range(0, N * H, step)), np.zeros(W * C, gy.dtype))
    return gz, row_sums.reshape(W, C).sum(axis=0)
