"""Tensors: arrays that remember how they were made, so that gradients can travel back (function.py has the walk).

Most of a Tensor's operators are in operators.py, which is imported with the package.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minunet.device import Array, array_module, device_of, to_numpy
from minunet.precision import is_floating


class _GradientMode(threading.local):
    enabled = True


_mode = _GradientMode()


def gradients_are_recorded() -> bool:
    """Returns False inside `with no_grad():`, True elsewhere."""
    return _mode.enabled


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Inside `with no_grad():`, or a function decorated with `@no_grad()`, no graph is built: nothing needs a gradient.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """
    before = _mode.enabled
    _mode.enabled = False
    try:
        yield
    finally:
        _mode.enabled = before


class Creator(Protocol):
    """What a Tensor needs to know about the Function that made it (function.py)."""

    @property
    def operation(self) -> str: ...
    def run_backward(self, gy: Array) -> None: ...


class Tensor:
    """An array with a gradient.

    data           NumPy or CuPy array of any shape and dtype.
    requires_grad  True for a leaf whose gradient is wanted; floating-point only. A leaf may be frozen, and thawed, by
                   setting it: x.requires_grad = False
    grad           None, or an array like `data`: the sum of all gradients since it was last cleared
                   (`x.grad = None`). Only leaves keep one; the gradients of intermediate results are dropped at once.
    creator        the Function that made this tensor, None for a leaf.
    version        how often the data were changed in place, by an optimizer's step or by `x.data -= …`. A backward that
                   still needs the old numbers of a leaf refuses to work with the new ones. (What `x.data[...] = …`
                   writes into the array itself is not seen.)

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4., 6.])
    """

    __slots__ = ("__weakref__", "_data", "_made_to_be_trained", "creator", "grad", "name", "requires_grad", "version")
    __array_ufunc__ = None  # makes numpy_array * tensor call Tensor.__rmul__

    def __init__(self, data: TensorLike | ArrayLike, requires_grad: bool = False, name: str | None = None) -> None:
        array: Any = data.data if isinstance(data, Tensor) else data
        self.version = 0
        self._data: Array = array if array_module(array) is not np else np.asarray(array)
        if requires_grad and not is_floating(self.data.dtype):
            raise TypeError(
                f"only floating-point tensors have gradients, this one is {self.data.dtype}: "
                'give array.astype("float32")'
            )
        self.grad: Array | None = None
        self.requires_grad = requires_grad
        self._made_to_be_trained = requires_grad
        self.creator: Creator | None = None
        self.name = name

    @property
    def data(self) -> Array:
        return self._data

    @data.setter
    def data(self, array: Array) -> None:
        self.version += array is self._data  # x.data -= 1 changes the array, then hands it to x.data once more
        self._data = array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def device(self) -> str:
        """The device that holds the data: "cpu" or "gpu:K"."""
        return device_of(self.data)

    @property
    def is_parameter(self) -> bool:
        """Whether a Module that holds this leaf counts it among its parameters: also while it is frozen."""
        return self.creator is None and (self.requires_grad or self._made_to_be_trained)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        made = f", by {self.creator.operation}" if self.creator is not None else ""
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({to_numpy(self.data)!r}, device={self.device!r}{name}{grad}{made})"

    def numpy(self) -> NDArray[Any]:
        """Returns the values as a NumPy array (shared with this tensor on the CPU, copied from a GPU)."""
        return to_numpy(self.data)

    def item(self) -> Any:
        """Returns the value of a tensor with one element, a Python number."""
        return self.data.item()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """What np.asarray(tensor) gives: the values, as numpy() does. Raises TypeError for a tensor on a GPU."""
        if self.device != "cpu":
            raise TypeError(f"this tensor is on {self.device}: take its values to the CPU with .numpy()")
        return np.array(self.data, dtype, copy=True) if copy else np.asarray(self.data, dtype)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        """Whether the one number is not 0. Raises ValueError for several, which have no common truth."""
        if self.size != 1:
            raise ValueError(f"a tensor of shape {self.shape} is neither true nor false: say (x > 0).any() or .all()")
        return bool(self.item())

    def __format__(self, how: str) -> str:
        """f"{loss:.3f}" shows the one number of a tensor; without a format any tensor is shown as by repr."""
        if how and self.size != 1:
            raise ValueError(f"a tensor of shape {self.shape} cannot be shown as {how!r}: only a single number can")
        return format(self.item(), how) if how else repr(self)

    def detach(self) -> Tensor:
        """Returns a tensor with the same array and no history."""
        return Tensor(self.data)

    def backward(self, gy: TensorLike | None = None) -> None:
        """Adds ∂L/∂leaf to `.grad` of every leaf that this tensor was computed from, and frees the graph.

        gy: ∂L/∂self, an array or Tensor of this tensor's shape; 1 by default, for a tensor with a single element.
        Raises ValueError for a gy of another shape or on another device, RuntimeError if there is nothing to
        differentiate or an earlier `backward()` has already freed the graph.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "nothing to differentiate: no input of this tensor has requires_grad=True, "
                "or it was computed under no_grad()"
            )
        gy = self._upstream(gy)
        if self.creator is None:
            self.accumulate(gy, owned=False)
        else:
            self.creator.run_backward(gy)

    def accumulate(self, gx: Array, owned: bool) -> None:
        """Adds gx to `.grad`. owned: nobody else holds the array gx, so it may be kept without a copy."""
        if self.grad is None:
            self.grad = gx if owned else gx.copy()
        else:
            self.grad = array_module(gx).asarray(self.grad + gx)  # not +=: the user may hold the old array

    def _upstream(self, gy: TensorLike | None) -> Array:
        """Returns the gradient to start from, checked against this tensor."""
        xp = array_module(self.data)
        if gy is None:
            if self.size != 1:
                raise ValueError(
                    f"backward() of a tensor of shape {self.shape} needs its upstream gradient: "
                    "call .backward(gy) with an array of that shape, or reduce it with .sum() or .mean()"
                )
            return xp.ones(self.shape, self.dtype)
        gy = gy.data if isinstance(gy, Tensor) else gy
        gy = gy if array_module(gy) is not np else np.asarray(gy)
        if gy.shape != self.shape:
            raise ValueError(f"the upstream gradient has shape {gy.shape}, the tensor {self.shape}: they must be equal")
        if device_of(gy) != self.device:
            raise ValueError(f"the upstream gradient is on {device_of(gy)}, the tensor on {self.device}: move one")
        return gy.astype(self.dtype, copy=False)

    if TYPE_CHECKING:  # operators.py adds these to the class

        @property
        def T(self) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __add__(self, other: Operand) -> Tensor: ...
        def __radd__(self, other: Operand) -> Tensor: ...
        def __sub__(self, other: Operand) -> Tensor: ...
        def __rsub__(self, other: Operand) -> Tensor: ...
        def __mul__(self, other: Operand) -> Tensor: ...
        def __rmul__(self, other: Operand) -> Tensor: ...
        def __truediv__(self, other: Operand) -> Tensor: ...
        def __rtruediv__(self, other: Operand) -> Tensor: ...
        def __pow__(self, other: Operand) -> Tensor: ...
        def __rpow__(self, other: Operand) -> Tensor: ...
        def __matmul__(self, other: Operand) -> Tensor: ...
        def __rmatmul__(self, other: Operand) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __lt__(self, other: Operand) -> Array: ...
        def __le__(self, other: Operand) -> Array: ...
        def __gt__(self, other: Operand) -> Array: ...
        def __ge__(self, other: Operand) -> Array: ...
        def exp(self) -> Tensor: ...
        def log(self) -> Tensor: ...
        def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor: ...
        def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor: ...
        def reshape(self, *shape: Any) -> Tensor: ...
        def transpose(self, *axes: Any) -> Tensor: ...
        def to(self, device: str) -> Tensor: ...


# What operations take. Arrays of bool are listed on their own: they have no minus, which an Array has.
TensorLike: TypeAlias = Tensor | Array | NDArray[np.bool_]
# What may stand beside a Tensor, as in a + b
Operand: TypeAlias = TensorLike | float | np.generic
