"""Functions, the nodes of the graph, and the walk back that turns the graph into gradients.

Forward: each `Function` takes arrays and returns an array. The Tensor around the result knows its creator, and the
creator knows where each of its inputs came from, so the finished loss is the root of a graph:

    loss ── BinaryCrossEntropy ── Conv2D ──┬── x
                                           ├── w   (leaf: somebody asked for its gradient)
                                           └── b   (leaf)

Backward: let L be the loss, and gy = ∂L/∂y the gradient that reached the output y of a Function f. The chain rule says

    gx = ∂L/∂x = (∂y/∂x)ᵀ gy                    one product with the transposed Jacobian per input

and `f.backward(gy)` computes it without ever forming the Jacobian. The walk visits the Functions from the loss towards
the leaves, each one after all of its consumers. An array that is used twice receives the sum of both gradients.
Gradients are plain arrays, with no graph of their own: there are no second derivatives.

Adding up in place saves memory, and is wrong where an array is shared. Take L = z + a b with z = a + b, where a = 2
and b = 3, so that ∂L/∂a = 1 + b = 4 and ∂L/∂b = 1 + a = 3. The backward of a + b returns gz = 1 for both: one array
under two names. If the gradients of a b, 3 for a and 2 for b, were added into it, both would end at 1 + 3 + 2 = 6. So
the engine knows of each gradient whether anybody else holds its array, and adds in place only if nobody does (`_add`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minunet.autograd.tensor import Tensor, TensorLike, gradients_are_recorded
from minunet.device import Array, array_module, device_of
from minunet.precision import is_half, precision_in_use, use_precision, widened


class Call(NamedTuple):
    """A call of a Function: its name, what it read and what it returned."""

    operation: str
    inputs: list[Any]
    output: Any


class _Recording(threading.local):
    calls: list[Call] | None = None


_recording = _Recording()


@contextlib.contextmanager
def recorded_calls() -> Iterator[list[Call]]:
    """Inside `with recorded_calls() as calls:`, each call of a Function in this thread is added to the list."""
    before, _recording.calls = _recording.calls, []
    try:
        yield _recording.calls
    finally:
        _recording.calls = before


class Function:
    """One operation: `forward` and, beside it, `backward`. An instance serves one call and is a node of the graph.

    forward(*arrays)   returns the output array. It stores on `self` the arrays that backward will need, and says why.
    backward(gy)       takes ∂L/∂y and returns ∂L/∂x for each input in order (one array, or a tuple), None where
                       `self.needs[i]` is False. What it returns is gy itself, a view, or a new array that nobody else
                       holds and that the engine may keep without a copy. It never writes into gy.

    takes_half         whether forward takes arrays of 16 bits (precision.py); if not, it is given float32 instead. Each
                       gradient goes back in the dtype of its input.

    Backward runs in the precision that was in use when forward ran. After it, everything stored on the instance is
    dropped, so memory falls as the walk proceeds. A Function must not hold its output Tensor: that would be a cycle,
    which only the garbage collector could free.
    """

    needs: tuple[bool, ...]  # per input: is its gradient wanted?
    expected: tuple[tuple[tuple[int, ...], np.dtype[Any], str], ...]  # per input: its shape, dtype and device
    versions: tuple[int, ...]  # per input: how often its data had been changed when forward read them
    takes_half = False
    precision: str
    sources: Any = None  # per input: the Function that made it, the leaf itself, or None; None as a whole once freed

    def forward(self, *arrays: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, gy: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.backward")

    @property
    def operation(self) -> str:
        """The operation's name, as messages show it: "Conv2D" for a Conv2DFunction."""
        return type(self).__name__.removesuffix("Function")

    def __call__(self, *inputs: TensorLike) -> Tensor:
        tensors = [x if isinstance(x, Tensor) else Tensor(x) for x in inputs]
        self.connect(tensors)
        y = Tensor(self.output(tensors))
        if any(self.needs):
            y.requires_grad, y.creator = True, self
        return y

    def connect(self, tensors: Sequence[Tensor]) -> None:
        """Notes where the inputs come from, as far as their gradients are wanted."""
        self._check_devices(tensors)
        self.needs = tuple(gradients_are_recorded() and x.requires_grad for x in tensors)
        if any(self.needs):
            # Only where the inputs came from is kept, not the tensors: an activation that no backward needs is freed.
            self.sources = tuple((x.creator or x) if need else None for x, need in zip(tensors, self.needs))
            self.versions = tuple(x.version for x in tensors)
            self.expected = tuple((x.shape, x.dtype, x.device) for x in tensors)
            self.precision = precision_in_use()

    def output(self, tensors: Sequence[Tensor]) -> Array:
        """Returns what forward makes of the tensors' arrays."""
        arrays = [x.data if self.takes_half else widened(x.data) for x in tensors]
        y = self.forward(*arrays)
        if _recording.calls is not None:
            _recording.calls.append(Call(self.operation, arrays, y))
        return y

    def _check_devices(self, tensors: Sequence[Tensor]) -> None:
        devices = {x.device for x in tensors}
        if len(devices) > 1:
            found = ", ".join(f"{x.shape} on {x.device}" for x in tensors)
            raise ValueError(
                f'{self.operation}: inputs on different devices: {found}; move them with .to("{tensors[0].device}")'
            )

    def input_gradients(self, gy: Array) -> tuple[Any, ...]:
        """Returns backward(gy) as a tuple, each gradient checked against its input."""
        self._check_versions()
        array_module(gy)  # its GPU becomes the current one
        with use_precision(self.precision):
            gradients = self.backward(gy)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        if len(gradients) != len(self.sources):
            raise RuntimeError(
                f"{type(self).__name__}.backward returned {len(gradients)} gradients for {len(self.sources)} inputs"
            )
        checked = []
        for i, (g, need, (shape, dtype, device)) in enumerate(zip(gradients, self.needs, self.expected)):
            if need and g is None:
                raise RuntimeError(f"{type(self).__name__}.backward returned no gradient for input {i}")
            if need:
                if array_module(g) is np and not isinstance(g, np.ndarray):
                    g = array_module(gy).asarray(g)  # NumPy's sums of everything are scalars, not arrays
                if device_of(g) != device:
                    raise RuntimeError(
                        f"{type(self).__name__}.backward returned a gradient for input {i} on {device_of(g)}, "
                        f"the input is on {device}"
                    )
                if g.dtype != dtype and _is_rounded(g.dtype, dtype):
                    g = g.astype(dtype)
                if g.shape != shape or g.dtype != dtype:
                    raise RuntimeError(
                        f"{type(self).__name__}.backward returned a gradient of shape {g.shape} and {g.dtype} "
                        f"for input {i} of shape {shape} and {dtype}: they must be equal"
                    )
            checked.append(g if need else None)
        return tuple(checked)

    def _check_versions(self) -> None:
        for i, (source, version) in enumerate(zip(self.sources, self.versions)):
            if isinstance(source, Tensor) and source.version != version:
                named = f" ({source.name})" if source.name else ""
                raise RuntimeError(
                    f"{self.operation}: input {i}{named} was changed after forward had read it, so "
                    "its gradient would be wrong: call backward() before the optimizer's step, or run forward again"
                )

    def release(self) -> None:
        """Forgets everything that was stored for backward; a second backward through this node raises RuntimeError."""
        vars(self).clear()

    def run_backward(self, gy: Array) -> None:
        """Walks back through the graph from this Function, whose output has the gradient gy; the leaves get `.grad`."""
        order = _inputs_first(self)
        waiting = {self: (gy, False)}  # Function -> (gradient of its output so far, may we add into that array?)
        del gy
        while order:
            function = order.pop()
            gy, _ = waiting.pop(function)
            sources, gradients = function.sources, list(function.input_gradients(gy))
            function.release()
            ours = [_is_ours(gradients, i, gy) for i in range(len(gradients))]
            del gy
            for i, source in enumerate(sources):
                gx = gradients[i]
                gradients[i] = None
                if isinstance(source, Tensor):
                    source.accumulate(gx, ours[i])
                elif source is not None:
                    waiting[source] = _add(*waiting[source], gx, ours[i]) if source in waiting else (gx, ours[i])
                del gx  # before the next product asks for memory


