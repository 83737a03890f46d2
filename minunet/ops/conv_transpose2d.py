"""Transposed convolution: every input pixel paints its window of the output. The way up in a U-Net.

    x  (N, H, W, C)           few, coarse pixels
    w  (KH, KW, F, C)         what a pixel of channel c paints into channel f (Keras' order: output before input)
    b  (F,)                   (optional)
    y  (N, OH, OW, F)         stride times as large

A convolution (conv2d.py) that takes y to x, with the same window, stride and padding, is the product x = P(y) W, where
W is w as a (KH·KW·F, C) matrix. This operation is its transpose, in the sense of matrices:

    y = Pᵀ(x Wᵀ) + b

Row r of x Wᵀ is what input pixel r paints, KH·KW·F numbers; Pᵀ adds each of them to the place in y that P would have
copied it from. Written out, with (OH, OW) still including the padding that is cropped at the end:

    y[n,p,q,f] = b[f] + Σ over all (i,k) with i·SH + k = p and (j,l) with j·SW + l = q of  Σ_c x[n,i,j,c] · w[k,l,f,c]

Compare gx in conv2d.py: it is the same formula, so there is nothing new to derive. The transpose of the transpose is
the convolution itself, and image and gradient swap roles:

    gx = P(gy) W                  the forward of conv2d, applied to gy
    gW = P(gy)ᵀ x                 the gW of conv2d, where gy is the image and x the gradient
    gb = Σ gy

The lecture uses windows of 2x2 with stride 2. They lie side by side, so every input pixel becomes a 2x2 tile of its own
and nothing overlaps. With a 3x3 window and stride 2 the tiles overlap in every second row and column, which is where
the checkerboard patterns of such networks come from.
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.kernels import kernels_for
from minunet.ops.checks import check_arrays
from minunet.ops.windows import IntPair, Padding, pair, transposed_size, window_pads


class ConvTranspose2DFunction(Function):
    """y = Pᵀ(x Wᵀ) + b;  gW = P(gy)ᵀ x,  gb = Σ gy,  gx = P(gy) W."""

    def __init__(self, stride=(2, 2), padding="same"):
        self.stride = pair(stride, "conv_transpose2d: stride")
        self.padding = padding

    def forward(self, x, w, b=None):
        check_arrays("conv_transpose2d", x=(x, 4), w=(w, 4), b=(b, 1))
        self._check_channels(x, w, b)
        size = transposed_size(x.shape[1:3], w.shape[:2], self.stride, self.padding)
        self.pads = window_pads(size, w.shape[:2], self.stride, self.padding, "conv_transpose2d")
        self.x = x  # for gw
        self.w = w  # for gx
        return kernels_for(x).convolve_transposed(x, w, b, self.stride, self.pads, size)

    def backward(self, gy):
        needs_gx, needs_gw, *needs_gb = self.needs
        kernels = kernels_for(gy)
        gb = kernels.sum_over_pixels(gy) if any(needs_gb) else None
        gw = kernels.weight_gradient(gy, self.x, self.w.shape[:2], self.stride, self.pads) if needs_gw else None
        self.x = None  # frees the activation before gx asks for memory
        gx = kernels.convolve(gy, self.w, None, self.stride, self.pads) if needs_gx else None
        return (gx, gw, gb)[: len(self.needs)]

    @staticmethod
    def _check_channels(x, w, b):
        if x.shape[3] != w.shape[3]:
            raise ValueError(
                f"conv_transpose2d: x {x.shape} has {x.shape[3]} channels, w {w.shape} (KH,KW,C_out,C_in) takes "
                f"{w.shape[3]}: they must be equal; note that C_out comes before C_in here"
            )
        if b is not None and b.shape[0] != w.shape[2]:
            raise ValueError(
                f"conv_transpose2d: b has {b.shape[0]} entries, w {w.shape} makes {w.shape[2]} channels: "
                "give one per channel"
            )


def conv_transpose2d(
    x: TensorLike, w: TensorLike, b: TensorLike | None = None, stride: IntPair = 2, padding: Padding = "same"
) -> Tensor:
    """Returns y = Pᵀ(x Wᵀ) + b, the transpose of conv2d (as Keras' Conv2DTranspose), a Tensor (N, OH, OW, F).

    x        Tensor (N, H, W, C), float32 or float64; y has the same dtype.
    w        Tensor (KH, KW, F, C): output channels before input channels.
    b        Tensor (F,) or None.
    stride   int or (SH, SW).
    padding  "same": OH = H·SH; "valid": OH = H·SH + max(KH - SH, 0); an int p or (p, q): OH = (H-1)·SH + KH - 2p.

    Raises ValueError for shapes that do not fit together, TypeError for mixed dtypes.

    >>> import numpy as np
    >>> x, w = np.array([[1.0, 10.0]]).reshape(1, 1, 2, 1), np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    >>> conv_transpose2d(x, w).data[0, :, :, 0]
    array([[ 1.,  2., 10., 20.],
           [ 3.,  4., 30., 40.]])
    """
    inputs = (x, w) if b is None else (x, w, b)
    return ConvTranspose2DFunction(stride, padding)(*inputs)
