"""ReLU: negative numbers become 0. The bend that lets a stack of linear layers be more than one linear layer.

    y = max(x, 0)                    x, y of any shape

    gx = gy where x > 0, else 0

    x = (-1, 0, 2)    y = (0, 0, 2)    gy = (5, 6, 7)    gx = (0, 0, 7)

    >>> x = Tensor([-1.0, 0.0, 2.0], requires_grad=True)
    >>> relu(x).backward(Tensor([5.0, 6.0, 7.0]))
    >>> x.grad
    array([0., 0., 7.])

At x = 0 there is a corner; by convention its derivative is taken to be 0. Where x is negative no gradient passes: a
filter whose sums are negative at all pixels of all images gets no gradient, and may never recover ("dying ReLU").

y > 0 exactly where x > 0, so backward needs only y. That mostly costs no memory: a convolution that comes next keeps
the same array, as its input. Only where nothing but a pooling comes next, which does not keep its input, is y kept for
the ReLU alone. In a U-Net that is nowhere: what is pooled also crosses over, to a convolution.
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.device import array_module
from minunet.kernels import kernels_for


class ReLUFunction(Function):
    """y = max(x, 0);  gx = gy where y > 0, else 0."""

    takes_half = True

    def forward(self, x):
        y = array_module(x).maximum(x, 0)
        self.y = y  # y > 0 tells where x was positive; a convolution that follows holds the same array
        return y

    def backward(self, gy):
        return kernels_for(gy).relu_gradient(gy, self.y)


def relu(x: TensorLike) -> Tensor:
    """Returns max(x, 0), element by element; same shape and dtype.

    >>> import numpy as np
    >>> relu(np.array([-1.0, 0.0, 2.0])).data
    array([0., 0., 2.])
    """
    return ReLUFunction()(x)
