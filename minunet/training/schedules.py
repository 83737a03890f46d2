"""Schedules: the learning rate over the course of a training.

    t   optimizer steps done so far: 0 before the first;  T steps in all;  W of them to warm up

    Constant   lr

    Cosine     lr (t + 1) / W                                   for t < W:   up in a straight line
               lr (1 + cos(π (t - W) / (T - W))) / 2            afterward:  down along half a cosine, to 0 at t = T

    Plateau    lr, multiplied by a factor below 1 each time that a score has not improved for some epochs

Why warm up: at first all layers are random, and the running means of Adam and RMSprop are not yet meaningful; a long
step then leads astray. Why decay: with a constant rate, the weights keep jumping around in the valley they have found.
The "one-cycle" schedule is nothing more than a warm-up and a cosine, so there is none of that name.

A schedule is asked before each step: `optimizer.lr = schedule(optimizer.steps)`. The number of steps belongs to the
optimizer, and is saved with it; so only Plateau has a state of its own.

Source: Loshchilov and Hutter, "SGDR", 2017 (the cosine); Goyal et al., 2017 (the warm-up).
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minunet.training.early_stopping import Patience


class Schedule:
    """What all schedules have in common: called with t, told of each finished epoch, saved and restored.

    lr: the highest learning rate. Raises ValueError unless it is positive.
    """

    def __init__(self, lr: float) -> None:
        if not 0 < lr < math.inf:
            raise ValueError(f"lr is {lr!r}: it must be a positive number")
        self.lr = float(lr)

    def __call__(self, t: int) -> float:
        """Returns the learning rate of the step that follows t steps, a Python float."""
        return self.lr

    def epoch_done(self, row: Mapping[str, float]) -> None:
        """Takes an epoch's row of scores into account."""

    def state_dict(self) -> dict[str, NDArray]:
        """Returns {name: NumPy array} of what a resumed run could not know otherwise."""
        return {}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Restores a state_dict. Raises ValueError for that of another kind of schedule, before anything is changed."""
        if state:
            raise ValueError(f"a {type(self).__name__} schedule has no state, but this one holds {sorted(state)}")


class Constant(Schedule):
    """The same rate from the first step to the last."""


class Cosine(Schedule):
    """Up to `lr` within `warmup` steps, then down to 0 at `steps`, where it stays.

    Raises ValueError unless 0 <= warmup < steps.

    >>> schedule = Cosine(lr=1.0, steps=6, warmup=2)
    >>> [round(schedule(t), 3) for t in range(7)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(self, lr: float, steps: int, warmup: int = 0) -> None:
        super().__init__(lr)
        if not 0 <= warmup < steps:
            raise ValueError(f"warmup is {warmup!r}: it must be at least 0 and below the total of {steps!r} steps")
        self.steps = steps
        self.warmup = warmup

    def __call__(self, t: int) -> float:
        if t < self.warmup:
            return self.lr * (t + 1) / self.warmup
        done = min((t - self.warmup) / (self.steps - self.warmup), 1.0)
        return self.lr * (1 + math.cos(math.pi * done)) / 2


class Plateau(Schedule):
    """`factor` times the rate whenever `monitor` has not improved for `patience` epochs (see early_stopping.py).

    Raises ValueError unless 0 < factor < 1.

    >>> schedule = Plateau(lr=1.0, monitor="val_loss", factor=0.5, patience=1)
    >>> for loss in (0.4, 0.5, 0.3, 0.3):
    ...     schedule.epoch_done({"val_loss": loss})
    >>> schedule(0)
    0.25
    """

    def __init__(self, lr: float, monitor: str = "val_loss", factor: float = 0.3, patience: int = 5) -> None:
        super().__init__(lr)
        if not 0 < factor < 1:
            raise ValueError(f"factor is {factor!r}: it must be above 0 and below 1")
        self.factor = float(factor)
        self.patience = Patience(monitor, patience)

    def epoch_done(self, row: Mapping[str, float]) -> None:
        if self.patience.update(row):
            self.lr *= self.factor
            self.patience.waited = 0

    def state_dict(self) -> dict[str, NDArray]:
        return {"lr": np.array(self.lr), **self.patience.state_dict()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        if "lr" not in state:
            raise ValueError(f"this is not the state of a Plateau schedule: it holds {sorted(state) or 'nothing'}")
        lr = float(np.asarray(state["lr"]))
        if not 0 <= lr < math.inf:
            raise ValueError(f"this is not the state of a Plateau schedule: lr is {lr}")
        self.patience.load_state_dict({name: array for name, array in state.items() if name != "lr"})
        self.lr = lr
