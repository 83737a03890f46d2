"""Exercise concatenate: the gradients where a skip connection comes in.

    a  (N, H, W, A)          from below, upsampled
    b  (N, H, W, B)          across the skip
    y  (N, H, W, A + B)      side by side along the channels

    y[..., c] = a[..., c]          for c < A
    y[..., A + c] = b[..., c]      for c < B

Given gy = ∂L/∂y, of the shape of y, find ga and gb.

A worked example, to check by hand, one pixel with A = 2 and B = 1:

    a = (1, 2)      b = (3)      y  = ( 1,  2,  3)
                                 gy = (10, 20, 30)
    ga = (10, 20)                gb = (30)

Run this file to see your own gradients beside it. Then:

    minunet exercise concatenate --check concatenate_exercise.py
    minunet exercise concatenate --hint
"""

import numpy as np


def forward(a, b):
    """Returns a and b side by side along the last axis."""
    return np.concatenate([a, b], axis=-1)


def backward(gy, a, b):
    """Returns ga, gb. While one of them is not written yet, return None in its place."""
    # Hint: forward copies each number to one place. Where in gy is the gradient of that place?
    raise NotImplementedError("TODO: write ga and gb")


if __name__ == "__main__":
    a = np.array([1.0, 2.0]).reshape(1, 1, 1, 2)
    b = np.array([3.0]).reshape(1, 1, 1, 1)
    gy = np.array([10.0, 20.0, 30.0]).reshape(1, 1, 1, 3)
    ga, gb = backward(gy, a, b)
    print("ga is", ga, "and should be [[[[10. 20.]]]]")
    print("gb is", gb, "and should be [[[[30.]]]]")
