"""Exercise conv2d: the three gradients of a convolution.

    x       (N, H, W, C)       images
    w       (KH, KW, C, F)     F filters
    b       (F,)               a bias for each filter
    y       (N, OH, OW, F)
    stride  (SH, SW)           how far apart windows begin
    pads    ((top, bottom), (left, right))    rows and columns of zeros around x

With x already padded:

    y[n,i,j,f] = b[f] + Σ_k Σ_l Σ_c  x[n, i·SH + k, j·SW + l, c] · w[k,l,c,f]

Given gy = ∂L/∂y, of the shape of y, find gx, gw and gb, of the shapes of x (without the padding), w and b.

A worked example, to check by hand: one row, one channel, one filter of 1 x 2, no padding, stride 1.

    x  = (1, 2, 3)      w = (10, 20)      b = 5
    y  = (1·10 + 2·20 + 5,  2·10 + 3·20 + 5) = (55, 85)
    gy = (1, 100)
    gb = 101
    gw = (201, 302)                    1·1 + 2·100,  2·1 + 3·100
    gx = (10, 1020, 2000)              the pixel in the middle lies in both windows: 20·1 + 10·100

Run this file to see your own gradients beside it. Then:

    minunet exercise conv2d --check conv2d_exercise.py
    minunet exercise conv2d --hint
"""

import numpy as np


def pad(x, pads):
    """Returns x with rows and columns of zeros around each image."""
    return np.pad(x, ((0, 0), *pads, (0, 0)))


def forward(x, w, b, stride, pads):
    """Returns y: for each output pixel the weighted sum over its window, plus the bias."""
    KH, KW, C, F = w.shape
    SH, SW = stride
    x = pad(x, pads)
    N, H, W, _ = x.shape
    OH, OW = (H - KH) // SH + 1, (W - KW) // SW + 1
    y = np.zeros((N, OH, OW, F))
    for n, i, j in np.ndindex(N, OH, OW):
        window = x[n, i * SH : i * SH + KH, j * SW : j * SW + KW]  # (KH, KW, C)
        for f in range(F):
            y[n, i, j, f] = (window * w[:, :, :, f]).sum() + b[f]
    return y


def backward(gy, x, w, b, stride, pads):
    """Returns gx, gw, gb. While one of them is not written yet, return None in its place."""
    # Hint: begin with gb, then gw, then gx. In each y there is a product x·w: its derivative is the other factor. The
    # loop over n, i, j stays; what is read in forward gets an addition in backward.
    raise NotImplementedError("TODO: write gb, gw and gx")


if __name__ == "__main__":
    x = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    w = np.array([10.0, 20.0]).reshape(1, 2, 1, 1)
    gy = np.array([1.0, 100.0]).reshape(1, 1, 2, 1)
    gx, gw, gb = backward(gy, x, w, np.array([5.0]), (1, 1), ((0, 0), (0, 0)))
    print("gx is", None if gx is None else gx.ravel(), "and should be [10. 1020. 2000.]")
    print("gw is", None if gw is None else gw.ravel(), "and should be [201. 302.]")
    print("gb is", gb, "and should be [101.]")