def _is_rounded(a, b):
    """Returns whether one dtype is of 16 bits and the other float32: forward may have read an input as the other."""
    return (is_half(a) and b == np.float32) or (is_half(b) and a == np.float32)


def _inputs_first(root: Function) -> list[Function]:
    """Returns all Functions below `root`, each after those that it depends on.

    A loop with its own stack, since a graph can be deeper than Python's recursion limit.
    """
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        function, inputs_done = stack.pop()
        if inputs_done:
            order.append(function)
            continue
        if function in seen:
            continue
        seen.add(function)
        if function.sources is None:
            raise RuntimeError(
                f"backward() a second time through {function.operation}: the first backward() freed the graph "
                "to save memory. Run the forward pass again, or add up the losses and call backward() once"
            )
        stack.append((function, True))
        stack.extend((source, False) for source in function.sources if isinstance(source, Function))
    return order


def _is_ours(gradients, i, gy):
    """Returns whether the engine may keep gradients[i] and add into it: not if it is gy, a view, or returned twice."""
    g = gradients[i]
    return g is not None and g is not gy and g.base is None and sum(g is other for other in gradients) == 1


def _add(a, a_is_ours, b, b_is_ours):
    """Returns (a + b, True): added into the one of them that nobody else holds, or into a new array."""
    if a_is_ours:
        a += b
        return a, True
    if b_is_ours:
        b += a
        return b, True
    return a + b, True
