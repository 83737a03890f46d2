"""How far training has come, and what it has seen of the running epoch."""

import math
import time

import numpy as np

from minunet.device import array_module, to_device, to_numpy
from minunet.metrics import MaskScores

READ_EVERY = 20  # steps between two looks at the loss on a GPU


class Diverged(ArithmeticError):
    """The loss is no longer a finite number. The message names the epoch and the step, and what to try."""


class Progress:
    """How far training has come, and what it has seen of the running epoch: what `epochs` goes on from.

    epoch           the one that is running or comes next, from 1
    step            how many of its batches were learnt
    losses, scores  of these batches
    """

    def __init__(self, device="cpu"):
        self.device = device
        self.start_epoch(1)

    def start_epoch(self, epoch):
        """Nothing is seen of this epoch yet."""
        self.epoch, self.step, self.started = epoch, 0, time.perf_counter()
        self.losses, self.scores = Losses(f"epoch {epoch}", self.device), MaskScores(threshold=0.0)

    def state_dict(self):
        """Numbers and arrays for `load_state_dict`. Raises Diverged if a loss is not finite."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": time.perf_counter() - self.started,
            "losses": np.array(self.losses.values(), np.float64),
            "images": np.array(self.losses.images, np.int64),
            **self.scores.state_dict(),
        }

    def load_state_dict(self, state):
        """Takes over a state_dict."""
        self.start_epoch(int(state["epoch"]))
        self.step, self.started = int(state["step"]), self.started - float(state["seconds"])
        for loss, images in zip(state["losses"], state["images"].tolist()):
            self.losses.add(loss, images)
        self.scores.load_state_dict(state)


class Losses:
    """The losses of one pass, left on the device in one array and seldom read."""

    def __init__(self, name, device):
        self.name, self.device = name, device
        self.array, self.images = None, []

    def add(self, loss, images):
        """Notes the mean loss of a batch of so many pictures: an array of one element, or a number."""
        if self.array is None:
            self.array = to_device(np.empty(64), self.device)
        elif len(self.images) == len(self.array):
            self.array = array_module(self.array).concatenate([self.array, self.array])  # twice the room
        self.array[len(self.images)] = loss
        self.images.append(images)

    def newest(self):
        """The loss that was added last; None where a GPU would be waited for too often.

        Raises Diverged if it is not finite.
        """
        if self.device != "cpu" and len(self.images) % READ_EVERY:
            return None
        value = float(self.array[len(self.images) - 1])
        return value if math.isfinite(value) else self.values()[-1]

    def values(self):
        """A float per step. Raises Diverged at the first that is not finite."""
        values = [] if self.array is None else to_numpy(self.array[: len(self.images)]).tolist()
        for step, value in enumerate(values, 1):
            if not math.isfinite(value):
                raise Diverged(
                    f"{self.name}, step {step}: the loss is {value}. Try a learning rate ten times lower, "
                    "another loss or optimizer, and check the masks: 0 and 1, and 255 to ignore"
                )
        return values

    def mean(self):
        """The mean over all pictures. Raises as `values`."""
        return sum(v * n for v, n in zip(self.values(), self.images)) / sum(self.images)
