"""Module: something with parameters that is called on tensors, alone or made of other Modules."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor
from minunet.device import resolve_device, to_device, to_numpy

ForwardHook = Callable[["Module", tuple[Any, ...], Tensor], Any]
AnyModule = TypeVar("AnyModule", bound="Module")

_hook: ContextVar[ForwardHook | None] = ContextVar("forward hook", default=None)
_evaluating: ContextVar[bool] = ContextVar("evaluating", default=False)


@contextlib.contextmanager
def forward_hook(hook: ForwardHook) -> Iterator[None]:
    """Inside the block, hook(layer, inputs, output) is called after each call of a layer, in the order of the calls.

    A layer is a Module that holds no other Modules; inputs is the tuple of what it was called with. An inner block's
    hook takes the place of the outer one's until it ends.

    >>> from minunet import nn
    >>> with forward_hook(lambda layer, inputs, output: print(layer.name, output.shape)):
    ...     _ = nn.MaxPool2D(2, name="pool")(np.zeros((1, 6, 6, 8), np.float32))
    pool (1, 3, 3, 8)
    """
    token = _hook.set(hook)
    try:
        yield
    finally:
        _hook.reset(token)


def layers_are_watched() -> bool:
    """Returns whether a forward hook is to see each layer with its inputs and its output."""
    return _hook.get() is not None


@contextlib.contextmanager
def evaluation() -> Iterator[None]:
    """Inside the block, all layers are in evaluation mode for this thread, whatever mode they were set to.

    No flag is changed, so another thread may train or predict with the same model meanwhile.

    >>> from minunet import nn
    >>> layer = nn.Dropout(0.5)
    >>> with evaluation():
    ...     print(layer.training)
    False
    >>> layer.training
    True
    """
    token = _evaluating.set(True)
    try:
        yield
    finally:
        _evaluating.reset(token)


class Module:
    """Subclasses keep Tensors and Modules as attributes and define `forward(*tensors)`.

    Lists, tuples and dicts of them are searched too, also within one another. A set has no order by which its members
    could be named in a file: it is refused with TypeError.

    name      parameters are called by the name of the Module that holds them: "Conv_Down_1_1/kernel"; a Module without
              a name passes on the path of attributes that leads to it: "encoder/0/kernel".
    training  True or False, for layers that behave differently while training; set by train() and eval(), for this
              Module and all within it. A single layer may differ: `layer.eval()` freezes one batch normalization.

    A parameter is a Tensor that was made with requires_grad=True. One that was set to False since is frozen: it is not
    trained, but it belongs to the Module, and is saved, loaded, moved and counted as the others are.

    Two other kinds of Tensors are state, but not trained. A subclass names them; both are saved with the parameters:

    buffer_names        running averages: they move to the device with the model, and keep their dtype.
    random_state_names  the states of random streams: they stay in main memory, where numbers are drawn, and belong to a
                        run, not to what was learned. A weights file may lack them.
    """

    name: str | None = None
    _training: bool = True
    buffer_names: tuple[str, ...] = ()
    random_state_names: tuple[str, ...] = ()

    def forward(self, *inputs: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        y = self.forward(*inputs, **options)
        hook = _hook.get()
        if hook is not None and not any(True for _ in self._children()):
            hook(self, inputs, y)
        return y

    @property
    def training(self) -> bool:
        """Whether the Module works in training mode: as it was set, but never within `evaluation()`."""
        return self._training and not _evaluating.get()

    @training.setter
    def training(self, training: bool) -> None:
        self._training = training

    def _members(self) -> Iterator[tuple[str, Any]]:
        """Yields (name, value) for all attributes; for a container among them, those of its items: "layers/0"."""
        for name, value in vars(self).items():
            yield from _items(name, value)

    def _children(self) -> Iterator[tuple[str, "Module"]]:
        return ((name, value) for name, value in self._members() if isinstance(value, Module))

    def modules(self) -> Iterator["Module"]:
        """Yields this Module and all within it, from the outside in."""
        yield self
        for _, child in self._children():
            yield from child.modules()

    def named_parameters(self, path: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yields (name, Tensor) for every parameter, frozen or not, in the order in which they became part of it."""
        return self._named(lambda module, name, value: isinstance(value, Tensor) and value.is_parameter, path)

    def named_buffers(self, path: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yields (name, Tensor) for every buffer, named as the parameters are."""
        return self._named(lambda module, name, value: name in module.buffer_names, path)

    def named_random_states(self, path: str = "") -> Iterator[tuple[str, Tensor]]:
        """Yields (name, Tensor) for the state of every random stream, named as the parameters are."""
        return self._named(lambda module, name, value: name in module.random_state_names, path)

    def _named(self, chosen: Callable[["Module", str, Any], bool], path: str) -> Iterator[tuple[str, Tensor]]:
        path = self.name or path
        for name, value in self._members():
            where = f"{path}/{name}" if path else name
            if isinstance(value, Module):
                yield from value._named(chosen, where)
            elif chosen(self, name, value):
                yield where, value

    def all_parameters(self) -> list[Tensor]:
        """Returns all parameters, the frozen ones too; one that several Modules share is listed once."""
        return list({id(tensor): tensor for _, tensor in self.named_parameters()}.values())

    def parameters(self) -> list[Tensor]:
        """Returns the parameters to be trained, for an optimizer: all but the frozen ones."""
        return [tensor for tensor in self.all_parameters() if tensor.requires_grad]

    def _saved(self) -> dict[str, Tensor]:
        """Returns {name: Tensor} of all state, parameters first.

        Raises ValueError where two have the same name: a file would keep only one of them.
        """
        state = self._named(lambda module, name, _: name in module.buffer_names + module.random_state_names, "")
        found: dict[str, Tensor] = {}
        for name, tensor in (*self.named_parameters(), *state):
            if found.setdefault(name, tensor) is not tensor:
                raise ValueError(f"two parameters are called {name}: give the Modules that hold them different names")
        return found

    @property
    def device(self) -> str:
        """The device of the parameters; "cpu" if there are none."""
        return next((p.device for _, p in self.named_parameters()), "cpu")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters; float32 if there are none."""
        return next((p.dtype for _, p in self.named_parameters()), np.dtype(np.float32))

    def to(self: AnyModule, device: str) -> AnyModule:
        """Moves parameters and buffers to `device` ("cpu", "gpu", "gpu:1") and returns the Module.

        Raises GpuUnavailable, ValueError for a name that is not a device.
        """
        device = resolve_device(device)
        for parameter in self.all_parameters():
            parameter.data = to_device(parameter.data, device)
            parameter.grad = None if parameter.grad is None else to_device(parameter.grad, device)
        for _, buffer in self.named_buffers():
            buffer.data = to_device(buffer.data, device)
        return self

    def astype(self: AnyModule, dtype: Any) -> AnyModule:
        """Changes the dtype of all parameters ("float64" to check gradients) and returns the Module."""
        for parameter in self.all_parameters():
            parameter.data = parameter.data.astype(dtype)
            parameter.grad = None
        return self

    def train(self: AnyModule, training: bool = True) -> AnyModule:
        """Switches to training mode (or, for False, to evaluation mode) and returns the Module."""
        for module in self.modules():
            module.training = training
        return self

    def eval(self: AnyModule) -> AnyModule:
        """Switches to evaluation mode and returns the Module."""
        return self.train(False)

    def evaluating(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context in which the Module works in evaluation mode, for this thread alone.

        In a Module that is in evaluation mode already each layer keeps its own choice: dropout in training mode then
        goes on dropping, which is how several predictions of one image show what the network is unsure of.
        """
        return evaluation() if self.training else contextlib.nullcontext()

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Returns {name: NumPy array}: copies of all parameters, then of all buffers and random states."""
        return {name: np.array(to_numpy(p.data)) for name, p in self._saved().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over all parameters, buffers and random states from {name: array}; dtypes and devices stay as they are.

        Raises ValueError, listing all names that are missing, unknown, or of another shape, before anything is changed.
        """
        saved = self._saved()
        problems = [f"missing: {name} {p.shape}" for name, p in saved.items() if name not in state]
        problems += [f"unknown: {name} {np.shape(a)}" for name, a in state.items() if name not in saved]
        problems += [
            f"{name}: the model has {p.shape}, the file {np.shape(state[name])}"
            for name, p in saved.items()
            if name in state and np.shape(state[name]) != p.shape
        ]
        problems += [
            f"{name}: the file has {a.dtype}, which are not real numbers"
            for name, a in state.items()
            if getattr(a, "dtype", np.dtype(float)).kind not in "fiu"
        ]
        if problems:
            raise ValueError(
                f"these weights do not fit the model ({len(problems)} differences):\n  " + "\n  ".join(problems)
            )
        arrays = {name: np.array(to_numpy(state[name]), dtype=p.dtype, order="C") for name, p in saved.items()}
        for name, p in saved.items():
            p.data = to_device(arrays[name], p.device)


def _items(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yields (name, value), or those of the items of a list, tuple or dict: ("layers/0", …), ("heads/edge", …)."""
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _items(f"{name}/{i}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _items(f"{name}/{key}", item)
    elif isinstance(value, (set, frozenset)) and any(isinstance(item, (Module, Tensor)) for item in value):
        raise TypeError(f"{name} is a set that holds layers or tensors, whose order is not fixed: use a list or a dict")
    else:
        yield name, value
