"""Convolution: every output pixel is a weighted sum of the pixels in a window, with the same weights for every window.

    x  (N, H, W, C)       N images, or what the layer before made of them
    w  (KH, KW, C, F)     F filters, each a small image of what it looks for
    b  (F,)               a number for each filter (optional): with a ReLU after it, y > 0 where the sum is above -b
    y  (N, OH, OW, F)     one number per window and filter                   (all letters: ops/__init__.py)

Forward, for stride (SH, SW) and x with its zero padding already around it:

    y[n,i,j,f] = b[f] + Σ_k Σ_l Σ_c  x[n, i·SH + k, j·SW + l, c] · w[k,l,c,f]

This is a matrix product. Let row r of P(x) be the window under output pixel r = (n,i,j), laid out as KH·KW·C numbers,
and let W be w as a (KH·KW·C, F) matrix:

    y = P(x) W + b

(For windows of 1x1, P(x) is x: the same matrix W is applied to each pixel's channels.)

Backward. Let L be the loss and gy = ∂L/∂y, shaped like y. Each y is a sum of products, so each derivative is the other
factor, and a number that is used several times collects one term from each use:

    gw[k,l,c,f] = Σ_n Σ_i Σ_j  x[n, i·SH + k, j·SW + l, c] · gy[n,i,j,f]     gW = P(x)ᵀ gy
    gb[f]       = Σ_n Σ_i Σ_j  gy[n,i,j,f]                                   gb = Σ gy
    gx[n,p,q,c] = Σ over all (i,k) with i·SH + k = p and (j,l) with j·SW + l = q of
                  Σ_f  gy[n,i,j,f] · w[k,l,c,f]                              gx = Pᵀ(gy Wᵀ)

P is linear (it copies pixels to where they are needed), and Pᵀ, its transpose, adds each copy back where it came from:
a pixel that lay under nine windows collects nine terms, one in the corner of the image four. What falls on the padding
is dropped. `conv_transpose2d.py` uses Pᵀ to go forward.

In words: gw measures how well the image under a tap correlates with the gradient at the output; gx sends each gradient
back along the weights through which its output was made.

Worked numbers: one row of three pixels x = (1, 2, 3), one filter of two taps w = (5, 1), b = 0, stride 1. Padding
"same" is one zero, on the right. From above comes gy = (1, 10, 100).

    P(x) = [1 2]     y = P(x) W = [1·5 + 2·1] = [ 7]     gW = P(x)ᵀ gy = [1·1 + 2·10 + 3·100] = [321]     gb = 111
           [2 3]                  [2·5 + 3·1]   [13]                     [2·1 + 3·10 + 0·100]   [ 32]
           [3 0]                  [3·5 + 0·1]   [15]

    gy Wᵀ = [  5   1]     Pᵀ puts row 0 at pixels 0, 1:     5    1
            [ 50  10]                 row 1 at pixels 1, 2:      50   10
            [500 100]                 row 2 at pixel 2:              500   (100 falls on the padding)
                                                      gx =  5   51  510

    As one matrix from x to y:   A = [5 1 0]    y = A x,   gx = Aᵀ gy = (5·1, 1·1 + 5·10, 1·10 + 5·100)
                                     [0 5 1]
                                     [0 0 5]

    >>> import numpy as np
    >>> x = Tensor(np.array([1.0, 2, 3]).reshape(1, 1, 3, 1), requires_grad=True)
    >>> w = Tensor(np.array([5.0, 1]).reshape(1, 2, 1, 1), requires_grad=True)
    >>> y = conv2d(x, w)
    >>> y.backward(np.array([1.0, 10, 100]).reshape(y.shape))
    >>> y.data.ravel(), w.grad.ravel(), x.grad.ravel()
    (array([ 7., 13., 15.]), array([321.,  32.]), array([  5.,  51., 510.]))

Two arrays as one image. Where a skip connection comes in, the convolution is that of a concatenation [x, s]. Each of
its windows is a window of x with one of s beside it, pixel by pixel, so

    P([x, s]) W = P(x) W_x + P(s) W_s        W_x, W_s: the rows of W for the channels of x and for those of s

and so the gradients are gx = Pᵀ(gy W_xᵀ) and gW_x = P(x)ᵀ gy, likewise for s. conv2d(x, w, beside=s) reads both arrays
where they lie: [x, s] is not written, and not kept until backward. With the x above, and s = (4, 6, 8) with the taps
(100, 10), each y gets what the window of s adds: 4·100 + 6·10, 6·100 + 8·10, 8·100.

    >>> s = Tensor(np.array([4.0, 6, 8]).reshape(1, 1, 3, 1), requires_grad=True)
    >>> w = Tensor(np.array([[5.0, 100], [1, 10]]).reshape(1, 2, 2, 1), requires_grad=True)
    >>> y = conv2d(x, w, beside=s)
    >>> y.backward(np.array([1.0, 10, 100]).reshape(y.shape))
    >>> y.data.ravel(), s.grad.ravel(), w.grad[0, :, 1, 0]
    (array([467., 693., 815.]), array([  100.,  1010., 10100.]), array([864.,  86.]))

P(x) repeats each pixel for every window over it: with stride 1 and padding "same" it is KH·KW times as large as x. The
largest in the lecture's network is that of Conv_Classif_2, at 256x256: 65,536 rows of 9·16 numbers, 37.7 MB for one
image in float32 and 604 MB for a batch of 16, where x has 4.2 MB. So it is not built as a whole. The CPU's kernels
build some rows, about 2 MB, multiply them and let the next ones overwrite them. For windows of three rows they need
only half of the products (kernels/cpu/winograd.py). Backward keeps x, never P(x).

ReLU may be fused: with activation="relu", y = max(P(x)W + b, 0) is computed while a block is still in the cache, and
backward begins with gz = gy where y > 0, else 0 (see relu.py), which takes the place of gy in the formulas above.

The products are in `minunet/kernels/`, where `reference/` has the sums above as plain loops. Backward is one kernel,
`convolve_backward`: its three sums read the same numbers, so one pass over gy can compute them all (cpu/backward.py).
With pool=True, y is pooled in the same pass, and there are two outputs: conv2d_max_pool2d.py.
"""

