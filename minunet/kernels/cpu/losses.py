"""The cross entropy with its error, in one pass over memory."""

import numpy as np

from minunet.kernels.cpu.pieces import elementwise


def cross_entropy(z, t, weights):
    """(loss, scale, error) as in `reference.cross_entropy`; the pieces' sums are added in double precision."""
    w = np.ones_like(z) if weights is None else weights
    error = np.empty(z.shape, z.dtype)

    def task(z, t, w, error):
        e = np.exp(-np.abs(z))
        loss = np.maximum(z, 0) - t * z + np.log1p(e)
        np.multiply(w, np.where(z >= 0, 1, e) / (1 + e) - t, out=error)
        return float((w * loss).sum()), float(w.sum())

    pieces = elementwise(task, *map(np.ascontiguousarray, (z, t, w)), error)
    loss, total = map(sum, zip(*pieces)) if pieces else (0.0, 0.0)
    scale = 1 / total if total else 0.0
    return np.asarray(loss * scale, z.dtype), np.asarray(scale, z.dtype), error
