"""The operators of Tensor, added to the class from here: what `a + b`, `x.sum()` or `x[0]` calls.

Comparisons give plain arrays; a tensor is still hashed, and found in a dict, as the object that it is.
A number beside a tensor takes on the tensor's dtype, so a float32 network stays float32.
"""

import numbers
import operator

import numpy as np

from minunet.autograd.arithmetic import Add, Divide, Exp, Log, MatMul, Multiply, Negate, Power, Subtract
from minunet.autograd.rearrange import GetItem, Reshape, Sum, To, Transpose
from minunet.autograd.tensor import Tensor
from minunet.device import array_module, resolve_device
from minunet.precision import is_floating


def _operand(value, like):
    """Returns `value` as a Tensor; a plain number gets the dtype that it should have beside the tensor `like`."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (numbers.Number, np.generic)):
        value = value.item() if isinstance(value, np.generic) else value
        dtype = like.dtype if is_floating(like.dtype) else np.result_type(like.dtype, type(value))
        return Tensor(array_module(like.data).asarray(value, dtype=dtype))
    return Tensor(value)


def _binary(function, swapped=False):
    def apply(self, other):
        if not isinstance(other, (Tensor, numbers.Number, np.generic, np.ndarray)) and array_module(other) is np:
            return NotImplemented
        other = _operand(other, like=self)
        return function()(other, self) if swapped else function()(self, other)

    apply.__doc__ = function.__doc__
    return apply


def _comparison(compare):
    def apply(self, other):
        """Compares the values, element by element, and returns an array of bool: there is nothing to differentiate."""
        if not isinstance(other, (Tensor, numbers.Number, np.generic, np.ndarray)) and array_module(other) is np:
            return NotImplemented
        return compare(self.data, other.data if isinstance(other, Tensor) else other)

    return apply


def _sum(self, axis=None, keepdims=False):
    """Returns Σ over `axis`: None for all, an int, or a tuple of ints."""
    return Sum(axis, keepdims)(self)


def _mean(self, axis=None, keepdims=False):
    """Returns the sum divided by the number of elements that went into it."""
    axes = range(self.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    count = 1
    for a in axes:
        count *= self.shape[a]
    return self.sum(axis, keepdims) / count


def _reshape(self, *shape):
    """Returns the same numbers in another shape: x.reshape(2, 3) or x.reshape((2, 3)); one size may be -1."""
    return Reshape(shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)(self)


def _transpose(self, *axes):
    """Returns the axes in another order: x.transpose(0, 2, 1) or x.transpose((0, 2, 1)); reversed if none is given."""
    axes = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
    return Transpose(tuple(axes) or None)(self)


def _getitem(self, index):
    """Returns x[index] as in NumPy: integers, slices, None, Ellipsis, integer arrays and masks."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(part.data if isinstance(part, Tensor) else part for part in parts)
    return GetItem(parts if isinstance(index, tuple) else parts[0])(self)


def _to(self, device):
    """Returns this tensor on `device` ("cpu", "gpu", "gpu:1"); gradients travel back. Raises GpuUnavailable."""
    device = resolve_device(device)
    return self if device == self.device else To(device)(self)


OPERATORS = {
    "__add__": _binary(Add),
    "__radd__": _binary(Add, swapped=True),
    "__sub__": _binary(Subtract),
    "__rsub__": _binary(Subtract, swapped=True),
    "__mul__": _binary(Multiply),
    "__rmul__": _binary(Multiply, swapped=True),
    "__truediv__": _binary(Divide),
    "__rtruediv__": _binary(Divide, swapped=True),
    "__pow__": _binary(Power),
    "__rpow__": _binary(Power, swapped=True),
    "__matmul__": _binary(MatMul),
    "__rmatmul__": _binary(MatMul, swapped=True),
    "__eq__": _comparison(operator.eq),
    "__ne__": _comparison(operator.ne),
    "__lt__": _comparison(operator.lt),
    "__le__": _comparison(operator.le),
    "__gt__": _comparison(operator.gt),
    "__ge__": _comparison(operator.ge),
    "__neg__": lambda self: Negate()(self),
    "__getitem__": _getitem,
    "T": property(lambda self: self.transpose()),
    "exp": lambda self: Exp()(self),
    "log": lambda self: Log()(self),
    "sum": _sum,
    "mean": _mean,
    "reshape": _reshape,
    "transpose": _transpose,
    "to": _to,
}
for _name, _operator in OPERATORS.items():
    setattr(Tensor, _name, _operator)
