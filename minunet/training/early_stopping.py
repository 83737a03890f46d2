"""Early stopping: training ends once a validation score has not improved for a number of epochs.

A validation score goes up and down from epoch to epoch even while the network learns; one bad epoch means nothing. So
what counts is how long ago the best one was. The same counter tells `schedules.Plateau` when to lower the learning
rate.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Patience:
    """Counts the epochs since the best value of one score.

    monitor  a key of the rows that training yields; a loss should fall, every other score should rise.
    epochs   how many epochs in a row may bring no improvement, at least 1; None: any number, patience never runs out.

    best, waited: the best value so far (None at first), and the number of epochs since.
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
        value = float(row[self.monitor])
        sign = -1 if self.monitor.endswith("loss") else 1
        if not math.isnan(value) and (self.best is None or sign * value > sign * self.best):
            self.best = value
            self.waited = 0
        else:
            self.waited += 1
        return self.exhausted

    def state_dict(self) -> dict[str, NDArray]:
        """Returns {"best", "waited"} as NumPy arrays; NaN stands for a best value that does not exist yet."""
        return {"best": np.array(math.nan if self.best is None else self.best), "waited": np.array(self.waited)}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Restores a state_dict. Raises ValueError for anything else, before anything is changed."""
        if set(state) != {"best", "waited"}:
            raise ValueError(f"this is not the state of a Patience: it holds {sorted(state)}")
        best = float(np.asarray(state["best"]))
        waited = int(np.asarray(state["waited"]))
        if math.isinf(best) or waited < 0:
            raise ValueError(f"this is not the state of a Patience: best {best}, waited {waited}")
        self.best = None if math.isnan(best) else best
        self.waited = waited
