"""Optimizers: from a gradient to a step, with the definitions and defaults of Keras 3.

    g   ∂L/∂w of one parameter w, lr the learning rate; all operations element by element

    SGD       m ← μ m - lr g                        w ← w + m          (μ = 0: w ← w - lr g)
    RMSprop   v ← ρ v + (1 - ρ) g²                  w ← w - lr g / √(v + ε)
    Adam      m ← m + (1 - β₁)(g - m)
              v ← v + (1 - β₂)(g² - v)              w ← w - lr √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε)

    weight decay λ, with any of them, before the step:     w ← w - lr λ w

SGD walks down the slope. RMSprop divides by the recent size of each parameter's gradient, so that all parameters move at
a similar pace, however steep the loss is along each. Adam does that to a running mean of the gradient, and corrects
both means for having started at 0. Note where ε stands: under the root in RMSprop, beside it in Adam.

Weight decay pulls the weights towards 0, so that only those stay large which the data ask for again and again. It stands
beside the step ("decoupled"; with Adam this is AdamW): added to the gradient instead, as λ w, it would be divided by √v
like the rest, and just the weights with large gradients would hardly decay. Kernels decay, biases and γ, β do not:
these are few, cannot learn pictures by heart, and say where 0 is; they are told apart by their single axis. Source:
Loshchilov and Hutter, 2019.
"""

import numpy as np

from minunet.device import array_module, to_device, to_numpy
from minunet.kernels import kernels_for, reference


