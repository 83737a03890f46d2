"""The binary cross entropy, and the sums that Dice and the scores of a mask need."""

from minunet.device import array_module


def cross_entropy(z, t, weights):
    """The mean of l = max(z, 0) - t z + ln(1 + e^(-|z|)) with weights w, and what its gradient needs.

        loss = Σ w l / Σ w        scale = 1 / Σ w        error = w (σ(z) - t), so that gz = gy · scale · error

    z, t and weights have one shape; None for weights that are all 1. Returns (loss, scale, error), the first two with a
    single element; both are 0 if all weights are.
    """
    xp = array_module(z)
    e = xp.exp(-xp.abs(z))
    loss = xp.maximum(z, 0) - t * z + xp.log1p(e)
    error = xp.where(z >= 0, xp.ones_like(e), e) / (1 + e) - t
    w = xp.ones_like(z) if weights is None else weights
    total = w.sum()
    scale = (total != 0) / (total + (total == 0))
    return ((w * loss).sum() * scale).astype(z.dtype), scale.astype(z.dtype), w * error


def overlap(p, t, weights):
    """Σ w p t, Σ w p, Σ w t of each image; p, t, weights (N,…), None for weights all 1. Returns an array (N, 3)."""
    w = 1 if weights is None else weights
    axes = tuple(range(1, p.ndim))
    return array_module(p).stack([(w * p * t).sum(axis=axes), (w * p).sum(axis=axes), (w * t).sum(axis=axes)], axis=1)


def mask_counts(values, masks, threshold, ignored):
    """Counts pixels per image: predicted and true, predicted, true, valid, known. Returns an integer array (N, 5).

    Predicted are valid pixels with a value above the threshold, true those whose mask is 1, valid those whose mask is
    not `ignored`, known those whose mask is 0 or 1. values, masks: real numbers (N,…).
    """
    xp, axes = array_module(values), tuple(range(1, values.ndim))
    valid, truth = masks != ignored, masks == 1
    predicted = (values > threshold) & valid
    flags = predicted & truth, predicted, truth, valid, truth | (masks == 0)
    return xp.stack([flag.sum(axis=axes) for flag in flags], axis=1)
