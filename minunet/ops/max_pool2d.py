"""Max pooling: only the largest number in each window is passed on. The way down in a U-Net.

    x  (N, H, W, C)
    y  (N, OH, OW, C)       each channel by itself

Forward, for windows of KH x KW pixels that start SH rows and SW columns apart:

    y[n,i,j,c] = max over k, l of  x[n, i·SH + k, j·SW + l, c]

Backward. The maximum is one of its inputs, y = x[argmax], so ∂y/∂x is 1 for that pixel and 0 for all others. The whole
gradient goes to the argmax:

    gx[n,p,q,c] = Σ of gy[n,i,j,c] over all windows (i,j) whose argmax is pixel (p,q)

which is a sum because windows may overlap (stride smaller than the window).

Worked numbers, windows of 2x2 side by side:

    x = [1 4 | 0 0]     y = [4 0]     argmax = [1 0], counted 0 1     gy = [5 7]     gx = [0 5 | 7 0]
        [3 2 | 0 0]                                           2 3                         [0 0 | 0 0]

    >>> import numpy as np
    >>> x = Tensor(np.array([[1.0, 4, 0, 0], [3, 2, 0, 0]]).reshape(1, 2, 4, 1), requires_grad=True)
    >>> max_pool2d(x).backward(np.array([5.0, 7]).reshape(1, 1, 2, 1))
    >>> x.grad[0, :, :, 0]
    array([[0., 5., 7., 0.],
           [0., 0., 0., 0.]])

Ties. Where several pixels of a window are the largest, y has no derivative: raising any one of them raises y, lowering
it does not lower y. The first of them in row-major order (top row first, then left to right) is taken for the argmax
and gets all of the gradient; the right window above is such a case. After a ReLU whole windows of zeros are common, but
there the choice does not matter: where its output is 0, the ReLU's backward stops whatever arrives. It matters for
equal positive numbers, as in a flat, overexposed sky. (Gradients are checked at inputs without ties.)

Padding ("same") counts as -∞: it is never larger than a number of the image, as a 0 would be where all are negative.

Pooling does not pass on where in its window the maximum was: four pixels become one. A U-Net needs the position again
on its way up, and gets it through the skip connections (models/unet.py). There, the pooling and the convolution that
makes its x are one operation (conv2d_max_pool2d.py).
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.kernels import kernels_for
from minunet.ops.checks import check_arrays
from minunet.ops.windows import IntPair, Padding, pair, window_pads


class MaxPool2DFunction(Function):
    """y = x[argmax];  gx[argmax] += gy."""

    takes_half = True

    def __init__(self, size=(2, 2), stride=None, padding="valid"):
        self.size = pair(size, "max_pool2d: size")
        self.stride = self.size if stride is None else pair(stride, "max_pool2d: stride")
        self.padding = padding

    def forward(self, x):
        check_arrays("max_pool2d", x=(x, 4))
        self.input_size = x.shape[1:3]
        self.pads = window_pads(self.input_size, self.size, self.stride, self.padding, "max_pool2d")
        self._check_padding()
        # x is not kept: argmax, a byte per window and channel, says enough
        y, self.argmax = kernels_for(x).max_pool(x, self.size, self.stride, self.pads)
        return y

    def backward(self, gy):
        return kernels_for(gy).max_pool_gradient(gy, self.argmax, self.size, self.stride, self.pads, self.input_size)

    def _check_padding(self):
        """Raises ValueError where a window may hold nothing but padding: it would have no maximum."""
        if any(max(p) >= k for p, k in zip(self.pads, self.size)):
            raise ValueError(
                f"max_pool2d: padding {self.padding!r} is not smaller than the window {self.size}: "
                "some windows would hold nothing but padding"
            )


def max_pool2d(x: TensorLike, size: IntPair = 2, stride: IntPair | None = None, padding: Padding = "valid") -> Tensor:
    """Returns the largest number in each window (as Keras' MaxPooling2D).

    Among equals, the first in row-major order gets the gradient.

    x        Tensor (N, H, W, C), float32 or float64; y has the same dtype.
    size     int or (KH, KW).
    stride   int, (SH, SW), or None: the windows lie side by side.
    padding  "valid" (rows and columns left over are ignored), "same", an int or (rows, columns).

    Returns a Tensor (N, OH, OW, C). Raises ValueError where no window fits.

    >>> import numpy as np
    >>> max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1)).data[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    return MaxPool2DFunction(size, stride, padding)(x)