class Optimizer:
    """What all optimizers share. `memory_names` are the arrays, like the parameter, that one keeps per parameter.

    params: list of Tensors. lr: learning rate, may be changed between steps (`optimizer.lr = 1e-4`). weight_decay: λ,
    0 for none.

    An optimizer of your own needs only `update`. Those here also name the CUDA `kernel` (kernels/cuda/optimizers.cu) that
    does the same to all parameters at once, and the `hyperparameters` that it takes.
    """

    memory_names = ()
    kernel = None

    def __init__(self, params, lr, weight_decay=0.0):
        self.params = list(params)
        if not self.params:
            raise ValueError("an optimizer needs parameters, this list is empty: give model.parameters()")
        self.lr = _positive("lr", lr)
        if not 0 <= weight_decay < float("inf"):
            raise ValueError(f"weight_decay is {weight_decay!r}: it must be 0 or a positive number")
        self.weight_decay = float(weight_decay)
        self.steps = 0
        self.memories = [dict.fromkeys(self.memory_names) for _ in self.params]

    def zero_grad(self):
        """Clears all gradients; the next backward starts from nothing."""
        for p in self.params:
            p.grad = None

    def step(self):
        """Changes every parameter that has a gradient, in place."""
        self.steps += 1
        rows, odd = [], []
        for p, memory in zip(self.params, self.memories):
            if p.grad is None:
                continue
            for name, array in memory.items():
                if array is None:
                    memory[name] = array_module(p.data).zeros_like(p.data)
                else:
                    memory[name] = to_device(array, p.device)  # the model may have gone to another device since
            row = p.data, p.grad, *memory.values()
            (rows if _alike(row) else odd).append(row)
        if rows:
            self._change(rows, kernels_for(rows[0][0]))
        self._change(odd, reference)

    def _change(self, rows, kernels):
        """One step for some parameters: rows of (w, g, *memory)."""
        if self.weight_decay:
            kernels.decay([w for w, *_ in rows if w.ndim > 1], 1 - self.lr * self.weight_decay)
        kernels.update(self, rows)

    def update(self, w, g, *memory):
        """Changes w and the arrays in memory, in place, element by element (it may be called on pieces of them)."""
        raise NotImplementedError(f"{type(self).__name__}.update")

    def hyperparameters(self):
        """The numbers that the CUDA kernel takes, in its order."""
        return (self.lr,)

    def state_dict(self):
        """{"kind": …, "steps": …, "lr": …, "0/v": array, …}: what a later run needs to go on exactly so. NumPy copies."""
        state = {"kind": np.array(self._kind()), "steps": np.array(self.steps), "lr": np.array(self.lr)}
        for i, memory in enumerate(self.memories):
            state |= {f"{i}/{name}": np.array(to_numpy(array)) for name, array in memory.items() if array is not None}
        return state

    def _kind(self):
        return " ".join((type(self).__name__, *self.memory_names))  # "Adam m v"

    def load_state_dict(self, state):
        """Takes over a state_dict. Raises ValueError for one of another optimizer or model, before anything is changed."""
        names = {f"{i}/{name}": p.shape for i, p in enumerate(self.params) for name in self.memory_names}
        unknown = sorted(set(state) - set(names) - {"kind", "steps", "lr"})
        wrong = [key for key in state if key in names and np.shape(state[key]) != names[key]]
        missing = sorted({"kind", "steps", "lr"} - set(state))
        seen = {name.split("/")[0] for name in names if name in state}  # a parameter that had no gradient has no memory
        missing += [name for name in names if name.split("/")[0] in seen and name not in state]
        if unknown or wrong or missing or str(state["kind"]) != self._kind():
            raise ValueError(
                f"this state is not of a {type(self).__name__} for these parameters: "
                f"it is of {state.get('kind', 'no kind')!s}, here is {self._kind()}; "
                f"unknown {unknown}, wrong shape {wrong}, missing {missing}"
            )
        self.steps, self.lr = int(state["steps"]), float(state["lr"])
        for i, (p, memory) in enumerate(zip(self.params, self.memories)):
            for name in memory:
                array = state.get(f"{i}/{name}")
                memory[name] = None if array is None else to_device(np.array(array, dtype=p.dtype), p.device)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum μ.

    >>> from minunet import Tensor
    >>> w = Tensor([1.0], requires_grad=True); (w * w).sum().backward()
    >>> SGD([w], lr=0.25).step(); w.data
    array([0.5])
    """

    def __init__(self, params, lr=0.01, momentum=0.0, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.momentum = _fraction("momentum", momentum)
        if momentum:
            self.memories = [{"m": None} for _ in self.params]
            self.memory_names = ("m",)
        self.kernel = "momentum" if momentum else "sgd"

    def hyperparameters(self):
        return (self.lr, self.momentum) if self.momentum else (self.lr,)

    def update(self, w, g, m=None):
        if m is None:
            w -= self.lr * g
            return
        m *= self.momentum
        m -= self.lr * g
        w += m


class RMSprop(Optimizer):
    """Divides each gradient by the root of its recent mean square. Source: Tieleman and Hinton, 2012; Keras' defaults.

    >>> from minunet import Tensor
    >>> w = Tensor([1.0], requires_grad=True); (w * w).sum().backward()
    >>> RMSprop([w], lr=0.1, rho=0.75).step(); w.data      # 1 - 0.1 · 2 / √(0.25 · 4)
    array([0.80000001])
    """

    memory_names, kernel = ("v",), "rmsprop"

    def __init__(self, params, lr=1e-3, rho=0.9, epsilon=1e-7, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.rho, self.epsilon = _fraction("rho", rho), _positive("epsilon", epsilon)

    def hyperparameters(self):
        return self.lr, self.rho, self.epsilon

    def update(self, w, g, v):
        v *= self.rho
        v += (1 - self.rho) * g * g
        w -= self.lr * g / array_module(w).sqrt(v + self.epsilon)


class Adam(Optimizer):
    """RMSprop with a running mean in place of the gradient. Source: Kingma and Ba, 2015; Keras' defaults.

    >>> from minunet import Tensor
    >>> w = Tensor([1.0], requires_grad=True); (w * w).sum().backward()
    >>> Adam([w], lr=0.1).step(); round(float(w.data[0]), 6)      # the first step is lr, whatever the gradient
    0.9
    """

    memory_names, kernel = ("m", "v"), "adam"

    def __init__(self, params, lr=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.beta_1, self.beta_2 = _fraction("beta_1", beta_1), _fraction("beta_2", beta_2)
        self.epsilon = _positive("epsilon", epsilon)

    def hyperparameters(self):
        return self._rate(), self.beta_1, self.beta_2, self.epsilon

    def update(self, w, g, m, v):
        m += (1 - self.beta_1) * (g - m)
        v += (1 - self.beta_2) * (g * g - v)
        w -= self._rate() * m / (array_module(w).sqrt(v) + self.epsilon)

    def _rate(self):
        return self.lr * (1 - self.beta_2**self.steps) ** 0.5 / (1 - self.beta_1**self.steps)


def clip_gradients(params, max_norm):
    """Scales all gradients by one factor, so that together, as one long vector, they are not longer than `max_norm`.

    g ← g · min(1, max_norm / ‖g‖),  ‖g‖² = Σ g² over all parameters. The direction stays; only a step that is too long gets
    shorter. Parameters without a gradient are passed over; the others get a new gradient array. Returns ‖g‖ from before, left
    on the parameters' device so that a GPU is not waited for; 0.0 if there are no gradients. Raises ValueError unless
    max_norm > 0.

    >>> from minunet import Tensor
    >>> w = Tensor([0.0, 0.0], requires_grad=True); w.grad = np.array([3.0, 4.0])
    >>> float(clip_gradients([w], max_norm=1.0)), w.grad
    (5.0, array([0.6, 0.8]))
    """
    max_norm = _positive("max_norm", max_norm)
    params = [p for p in params if p.grad is not None]
    if not params:
        return 0.0
    xp = array_module(params[0].grad)
    g = xp.concatenate([p.grad.reshape(-1) for p in params])  # few launches on a GPU, whatever the number of parameters
    norm = xp.sqrt((g * g).sum())
    g *= (max_norm / xp.maximum(norm, max_norm)).astype(g.dtype)  # the same as min(1, max_norm / norm), without 1/0
    start = 0
    for p in params:
        p.grad = g[start : start + p.size].reshape(p.shape).astype(p.dtype, copy=False)
        start += p.size
    return norm


def _alike(arrays):
    """Can the fast kernels take these arrays? They go through memory from end to end, and know one type."""
    return all(a.flags.c_contiguous and a.dtype == arrays[0].dtype for a in arrays)


def _positive(name, value):
    """`value` as a Python float (a np.float64 would turn float32 parameters' arithmetic into float64)."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value!r}: it must be a positive number")
    return float(value)


def _fraction(name, value):
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value!r}: it must be from 0 to below 1")
    return float(value)
