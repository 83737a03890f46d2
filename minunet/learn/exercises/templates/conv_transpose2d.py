"""Exercise conv_transpose2d: the gradients of the way up. Do conv2d first.

    x       (N, H, W, C)       few, coarse pixels
    w       (KH, KW, F, C)     what a pixel of channel c paints into channel f
    b       (F,)
    y       (N, OH, OW, F)
    stride  (SH, SW)           how far apart the painted windows begin
    pads    ((top, bottom), (left, right))    rows and columns that are cropped from y at the end

Before it is cropped, y has (H - 1)·SH + KH rows and (W - 1)·SW + KW columns. Each input pixel adds its window to them:

    y[n, i·SH + k, j·SW + l, f] += Σ_c x[n,i,j,c] · w[k,l,f,c]            for all n, i, j, k, l, f; then b[f] is added

Given gy = ∂L/∂y, of the shape of the cropped y, find gx, gw and gb.

A worked example, to check by hand: one row, one channel, windows of 1 x 3 with stride 2, which overlap in the middle.

    x  = (1, 10)      w = (1, 2, 3)      b = 0
    y  = (1, 2, 3 + 10, 20, 30)
    gy = (1, 2, 3, 4, 5)
    gb = 15
    gw = (31, 42, 53)              1·1 + 10·3,  1·2 + 10·4,  1·3 + 10·5
    gx = (14, 26)                  1·1 + 2·2 + 3·3,  3·1 + 4·2 + 5·3

Run this file to see your own gradients beside it. Then:

    minunet exercise conv_transpose2d --check conv_transpose2d_exercise.py
    minunet exercise conv_transpose2d --hint
"""

import numpy as np


def forward(x, w, b, stride, pads):
    """Returns y: every input pixel times w, added to its window; then cropped, plus the bias."""
    KH, KW, F, C = w.shape
    (SH, SW), ((top, bottom), (left, right)) = stride, pads
    N, H, W, _ = x.shape
    y = np.zeros((N, (H - 1) * SH + KH, (W - 1) * SW + KW, F))
    for n, i, j in np.ndindex(N, H, W):
        for c in range(C):
            y[n, i * SH : i * SH + KH, j * SW : j * SW + KW] += x[n, i, j, c] * w[:, :, :, c]
    return y[:, top : y.shape[1] - bottom, left : y.shape[2] - right] + b


def backward(gy, x, w, b, stride, pads):
    """Returns gx, gw, gb. While one of them is not written yet, return None in its place."""
    # Hint: forward crops at the end, so backward begins with the opposite of cropping, np.pad. Then the loop over
    # n, i, j again: each pixel of x reads the window of gy into which it has painted.
    raise NotImplementedError("TODO: write gb, gw and gx")


if __name__ == "__main__":
    x = np.array([1.0, 10.0]).reshape(1, 1, 2, 1)
    w = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    gy = np.array([1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 1, 5, 1)
    gx, gw, gb = backward(gy, x, w, np.array([0.0]), (1, 2), ((0, 0), (0, 0)))
    print("gx is", None if gx is None else gx.ravel(), "and should be [14. 26.]")
    print("gw is", None if gw is None else gw.ravel(), "and should be [31. 42. 53.]")
    print("gb is", gb, "and should be [15.]")
