"""Max pooling and its gradient: one tap of all windows at a time, some images after another."""

import numpy as np

from minunet.kernels.cpu.items import as_items
from minunet.kernels.cpu.pieces import cut, images_per_piece, rows_per_piece
from minunet.kernels.threads import in_parallel, scratch
from minunet.kernels.windows import argmax_dtype, crop, output_size, tap


def max_pool(x, size, stride, pads):
    """(y, argmax) as in `reference.max_pool`: among equals the first tap stays."""
    KH, KW = size
    OH, OW = output_size(x.shape[1:3], size, stride, pads)
    x = np.ascontiguousarray(x)
    y = np.empty((len(x), OH, OW, x.shape[3]), x.dtype)
    argmax = np.zeros(y.shape, argmax_dtype(size))

    def task(pieces):
        for n, rows in pieces:
            padded, largest = _padded(x[n], pads, -np.inf), y[n, rows]
            for index, (k, l) in enumerate(np.ndindex(KH, KW)):
                values = largest if index == 0 else scratch("values", largest.shape, x.dtype)
                as_items(values)[:] = as_items(tap(padded, k, l, stride, (OH, OW))[:, rows])
                if index > 0:
                    better = np.greater(values, largest, out=scratch("flags", values.shape, bool))
                    np.maximum(values, largest, out=largest)
                    _raise_to_index(argmax[n, rows], better, index)

    if any(map(sum, pads)):
        in_parallel(task, [(n, slice(0, OH)) for n in images_per_piece(len(x), OH * OW * x.shape[3])])
    else:
        in_parallel(task, cut(len(x), OH, rows_per_piece(OW * x.shape[3])))
    return y, argmax


def _raise_to_index(argmax, better, index):
    """argmax ← index where `better`.

    Indices only grow, so a maximum does it: NumPy's copy with `where=` is ten times slower.
    """
    candidates = scratch("indices", better.shape, argmax.dtype)
    np.multiply(better.view(np.uint8), index, out=candidates, dtype=argmax.dtype)
    np.maximum(argmax, candidates, out=argmax)


def max_pool_gradient(gy, argmax, size, stride, pads, input_size, plus=None):
    """gx as in `reference.max_pool_gradient`: for each tap, gy where that tap was the largest."""
    (top, bottom), (left, right) = pads
    (N, OH, OW, C), (H, W) = gy.shape, input_size
    padded_size = H + top + bottom, W + left + right
    covered = size == stride and padded_size == (OH * size[0], OW * size[1])  # by the windows: every pixel is written
    gx = (np.empty if covered else np.zeros)((N, *padded_size, C), gy.dtype)
    disjoint = all(s >= k for s, k in zip(stride, size))  # no pixel lies in two windows: nothing has to be added up

    def task(pieces):
        for n in pieces:
            for index, (k, l) in enumerate(np.ndindex(*size)):
                largest = np.equal(argmax[n], index, out=scratch("flags", gy[n].shape, bool))
                values = np.multiply(gy[n], largest, out=scratch("values", gy[n].shape, gy.dtype))
                target = tap(gx[n], k, l, stride, (OH, OW))
                if disjoint:
                    as_items(target)[:] = as_items(values)
                else:
                    target += values
            if plus is not None:
                inside = crop(gx[n], pads, input_size)  # warm: it has just been written
                inside += plus[n]

    in_parallel(task, images_per_piece(N, OH * OW * C))
    return gx if gx.shape[1:3] == (H, W) else np.ascontiguousarray(crop(gx, pads, input_size))


def _padded(x, pads, value):
    """Returns x padded with `value`, in scratch memory; x itself where no padding is needed."""
    (top, bottom), (left, right) = pads
    if not any(map(sum, pads)):
        return x
    N, H, W, C = x.shape
    padded = scratch("padded", (N, H + top + bottom, W + left + right, C), x.dtype)
    padded[:] = value
    padded[:, top : top + H, left : left + W] = x
    return padded
