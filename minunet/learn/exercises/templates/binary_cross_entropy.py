"""Exercise binary_cross_entropy: the gradient of the loss of a mask.

    p  (N, H, W, C)  the predicted probability of each pixel, between 0 and 1
    t  (N, H, W, C)  the truth, 0 or 1
    L  a single number

    L = mean of  -t ln p - (1 - t) ln(1 - p)        over all n = N·H·W·C elements

Here the loss itself is the output, so gy = ∂(final loss)/∂L is a single number. Find gp, of the shape of p.
t is given and needs no gradient.

A worked example, to check by hand, n = 2:

    p  = (0.5, 0.8)      t = (1, 0)      gy = 4
    gp = (-4,  10)

Run this file to see your own gp beside it. Then:

    minunet exercise binary_cross_entropy --check binary_cross_entropy_exercise.py
    minunet exercise binary_cross_entropy --hint
"""

import numpy as np


def forward(p, t):
    """Returns the mean of -t ln p - (1 - t) ln(1 - p)."""
    return (-t * np.log(p) - (1 - t) * np.log(1 - p)).mean()


def backward(gy, p, t):
    """Returns gp."""
    # Hint: the derivative of ln p is 1/p, that of ln(1 - p) is -1/(1 - p). And what does the mean do?
    raise NotImplementedError("TODO: write gp")


if __name__ == "__main__":
    p = np.array([0.5, 0.8])
    t = np.array([1.0, 0.0])
    print("gp is", backward(4.0, p, t), "and should be [-4. 10.]")
