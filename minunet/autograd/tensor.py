"""Tensors that remember how they were made, and the walk back that turns this memory into gradients.

Forward: each `Function` takes arrays and returns an array. The Tensor around the result knows its creator, and the
creator knows where each of its inputs came from, so the finished loss is the root of a graph:

    loss ── BinaryCrossEntropy ── Conv2D ──┬── x
                                           ├── w   (leaf: somebody asked for its gradient)
                                           └── b   (leaf)

Backward: let L be the loss, and gy = ∂L/∂y the gradient that reached the output y of a Function f. The chain rule says

    gx = ∂L/∂x = (∂y/∂x)ᵀ gy                    one product with the transposed Jacobian per input

and `f.backward(gy)` computes it without ever forming the Jacobian. `run_backward` visits the Functions from the loss
towards the leaves, each one after all of its consumers. An array used twice receives the sum of both gradients.
"""

import contextlib
import threading

import numpy as np

from minunet.device import array_module, device_of, to_numpy


class _GradientMode(threading.local):
    enabled = True


_mode = _GradientMode()


@contextlib.contextmanager
def no_grad():
    """Inside `with no_grad():`, or in a function decorated with `@no_grad()`, no graph is built: results need no gradient.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """
    before, _mode.enabled = _mode.enabled, False
    try:
        yield
    finally:
        _mode.enabled = before


