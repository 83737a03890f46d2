"""The operators of Tensor: + - * / ** @, sum, mean, reshape, transpose, indexing, exp, log, to.

Each class is one operation, its derivative beside it. All of them are elementwise or linear; an elementwise
y = f(a, b) has a diagonal Jacobian, so its backward is a product: ga = gy · ∂f/∂a.

Broadcasting repeats an input along the axes where it has size 1. The transpose of "repeat" is "sum", so after the
product the gradient is summed back to the input's shape: `sum_to` is the adjoint of broadcasting.

A number beside a tensor takes on the tensor's dtype: a float32 network stays float32.
"""

import numbers

import numpy as np

from minunet.autograd.tensor import Function, Tensor
from minunet.device import array_module, device_of, resolve_device, to_device


def sum_to(g, shape):
    """Σ of g over the axes along which an array of `shape` was repeated to g's shape."""
    if g.shape == shape:
        return g
    added = g.ndim - len(shape)
    repeated = tuple(range(added)) + tuple(added + i for i, size in enumerate(shape) if size == 1)
    return g.sum(axis=repeated, keepdims=True).reshape(shape)


class Elementwise(Function):
    """y = f(a, b) with broadcasting. A subclass gives `value(a, b)` and `products(gy, a, b)`: gy·∂f/∂a and gy·∂f/∂b,
    each as a function so that a gradient nobody needs is not computed. The inputs are kept for that, unless the
    operation is linear: then the products are made of gy alone."""

    linear = False

    def forward(self, a, b):
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            raise ValueError(
                f"{type(self).__name__}: shapes {a.shape} and {b.shape} do not broadcast: counted from the last "
                "axis, sizes must be equal or 1; reshape one of them"
            ) from None
        self.a, self.b = (None, None) if self.linear else (a, b)
        return self.value(a, b)

    def backward(self, gy):
        gradients = zip(self.needs, self.expected, self.products(gy, self.a, self.b))
        return tuple(
            sum_to(product(), shape).astype(dtype, copy=False) if need else None
            for need, (shape, dtype, _), product in gradients
        )


class Add(Elementwise):
    """y = a + b;  ga = gy,  gb = gy."""

    linear = True

    def value(self, a, b):
        return a + b

    def products(self, gy, a, b):
        return lambda: gy, lambda: gy


class Subtract(Elementwise):
    """y = a - b;  ga = gy,  gb = -gy."""

    linear = True

    def value(self, a, b):
        return a - b

    def products(self, gy, a, b):
        return lambda: gy, lambda: -gy


class Multiply(Elementwise):
    """y = a b;  ga = gy b,  gb = gy a."""

    def value(self, a, b):
        return a * b

    def products(self, gy, a, b):
        return lambda: gy * b, lambda: gy * a


class Divide(Elementwise):
    """y = a / b;  ga = gy / b,  gb = -gy a / b²."""

    def value(self, a, b):
        return a / b

    def products(self, gy, a, b):
        return lambda: gy / b, lambda: -gy * a / (b * b)


class Power(Elementwise):
    """y = aᵇ;  ga = gy b aᵇ⁻¹,  gb = gy aᵇ ln a  (0 where a = 0, the limit for b > 0)."""

    def value(self, a, b):
        return a**b

    def products(self, gy, a, b):
        xp = array_module(a)

        def ga():
            exponent = xp.where(b == 0, xp.ones_like(b), b - 1)  # b = 0 makes the product 0, whatever a is
            return gy * b * a**exponent

        def gb():
            return gy * a**b * xp.log(xp.where(a == 0, xp.ones_like(a), a))

        return ga, gb


class Negate(Function):
    """y = -x;  gx = -gy."""

    def forward(self, x):
        return -x

    def backward(self, gy):
        return -gy


class Exp(Function):
    """y = eˣ;  gx = gy eˣ = gy y."""

    def forward(self, x):
        self.y = array_module(x).exp(x)
        return self.y

    def backward(self, gy):
        return gy * self.y


class Log(Function):
    """y = ln x;  gx = gy / x."""

    def forward(self, x):
        self.x = x
        return array_module(x).log(x)

    def backward(self, gy):
        return gy / self.x


