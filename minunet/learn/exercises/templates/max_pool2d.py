"""Exercise max_pool2d: the gradient of the largest number in each window.

    x       (N, H, W, C)
    y       (N, OH, OW, C)
    size    (KH, KW)  rows and columns of a window
    stride  (SH, SW)  how far apart windows begin; where it is smaller than the size, they overlap

    y[n,i,j,c] = max over k < KH, l < KW of  x[n, i·SH + k, j·SW + l, c]

Given gy = ∂L/∂y, of the shape of y, find gx, of the shape of x.
Where several pixels of a window are equally large, the first one counts: top row first, then from left to right.

A worked example, to check by hand: one row, windows of 1 x 2 that overlap, since the stride is 1.

    x  = (1, 7, 3, 5)          windows (1, 7), (7, 3), (3, 5)
    y  = (7, 7, 5)
    gy = (10, 20, 30)
    gx = (0, 30, 0, 30)

Run this file to see your own gx beside it. Then:

    minunet exercise max_pool2d --check max_pool2d_exercise.py
    minunet exercise max_pool2d --hint
"""

import numpy as np


def forward(x, size, stride):
    """Returns the largest number in each window."""
    (KH, KW), (SH, SW) = size, stride
    N, H, W, C = x.shape
    OH, OW = (H - KH) // SH + 1, (W - KW) // SW + 1
    y = np.zeros((N, OH, OW, C))
    for n, i, j, c in np.ndindex(N, OH, OW, C):
        window = x[n, i * SH : i * SH + KH, j * SW : j * SW + KW, c]
        y[n, i, j, c] = window.max()
    return y


def backward(gy, x, size, stride):
    """Returns gx."""
    # Hint: the loop is the same. np.argmax(window) counts in the window row by row, and returns the first of equals;
    # divmod(that, KW) is its row k and its column l.
    raise NotImplementedError("TODO: write gx")


if __name__ == "__main__":
    x = np.array([1.0, 7.0, 3.0, 5.0]).reshape(1, 1, 4, 1)
    gy = np.array([10.0, 20.0, 30.0]).reshape(1, 1, 3, 1)
    print("gx is", backward(gy, x, (1, 2), (1, 1)).ravel(), "and should be [0. 30. 0. 30.]")