from typing import Literal

from minunet.autograd import Function, Tensor, TensorLike
from minunet.kernels import kernels_for
from minunet.kernels.windows import POOL, output_size
from minunet.ops.checks import check_arrays
from minunet.ops.concatenate import two_parts
from minunet.ops.windows import IntPair, Padding, pair, window_pads
from minunet.precision import stored

GIVEN = True, True, True, False  # x, w and b are, beside is not


class Conv2DFunction(Function):
    """y = P(x) W + b;  gx = Pᵀ(gz Wᵀ),  gW = P(x)ᵀ gz,  gb = Σ gz;  gz: what the ReLU, if any, lets through of gy."""

    takes_half = True

    def __init__(self, stride=(1, 1), padding="same", activation=None, given=GIVEN, pool=False):
        if activation not in (None, "relu"):
            raise ValueError(f'conv2d: activation is {activation!r}: it must be None or "relu"')
        self.stride = pair(stride, "conv2d: stride")
        self.padding = padding
        self.activation = activation
        self.given = given  # which of x, w, b and beside the inputs are
        self.pool = pool  # whether y is pooled along the way: conv2d_max_pool2d.py

    def forward(self, *inputs):
        x, w, b, beside = self._in_their_places(inputs)
        x, beside = stored(x), None if beside is None else stored(beside)
        check_arrays("conv2d", x=(x, 4), w=(w, 4), b=(b, 1))
        self._check_channels(x, w, b, beside)
        self.pads = window_pads(x.shape[1:3], w.shape[:2], self.stride, self.padding, "conv2d")
        kernels, arguments = kernels_for(x), (x, w, b, self.stride, self.pads, self.activation == "relu", beside)
        if self.pool:
            self._check_room(x, w)
            y, pooled, self.argmax = kernels.convolve(*arguments, pool=True)
        else:
            y = kernels.convolve(*arguments)
        self.x, self.beside = x, beside  # for gw
        self.w = w  # for gx
        self.y = y if self.activation == "relu" else None  # tells where the ReLU let values through
        return (y, pooled) if self.pool else y

    def backward(self, gy, gpooled=None):
        needs, kernels = self._in_their_places(self.needs), kernels_for(self.x)
        arguments = self.x, self.w, gy, self.y, self.stride, self.pads
        options = {} if gpooled is None else {"pooled": (gpooled, self.argmax)}
        if self.beside is None:
            gradients = kernels.convolve_backward(*arguments, needs[:3], **options)
        else:
            gradients = kernels.convolve_backward(*arguments, needs, beside=self.beside, **options)
        return tuple(gradient for gradient, given in zip(gradients, self.given) if given)

    def _in_their_places(self, inputs):
        """Returns what belongs to x, w, b and beside; None for what was not given."""
        inputs = iter(inputs)
        return tuple(next(inputs, None) if given else None for given in self.given)

    def _check_room(self, x, w):
        """Raises ValueError where y has no room for a window of 2x2."""
        size, stride, _ = POOL
        window_pads(output_size(x.shape[1:3], w.shape[:2], self.stride, self.pads), size, stride, "valid", "max_pool2d")

    @staticmethod
    def _check_channels(x, w, b, beside):
        if beside is not None:
            _check_beside(x, w, beside)
        elif x.shape[3] != w.shape[2]:
            raise ValueError(
                f"conv2d: x {x.shape} has {x.shape[3]} channels, w {w.shape} (KH,KW,C_in,C_out) takes {w.shape[2]}: "
                "they must be equal; images are channels-last (N,H,W,C)"
            )
        if b is not None and b.shape[0] != w.shape[3]:
            raise ValueError(
                f"conv2d: b has {b.shape[0]} entries, w {w.shape} has {w.shape[3]} filters: give one per filter"
            )