class Tensor:
    """An array with a gradient.

    data           NumPy or CuPy array of any shape and dtype.
    requires_grad  True for a leaf whose gradient is wanted; floating-point only.
    grad           None, or an array like `data`: the sum of all gradients since it was last cleared
                   (`x.grad = None`). Only leaves keep one; those of intermediate results are let go at once.
    creator        the Function that made this tensor, None for a leaf.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4., 6.])
    """

    __slots__ = ("__weakref__", "creator", "data", "grad", "name", "requires_grad")
    __array_ufunc__ = None  # numpy_array * tensor asks Tensor.__rmul__, not NumPy

    def __init__(self, data, requires_grad=False, name=None):
        if isinstance(data, Tensor):
            data = data.data
        self.data = data if array_module(data) is not np else np.asarray(data)
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(
                f"only floating-point tensors have gradients, this one is {self.data.dtype}: "
                'give array.astype("float32")'
            )
        self.grad = None
        self.requires_grad = requires_grad
        self.creator = None
        self.name = name

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    device = property(lambda self: device_of(self.data), doc='"cpu" or "gpu:K"')

    def __len__(self):
        return len(self.data)

    def __repr__(self):
        name = f", name={self.name!r}" if self.name else ""
        made = f", by {type(self.creator).__name__}" if self.creator is not None else ""
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({to_numpy(self.data)!r}, device={self.device!r}{name}{grad}{made})"

    def numpy(self):
        """The values as a NumPy array (shared with this tensor on the CPU, copied from a GPU)."""
        return to_numpy(self.data)

    def item(self):
        """The value of a tensor with one element, as a Python number."""
        return self.data.item()

    def detach(self):
        """A tensor with the same array and no history."""
        return Tensor(self.data)

    def backward(self, gy=None):
        """Adds ∂L/∂leaf to `.grad` of every leaf that this tensor was computed from, and frees the graph.

        gy: ∂L/∂self, an array or Tensor of this tensor's shape; may be left out for a single element, where it is 1.
        Raises ValueError for a gy of another shape or device, RuntimeError if there is nothing to differentiate or
        the graph was already freed by an earlier `backward()`.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "nothing to differentiate: no input of this tensor has requires_grad=True, "
                "or it was computed under no_grad()"
            )
        gy = self._upstream(gy)
        if self.creator is None:
            _accumulate_in_leaf(self, gy, owned=False)
        else:
            run_backward(self.creator, gy)

    def _upstream(self, gy):
        """The gradient to start from, checked against this tensor."""
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


class Function:
    """One operation: `forward` and, beside it, `backward`. An instance serves one call and is a node of the graph.

    forward(*arrays)   returns the output array. It stores on `self` the arrays that backward will need, and says why.
    backward(gy)       gets ∂L/∂y, returns ∂L/∂x for each input in order (one array, or a tuple), None where
                       `self.needs[i]` is False. What it returns is either gy itself, a view, or a new array that nobody
                       else holds: then the engine may keep it without a copy. It never writes into gy.

    After its backward everything stored on the instance is dropped, so memory falls as the walk proceeds. A Function
    must not hold its output Tensor: that would be a cycle, which only the garbage collector could free.
    """

    sources = None  # per input: its creator, the leaf Tensor itself, or None; None as a whole once freed

    def forward(self, *arrays):
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def backward(self, gy):
        raise NotImplementedError(f"{type(self).__name__}.backward")

    def __call__(self, *inputs):
        tensors = [x if isinstance(x, Tensor) else Tensor(x) for x in inputs]
        self._check_devices(tensors)
        self.needs = tuple(_mode.enabled and x.requires_grad for x in tensors)
        y = Tensor(self.forward(*(x.data for x in tensors)))
        if any(self.needs):
            # The input tensors are not kept, only where they came from: an activation that no backward needs is freed.
            self.sources = tuple((x.creator or x) if need else None for x, need in zip(tensors, self.needs))
            self.expected = tuple((x.shape, x.dtype, x.device) for x in tensors)
            y.requires_grad, y.creator = True, self
        return y

    def _check_devices(self, tensors):
        devices = {x.device for x in tensors}
        if len(devices) > 1:
            found = ", ".join(f"{x.shape} on {x.device}" for x in tensors)
            raise ValueError(
                f'{type(self).__name__}: inputs on different devices: {found}; move them with .to("{tensors[0].device}")'
            )

    def input_gradients(self, gy):
        """backward(gy) as a tuple, each gradient checked against its input."""
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
                if g.shape != shape or g.dtype != dtype:
                    raise RuntimeError(
                        f"{type(self).__name__}.backward returned a gradient of shape {g.shape} and {g.dtype} "
                        f"for input {i} of shape {shape} and {dtype}: they must be equal"
                    )
            checked.append(g if need else None)
        return tuple(checked)

    def release(self):
        """Forgets all that was stored for backward; a second backward through this node raises."""
        vars(self).clear()


def run_backward(root, gy):
    """Walks the graph from `root`, whose output has the gradient `gy`, and leaves ∂L/∂leaf in the leaves' `.grad`."""
    order = _inputs_first(root)
    waiting = {root: (gy, False)}  # Function -> (gradient of its output so far, may we add into that array?)
    del gy
    while order:
        function = order.pop()
        gy, _ = waiting.pop(function)
        sources, gradients = function.sources, list(function.input_gradients(gy))
        function.release()
        ours = [_is_ours(gradients, i, gy) for i in range(len(gradients))]
        del gy
        for i, source in enumerate(sources):
            gx, gradients[i] = gradients[i], None
            if isinstance(source, Tensor):
                _accumulate_in_leaf(source, gx, ours[i])
            elif source is not None:
                waiting[source] = _add(*waiting[source], gx, ours[i]) if source in waiting else (gx, ours[i])
            del gx  # before the next product asks for memory


def _inputs_first(root):
    """All Functions below `root`, each after those that it depends on. A loop with its own stack, since a graph
    can be deeper than Python's recursion limit."""
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
                f"backward() a second time through {type(function).__name__}: the graph was freed by the first "
                "backward() to save memory. Run the forward pass again, or add the losses up and call "
                "backward() once"
            )
        stack.append((function, True))
        stack.extend((source, False) for source in function.sources if isinstance(source, Function))
    return order


def _is_ours(gradients, i, gy):
    """May the engine keep gradients[i] and add into it? Not if it is gy, a view of anything, or returned twice."""
    g = gradients[i]
    return g is not None and g is not gy and g.base is None and sum(g is other for other in gradients) == 1


def _add(a, a_is_ours, b, b_is_ours):
    """(a + b, True), into the one of them that nobody else holds, or into a new array."""
    if a_is_ours:
        a += b
        return a, True
    if b_is_ours:
        b += a
        return b, True
    return a + b, True


def _accumulate_in_leaf(leaf, gx, owned):
    if leaf.grad is None:
        leaf.grad = gx if owned else gx.copy()
    else:
        leaf.grad = array_module(gx).asarray(leaf.grad + gx)  # not +=: the user may hold the old array
