"""Many classes: softmax, its cross entropy with the gradient, the sums that Dice needs, the confusion matrix.

The pixels are cut into pieces that stay in the processor's cache. Inside a piece the K numbers of a pixel are turned
into columns, (pixels, K) to (K, pixels): NumPy is several times faster on K long rows than on many rows of K numbers.
"""

import functools

import numpy as np

from minunet.kernels import reference
from minunet.kernels.cpu.pieces import rows_per_piece
from minunet.kernels.reference.classes import focus, pixel_weights
from minunet.kernels.threads import in_parallel, scratch


def softmax(z):
    """As `reference.softmax`."""
    p = np.empty(z.shape, z.dtype)

    def task(z, p):
        e, total, _ = _exponentials(z)
        np.divide(e, total, out=e)
        p[...] = e.T

    _by_pixels(task, [z, p])
    return p


def softmax_gradient(gp, p):
    """As `reference.softmax_gradient`."""
    gz = np.empty(p.shape, p.dtype)

    def task(gp, p, gz):
        gz[...] = reference.softmax_gradient(gp, p)

    _by_pixels(task, [gp, p, gz])
    return gz


def softmax_cross_entropy(z, classes, weights, class_weights=None, gamma=0.0):
    """(loss, scale, error) as in `reference.softmax_cross_entropy`; the pieces' sums are added in double precision."""
    K, error = z.shape[-1], np.empty(z.shape, z.dtype)

    def task(z, error, classes, weights):
        w = pixel_weights(classes, K, weights, class_weights, z.dtype)
        truth = _truth(classes, K)
        e, total, at_truth = _exponentials(z, truth)
        p = np.divide(e, total, out=e)
        loss, factor = focus(np, at_truth - np.log(total), _without(p, truth) if gamma else None, gamma)
        p[truth] -= 1
        p *= w * factor
        error[...] = p.T
        return float((w * loss).sum()), float(w.sum())

    pieces = _by_pixels(task, [z, error], [classes, weights])
    loss, total = map(sum, zip(*pieces)) if pieces else (0.0, 0.0)
    scale = 1 / total if total else 0.0
    return np.asarray(loss * scale, z.dtype), np.asarray(scale, z.dtype), error


def class_overlap(p, classes, weights):
    """As `reference.class_overlap`; the pieces' sums are added in double precision."""
    N, K = len(p), p.shape[-1]
    sums = np.zeros((N, K, 3))

    def task(p, classes, weights):
        w = pixel_weights(classes, K, weights, None, p.dtype)
        place, pixel = _truth(classes, K)
        both, truth = (np.bincount(place, values, K) for values in (w * p[pixel, place], w))
        return np.stack([both, w @ p, truth], axis=1)

    for n in range(N):
        sums[n] = sum(_by_pixels(task, [p[n]], [classes[n], None if weights is None else weights[n]]))
    return sums.astype(p.dtype)


def class_overlap_gradient(p, classes, weights, ga, gb):
    """As `reference.class_overlap_gradient`, written over p."""
    p, K = np.ascontiguousarray(p), p.shape[-1]

    def task(ga, gb, p, classes, weights):
        w = pixel_weights(classes, K, weights, None, p.dtype)
        place, pixel = _truth(classes, K)
        of_truth = gb[place] * p[pixel, place]
        p *= w[:, None] * (ga - (p @ ga + of_truth)[:, None])
        p[pixel, place] += w * of_truth

    for n in range(len(p)):
        of_image = functools.partial(task, ga[n], gb[n])
        _by_pixels(of_image, [p[n]], [classes[n], None if weights is None else weights[n]])
    return p


def confusion(values, labels, K):
    """As `reference.confusion`."""

    def task(values, labels):
        return reference.confusion(values, labels, K)

    return sum(_by_pixels(task, [values], [labels]), np.zeros((K, K), np.int64))


def _by_pixels(function, numbers, pixels=()):
    """Returns [function(*pieces) for all pieces] of arrays: `numbers` (…, C) as (pixels, C), `pixels` (…) as (pixels,).

    None among them stays None. The function may write into the pieces of contiguous arrays.
    """
    flat = [np.ascontiguousarray(array).reshape(-1, array.shape[-1]) for array in numbers]
    flat += [None if array is None else np.ascontiguousarray(array).reshape(-1) for array in pixels]
    step = rows_per_piece(flat[0].shape[1])

    def task(starts):
        pieces = (slice(start, start + step) for start in starts)
        return [function(*(None if array is None else array[piece] for array in flat)) for piece in pieces]

    return [result for results in in_parallel(task, range(0, len(flat[0]), step)) for result in results]


def _exponentials(z, truth=None):
    """Returns e^(z - m) as columns (K, pixels) in scratch memory, their sum (pixels,), and z - m at the true class."""
    e = scratch("columns", z.shape[::-1], z.dtype)
    e[...] = z.T
    e -= e.max(axis=0)
    at_truth = None if truth is None else e[truth]
    np.exp(e, out=e)
    return e, e.sum(axis=0), at_truth


def _truth(classes, K):
    """Returns (class, pixel), the indices of the true classes; a pixel without one, which weighs nothing, gets any."""
    return np.clip(classes.astype(np.intp), 0, K - 1), np.arange(len(classes))


def _without(p, truth):
    """Returns 1 - p at the true class, as the sum of the others; p (K, pixels) is the same afterwards."""
    q = p[truth]
    p[truth] = 0
    rest = p.sum(axis=0)
    p[truth] = q
    return rest
