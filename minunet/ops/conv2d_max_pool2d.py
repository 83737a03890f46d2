"""A convolution and the max pooling of what it makes, by windows of 2x2, in one pass over memory.

    x  (N, H, W, C)    w  (KH, KW, C, F)    b  (F,)
    y  (N, OH, OW, F)                  y = P(x) W + b, then a ReLU if there is one               (conv2d.py)
    pooled  (N, OH/2, OW/2, F)         the largest of 2x2 numbers of y                           (max_pool2d.py)

The formulas are those of the two files; what is new is the order of the work. On each level down, a U-Net needs y
twice: the skip connection carries it across, and the pooling takes its maxima. Computed one after the other, the
pooling reads all of y from memory again. But a GPU's tensor cores leave four neighbors of y in registers, so that their
maximum costs no reading at all (kernels/cuda/tensor_convolve.cu).

Backward. What y receives has two parts, gy through the skip, and gpooled through the pooling, which goes to the argmax:

    gy_total[n,i,j,f] = gy[n,i,j,f] + (gpooled[n, i//2, j//2, f] if the argmax of that window is (i%2, j%2), else 0)

Computed one after the other, the second part would be an array as large as y, at least three quarters of it zeros: it
would be written, read again for the sum, and the sum written and read once more by the convolution's backward. On
tensor cores, that backward takes gy, gpooled and argmax as they are, and adds them up where it reads gy. The other
kernels write the sum, but not its second part. gx, gw and gb follow from the sum as in conv2d.py.

Worked numbers: one filter w = 1 without a bias, so that y = x; the windows and gpooled of max_pool2d.py, gy = 1:

    x = y = [1 4 | 0 0]     pooled = [4 0]     gpooled = [5 7]     gx = gy_total = [1 6 | 8 1]
            [3 2 | 0 0]                                                            [1 1 | 1 1]

    >>> import numpy as np
    >>> x = Tensor(np.array([[1.0, 4, 0, 0], [3, 2, 0, 0]]).reshape(1, 2, 4, 1), requires_grad=True)
    >>> y, pooled = conv2d_max_pool2d(x, np.ones((1, 1, 1, 1)))
    >>> (y.sum() + (pooled * np.array([5.0, 7]).reshape(pooled.shape)).sum()).backward()
    >>> x.grad[0, :, :, 0]
    array([[1., 6., 8., 1.],
           [1., 1., 1., 1.]])

Conv2DFunction does both; with pool=True it has two outputs (autograd/function.py).
"""

from typing import Literal

from minunet.autograd import Tensor, TensorLike
from minunet.ops.conv2d import convolution_of
from minunet.ops.windows import IntPair, Padding


def conv2d_max_pool2d(
    x: TensorLike,
    w: TensorLike,
    b: TensorLike | None = None,
    stride: IntPair = 1,
    padding: Padding = "same",
    activation: Literal["relu"] | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns (y, max_pool2d(y)) for y = conv2d(x, w, b, stride, padding, activation), which has all about them.

    Tensors (N, OH, OW, F) and (N, OH/2, OW/2, F), rounded down. Raises what these two raise.

    >>> import numpy as np
    >>> y, pooled = conv2d_max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1), np.ones((1, 1, 1, 1)))
    >>> pooled.data[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    y, pooled = convolution_of(x, w, b, stride, padding, activation, pool=True)
    return y, pooled
