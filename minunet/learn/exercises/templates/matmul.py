"""Exercise matmul: the gradients of a matrix product. A convolution is one, too.

    a  (n, k)        b  (k, m)        y  (n, m)

    y = a b          y[i,j] = Σ_l a[i,l] · b[l,j]

Given gy = ∂L/∂y (n, m), find ga (n, k) and gb (k, m).

A worked example, to check by hand:

    a = 1 2     b = 5 6     y = 19 22     gy = 1 0     ga =  5  7     gb = 1 6
        3 4         7 8         43 50          0 2          12 16          2 8

Run this file to see your own gradients beside it. Then:

    minunet exercise matmul --check matmul_exercise.py
    minunet exercise matmul --hint
"""

import numpy as np


def forward(a, b):
    """Returns the matrix product of a and b."""
    return a @ b


def backward(gy, a, b):
    """Returns ga, gb. While one of them is not written yet, return None in its place."""
    # Hint: which products of gy with a, b, or their transposes have the right shapes?
    raise NotImplementedError("TODO: write ga and gb")


if __name__ == "__main__":
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    b = np.array([[5.0, 6.0], [7.0, 8.0]])
    gy = np.array([[1.0, 0.0], [0.0, 2.0]])
    ga, gb = backward(gy, a, b)
    print("ga is", ga, "and should be [[5. 7.] [12. 16.]]")
    print("gb is", gb, "and should be [[1. 6.] [2. 8.]]")