def _check_beside(x, w, beside):
    if beside.dtype != x.dtype:
        raise TypeError(f"conv2d: beside is {beside.dtype}, x {x.dtype}: they must be the same; convert with .astype")
    if beside.ndim != 4 or beside.shape[:3] != x.shape[:3]:
        raise ValueError(
            f"conv2d: beside has shape {beside.shape}, x {x.shape}: they must be equal but for the channels; crop or "
            "pad one of them"
        )
    if 0 in (x.shape[3], beside.shape[3]):
        raise ValueError(f"conv2d: x {x.shape} or beside {beside.shape} has no channels: give the other one alone")
    if x.shape[3] + beside.shape[3] != w.shape[2]:
        raise ValueError(
            f"conv2d: x {x.shape} and beside {beside.shape} have {x.shape[3]} + {beside.shape[3]} channels, w "
            f"{w.shape} (KH,KW,C_in,C_out) takes {w.shape[2]}: they must be equal"
        )


def conv2d(
    x: TensorLike,
    w: TensorLike,
    b: TensorLike | None = None,
    stride: IntPair = 1,
    padding: Padding = "same",
    activation: Literal["relu"] | None = None,
    beside: TensorLike | None = None,
) -> Tensor:
    """Returns y = P(x) W + b, the convolution of images with filters, a Tensor (N, OH, OW, F).

    As in Keras' Conv2D it is a cross-correlation: w is not flipped.

    x           Tensor (N, H, W, C), float32 or float64; y has the same dtype, or 16 bits in mixed precision.
    w           Tensor (KH, KW, C, F).
    b           Tensor (F,) or None.
    stride      int or (SH, SW).
    padding     "same" (OH = ⌈H / SH⌉), "valid" (none), an int or (rows, columns) of zeros on each side.
    activation  None or "relu".
    beside      None, or a second Tensor (N, H, W, B): the convolution is that of [x, beside], and w (KH, KW, C + B, F).

    Raises ValueError for shapes that do not fit together, TypeError for mixed dtypes.

    >>> import numpy as np
    >>> x, w = np.arange(16.0).reshape(1, 4, 4, 1), np.ones((3, 3, 1, 1))
    >>> conv2d(x, w, padding="valid").data[0, :, :, 0]
    array([[45., 54.],
           [81., 90.]])
    """
    (y,) = convolution_of(x, w, b, stride, padding, activation, beside)
    return y


def convolution_of(x, w, b, stride, padding, activation, beside=None, pool=False):
    """Returns the outputs of a Conv2DFunction: (y,) or, with `pool`, (y, pooled)."""
    if beside is None:
        x, beside = two_parts(x)
    inputs = x, w, b, beside
    given = tuple(a is not None for a in inputs)
    function = Conv2DFunction(stride, padding, activation, given, pool)
    return function.outputs(*(a for a in inputs if a is not None))
