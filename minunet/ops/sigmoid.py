"""Sigmoid: turns any number into a probability.

    y = σ(x) = 1 / (1 + e⁻ˣ)         x, y of any shape

    σ'(x) = e⁻ˣ / (1 + e⁻ˣ)² = σ(x) (1 - σ(x)),  so   gx = gy y (1 - y)

    x = (0, 1.0986, 5), where 1.0986 = ln 3    y = (1/2, 3/4, 0.9933)    gy = (1, 1, 1)    gx = (1/4, 3/16, 0.0066)

    >>> x = Tensor([0.0, 1.0986, 5.0], requires_grad=True)
    >>> sigmoid(x).backward(Tensor([1.0, 1.0, 1.0]))
    >>> x.grad.round(4)
    array([0.25  , 0.1875, 0.0066])

The slope is never above 1/4, and almost 0 where the sigmoid is saturated. So a loss on y has to make up for it:
binary_cross_entropy.py shows how the factor y (1 - y) cancels.

e⁻ˣ overflows for x = -1e4. With e = e^(-|x|), which is never above 1, the same function is

    σ(x) = 1 / (1 + e)  for x ≥ 0,      e / (1 + e)  for x < 0

and no x overflows.
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.device import Array, array_module


def sigmoid_of(x: Array) -> Array:
    """Returns σ of an array, without overflow for any x."""
    xp = array_module(x)
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, xp.ones_like(e), e) / (1 + e)


class SigmoidFunction(Function):
    """y = σ(x);  gx = gy y (1 - y)."""

    def forward(self, x):
        self.y = sigmoid_of(x)  # the derivative is a function of the output
        return self.y

    def backward(self, gy):
        return gy * self.y * (1 - self.y)


def sigmoid(x: TensorLike) -> Tensor:
    """Returns 1 / (1 + e⁻ˣ), element by element; same shape and dtype. No overflow for any x.

    >>> import numpy as np
    >>> sigmoid(np.array([-1e4, 0.0, 1e4])).data
    array([0. , 0.5, 1. ])
    """
    return SigmoidFunction()(x)
