"""Windows that slide over an image: how many fit, and the views and the padding that all three kernels use.

A window is KH x KW pixels; window (i, j) of the OH x OW that fit starts at row i·SH and column j·SW of the padded
image. Tap (k, l) is a place in the window: it lies over row i·SH + k, column j·SW + l. `pads` is ((top, bottom), (left,
right)), the width of the padding on each side.
"""

import numpy as np

from minunet.device import array_module

POOL = (2, 2), (2, 2), ((0, 0), (0, 0))  # size, stride and pads of the pooling that a convolution can do along the way


def output_size(size, kernel_size, stride, pads):
    """Returns (OH, OW): how many windows fit along each axis of an image of `size` = (H, W).

    >>> output_size((7, 8), (3, 3), (2, 2), ((0, 0), (1, 1)))
    (3, 4)
    """
    return tuple((n + sum(p) - k) // s + 1 for n, k, s, p in zip(size, kernel_size, stride, pads))


def pad(x, pads, value=0.0):
    """Returns x (N,H,W,C) with each image padded with `value`."""
    xp = array_module(x)
    (top, bottom), (left, right) = pads
    N, H, W, C = x.shape
    padded = xp.full((N, H + top + bottom, W + left + right, C), value, x.dtype)
    padded[:, top : top + H, left : left + W] = x
    return padded


def crop(padded, pads, size):
    """The transpose of pad. Returns the images of `size` = (H, W) without their padding, a view."""
    (top, _), (left, _) = pads
    return padded[:, top : top + size[0], left : left + size[1]]


def tap(padded, k, l, stride, out_size):
    """Returns the pixels that lie under tap (k, l) of all windows, a view (N,OH,OW,C).

    One row 0 1 2 3 4, windows of three with stride 2 (0 1 2 and 2 3 4), their middle:

    >>> tap(np.arange(5.0).reshape(1, 1, 5, 1), 0, 1, (1, 2), (1, 2)).ravel()
    array([1., 3.])
    """
    (SH, SW), (OH, OW) = stride, out_size
    return padded[:, k : k + (OH - 1) * SH + 1 : SH, l : l + (OW - 1) * SW + 1 : SW]


def argmax_dtype(size):
    """Returns the integer type for an index into a window: one byte if it has at most 256 pixels."""
    return np.dtype(np.uint8 if size[0] * size[1] <= 256 else np.int32)