class MatMul(Function):
    """y = a b over the last two axes, (…, I, K) (…, K, J) → (…, I, J);  ga = gy bᵀ,  gb = aᵀ gy.

    y_ij = Σ_k a_ik b_kj, so ∂L/∂a_ik = Σ_j gy_ij b_kj, which is gy bᵀ. The leading axes broadcast. An input with
    one axis is a row (on the left) or a column (on the right), and that axis is absent from y.
    """

    def forward(self, a, b):
        if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
            raise ValueError(
                f"MatMul: shapes {a.shape} and {b.shape}: the last axis of the left must equal the last but one "
                "of the right; transpose or reshape one of them"
            )
        self.a, self.b = a, b
        return a @ b

    def backward(self, gy):
        a, b = self.a, self.b
        rows = a[None, :] if a.ndim == 1 else a
        columns = b[:, None] if b.ndim == 1 else b
        if b.ndim == 1:
            gy = gy[..., None]
        if a.ndim == 1:
            gy = gy[..., None, :]
        ga = sum_to(gy @ columns.swapaxes(-1, -2), rows.shape).reshape(a.shape) if self.needs[0] else None
        gb = sum_to(rows.swapaxes(-1, -2) @ gy, columns.shape).reshape(b.shape) if self.needs[1] else None
        return (
            ga if ga is None else ga.astype(a.dtype, copy=False),
            gb if gb is None else gb.astype(b.dtype, copy=False),
        )


class Sum(Function):
    """y = Σ x over `axis` (None: all, an int, or a tuple);  gx = gy, repeated along the summed axes."""

    def __init__(self, axis=None, keepdims=False):
        self.axis, self.keepdims = axis, keepdims

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

    def __init__(self, shape):
        self.new_shape = shape

    def forward(self, x):
        self.shape = x.shape
        return x.reshape(self.new_shape)

    def backward(self, gy):
        return gy.reshape(self.shape)


class Transpose(Function):
    """y = x with its axes in the order `axes` (None: reversed);  gx = gy with the axes put back."""

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
    """y = x[index];  gx is 0 but at the index, where gy is added: an element picked twice receives two gradients."""

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


def _operand(value, like):
    """`value` as a Tensor; a plain number gets the dtype that it would have in a sum with the tensor `like`."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (numbers.Number, np.generic)):
        xp = array_module(like.data)
        value = value.item() if isinstance(value, np.generic) else value
        return Tensor(
            xp.asarray(value, dtype=np.result_type(like.dtype, type(value)) if like.dtype.kind != "f" else like.dtype)
        )
    return Tensor(value)


def _binary(function, swapped=False):
    def operator(self, other):
        if not isinstance(other, (Tensor, numbers.Number, np.generic, np.ndarray)) and array_module(other) is np:
            return NotImplemented
        other = _operand(other, like=self)
        return function()(other, self) if swapped else function()(self, other)

    operator.__doc__ = function.__doc__
    return operator


def _sum(self, axis=None, keepdims=False):
    """Σ over `axis`: None for all, an int, or a tuple of ints."""
    return Sum(axis, keepdims)(self)


def _mean(self, axis=None, keepdims=False):
    """The sum divided by the number of elements that went into it."""
    axes = range(self.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    count = 1
    for a in axes:
        count *= self.shape[a]
    return self.sum(axis, keepdims) / count


def _reshape(self, *shape):
    """The same numbers in another shape: x.reshape(2, 3) or x.reshape((2, 3)); one size may be -1."""
    return Reshape(shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)(self)


def _transpose(self, *axes):
    """The axes in another order: x.transpose(0, 2, 1) or x.transpose((0, 2, 1)); with none given, reversed."""
    axes = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
    return Transpose(tuple(axes) or None)(self)


def _getitem(self, index):
    """x[index] as in NumPy: integers, slices, None, Ellipsis, integer arrays and masks."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(part.data if isinstance(part, Tensor) else part for part in parts)
    return GetItem(parts if isinstance(index, tuple) else parts[0])(self)


def _to(self, device):
    """This tensor on `device` ("cpu", "gpu", "gpu:1"); gradients travel back. Raises GpuUnavailable."""
    device = resolve_device(device)
    return self if device == self.device else To(device)(self)


Tensor.__add__, Tensor.__radd__ = _binary(Add), _binary(Add, swapped=True)
Tensor.__sub__, Tensor.__rsub__ = _binary(Subtract), _binary(Subtract, swapped=True)
Tensor.__mul__, Tensor.__rmul__ = _binary(Multiply), _binary(Multiply, swapped=True)
Tensor.__truediv__, Tensor.__rtruediv__ = _binary(Divide), _binary(Divide, swapped=True)
Tensor.__pow__, Tensor.__rpow__ = _binary(Power), _binary(Power, swapped=True)
Tensor.__matmul__, Tensor.__rmatmul__ = _binary(MatMul), _binary(MatMul, swapped=True)
Tensor.__neg__ = lambda self: Negate()(self)
Tensor.exp = lambda self: Exp()(self)
Tensor.log = lambda self: Log()(self)
Tensor.T = property(lambda self: self.transpose())
Tensor.sum, Tensor.mean = _sum, _mean
Tensor.reshape, Tensor.transpose = _reshape, _transpose
Tensor.__getitem__ = _getitem
Tensor.to = _to
