"""Crop: the middle of an image. The way in which a skip connection of the paper's U-Net fits what comes from below.

    x  (N, H, W, C)
    y  (N, h, w, C)       h ≤ H, w ≤ W

Forward takes a window out of each image, with as much left over above it as below, and as much at its left as at its
right. Where an odd number of rows or columns is left over, the smaller half is above or at the left:

    top = ⌊(H - h) / 2⌋,   left = ⌊(W - w) / 2⌋
    y[n,i,j,c] = x[n, i + top, j + left, c]

Crop is linear: each number of y is one number of x, so y = K x, where K has a single 1 in each row. Backward is Kᵀ,
which puts each gradient back where its number came from. A number that was cut off is not in y, so its gradient is 0:

    gx[n,p,q,c] = gy[n, p - top, q - left, c]   for top ≤ p < top + h and left ≤ q < left + w,   else 0

In words: the transpose of cropping is padding with zeros (and the transpose of padding with zeros is cropping). For one
row of five pixels, cropped to two, left being ⌊3/2⌋ = 1:

    x  =  1  2  3  4  5            y  =  2  3
    gx =  0  7  8  0  0     ←      gy =  7  8

    >>> import numpy as np
    >>> x = Tensor(np.array([1.0, 2, 3, 4, 5]).reshape(1, 1, 5, 1), requires_grad=True)
    >>> crop(x, (1, 2)).backward(np.array([7.0, 8.0]).reshape(1, 1, 2, 1))
    >>> x.grad.ravel()
    array([0., 7., 8., 0., 0.])

In the paper's network every 3x3 convolution makes the image two rows and two columns smaller, so the features that
cross over in a skip connection are larger than those that come up from below: at the lowest one 64x64 against 56x56, if
the image has 572x572. What is cut off is the margin for which nothing comes from below.

Source: Ronneberger, Fischer, Brox, "U-Net", 2015, figure 1, "copy and crop".
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.device import array_module
from minunet.ops.windows import IntPair, pair


class CropFunction(Function):
    """y = the middle of x;  gx = gy with zeros around it."""

    takes_half = True

    def __init__(self, size):
        self.size = pair(size, "crop: the size")

    def forward(self, x):
        self.shape = x.shape
        self.window = self._window(x.shape)
        return x[self.window]  # a view: the skip connection holds all of x anyway

    def backward(self, gy):
        gx = array_module(gy).zeros(self.shape, gy.dtype)
        gx[self.window] = gy
        return gx

    def _window(self, shape):
        """Returns the slices of the middle along the axes N, H and W."""
        if len(shape) != 4:
            raise ValueError(f"crop: x has shape {shape}: it must have 4 axes (images are (N,H,W,C))")
        (H, W), (h, w) = shape[1:3], self.size
        if h > H or w > W:
            raise ValueError(f"crop: the images are {H}x{W}, too small for {h}x{w}: pad them, or give a smaller size")
        top, left = (H - h) // 2, (W - w) // 2
        return slice(None), slice(top, top + h), slice(left, left + w)


def crop(x: TensorLike, size: IntPair) -> Tensor:
    """Returns the middle of each image, a Tensor (N, h, w, C).

    x     Tensor (N, H, W, C) of any dtype; y has the same one.
    size  (h, w), or an int for squares: at most (H, W).

    Raises ValueError for another number of axes, and for a size that is larger than the image.

    >>> import numpy as np
    >>> crop(np.arange(25.0).reshape(1, 5, 5, 1), (3, 2)).data[0, :, :, 0]
    array([[ 6.,  7.],
           [11., 12.],
           [16., 17.]])
    """
    return CropFunction(size)(x)
