"""Exercise dice: the gradient of the Dice loss.

    p  (N, H, W, C)  predicted probabilities        t  (N, H, W, C)  the truth, 0 or 1        s  a number above 0

For each image, with sums over its H·W·C elements:

    I = Σ p t        D = Σ p + Σ t + s        l = 1 - (2 I + s) / D

    L = mean of l over the N images, a single number

gy = ∂(final loss)/∂L is a single number. Find gp, of the shape of p. t and s are given and need no gradient.

A worked example, to check by hand: one image of three pixels, s = 1.

    p = (1, 0.5, 0.5)      t = (1, 0, 1)      I = 1.5,  D = 2 + 2 + 1 = 5,  l = 1 - 4/5 = 0.2
    gy = 100
    gp = (-24, 16, -24)

Run this file to see your own gp beside it. Then:

    minunet exercise dice --check dice_exercise.py
    minunet exercise dice --hint
"""

import numpy as np


def forward(p, t, s):
    """Returns the mean over the images of 1 - (2 I + s) / D."""
    losses = []
    for p_image, t_image in zip(p, t):
        I = (p_image * t_image).sum()
        D = p_image.sum() + t_image.sum() + s
        losses.append(1 - (2 * I + s) / D)
    return np.mean(losses)


def backward(gy, p, t, s):
    """Returns gp."""
    # Hint: both I and D depend on p. The quotient rule: (u/v)' = (u' v - u v') / v².
    raise NotImplementedError("TODO: write gp")


if __name__ == "__main__":
    p = np.array([1.0, 0.5, 0.5]).reshape(1, 1, 3, 1)
    t = np.array([1.0, 0.0, 1.0]).reshape(1, 1, 3, 1)
    print("gp is", backward(100.0, p, t, 1.0).ravel(), "and should be [-24. 16. -24.]")
