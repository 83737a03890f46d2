"""Early stopping: training ends once a validation score has not improved for a number of epochs.

A validation score goes up and down from epoch to epoch even while the network learns; one bad epoch means nothing. So
what counts is how long ago the best one was. The same counter tells `schedules.Plateau` when to lower the learning
rate.

Before the first improvement. On photographs a network often calls every pixel background for some epochs: IoU 0.000.
All that can be seen of its learning is the loss. So as long as the score is still what it was after the first epoch, to
three decimals, an epoch that lowers the validation loss by a thousandth or more is not counted.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Patience:
    """Counts the epochs since the best value of one score.

    monitor  a key of the rows that training yields; a loss should fall, every other score should rise.
    epochs   how many epochs in a row may bring no improvement, at least 1; None: any number, patience never runs out.

    best, waited: the best value so far (None at first), and the number of epochs since that count.
    start, loss: the first value, None once another has come; the lowest validation loss, None before the first.
    Raises ValueError unless `epochs` is None or an integer of at least 1.

    >>> patience = Patience("val_loss", epochs=2)
    >>> [patience.update({"val_loss": loss}) for loss in (0.5, 0.4, 0.6, 0.4)]
    [False, False, False, True]
    """

    def __init__(self, monitor: str, epochs: int | None) -> None:
        if epochs is not None and (not isinstance(epochs, (int, np.integer)) or epochs < 1):
            raise ValueError(f"patience is {epochs!r}: it must be an integer number of epochs of at least 1, or None")
        self.monitor = monitor
        self.epochs = None if epochs is None else int(epochs)
        self.best: float | None = None
        self.waited = 0
        self.start: float | None = None
        self.loss: float | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the last `epochs` epochs have brought no improvement."""
        return self.epochs is not None and self.waited >= self.epochs

    def update(self, row: Mapping[str, float]) -> bool:
        """Takes an epoch's row of scores into account, and returns `exhausted`.

        NaN is never an improvement. Raises ValueError if the row has no such score.
        """
        if self.monitor not in row:
            raise ValueError(f"there is no score {self.monitor!r} to monitor: choose one of {', '.join(row)}")
        value, loss = float(row[self.monitor]), float(row.get("val_loss", math.nan))
        sign = -1 if self.monitor.endswith("loss") else 1
        first = self.best is None
        unmoved = self.start is not None and abs(value - self.start) < 5e-4
        falling = self.loss is not None and loss <= self.loss - abs(self.loss) / 1000
        if not math.isnan(value) and (self.best is None or sign * value > sign * self.best):
            self.best = value
            self.waited = 0
        elif not (unmoved and falling):
            self.waited += 1
        if first or not unmoved:
            self.start = self.best if first else None
        if not math.isnan(loss):
            self.loss = loss if self.loss is None else min(loss, self.loss)
        return self.exhausted

    def state_dict(self) -> dict[str, NDArray]:
        """Returns {name: NumPy array}: "best" (NaN for none yet), "waited"; "start" and "loss" where there are any."""
        numbers: dict[str, float | None] = {"best": math.nan if self.best is None else self.best, "waited": self.waited}
        numbers |= {"start": self.start, "loss": self.loss}
        return {name: np.array(number) for name, number in numbers.items() if number is not None}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Restores a state_dict. Raises ValueError for anything else, before anything is changed."""
        if not {"best", "waited"} <= set(state) <= {"best", "waited", "start", "loss"}:
            raise ValueError(f"this is not the state of a Patience: it holds {sorted(state)}")
        waited = int(np.asarray(state["waited"]))
        best, start, loss = (float(np.asarray(state.get(name, math.nan))) for name in ("best", "start", "loss"))
        if math.isinf(best) or math.isinf(start) or math.isinf(loss) or waited < 0:
            raise ValueError(f"this is not the state of a Patience: best {best}, waited {waited}")
        self.best, self.start, self.loss = (None if math.isnan(x) else x for x in (best, start, loss))
        self.waited = waited
