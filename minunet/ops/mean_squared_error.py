"""Mean squared error: the distance of numbers from their target, squared. For heat maps.

    y, t  (…)  prediction and target

    l = (y - t)²            L = Σ w l / Σ w         the mean over all numbers, if all weights are 1

    ∂l/∂y = 2 (y - t)       gy = gL · 2 w (y - t) / Σ w

Worked numbers: y = (1, 2), t = (0, 4): L = (1 + 4) / 2 = 2.5, and the gradient is 2 (1, -2) / 2 = (1, -2): what is
twice as wrong is pulled twice as hard. If all weights are 0, so is L.

    >>> y = Tensor([1.0, 2.0], requires_grad=True)
    >>> mean_squared_error(y, Tensor([0.0, 4.0])).backward()
    >>> y.grad
    array([ 1., -2.])
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.ops.targets import mean_weights, regression_arrays, weighted_mean


class MeanSquaredErrorFunction(Function):
    """L = Σ w (y - t)² / Σ w;  gy = gL 2 w (y - t) / Σ w."""

    def __init__(self, t, weights=None):
        self.t = t
        self.weights = weights

    def forward(self, y):
        t, self.weights = regression_arrays("mean_squared_error", y, self.t, self.weights)
        del self.t
        self.difference = y - t
        return weighted_mean(self.difference**2, self.weights)

    def backward(self, gy):
        return gy * mean_weights(self.difference, self.weights) * 2 * self.difference


def mean_squared_error(y: TensorLike, t: TensorLike, weights: TensorLike | None = None) -> Tensor:
    """Returns the weighted mean of (y - t)², a Tensor with one element; 0 if all weights are 0.

    y        Tensor of numbers, any shape.
    t        array or Tensor of the same shape.
    weights  None, or how much each number counts, the same shape; a last axis of 1 holds for all numbers of a pixel.

    Raises ValueError for different shapes, TypeError unless y is floating-point.

    >>> import numpy as np
    >>> mean_squared_error(np.array([1.0, 2.0]), np.array([0.0, 4.0])).item()
    2.5
    """
    return MeanSquaredErrorFunction(t, weights)(y)
