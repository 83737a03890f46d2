"""Concatenation: arrays side by side along one axis. This is where a skip connection comes in.

    x_1 (…, C_1, …), x_2 (…, C_2, …), …   →   y (…, C_1 + C_2 + …, …)

Forward copies, backward cuts: y holds each number of each input exactly once, so

    gx_m = the slice of gy that lies where x_m lies in y

    x_1 = (1, 2),  x_2 = (3)     →     y  = (1, 2, 3)
    gx_1 = (4, 5), gx_2 = (6)    ←     gy = (4, 5, 6)

    >>> a, b = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    >>> concatenate([a, b]).backward(Tensor([4.0, 5.0, 6.0]))
    >>> a.grad, b.grad
    (array([4., 5.]), array([6.]))

In the lecture's U-Net the order is [upsampled, skip]: the first channels come from below, the last ones across the
skip. The convolution that follows has weights of its own for each half. It adds up two convolutions,

    conv2d([a, b], w) = conv2d(a, w[:, :, :A]) + conv2d(b, w[:, :, A:])          A: how many channels a has

so the order decides which part of w belongs to which half, and weights trained for one order fit the other only after
these parts have been swapped. What came across the skip also went down through the pooling: its two gradients are added
up (autograd/function.py).

That convolution reads both arrays where they lie (conv2d.py), so y need not exist. With lazy=True, as the layer
nn.Concatenate calls it, `concatenate` returns a Tensor whose array is written when somebody asks for its `data`: a
forward hook, say, or another operation. conv2d asks for the two parts instead.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from minunet.autograd import Function, Tensor, TensorLike
from minunet.device import Array, array_module, device_of
from minunet.kernels import kernels_for
from minunet.precision import is_floating, is_half, stored


class ConcatenateFunction(Function):
    """y = the inputs side by side;  each gx = its slice of gy."""

    takes_half = True

    def __init__(self, axis=-1):
        self.axis = axis

    def forward(self, *arrays):
        if any(is_half(x.dtype) for x in arrays):
            arrays = [stored(x) for x in arrays]  # as the convolution that follows would
        self._check_shapes(arrays)
        self.ndim = arrays[0].ndim
        self.sizes = [x.shape[self.axis] for x in arrays]
        if self._is_a_skip():
            return kernels_for(arrays[0]).concatenate(*arrays)
        return array_module(arrays[0]).concatenate(arrays, axis=self.axis)

    def _is_a_skip(self):
        """Returns whether there is a kernel for this: two inputs side by side along the last of several axes."""
        return len(self.sizes) == 2 and 0 not in self.sizes and self.ndim > 1 and self.axis % self.ndim == self.ndim - 1

    def backward(self, gy):
        if self._is_a_skip() and all(self.needs):
            return kernels_for(gy).split(gy, self.sizes[0])
        xp = array_module(gy)
        gradients, start = [], 0
        axis = self.axis % gy.ndim
        for size, need in zip(self.sizes, self.needs):
            cut = (slice(None),) * axis + (slice(start, start + size),)
            gradients.append(xp.array(gy[cut]) if need else None)  # a copy: a view would keep all of gy alive
            start += size
        return tuple(gradients)

    def _check_shapes(self, arrays):
        first = arrays[0].shape
        if not -len(first) <= self.axis < len(first):
            raise ValueError(f"concatenate: there is no axis {self.axis} in an array of shape {first}")
        axis = self.axis % len(first)
        shapes = [x.shape for x in arrays]
        if len({len(s) for s in shapes}) > 1 or len({s[:axis] + s[axis + 1 :] for s in shapes}) > 1:
            raise ValueError(
                f"concatenate along axis {self.axis}: the shapes are {', '.join(map(str, shapes))}: they must be equal "
                "in all other axes; crop or pad one of them"
            )
        if len({x.dtype for x in arrays}) > 1:
            raise TypeError(
                f"concatenate: the dtypes are {', '.join(str(x.dtype) for x in arrays)}: they must all be the same; "
                "convert with .astype"
            )


class LazyConcatenation(Tensor):
    """Two images [a, b] side by side along their channels, as a Tensor that is written when its data are asked for."""

    __slots__ = ("_arrays", "_parts", "_versions", "_write")

    def __init__(self, a: Tensor, b: Tensor) -> None:
        super().__init__(a.data[:0])  # in place of the data, as long as there are parts
        self._parts: tuple[Tensor, Tensor] | None = a, b
        self._arrays: tuple[Array, ...] = a.data, b.data
        self._versions = a.version, b.version
        function = ConcatenateFunction()
        function.connect(self._parts)
        self._write = function.computed
        self.requires_grad = any(function.needs)
        self.creator = function if self.requires_grad else None

    @property
    def parts(self) -> tuple[Tensor, Tensor] | None:
        """(a, b), or None once the data have been asked for: since then, they may have been changed."""
        for part, array, version in zip(self._parts or (), self._arrays, self._versions):
            if part.data is not array or part.version != version:
                raise RuntimeError(
                    f"concatenate: an input {part.shape} was changed before the concatenation was written: ask for its "
                    ".data before you change the input, or call ops.concatenate, which writes at once"
                )
        return self._parts

    @property
    def data(self) -> Array:
        parts = self.parts
        if parts is not None:
            (self.data,) = self._write(parts)
        return self._data

    @data.setter
    def data(self, array: Array) -> None:
        self.version += array is self._data  # it was changed in place, as in Tensor
        self._data, self._parts, self._arrays = array, None, ()

    @property
    def shape(self) -> tuple[int, ...]:
        if self._parts is None:
            return self._data.shape
        a, b = self._parts
        return (*a.shape[:3], a.shape[3] + b.shape[3])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    @property
    def device(self) -> str:
        return device_of(self._data)


def two_parts(x: TensorLike) -> tuple[TensorLike, Tensor | None]:
    """Returns (a, b) if x is a concatenation [a, b] that nobody has written, else (x, None)."""
    parts = x.parts if isinstance(x, LazyConcatenation) else None
    return (x, None) if parts is None else parts


def concatenate(tensors: Iterable[TensorLike], axis: int = -1, lazy: bool = False) -> Tensor:
    """Returns the tensors side by side along `axis`: one or more of one dtype, all other axes equal.

    lazy  True: two images (N,H,W,·) side by side along their channels are written when somebody asks for the data, and
          conv2d does not. To change one of them before that is an error.

    Raises ValueError for shapes that do not fit together, TypeError for mixed dtypes.

    >>> import numpy as np
    >>> concatenate([np.array([[1.0, 2.0]]), np.array([[3.0]])]).data
    array([[1., 2., 3.]])
    """
    tensors = list(tensors)
    if not tensors:
        raise ValueError("concatenate: give at least one tensor")
    if lazy and len(tensors) == 2 and axis in (-1, 3):
        a, b = tensors
        if isinstance(a, Tensor) and isinstance(b, Tensor) and _fit(a, b):
            return LazyConcatenation(a, b)
    return ConcatenateFunction(axis)(*tensors)


def _fit(a, b):
    """Returns whether these are two images (N,H,W,C) that a convolution can read side by side."""
    ours, others = ((x.ndim, x.shape[:3], x.dtype, x.device) for x in (a, b))
    return ours == others and a.ndim == 4 and is_floating(a.dtype) and a.shape[3] > 0 and b.shape[3] > 0
