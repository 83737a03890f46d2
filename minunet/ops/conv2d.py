"""Convolution: every output pixel is the same weighted sum over the window of pixels around it.

    x  (N, H, W, C)       images, or the features that the layer before found in them
    w  (KH, KW, C, F)     F filters, each a small image of what it looks for
    b  (F,)               how much of it must be there (optional)
    y  (N, OH, OW, F)

Forward, for stride (SH, SW) and x with its zero padding already around it:

    y[n,i,j,f] = b[f] + Σ_k Σ_l Σ_c  x[n, i·SH + k, j·SW + l, c] · w[k,l,c,f]

This is a matrix product. Let row r of P(x) be the window under output pixel r = (n,i,j), laid out as KH·KW·C numbers,
and let W be w as a (KH·KW·C, F) matrix:

    y = P(x) W + b

Backward. Let L be the loss and gy = ∂L/∂y. Each y is a sum of products, so each derivative is the other factor:

    gw[k,l,c,f] = Σ_n Σ_i Σ_j  x[n, i·SH + k, j·SW + l, c] · gy[n,i,j,f]     gW = P(x)ᵀ gy
    gb[f]       = Σ_n Σ_i Σ_j  gy[n,i,j,f]                                   gb = Σ gy
    gx[n,p,q,c] = Σ over all (i,k) with i·SH + k = p and (j,l) with j·SW + l = q of
                  Σ_f  gy[n,i,j,f] · w[k,l,c,f]                              gx = Pᵀ(gy Wᵀ)

P is linear (it copies pixels to where they are needed), and Pᵀ, its transpose, adds each copy back where it came from:
a pixel that lay under nine windows collects nine terms. `conv_transpose2d.py` uses Pᵀ to go forward.

In words: gw measures how well the image under a tap correlates with the error at the output; gx sends each error back
along the weights through which it came.

ReLU may be fused: with activation="relu", y = max(P(x)W + b, 0) is computed while a block is still in the cache, and
backward begins with gz = gy where y > 0, else 0 (see relu.py).

The three products are in `minunet/kernels/`, where `reference/` has the sums above as plain loops.
"""

from typing import Literal

from minunet.autograd import Function, Tensor, TensorLike
from minunet.kernels import kernels_for
from minunet.ops.checks import check_arrays
from minunet.ops.windows import IntPair, Padding, pair, window_pads


class Conv2DFunction(Function):
    """y = P(x) W + b;  gW = P(x)ᵀ gy,  gb = Σ gy,  gx = Pᵀ(gy Wᵀ)."""

    def __init__(self, stride=(1, 1), padding="same", activation=None):
        self.stride = pair(stride, "conv2d: stride")
        self.padding = padding
        self.activation = activation

    def forward(self, x, w, b=None):
        check_arrays("conv2d", x=(x, 4), w=(w, 4), b=(b, 1))
        self._check_channels(x, w, b)
        self.pads = window_pads(x.shape[1:3], w.shape[:2], self.stride, self.padding, "conv2d")
        y = kernels_for(x).convolve(x, w, b, self.stride, self.pads, relu=self.activation == "relu")
        self.x = x  # for gw
        self.w = w  # for gx
        self.y = y if self.activation == "relu" else None  # tells where the ReLU let values through
        return y

    def backward(self, gy):
        needs_gx, needs_gw, *needs_gb = self.needs
        kernels = kernels_for(gy)
        if self.y is not None:
            gy, gb = kernels.relu_gradient_and_sum(gy, self.y)
            self.y = None
        else:
            gb = kernels.sum_over_pixels(gy) if any(needs_gb) else None
        gw = kernels.weight_gradient(self.x, gy, self.w.shape[:2], self.stride, self.pads) if needs_gw else None
        size = self.x.shape[1:3]
        self.x = None  # frees the activation before gx asks for memory
        gx = kernels.convolve_transposed(gy, self.w, None, self.stride, self.pads, size) if needs_gx else None
        return (gx, gw, gb)[: len(self.needs)]

    @staticmethod
    def _check_channels(x, w, b):
        if x.shape[3] != w.shape[2]:
            raise ValueError(
                f"conv2d: x {x.shape} has {x.shape[3]} channels, w {w.shape} (KH,KW,C_in,C_out) takes {w.shape[2]}: "
                "they must be equal; images are channels-last (N,H,W,C)"
            )
        if b is not None and b.shape[0] != w.shape[3]:
            raise ValueError(
                f"conv2d: b has {b.shape[0]} entries, w {w.shape} has {w.shape[3]} filters: give one per filter"
            )


def conv2d(
    x: TensorLike,
    w: TensorLike,
    b: TensorLike | None = None,
    stride: IntPair = 1,
    padding: Padding = "same",
    activation: Literal["relu"] | None = None,
) -> Tensor:
    """Returns y = P(x) W + b, the convolution of images with filters, a Tensor (N, OH, OW, F).

    As in Keras' Conv2D it is a cross-correlation: w is not flipped.

    x           Tensor (N, H, W, C), float32 or float64; y has the same dtype.
    w           Tensor (KH, KW, C, F).
    b           Tensor (F,) or None.
    stride      int or (SH, SW).
    padding     "same" (OH = ⌈H / SH⌉), "valid" (none), an int or (rows, columns) of zeros on each side.
    activation  None or "relu".

    Raises ValueError for shapes that do not fit together, TypeError for mixed dtypes.

    >>> import numpy as np
    >>> x, w = np.arange(16.0).reshape(1, 4, 4, 1), np.ones((3, 3, 1, 1))
    >>> conv2d(x, w, padding="valid").data[0, :, :, 0]
    array([[45., 54.],
           [81., 90.]])
    """
    if activation not in (None, "relu"):
        raise ValueError(f'conv2d: activation is {activation!r}: it must be None or "relu"')
    inputs = (x, w) if b is None else (x, w, b)
    return Conv2DFunction(stride, padding, activation)(*inputs)
