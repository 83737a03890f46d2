"""Rearranging: sum, reshape, transpose, indexing, and moving to another device.

All are linear, y = A x with a matrix A of zeros and ones, so backward is Aᵀ: it puts each number's gradient back where
the number came from.
"""

import numpy as np

from minunet.autograd.function import Function
from minunet.device import array_module, device_of, to_device


class Sum(Function):
    """y = Σ x over `axis` (None: all, an int, or a tuple);  gx = gy, repeated along the summed axes."""

    def __init__(self, axis=None, keepdims=False):
        self.axis = axis
        self.keepdims = keepdims

    def forward(self, x):
        self.shape = x.shape
        return x.sum(axis=self.axis, keepdims=self.keepdims)

    def backward(self, gy):
        if self.axis is not None and not self.keepdims:
            axes = self.axis if isinstance(self.axis, tuple) else (self.axis,)
            gy = gy.reshape([1 if i in {a % len(self.shape) for a in axes} else n for i, n in enumerate(self.shape)])
        return array_module(gy).broadcast_to(gy, self.shape)


class Reshape(Function):
    """y = the same numbers in another shape;  gx = gy in the shape of x."""

    takes_half = True

    def __init__(self, shape):
        self.new_shape = shape

    def forward(self, x):
        self.shape = x.shape
        return x.reshape(self.new_shape)

    def backward(self, gy):
        return gy.reshape(self.shape)


class Transpose(Function):
    """y = x with its axes in the order `axes` (None: reversed);  gx = gy with the axes put back."""

    takes_half = True

    def __init__(self, axes=None):
        self.axes = axes

    def forward(self, x):
        if self.axes is None:
            self.axes = tuple(reversed(range(x.ndim)))
        return x.transpose(self.axes)

    def backward(self, gy):
        back = sorted(range(len(self.axes)), key=lambda i: self.axes[i] % len(self.axes))
        return gy.transpose(back)


class GetItem(Function):
    """y = x[index];  gx is 0 except at the index, where gy is added: an element picked twice receives two gradients."""

    def __init__(self, index):
        self.index = index

    def forward(self, x):
        self.shape = x.shape
        return x[self.index]

    def backward(self, gy):
        xp = array_module(gy)
        gx = xp.zeros(self.shape, gy.dtype)
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        if all(part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice)) for part in parts):
            gx[self.index] = gy  # picks no element twice
        else:
            xp.add.at(gx, self.index, gy)
        return gx


class To(Function):
    """y = x on another device;  gx = gy on the device of x."""

    def __init__(self, device):
        self.device = device

    def forward(self, x):
        self.home = device_of(x)
        return to_device(x, self.device)

    def backward(self, gy):
        return to_device(gy, self.home)
