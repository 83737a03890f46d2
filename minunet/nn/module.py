"""Module: something with parameters that is called on tensors, alone or made of other Modules."""

import contextlib
from contextvars import ContextVar

import numpy as np

from minunet.autograd import Tensor
from minunet.device import resolve_device, to_device, to_numpy

_watcher = ContextVar("what watches the calls of layers", default=None)


@contextlib.contextmanager
def forward_hook(watcher):
    """Inside the block, watcher(layer, inputs, output) is called for every Module with no Modules inside it."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


class Module:
    """Subclasses keep Tensors and Modules as attributes (or in lists) and define `forward(*tensors)`.

    name      a parameter is called by the name of the Module that holds it: "Conv_Down_1_1/kernel"; a Module without a
              name passes on the path of attributes that leads to it: "encoder/0/kernel".
    training  True or False, for layers that behave differently while training; set by train() and eval().

    buffer_names  the attributes that are Tensors too, but not trained: running averages, the state of a random stream.
                  They are saved with the parameters, and keep their type. Whole numbers stay in main memory, where they
                  are used.
    """

    name = None
    training = True
    buffer_names = ()

    def forward(self, *inputs):
        raise NotImplementedError(f"{type(self).__name__}.forward")

    def __call__(self, *inputs, **options):
        y = self.forward(*inputs, **options)
        watcher = _watcher.get()
        if watcher is not None and not any(True for _ in self._children()):
            watcher(self, inputs, y)
        return y

    def _members(self):
        """(name, value) of all attributes, the lists among them taken apart."""
        for name, value in vars(self).items():
            if isinstance(value, (list, tuple)):
                yield from ((f"{name}/{i}", item) for i, item in enumerate(value))
            else:
                yield name, value

    def _children(self):
        return ((name, value) for name, value in self._members() if isinstance(value, Module))

    def modules(self):
        """This Module and all within it, from the outside in."""
        yield self
        for _, child in self._children():
            yield from child.modules()

    def named_parameters(self, path=""):
        """(name, Tensor) of every parameter, in the order in which they were made part of the Module."""
        path = self.name or path
        for name, value in self._members():
            where = f"{path}/{name}" if path else name
            if isinstance(value, Tensor) and value.requires_grad:
                yield where, value
            elif isinstance(value, Module):
                yield from value.named_parameters(where)

    def parameters(self):
        """All Tensors to be trained, as a list; one that several Modules share is in it once."""
        return list({id(tensor): tensor for _, tensor in self.named_parameters()}.values())

    def named_buffers(self, path=""):
        """(name, Tensor) of every buffer, named as the parameters are."""
        path = self.name or path
        for name, value in self._members():
            where = f"{path}/{name}" if path else name
            if name in self.buffer_names:
                yield where, value
            elif isinstance(value, Module):
                yield from value.named_buffers(where)

    def _saved(self):
        """{name: Tensor} of parameters and buffers, or ValueError where two have one name: a file would keep only one."""
        found = {}
        for name, tensor in (*self.named_parameters(), *self.named_buffers()):
            if found.setdefault(name, tensor) is not tensor:
                raise ValueError(f"two parameters are called {name}: give the Modules that hold them different names")
        return found

    @property
    def device(self):
        """The device of the parameters; "cpu" if there are none."""
        return next((p.device for p in self.parameters()), "cpu")

    def to(self, device):
        """Moves parameters and buffers to `device` ("cpu", "gpu", "gpu:1"), and returns the Module. Raises GpuUnavailable."""
        device = resolve_device(device)
        for parameter in self.parameters():
            parameter.data = to_device(parameter.data, device)
            parameter.grad = None if parameter.grad is None else to_device(parameter.grad, device)
        for _, buffer in self.named_buffers():
            if buffer.dtype.kind == "f":
                buffer.data = to_device(buffer.data, device)
        return self

    def astype(self, dtype):
        """Changes the type of all parameters, "float64" to check gradients, and returns the Module."""
        for parameter in self.parameters():
            parameter.data = parameter.data.astype(dtype)
            parameter.grad = None
        return self

    def train(self, training=True):
        """Switches to training, and returns the Module."""
        for module in self.modules():
            module.training = training
        return self

    def eval(self):
        """Switches to using what was learnt, and returns the Module."""
        return self.train(False)

    def state_dict(self):
        """{name: NumPy array}, copies of all parameters, then of all buffers."""
        return {name: np.array(to_numpy(p.data)) for name, p in self._saved().items()}

    def load_state_dict(self, state):
        """Takes over all parameters and buffers from {name: array}; types and device stay as they are.

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
            f"{name}: the file has {a.dtype}, no real numbers"
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
