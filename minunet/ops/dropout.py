"""Dropout: some of the features are left out, others in each step, so that no feature can rely on another one alone.

    x, y  of any shape
    keep  0 or 1, shaped like x, or with axes of size 1 along which the choice is shared

    y = x · keep / (1 - p)            gx = gy · keep / (1 - p)

p, the rate, is how likely an entry of `keep` is 0. A feature is kept with probability 1 - p, and E[keep] = 1 - p, so
that on average y is x: because of the division ("inverted" dropout) nothing has to be rescaled when the network is used;
dropout is simply left out then.

Whole maps. Neighbouring pixels of a feature map know nearly the same: leave out single ones, and the next convolution
reads the missing one off its neighbours. So with `keep` of shape (N, 1, 1, C) a picture loses whole feature maps. It is
the cheaper way too: N·C random bytes instead of N·H·W·C.

Source: Srivastava et al., 2014; whole maps: Tompson et al., 2015 (Keras' SpatialDropout2D).
"""

from minunet.autograd import Function


class DropoutFunction(Function):
    """y = x keep / (1 - p);  gx = gy keep / (1 - p)."""

    def __init__(self, keep, rate):
        self.keep, self.rate = keep, float(rate)

    def forward(self, x):
        self.factor = self.keep.astype(x.dtype) / (1 - self.rate)  # small where whole maps are left out
        return x * self.factor

    def backward(self, gy):
        return gy * self.factor


def dropout(x, keep, rate):
    """x · keep / (1 - rate), for a given choice of what is kept; nn.Dropout draws it.

    x     Tensor of any shape, floating-point; y has the same shape and type.
    keep  array of 0 and 1 on the device of x, each axis as in x or of size 1: (N, 1, 1, C) keeps or drops whole maps.
    rate  0 ≤ rate < 1, how likely an entry of keep is 0.

    Returns a Tensor. Raises ValueError for another shape or rate.

    >>> import numpy as np
    >>> dropout(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 0, 0, 1]), 0.5).data
    array([2., 0., 0., 8.])
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: rate is {rate!r}: it must be from 0 to below 1")
    if keep.ndim != len(x.shape) or any(k not in (1, n) for k, n in zip(keep.shape, x.shape)):
        raise ValueError(f"dropout: keep has shape {keep.shape}, x {x.shape}: each axis must be as in x, or of size 1")
    return DropoutFunction(keep, rate)(x)
