"""Mean absolute error, "L1": the distance of numbers from their target. For offsets, where a few may be far off.

    y, t  (…)  prediction and target

    l = |y - t|                 L = Σ w l / Σ w         the mean over all numbers, if all weights are 1

    ∂l/∂y = sign(y - t)         gy = gL · w sign(y - t) / Σ w

At y = t there is a corner, and any slope from -1 to 1 lies below the curve; 0 is taken: what is right is left alone.

Worked numbers: y = (1, 2, 5), t = (0, 4, 5): L = (1 + 2 + 0) / 3 = 1, and the gradient is (1/3, -1/3, 0): what is wrong
is pulled equally hard, however wrong it is. If all weights are 0, so is L.

    >>> y = Tensor([1.0, 2.0, 5.0], requires_grad=True)
    >>> mean_absolute_error(y, Tensor([0.0, 4.0, 5.0])).backward()
    >>> y.grad.round(4)
    array([ 0.3333, -0.3333,  0.    ])
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.device import array_module
from minunet.ops.targets import mean_weights, regression_arrays, weighted_mean


class MeanAbsoluteErrorFunction(Function):
    """L = Σ w |y - t| / Σ w;  gy = gL w sign(y - t) / Σ w."""

    def __init__(self, t, weights=None):
        self.t = t
        self.weights = weights

    def forward(self, y):
        t, self.weights = regression_arrays("mean_absolute_error", y, self.t, self.weights)
        del self.t
        difference = y - t
        self.sign = array_module(y).sign(difference)  # 0 for 0
        return weighted_mean(abs(difference), self.weights)

    def backward(self, gy):
        return gy * mean_weights(self.sign, self.weights) * self.sign


def mean_absolute_error(y: TensorLike, t: TensorLike, weights: TensorLike | None = None) -> Tensor:
    """Returns the weighted mean of |y - t|, a Tensor with one element; 0 if all weights are 0.

    The arguments and errors are those of `mean_squared_error`.

    >>> import numpy as np
    >>> mean_absolute_error(np.array([1.0, 2.0, 5.0]), np.array([0.0, 4.0, 5.0])).item()
    1.0
    """
    return MeanAbsoluteErrorFunction(t, weights)(y)
