"""Exercise cross_entropy: softmax and cross entropy in one, the loss of many classes.

    z        (N, H, W, K)  logits, K numbers per pixel
    classes  (N, H, W)     the true class t of each pixel, 0 … K - 1; 255: the pixel is ignored

    p_k = e^(z_k) / Σ_j e^(z_j)                      softmax, for each pixel
    l   = -ln p_t = ln Σ_j e^(z_j) - z_t             for each pixel

    L = mean of l over the pixels that are not ignored, a single number

gy = ∂(final loss)/∂L is a single number. Find gz, of the shape of z.

A worked example, to check by hand: one pixel, K = 3, of class 1.

    z = (ln 1, ln 2, ln 5)      p = (1/8, 2/8, 5/8)      L = ln 4
    gy = 8
    gz = (1, -6, 5)

Run this file to see your own gz beside it. Then:

    minunet exercise cross_entropy --check cross_entropy_exercise.py
    minunet exercise cross_entropy --hint
"""

import numpy as np

IGNORE = 255


def softmax(z):
    """Returns the probabilities over the last axis; the largest z is subtracted, so that nothing overflows."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def forward(z, classes):
    """Returns the mean of -ln p_t over the pixels that are not ignored."""
    p = softmax(z)
    losses = [-np.log(p[n, i, j, t]) for (n, i, j), t in np.ndenumerate(classes) if t != IGNORE]
    return np.mean(losses)


def backward(gy, z, classes):
    """Returns gz."""
    # Hint: differentiate l = ln Σ_j e^(z_j) - z_t with respect to one z_k, first for k ≠ t, then for k = t.
    raise NotImplementedError("TODO: write gz")


if __name__ == "__main__":
    z = np.log([1.0, 2.0, 5.0]).reshape(1, 1, 1, 3)
    print("gz is", backward(8.0, z, np.array([[[1]]])).ravel(), "and should be [1. -6. 5.]")
