"""Schedules: the learning rate over the time of a training.

    t   steps of the optimizer done so far: 0 before the first,  T steps in all,  W of them to warm up

    Constant   lr

    Cosine     lr (t + 1) / W                                   for t < W:  up in a straight line
               lr (1 + cos(π (t - W) / (T - W))) / 2            after:      down along half a cosine, to 0 at t = T

    Plateau    lr, and a part of it each time that a score has not become better for some epochs

Why warm up: at first all layers are random, and the running means of Adam and RMSprop know nothing; a long step then goes
astray. Why go down: with a rate that stays, the weights keep jumping around the valley that they have found. Warm-up and
cosine together are all that the "one-cycle" schedule does (up, then down to nothing), so there is none of that name.

A schedule is asked before each step: `optimizer.lr = schedule(optimizer.steps)`. How many steps were done is the optimizer's
knowledge, and is saved with it; so only Plateau has a state of its own.

Source: Loshchilov and Hutter, "SGDR", 2017 (the cosine); Goyal et al., 2017 (the warm-up).
"""

import math

import numpy as np

from minunet.training.early_stopping import Patience


class Schedule:
    """What all schedules share: they are called with t, told of each finished epoch, saved and restored."""

    def __init__(self, lr):
        if not 0 < lr < math.inf:
            raise ValueError(f"lr is {lr!r}: it must be a positive number")
        self.lr = float(lr)

    def __call__(self, t):
        """The learning rate of the step that follows after t steps, a Python float."""
        return self.lr

    def epoch_done(self, row):
        """Takes note of an epoch's row of scores."""

    def state_dict(self):
        """{name: NumPy array}, what a later run cannot know by itself."""
        return {}

    def load_state_dict(self, state):
        """Takes over a state_dict. Raises ValueError for one of another kind of schedule, before anything is changed."""
        if state:
            raise ValueError(f"a {type(self).__name__} schedule has no state, this one holds {sorted(state)}")


class Constant(Schedule):
    """The same rate from the first step to the last."""


class Cosine(Schedule):
    """Up to `lr` within `warmup` steps, then down to 0 at `steps`; 0 after that.

    >>> schedule = Cosine(lr=1.0, steps=6, warmup=2)
    >>> [round(schedule(t), 3) for t in range(7)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(self, lr, steps, warmup=0):
        super().__init__(lr)
        if not 0 <= warmup < steps:
            raise ValueError(f"warmup is {warmup!r}: it must be from 0 to below the {steps!r} steps in all")
        self.steps, self.warmup = steps, warmup

    def __call__(self, t):
        if t < self.warmup:
            return self.lr * (t + 1) / self.warmup
        done = min((t - self.warmup) / (self.steps - self.warmup), 1.0)
        return self.lr * (1 + math.cos(math.pi * done)) / 2


class Plateau(Schedule):
    """`factor` times the rate whenever `monitor` has not become better for `patience` epochs (see patience.py).

    >>> schedule = Plateau(lr=1.0, monitor="val_loss", factor=0.5, patience=1)
    >>> for loss in (0.4, 0.5, 0.3, 0.3):
    ...     schedule.epoch_done({"val_loss": loss})
    >>> schedule(0)
    0.25
    """

    def __init__(self, lr, monitor="val_loss", factor=0.3, patience=5):
        super().__init__(lr)
        if not 0 < factor < 1:
            raise ValueError(f"factor is {factor!r}: it must be above 0 and below 1")
        self.factor, self.patience = float(factor), Patience(monitor, patience)

    def epoch_done(self, row):
        if self.patience.ends(row):
            self.lr *= self.factor
            self.patience.waited = 0

    def state_dict(self):
        return {"lr": np.array(self.lr), **self.patience.state_dict()}

    def load_state_dict(self, state):
        if "lr" not in state:
            raise ValueError(f"this is no state of a Plateau schedule: it holds {sorted(state) or 'nothing'}")
        self.patience.load_state_dict({name: array for name, array in state.items() if name != "lr"})
        self.lr = float(state["lr"])
