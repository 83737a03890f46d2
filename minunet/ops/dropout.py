"""Dropout: in each step some of the features are dropped at random, so that none can rely on another alone.

    x, y  of any shape
    keep  0 or 1, shaped like x, or with axes of size 1 along which the choice is shared

    y = x · keep / (1 - p)            gx = gy · keep / (1 - p)

    x = (1, 2, 3, 4)    keep = (1, 0, 0, 1)    p = 1/2    y = (2, 0, 0, 8)    gy = (5, 6, 7, 8)    gx = (10, 0, 0, 16)

    >>> import numpy as np
    >>> x = Tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    >>> dropout(x, np.array([1, 0, 0, 1]), 0.5).backward(Tensor([5.0, 6.0, 7.0, 8.0]))
    >>> x.grad
    array([10.,  0.,  0., 16.])

p, the rate, is the probability that an entry of `keep` is 0. A feature is kept with probability 1 - p, and
E[keep] = 1 - p, so y is x on average: an x of 3 becomes 6 or 0 above, 3 on average. Because of the division ("inverted"
dropout) nothing has to be rescaled when the network is used; dropout is then simply skipped.

Whole maps. Neighboring pixels of a feature map carry much the same information: drop single ones, and the next
convolution can still read it from their neighbors. So with `keep` of shape (N, 1, 1, C) an image loses whole feature
maps. It is cheaper, too: N·C random numbers instead of N·H·W·C.

Source: Srivastava et al., 2014; whole maps: Tompson et al., 2015 (Keras' SpatialDropout2D).
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.device import Array
from minunet.precision import sum_dtype


class DropoutFunction(Function):
    """y = x keep / (1 - p);  gx = gy keep / (1 - p)."""

    takes_half = True

    def __init__(self, keep, rate):
        self.keep = keep
        self.rate = float(rate)

    def forward(self, x):
        self.factor = self.keep.astype(sum_dtype(x.dtype)) / (1 - self.rate)  # small where whole maps are dropped
        return (x * self.factor).astype(x.dtype, copy=False)

    def backward(self, gy):
        return (gy * self.factor).astype(gy.dtype, copy=False)


def dropout(x: TensorLike, keep: Array, rate: float) -> Tensor:
    """Returns x · keep / (1 - rate), for a given choice of what is kept; nn.Dropout draws it.

    x     Tensor of any shape, floating-point; y has the same shape and dtype.
    keep  array of 0 and 1 on the device of x, each axis as in x or of size 1: (N, 1, 1, C) keeps or drops whole maps.
    rate  0 ≤ rate < 1, the probability that an entry of keep is 0.

    Raises ValueError for any other shape or rate.

    >>> import numpy as np
    >>> dropout(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 0, 0, 1]), 0.5).data
    array([2., 0., 0., 8.])
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: rate is {rate!r}: it must be at least 0 and below 1")
    if keep.ndim != len(x.shape) or any(k not in (1, n) for k, n in zip(keep.shape, x.shape)):
        raise ValueError(f"dropout: keep has shape {keep.shape}, x {x.shape}: each axis must be as in x, or of size 1")
    return DropoutFunction(keep, rate)(x)
