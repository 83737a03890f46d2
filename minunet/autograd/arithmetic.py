"""Arithmetic: + - * / **, exp, log and @, each with its derivative beside it.

An elementwise y = f(a, b) has a diagonal Jacobian, so its backward is a product: ga = gy · ∂f/∂a.

Broadcasting repeats an input along the axes where it has size 1. The transpose of "repeat" is "sum", so after the
product the gradient is summed back to the input's shape: `sum_to` is the adjoint of broadcasting.
"""

import numpy as np

from minunet.autograd.function import Function
from minunet.device import array_module


def sum_to(g, shape):
    """Returns g summed over the axes along which an array of `shape` was repeated to get g's shape."""
    if g.shape == shape:
        return g
    added = g.ndim - len(shape)
    repeated = tuple(range(added)) + tuple(added + i for i, size in enumerate(shape) if size == 1)
    return g.sum(axis=repeated, keepdims=True).reshape(shape)


class Elementwise(Function):
    """y = f(a, b) with broadcasting.

    A subclass defines `value(a, b)` and `products(gy, a, b)`: gy·∂f/∂a and gy·∂f/∂b, each as a function so that a
    gradient nobody needs is not computed. The inputs are kept for them, unless the operation is linear: its products
    depend on gy alone.
    """

    linear = False
    takes_half = True

    def forward(self, a, b):
        try:
            np.broadcast_shapes(a.shape, b.shape)
        except ValueError:
            raise ValueError(
                f"{type(self).__name__}: shapes {a.shape} and {b.shape} do not broadcast: counted from the last "
                "axis, sizes must be equal or 1; reshape one of them"
            ) from None
        self.a = None if self.linear else a
        self.b = None if self.linear else b
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

    takes_half = False  # the square of 256 is no float16 any more

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

    takes_half = True

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
                f"MatMul: shapes {a.shape} and {b.shape}: the last axis of the left must equal the "
                "second-to-last of the right; transpose or reshape one of them"
            )
        self.a = a
        self.b = b
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
