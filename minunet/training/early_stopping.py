"""Patience: for how many epochs may a score fail to get better? Used to stop early, and to lower the learning rate.

A validation score goes up and down from epoch to epoch even while the network learns; one bad epoch means nothing. So
what counts is how long ago the best one was.
"""

import math

import numpy as np


class Patience:
    """Watches one score of the rows that `train.epochs` yields.

    monitor  a key of the rows; of a loss the lower is the better, of every other score the higher.
    epochs   how many in a row may bring nothing better, 1 or more.

    best, waited: the best value so far (None at first), and how many epochs have gone by since.

    >>> patience = Patience("val_loss", epochs=2)
    >>> [patience.ends({"val_loss": loss}) for loss in (0.5, 0.4, 0.6, 0.4)]
    [False, False, False, True]
    """

    def __init__(self, monitor, epochs):
        if not isinstance(epochs, (int, np.integer)) or epochs < 1:
            raise ValueError(f"patience is {epochs!r}: it must be a whole number of epochs from 1")
        self.monitor, self.epochs = monitor, int(epochs)
        self.best, self.waited = None, 0

    def ends(self, row):
        """Takes note of an epoch's row. True if `epochs` epochs in a row, this one the last, have brought nothing better.

        NaN is never better. Raises ValueError if the row has no such score.
        """
        if self.monitor not in row:
            raise ValueError(f"there is no score {self.monitor!r} to watch: choose one of {', '.join(row)}")
        value = float(row[self.monitor])
        sign = -1 if self.monitor.endswith("loss") else 1
        if not math.isnan(value) and (self.best is None or sign * value > sign * self.best):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        return self.waited >= self.epochs

    def state_dict(self):
        """{"best", "waited"} as NumPy arrays; a best that is not there yet is NaN."""
        return {"best": np.array(math.nan if self.best is None else self.best), "waited": np.array(self.waited)}

    def load_state_dict(self, state):
        """Takes over a state_dict. Raises ValueError for anything else, before anything is changed."""
        if set(state) != {"best", "waited"}:
            raise ValueError(f"this is no state of a Patience: it holds {sorted(state)}")
        best, waited = float(state["best"]), int(state["waited"])
        self.best, self.waited = None if math.isnan(best) else best, waited
