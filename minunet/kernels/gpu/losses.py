"""The losses' sums over all pixels, and the counts of the scores."""

import numpy as np

from minunet.device import array_module
from minunet.kernels.gpu.launch import C_NAMES, grid_of_numbers, launch, ready


def cross_entropy(z, t, weights):
    """(loss, scale, error) as in `reference.cross_entropy`."""
    z, t, weights, xp = ready(z), ready(t), ready(weights), array_module(z)
    grid = grid_of_numbers(z.size)
    error, out, partial = xp.empty(z.shape, z.dtype), xp.empty(2, z.dtype), xp.empty((*grid, 2), np.float64)
    launch("losses.cu", "cross_entropy", grid, z.dtype, z, t, weights, error, partial, np.int64(z.size))
    launch("losses.cu", "weighted_mean", (1,), z.dtype, partial, out, np.int32(len(partial)))
    return out[0], out[1], error


def overlap(p, t, weights):
    """As `reference.overlap`."""
    p, t, weights = ready(p), ready(t), ready(weights)
    sums = array_module(p).empty((len(p), 3), p.dtype)
    pixels = np.int64(p.size // max(1, len(p)))
    launch("losses.cu", "overlap", (len(p),), p.dtype, p, t, weights, sums, pixels)
    return sums


def mask_counts(values, masks, threshold, ignored):
    """As `reference.mask_counts`."""
    if masks.dtype.char not in "Bi?fd":
        masks = masks.astype("float64")
    values, masks = ready(values), ready(masks)
    N, dtype = len(values), values.dtype
    counts = array_module(values).empty((N, 5), np.int64)
    numbers = np.int64(values.size // N), dtype.type(threshold), np.int32(ignored)
    mask_type = C_NAMES[masks.dtype.char]
    launch("losses.cu", "mask_counts", (N,), dtype, values, masks, counts, *numbers, Mask=mask_type)
    return counts
