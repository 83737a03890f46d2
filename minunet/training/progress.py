"""How far training has come, and what it has seen of the current epoch."""

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from minunet.device import Array, array_module, to_device, to_numpy
from minunet.tasks import Task

READ_EVERY = 20  # steps between two looks at the loss on a GPU


class Diverged(ArithmeticError):
    """The loss is no longer a finite number. The message names the epoch and the step, and what to try."""


class Progress:
    """How far training has come, and what it has seen of the current epoch: where a resumed run continues.

    epoch           the current or the next one, from 1
    step            how many of its batches are done
    losses, scores  of these batches
    """

    def __init__(self, device: str, task: Task) -> None:
        self.device = device
        self.task = task
        self.start_epoch(1)

    def start_epoch(self, epoch: int) -> None:
        """Begins an epoch, of which nothing has been seen yet."""
        self.epoch = epoch
        self.step = 0
        self.started = time.perf_counter()
        self.losses = Losses(f"epoch {epoch}", self.device)
        self.scores = self.task.training_scores()

    def add(self, loss: Array, logits: Any, labels: Any) -> None:
        """Counts a batch that was learned: its loss and its scores."""
        self.losses.add(loss, len(labels))
        self.scores.update(logits, labels)
        self.step += 1

    def state_dict(self) -> dict[str, Any]:
        """Returns numbers and arrays for `load_state_dict`. Raises Diverged if a loss is not finite."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": time.perf_counter() - self.started,
            "losses": np.array(self.losses.values(), np.float64),
            "images": np.array(self.losses.images, np.int64),
            **self.scores.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state_dict. Raises ValueError for numbers that no training comes to."""
        epoch, step, seconds = int(state["epoch"]), int(state["step"]), float(state["seconds"])
        losses, images = state["losses"].tolist(), state["images"].tolist()
        if state["losses"].dtype.kind != "f" or not all(type(count) is int and count > 0 for count in images):
            raise ValueError(f"losses are {state['losses'].dtype}, of {images!r:.40} images: no training has these")
        if "counts" in state and len(state["counts"]) != sum(images):
            raise ValueError(f"{len(state['counts'])} scores of {sum(images)} images")
        if epoch < 1 or not len(losses) == len(images) == step or not 0 <= seconds < math.inf:
            raise ValueError(f"epoch {epoch}, step {step} with {len(losses)} losses, {seconds} s: no training is there")
        self.start_epoch(epoch)
        self.step = step
        self.started -= seconds
        for loss, count in zip(losses, images):
            self.losses.add(loss, count)
        self.scores.load_state_dict(state)


class Losses:
    """The losses of one pass over the data, left on the device in one array and seldom read."""

    def __init__(self, name: str, device: str) -> None:
        self.name = name
        self.device = device
        self.array: Any = None
        self.images: list[int] = []

    def add(self, loss: Any, images: int) -> None:
        """Records the mean loss of a batch of this many images: an array of one element, or a number."""
        if self.array is None:
            self.array = to_device(np.empty(64), self.device)
        elif len(self.images) == len(self.array):
            self.array = array_module(self.array).concatenate([self.array, self.array])  # twice the room
        self.array[len(self.images)] = loss
        self.images.append(images)

    def newest(self) -> float | None:
        """Returns the loss that was added last; None where reading it would make a GPU wait too often.

        Raises Diverged if it is not finite.
        """
        if self.device != "cpu" and len(self.images) % READ_EVERY:
            return None
        value = float(self.array[len(self.images) - 1])
        return value if math.isfinite(value) else self.values()[-1]

    def values(self) -> list[float]:
        """Returns a float per step. Raises Diverged at the first that is not finite."""
        values = [] if self.array is None else to_numpy(self.array[: len(self.images)]).tolist()
        for step, value in enumerate(values, 1):
            if not math.isfinite(value):
                raise Diverged(
                    f"{self.name}, step {step}: the loss is {value}. Try a learning rate ten times lower, "
                    "another loss or optimizer, and check the masks: 0 and 1, and 255 for ignore"
                )
        return values

    def mean(self) -> float:
        """Returns the mean over all images. Raises Diverged as `values` does."""
        return sum(v * n for v, n in zip(self.values(), self.images)) / sum(self.images)
