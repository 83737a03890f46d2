"""Exercise batch_norm: the gradients of a normalization, whose mean and variance depend on x, too.

    x, y         (N, H, W, C)
    gamma, beta  (C,)  γ and β, learned
    epsilon      ε, a number above 0

For each channel, over its M = N·H·W pixels:

    μ = Σ x / M        v = Σ (x - μ)² / M        r = 1 / √(v + ε)

    x̂ = (x - μ) r      y = γ x̂ + β

Given gy = ∂L/∂y, of the shape of y, find gx, ggamma (C,) and gbeta (C,).

A worked example, to check by hand: one channel, M = 4, γ = 2, β = 10, ε = 3.

    x  = (1, 1, 3, 3)      μ = 2,  v = 1,  r = 1/2,  x̂ = (-1/2, -1/2, 1/2, 1/2)
    y  = (9, 9, 11, 11)
    gy = (4, 0, 0, 8)
    gbeta = 12             ggamma = 2
    gx = (1.25, -2.75, -3.25, 4.75)            they add up to 0: why?

Run this file to see your own gradients beside it. Then:

    minunet exercise batch_norm --check batch_norm_exercise.py
    minunet exercise batch_norm --hint
"""

import numpy as np


def forward(x, gamma, beta, epsilon):
    """Returns γ x̂ + β."""
    mean = x.mean(axis=(0, 1, 2))
    variance = ((x - mean) ** 2).mean(axis=(0, 1, 2))
    normalized = (x - mean) / np.sqrt(variance + epsilon)
    return gamma * normalized + beta


def backward(gy, x, gamma, beta, epsilon):
    """Returns gx, ggamma, gbeta. While one of them is not written yet, return None in its place."""
    # Hint: begin with gbeta and ggamma. For gx, there are three ways from x to y: directly, through μ, and through v.
    raise NotImplementedError("TODO: write gx, ggamma and gbeta")


if __name__ == "__main__":
    x = np.array([1.0, 1.0, 3.0, 3.0]).reshape(1, 2, 2, 1)
    gy = np.array([4.0, 0.0, 0.0, 8.0]).reshape(1, 2, 2, 1)
    gx, ggamma, gbeta = backward(gy, x, np.array([2.0]), np.array([10.0]), 3.0)
    print("gx is", None if gx is None else gx.ravel(), "and should be [1.25 -2.75 -3.25 4.75]")
    print("ggamma is", ggamma, "and should be [2.]")
    print("gbeta is", gbeta, "and should be [12.]")
