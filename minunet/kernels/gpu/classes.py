"""Many classes: softmax, its cross entropy with the gradient, the sums that Dice needs, the confusion matrix.

The number of classes is compiled into the kernels, so that a thread can keep the numbers of its pixel in registers.
"""

import numpy as np

from minunet.device import array_module
from minunet.kernels.gpu.launch import C_NAMES, grid_of_numbers, launch, ready
from minunet.kernels.reference.classes import IGNORED

COUNTS = 8192  # of the confusion matrix, that a block keeps: 32 KB


def softmax(z):
    """As `reference.softmax`."""
    z, K, pixels = ready(z), z.shape[-1], z.size // z.shape[-1]
    p = array_module(z).empty(z.shape, z.dtype)
    _launch("softmax", grid_of_numbers(pixels), z.dtype, K, z, p, np.int64(pixels))
    return p


def softmax_gradient(gp, p):
    """As `reference.softmax_gradient`."""
    gp, p, K, pixels = ready(gp), ready(p), p.shape[-1], p.size // p.shape[-1]
    gz = array_module(p).empty(p.shape, p.dtype)
    _launch("softmax_gradient", grid_of_numbers(pixels), p.dtype, K, gp, p, gz, np.int64(pixels))
    return gz


def softmax_cross_entropy(z, classes, weights, class_weights=None, gamma=0.0):
    """(loss, scale, error) as in `reference.softmax_cross_entropy`."""
    z, classes, K, xp = ready(z), _integers(classes), z.shape[-1], array_module(z)
    grid = grid_of_numbers(classes.size)
    error, out, partial = xp.empty(z.shape, z.dtype), xp.empty(2, z.dtype), xp.empty((*grid, 2), np.float64)
    arrays = z, classes, ready(weights), ready(class_weights), z.dtype.type(gamma), error, partial
    _launch(
        "softmax_cross_entropy", grid, z.dtype, K, *arrays, np.int64(classes.size), Mask=C_NAMES[classes.dtype.char]
    )
    launch("losses.cu", "weighted_mean", (1,), z.dtype, partial, out, np.int32(len(partial)))
    return out[0], out[1], error


def class_overlap(p, classes, weights):
    """As `reference.class_overlap`."""
    p, classes, N, K = ready(p), _integers(classes), len(p), p.shape[-1]
    sums = array_module(p).empty((N, K, 3), p.dtype)
    per_image, mask_type = np.int64(classes.size // max(1, N)), C_NAMES[classes.dtype.char]
    _launch("class_overlap", (N, K), p.dtype, K, p, classes, ready(weights), sums, per_image, Mask=mask_type)
    return sums


def class_overlap_gradient(p, classes, weights, ga, gb):
    """As `reference.class_overlap_gradient`, written over p."""
    p, classes, K = ready(p), _integers(classes), p.shape[-1]
    arrays, numbers = (p, classes, ready(weights), ready(ga), ready(gb)), (classes.size, classes.size // max(1, len(p)))
    grid, mask_type = grid_of_numbers(classes.size), C_NAMES[classes.dtype.char]
    _launch("class_overlap_gradient", grid, p.dtype, K, *arrays, *map(np.int64, numbers), Mask=mask_type)
    return p


def confusion(values, labels, K):
    """As `reference.confusion`. More channels than K are skipped over, not cut off: that would be a copy."""
    values, labels = ready(values), _integers(labels)
    counts = array_module(values).zeros((K, K), np.int64)
    rows = min(K, max(1, COUNTS // K))
    grid = *grid_of_numbers(labels.size), -(-K // rows)
    numbers = np.int64(labels.size), np.int32(values.shape[-1])
    definitions = {"ROWS": rows, "Mask": C_NAMES[labels.dtype.char]}
    _launch("confusion", grid, values.dtype, K, values, labels, counts, *numbers, **definitions)
    return counts


def _launch(kernel, grid, dtype, K, *arguments, **definitions):
    launch("classes.cu", kernel, grid, dtype, *arguments, CLASSES=K, IGNORED=IGNORED, **{"ROWS": 1} | definitions)


def _integers(classes):
    """Returns the classes so that a kernel can read them; integers other than uint8 and int32 become int32."""
    return ready(classes if classes.dtype.char in "Bi" else classes.astype("int32"))
