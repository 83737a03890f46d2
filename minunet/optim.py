"""Optimizers: from a gradient to a step, with the definitions and defaults of Keras 3.

    g   ∂L/∂w of one parameter w, lr the learning rate; all operations are elementwise

    SGD       m ← μ m - lr g                        w ← w + m          (μ = 0: w ← w - lr g)
    RMSprop   v ← ρ v + (1 - ρ) g²                  w ← w - lr g / √(v + ε)
    Adam      m ← m + (1 - β₁)(g - m)
              v ← v + (1 - β₂)(g² - v)              w ← w - lr √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε)

    weight decay λ, with any of them, before the step:     w ← w - lr λ w

SGD walks down the slope. RMSprop divides by the recent size of each parameter's gradient, so that all parameters move
at a similar pace, however steep the loss is along each of them. Adam does the same with a running mean of the gradient,
and corrects both averages for having started at 0. So its first step is lr, where RMSprop's is lr / √(1 - ρ) = 3.2 lr.
With either, a loss ten times as large takes the same steps; with SGD they are ten times as long.

Note where ε = 1e-7 stands: under the root in RMSprop, beside it in Adam. Where √v is below √ε = 3e-4, or in Adam below
ε, steps are no longer about lr: they shrink with the gradient. So it is with most of a fresh network (nn/init.py).
In `UNet()` on drawn pets of 128x128, in batches of 4 with lr = 0.001, 100 steps of RMSprop changed the bottleneck's
first kernel by less than a millionth of its size, and 100 steps of Adam by 3 to 20 % (seeds 0, 1 and 2).

Weight decay pulls the weights towards 0, so that only those stay large that the data ask for again and again. It is
applied beside the step ("decoupled"; with Adam this is AdamW): added to the gradient instead, as λ w, it would be
divided by √v like the rest, and precisely the weights with large gradients would hardly decay. Kernels decay; biases
and γ, β do not: there are few of them, they cannot memorize images, and they say where 0 is. They are recognized by
their single axis. Source: Loshchilov and Hutter, 2019.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor
from minunet.autograd.parameters import checked_parameters
from minunet.clipping import clip_gradients as clip_gradients
from minunet.cuda_graph import each_step
from minunet.device import Array, array_module, to_device, to_numpy
from minunet.kernels import kernels_for, reference

Params = Iterable[Tensor]
AnyOptimizer = TypeVar("AnyOptimizer", bound="Optimizer")
Row = tuple[Any, ...]  # the arrays (w, g, *state) of one parameter

# ---- the rules: each changes w and its state in place, elementwise -----------------------------------------


def sgd(w, g, lr):
    """Without momentum."""
    w -= lr * g


def sgd_with_momentum(w, g, m, lr, mu):
    """m is the step: a decaying sum of the past ones."""
    m *= mu
    m -= lr * g
    w += m


def rmsprop(w, g, v, lr, rho, epsilon):
    """v is the running mean of g²."""
    v *= rho
    v += (1 - rho) * g * g
    w -= lr * g / array_module(w).sqrt(v + epsilon)


def adam(w, g, m, v, rate, beta_1, beta_2, epsilon):
    """rate = lr √(1 - β₂ᵗ) / (1 - β₁ᵗ)."""
    m += (1 - beta_1) * (g - m)
    v += (1 - beta_2) * (g * g - v)
    w -= rate * m / (array_module(w).sqrt(v) + epsilon)


def _no_rule(*arrays_and_numbers):
    raise NotImplementedError("an optimizer needs a rule: minunet.optim.Optimizer's docstring shows how to give it one")


# ---- the optimizers ----------------------------------------------------------------------------------------


class Optimizer:
    """What all optimizers share: the parameters, their state, and the step.

    params        the Tensors to change, each once. One that is frozen later (requires_grad = False) stays as it is.
    lr            the learning rate; may be changed between steps (`optimizer.lr = 1e-4`)
    weight_decay  λ, 0 for none

    Raises TypeError for what is no list of parameters, ValueError for a Tensor without gradient or listed twice.

    To write an optimizer of your own, write its rule and a class that names it:

    >>> def sign_sgd(w, g, lr):
    ...     w -= lr * array_module(w).sign(g)
    >>> class SignSGD(Optimizer):
    ...     rule = staticmethod(sign_sgd)
    >>> w = Tensor([1.0, 2.0], requires_grad=True); (w * w).sum().backward()
    >>> SignSGD([w], lr=0.5).step(); w.data
    array([0.5, 1.5])

    The rule changes w in place and is elementwise: it may be called on pieces of w, flattened. `state_names` asks for
    arrays of w's shape, which start at 0 and are kept from step to step; the rule gets them after g, and then the
    `numbers()`. `cuda` names a kernel in kernels/cuda/optimizers.cu that does the same to all parameters at once;
    without one a GPU runs the rule itself.
    """

    rule: Callable[..., None] = staticmethod(_no_rule)
    state_names: tuple[str, ...] = ()
    cuda: str | None = None

    def __new__(cls: type[AnyOptimizer], *args: Any, **kwargs: Any) -> AnyOptimizer:
        """Names the keywords that there are, where another library's was given: betas is beta_1 and beta_2 here."""
        parameters = inspect.signature(cls.__init__).parameters.values()
        known = [parameter.name for parameter in parameters][1:]
        unknown = ", ".join(name for name in kwargs if name not in known)
        if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            raise TypeError(f"{cls.__name__} has no argument {unknown}: it has {', '.join(known)}")
        return object.__new__(cls)

    def __init__(self, params: Params, lr: float, weight_decay: float = 0.0) -> None:
        self.params = checked_parameters(params)
        self.lr = _positive("lr", lr)
        if not 0 <= weight_decay < float("inf"):
            raise ValueError(f"weight_decay is {weight_decay!r}: it must be 0 or a positive number")
        self.weight_decay = float(weight_decay)
        self.steps = 0
        self.state: list[dict[str, Any]] = [dict.fromkeys(self.state_names) for _ in self.params]

    def numbers(self) -> tuple[float, ...]:
        """Returns the hyperparameters, in the order in which the rule takes them."""
        return (self.lr,)

    def zero_grad(self) -> None:
        """Clears all gradients, so that the next backward starts from nothing."""
        for p in self.params:
            p.grad = None

    def step(self, skip: Array | None = None) -> None:
        """Changes every parameter that has a gradient, in place; none if the one bool in the array `skip` is True."""
        rows: dict[tuple[str, bool], list[Row]] = {}  # by device, and whether the fast kernels take them
        changed: list[Tensor] = []
        for p, state in zip(self.params, self.state):
            if p.grad is None or not p.requires_grad:
                continue
            for name, array in state.items():  # the model may have been moved since
                new = array_module(p.data).zeros_like
                state[name] = new(p.data) if array is None else to_device(array, p.device)
            changed.append(p)
            row = p.data, p.grad, *state.values()
            rows.setdefault((p.device, _is_regular(row)), []).append(row)

        def count() -> None:
            self.steps += 1
            for p in changed:
                p.version += 1

        each_step(count)
        for (_, regular), alike in rows.items():
            self._change(alike, kernels_for(alike[0][0]) if regular else reference, skip)

    def _change(self, rows: list[Row], kernels: ModuleType, skip: Array | None) -> None:
        """Takes one step for the parameters in `rows` of arrays (w, g, *state)."""
        if self.weight_decay:
            kernels.decay([w for w, *_ in rows if w.ndim > 1], lambda: 1 - self.lr * self.weight_decay, skip)
        kernels.update(self.rule, self.numbers, rows, self.cuda, skip)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Returns all that a later run needs to continue exactly: {"kind": …, "steps": …, "lr": …, "0/v": array, …}.

        The arrays are NumPy copies; "0/v" is the v of the first parameter.
        """
        result = {"kind": np.array(self._kind()), "steps": np.array(self.steps), "lr": np.array(self.lr)}
        for i, state in enumerate(self.state):
            result |= {f"{i}/{name}": np.array(to_numpy(array)) for name, array in state.items() if array is not None}
        return result

    def _kind(self) -> str:
        return " ".join((type(self).__name__, *self.state_names))  # "Adam m v"

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what state_dict returned.

        Raises ValueError for the state of another optimizer or model, before anything is changed.
        """
        shapes = {f"{i}/{name}": p.shape for i, p in enumerate(self.params) for name in self.state_names}
        unknown = sorted(set(state) - set(shapes) - {"kind", "steps", "lr"})
        wrong = [key for key in state if key in shapes and np.shape(state[key]) != shapes[key]]
        missing = sorted({"kind", "steps", "lr"} - set(state))
        # A parameter that never had a gradient has no state; one that has some must have all of it.
        present = {key.split("/")[0] for key in shapes if key in state}
        missing += [key for key in shapes if key.split("/")[0] in present and key not in state]
        if unknown or wrong or missing or str(state["kind"]) != self._kind():
            raise ValueError(
                f"this state does not fit a {type(self).__name__} with these parameters: "
                f"it is for {state.get('kind', 'no kind')!s}, this is {self._kind()}; "
                f"unknown {unknown}, wrong shape {wrong}, missing {missing}"
            )
        steps, lr = int(state["steps"]), float(state["lr"])
        if steps < 0 or not 0 <= lr < math.inf:
            raise ValueError(f"this state has steps {steps} and lr {lr}: no optimizer comes to that")
        self.steps, self.lr = steps, lr
        for i, (p, own) in enumerate(zip(self.params, self.state)):
            for name in own:
                array = state.get(f"{i}/{name}")
                own[name] = None if array is None else to_device(np.array(array, dtype=p.dtype), p.device)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum μ: under a constant gradient the step grows to lr g / (1 - μ).

    >>> w = Tensor([1.0], requires_grad=True); (w * w).sum().backward()
    >>> SGD([w], lr=0.25).step(); w.data
    array([0.5])
    """

    def __init__(self, params: Params, lr: float = 0.01, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        self.momentum = _fraction("momentum", momentum)
        self.state_names = ("m",) if self.momentum else ()
        self.rule = sgd_with_momentum if self.momentum else sgd
        self.cuda = "sgd_with_momentum" if self.momentum else "sgd"
        super().__init__(params, lr, weight_decay)

    def numbers(self) -> tuple[float, ...]:
        return (self.lr, self.momentum) if self.momentum else (self.lr,)


class RMSprop(Optimizer):
    """Divides each gradient by the root of its recent mean square. Source: Tieleman and Hinton, 2012; Keras' defaults.

    >>> w = Tensor([1.0], requires_grad=True); (w * w).sum().backward()
    >>> RMSprop([w], lr=0.1, rho=0.75).step(); w.data      # 1 - 0.1 · 2 / √(0.25 · 4)
    array([0.80000001])
    """

    rule = staticmethod(rmsprop)
    state_names = ("v",)
    cuda = "rmsprop"

    def __init__(
        self, params: Params, lr: float = 1e-3, rho: float = 0.9, epsilon: float = 1e-7, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, lr, weight_decay)
        self.rho = _fraction("rho", rho)
        self.epsilon = _positive("epsilon", epsilon)

    def numbers(self) -> tuple[float, ...]:
        return self.lr, self.rho, self.epsilon


class Adam(Optimizer):
    """RMSprop with a running mean in place of the gradient. Source: Kingma and Ba, 2015; Keras' defaults.

    >>> w = Tensor([1.0], requires_grad=True); (w * w).sum().backward()
    >>> Adam([w], lr=0.1).step(); round(float(w.data[0]), 6)      # the first step is lr, unless the gradient is tiny
    0.9
    """

    rule = staticmethod(adam)
    state_names = ("m", "v")
    cuda = "adam"

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr, weight_decay)
        self.beta_1 = _fraction("beta_1", beta_1)
        self.beta_2 = _fraction("beta_2", beta_2)
        self.epsilon = _positive("epsilon", epsilon)

    def numbers(self) -> tuple[float, ...]:
        rate = self.lr * (1 - self.beta_2**self.steps) ** 0.5 / (1 - self.beta_1**self.steps)
        return rate, self.beta_1, self.beta_2, self.epsilon


def _is_regular(row: Row) -> bool:
    """Returns whether the fast kernels take these arrays: they expect contiguous memory, and one dtype."""
    return all(a.flags.c_contiguous and a.dtype == row[0].dtype for a in row)


def _positive(name: str, value: float) -> float:
    """Returns `value` as a Python float: an np.float64 would turn the arithmetic of float32 parameters into float64."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value!r}: it must be a positive number")
    return float(value)


def _fraction(name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value!r}: it must be at least 0 and below 1")
    return float(value)
