"""Transposed convolution: every input pixel paints a window of the output. The way up in a U-Net.

    x  (N, H, W, C)           few, coarse pixels
    w  (KH, KW, F, C)         what a pixel of channel c paints into channel f (Keras' order: output before input)
    b  (F,)                   (optional)
    y  (N, OH, OW, F)         many pixels: with padding "same", OH = H·SH and OW = W·SW for stride (SH, SW)

A convolution (conv2d.py) that takes y to x, with the same window, stride and padding, is the product x = P(y) W, where
W is w as a (KH·KW·F, C) matrix. This operation is its transpose, in the sense of matrices:

    y = Pᵀ(x Wᵀ) + b

Row r of x Wᵀ is what input pixel r paints, KH·KW·F numbers; Pᵀ adds each of them to the place in y that P would have
copied it from. Written out, for y with its padding still around it (it is cropped at the end):

    y[n,p,q,f] = b[f] + Σ over all (i,k) with i·SH + k = p and (j,l) with j·SW + l = q of  Σ_c x[n,i,j,c] · w[k,l,f,c]

Compare gx in conv2d.py: it is the same formula, so there is nothing new to derive. The transpose of the transpose is
the convolution itself, and image and gradient swap roles:

    gx = P(gy) W                  the forward of conv2d, applied to gy
    gW = P(gy)ᵀ x                 the gW of conv2d, where gy is the image and x the gradient
    gb = Σ gy

Worked numbers: x = (3, 5), one row of two pixels, w = (1, 2, 4), stride 2, no padding. A is the convolution back:

    A = [1 2 4 0 0]     3·w  =  3  6 12           gy = (1, 1, 2, 0, 3):
        [0 0 1 2 4]     5·w  =        5 10 20     gx = A gy = (1 + 2 + 8, 2 + 0 + 12) = (11, 14)
                      Aᵀx =  y = 3 6 17 10 20     gw = (1·3 + 2·5, 1·3 + 0·5, 2·3 + 3·5) = (13, 3, 21)

    >>> import numpy as np
    >>> x = Tensor(np.array([3.0, 5]).reshape(1, 1, 2, 1), requires_grad=True)
    >>> w = Tensor(np.array([1.0, 2, 4]).reshape(1, 3, 1, 1), requires_grad=True)
    >>> y = conv_transpose2d(x, w, stride=(1, 2), padding="valid")
    >>> y.backward(np.array([1.0, 1, 2, 0, 3]).reshape(y.shape))
    >>> y.data.ravel(), w.grad.ravel(), x.grad.ravel()
    (array([ 3.,  6., 17., 10., 20.]), array([13.,  3., 21.]), array([11., 14.]))

That A and Aᵀ are transposes means ⟨A gy, x⟩ = ⟨gy, Aᵀ x⟩ for all gy and x. Here 11·3 + 14·5 = 103, and
1·3 + 1·6 + 2·17 + 0·10 + 3·20 = 103. (A test of a backward that needs no derivatives.)

The transpose is not the inverse: A Aᵀ x = A y = (3 + 12 + 68, 17 + 20 + 80) = (83, 117), not (3, 5). A makes two
numbers of five, so it has no inverse. Aᵀ restores the shape, not the values; what to paint, the network learns. Hence
not a "deconvolution".

The same y, seen as a convolution: put SH - 1 rows and SW - 1 columns of zeros between the pixels of x, pad, and slide
the flipped w over it. Above, (4, 2, 1) over 0 0 3 0 5 0 0 gives 3, 6, 12 + 5, 10, 20. In the same way gx of a
convolution with stride 2 is a convolution over gy with zeros between its pixels. No kernel here writes these zeros down
or multiplies by them: each pixel is added to its window instead.

Overlap. How many input pixels paint each output pixel, for windows of three with stride 2:

    pixel 0     1 1 1
    pixel 1         1 1 1
    pixel 2             1 1 1
    count       1 1 2 1 2 1 1      in two dimensions, the count of the row times that of the column: 1, 2 or 4

With equal weights a constant x becomes a checkerboard. The lecture's windows, 2x2 with stride 2, lie side by side:
every output pixel is painted once. (Four unequal taps still paint a pattern into every tile; the convolutions that
follow can learn to smooth it.)
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.kernels import kernels_for
from minunet.ops.checks import check_arrays
from minunet.ops.windows import IntPair, Padding, pair, transposed_size, window_pads
from minunet.precision import stored


class ConvTranspose2DFunction(Function):
    """y = Pᵀ(x Wᵀ) + b;  gW = P(gy)ᵀ x,  gb = Σ gy,  gx = P(gy) W."""

    takes_half = True

    def __init__(self, stride=(2, 2), padding="same"):
        self.stride = pair(stride, "conv_transpose2d: stride")
        self.padding = padding

    def forward(self, x, w, b=None):
        x = stored(x)
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
        self.x = None  # lets go of the activation before gx asks for memory
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

    x        Tensor (N, H, W, C), float32 or float64; y has the same dtype, or 16 bits in mixed precision.
    w        Tensor (KH, KW, F, C): output channels before input channels.
    b        Tensor (F,) or None.
    stride   int or (SH, SW).
    padding  "same": OH = H·SH; "valid": OH = H·SH + max(KH - SH, 0); an int p or (p, q): OH = (H-1)·SH + KH - 2p
             (windows.py).

    Raises ValueError for shapes that do not fit together, TypeError for mixed dtypes.

    >>> import numpy as np
    >>> x, w = np.array([[1.0, 10.0]]).reshape(1, 1, 2, 1), np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    >>> conv_transpose2d(x, w).data[0, :, :, 0]
    array([[ 1.,  2., 10., 20.],
           [ 3.,  4., 30., 40.]])
    """
    inputs = (x, w) if b is None else (x, w, b)
    return ConvTranspose2DFunction(stride, padding)(*inputs)
