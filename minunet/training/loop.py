"""The training loop.

One step, in the order of the lecture:

    z = model.logits(batch.x)                     forward: a number per pixel, above zero for the object
    loss = criterion(z, targets, weights)         how wrong these are, as one number
    loss.backward()                               the gradient of that number, in every parameter's .grad
    optimizer.step()                              a small step downhill
    optimizer.zero_grad()                         forget the gradients, or they would add up

An epoch takes such a step for each batch of the training set, or for each group of batches (`accumulate`), then scores
the validation set without learning from it. `Trainer.epochs` yields a row of scores for each finished epoch, so the
caller's `for` decides what happens between epochs: save, draw, or `break`.

    trainer = Trainer(model, optimizer, "bce")
    for row in trainer.epochs(training, validation, count=25):
        print(row["epoch"], row["val_mean_iou"])

On a GPU, Python runs ahead of the device: no step reads a value back, except the loss now and then. With `graph`, it
does not even ask for each operation: whole steps are recorded once and replayed, with the same numbers (cuda_graph.py).
"""

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from numpy.typing import NDArray
from tqdm import tqdm

from minunet.autograd import Tensor, no_grad
from minunet.cuda_graph import each_step
from minunet.data import DataError
from minunet.data.loader import Loader
from minunet.device import Array
from minunet.kernels.memory import keep_freed_memory
from minunet.loss_scaling import LossScale, is_scaled
from minunet.models import SegmentationModel
from minunet.optim import Optimizer, clip_gradients
from minunet.tasks import Binary, Task
from minunet.training.batches import Prefetcher, ready_batch, ready_batches
from minunet.training.data_checks import check_batch, check_training_set, check_validation_set
from minunet.training.early_stopping import Patience
from minunet.training.memory import advise_batch_size
from minunet.training.progress import Losses, Progress
from minunet.training.recorded import RecordedTraining
from minunet.training.schedules import Schedule

Row = dict[str, float]  # scores by name


class Trainer:
    """Trains a model. It holds all that changes while training, and so all that a checkpoint has to hold.

    model           has logits(x) and the channels that the task needs. In evaluation mode as a whole it is switched to
                    training; a single layer that was switched to evaluation stays so (a frozen batch normalization).
    optimizer       has step() and zero_grad().
    loss            a name in `task.losses`, or a function loss(z, targets, weights).
    task            the kind of segmentation; by default binary.
    schedule        decides the learning rate before each step, see schedules.py; None leaves it to the optimizer.
    clip_norm       the longest gradient allowed, see optim.clip_gradients; None: any.
    accumulate      batches per step, where a large batch does not fit into memory. The gradients add up, each batch
                    weighted by its fraction of the group's images, also where the last batch or group is smaller. For
                    losses that are a mean over images of one size (all of the binary task) this is the gradient of one
                    large batch. Three things differ: where pixels are ignored, cross entropy divides by those that
                    count in each batch, not in the whole group; batch normalization takes the mean and the variance of
                    each batch, and updates its running averages once for each; dropout draws once for each.
    early_stopping  once its patience is exhausted, no further epoch begins; None: all epochs are trained.
    graph           on a GPU, record the step of a full batch as a CUDA graph (not with `accumulate`). A loss or a layer
                    of your own may then do nothing from step to step but what cuda_graph.py allows.

    Three callbacks may be assigned. stop(): asked between steps; once it returns True, no further row comes, and the
    model stays as it is after the last step. after_step(): called after each step, when the model and all of `parts()`
    are of the same moment and can be saved. warn(text): told once if the step cannot be recorded.

    Raises ValueError for an unknown loss, or for `accumulate` below 1.
    """

    def __init__(
        self,
        model: SegmentationModel,
        optimizer: Optimizer,
        loss: str | Callable[..., Tensor] = "bce",
        *,
        task: Task | None = None,
        schedule: Schedule | None = None,
        clip_norm: float | None = None,
        accumulate: int = 1,
        early_stopping: Patience | None = None,
        graph: bool = False,
    ) -> None:
        if accumulate < 1:
            raise ValueError(f"accumulate is {accumulate}: it must be an integer of at least 1")
        self.task = Binary() if task is None else task
        if isinstance(loss, str) and loss not in self.task.losses:
            raise ValueError(f"loss is {loss!r}: it must be one of {', '.join(self.task.losses)}, or a function")
        self.model = model
        self.optimizer = optimizer
        self.loss = self.task.losses[loss] if isinstance(loss, str) else loss
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.accumulate = accumulate
        self.early_stopping = early_stopping
        self.loss_scale = LossScale(model.device)
        self.progress = Progress(model.device, self.task)
        self.prefetcher = Prefetcher(model.device)
        self.stop: Callable[[], bool] = lambda: False
        self.after_step: Callable[[], None] = lambda: None
        self.warn: Callable[[str], None] = warnings.warn
        recordable = graph and accumulate == 1 and model.device != "cpu"
        self.recorded = RecordedTraining(self) if recordable else None

    def parts(self) -> dict[str, Any]:
        """Returns {name: part} of all that changes along with the model, each with state_dict and load_state_dict."""
        parts = {
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "patience": self.early_stopping,
            "loss_scale": self.loss_scale,
            "progress": self.progress,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def epochs(self, training: Loader, validation: Loader, count: int) -> Iterator[Row]:
        """Trains until `count` epochs are done, or until it is stopped, and yields a row of scores after each epoch.

        A row holds "epoch" (from 1), "train_X" and "val_X" for "loss" and each score X of the task, "lr" (the learning
        rate of the last step), and "seconds". The training scores are those of the predictions made while learning, so
        they lag a little behind.

        Raises DataError for data that the task cannot learn from (data_checks.py), before the first step if it can be
        seen there, and for a restored progress that is none of these batches.
        Raises Diverged if a loss is NaN or infinite, at the latest at the end of its epoch and before its row;
        OutOfMemory, which names a batch size that fits, if the GPU runs out of memory.
        """
        if self.progress.epoch == 1 and self.progress.step == 0:
            check_training_set(self.task, training)
            check_validation_set(self.task, validation)
        _check_place(self.progress, training)
        keep_freed_memory()
        while self.progress.epoch <= count and not self._is_over():
            with advise_batch_size(self.model, self.optimizer, training), _silent_overflows():
                row = self._epoch(training, validation)
            if row is None:
                return
            yield row

    def _is_over(self) -> bool:
        return self.stop() or (self.early_stopping is not None and self.early_stopping.exhausted)

    def _epoch(self, training: Loader, validation: Loader) -> Row | None:
        """Trains for an epoch, or what is left of it, and validates. Returns its row, or None if it was stopped."""
        with contextlib.nullcontext() if self.recorded is None else self.recorded.in_its_stream():
            train_scores = self._train(training)
            val_scores = None if train_scores is None else self.evaluate(validation, f"epoch {self.progress.epoch}")
        if train_scores is None or val_scores is None:
            return None
        names = ("loss", *self.task.score_names)
        row: Row = {
            "epoch": self.progress.epoch,
            **{f"train_{name}": train_scores[name] for name in names},
            **{f"val_{name}": val_scores[name] for name in names},
            "lr": self.optimizer.lr,
            "seconds": time.perf_counter() - self.progress.started,
        }
        if self.schedule is not None:
            self.schedule.epoch_done(row)
        if self.early_stopping is not None:
            self.early_stopping.update(row)
        self.progress.start_epoch(self.progress.epoch + 1)
        return row

    def _train(self, loader: Loader) -> Row | None:
        """One pass over the training set, or what is left of it. Returns its scores, or None if it was stopped."""
        progress = self.progress
        if not self.model.training:
            self.model.train()
        with _bar(loader, f"epoch {progress.epoch}") as bar:
            bar.update(sum(progress.losses.images))
            source = self._checked(loader.batches(progress.epoch, start=progress.step))
            for images, labels in self.prefetcher.batches(source):
                whole = self.recorded if len(images) == loader.batch_size else None
                if whole is not None:
                    loss, z = whole(images, labels)
                    progress.add(loss, z, labels)
                else:
                    self._make_room()
                    progress.add(*self._learn(images, labels, self._weight_in_group(loader, progress.step)), labels)
                _advance(bar, len(images), progress.losses)
                if progress.step % self.accumulate == 0 or progress.step == len(loader):
                    if whole is None:
                        self._step()
                    self.after_step()
                    if self.stop():
                        return None
        return {"loss": progress.losses.mean(), **progress.scores.result()}

    def _checked(self, source: Iterator[tuple[NDArray, NDArray]]) -> Iterator[tuple[NDArray, NDArray]]:
        for images, labels in source:
            check_batch(self.task, images, labels)
            yield images, labels

    def _make_room(self) -> None:
        if self.recorded is not None:
            self.recorded.make_room()

    def _learn(self, images: Array, labels: Array, weight: float) -> tuple[Array, Array]:
        """Forward and backward for one batch: adds `weight` times the gradient of its loss to what is in .grad.

        Returns the loss and the logits.
        """
        batch = ready_batch(self.task, images, labels)
        z = self.model.logits(batch.x)
        loss = self.loss(z, batch.targets, batch.weights)
        weighted = loss if weight == 1 else loss * weight
        (self.loss_scale.scaled(weighted) if is_scaled(self.model.device) else weighted).backward()
        return loss.data, z.data

    def whole_step(self, images: Array, labels: Array) -> tuple[Array, Array]:
        """All of a step with one batch: what a graph records."""
        loss, z = self._learn(images, labels, weight=1.0)
        self._step()
        return loss, z

    def _weight_in_group(self, loader: Loader, index: int) -> float:
        """Returns which fraction of its group's images is in batch number `index`, counted from 0."""
        first = index // self.accumulate * self.accumulate * loader.batch_size
        group = min(self.accumulate * loader.batch_size, len(loader.dataset) - first)
        return min(loader.batch_size, len(loader.dataset) - index * loader.batch_size) / group

    def _step(self) -> None:
        """Takes one step downhill along the gradients in .grad, which are then forgotten."""
        each_step(self._set_rate)
        overflow = self.loss_scale.unscale(self.optimizer.params) if is_scaled(self.model.device) else None
        if self.clip_norm is not None:
            clip_gradients(self.optimizer.params, self.clip_norm)
        if overflow is None:
            self.optimizer.step()
        else:
            self.optimizer.step(overflow)
            self.loss_scale.update(overflow)
        self.optimizer.zero_grad()

    def _set_rate(self) -> None:
        """Asks the schedule for the learning rate of the next step."""
        if self.schedule is not None:
            self.optimizer.lr = self.schedule(self.optimizer.steps)

    @no_grad()
    def evaluate(self, loader: Loader, name: str = "validation") -> Row | None:
        """Returns the scores of the model on all images of a loader: "loss", and those of the task.

        Returns None if stop() returned True on the way. Raises Diverged if the loss is not finite.
        """
        self._make_room()
        losses, scores = Losses(f"{name}, validation", self.model.device), self.task.training_scores()
        with self.model.evaluating(), _bar(loader, f"{name}, validation") as bar:
            for batch in ready_batches(self.task, self.prefetcher, self._checked(loader.batches(0))):
                z = self.model.logits(batch.x)
                losses.add(self.loss(z, batch.targets, batch.weights).data, len(batch))
                scores.update(z, batch.labels)
                _advance(bar, len(batch), losses)
                if self.stop():
                    return None
        return {"loss": losses.mean(), **scores.result()}


def _check_place(progress: Progress, loader: Loader) -> None:
    """Raises DataError unless the batches that were counted are the first ones of an epoch."""
    expected = min(progress.step * loader.batch_size, len(loader.dataset))
    if progress.step > len(loader) or sum(progress.losses.images) != expected:
        raise DataError(
            f"the run has counted {sum(progress.losses.images)} images in {progress.step} batches of an epoch: "
            f"these would be {expected}, in batches of {loader.batch_size}, of which an epoch has {len(loader)}"
        )


@contextlib.contextmanager
def _silent_overflows() -> Iterator[None]:
    """A loss that overflows is reported by Diverged, not by NumPy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)
        yield


def _bar(loader: Loader, name: str) -> tqdm:
    options = {"unit": " images", "leave": False, "disable": None, "dynamic_ncols": True}
    return tqdm(total=len(loader.dataset), desc=name, **options)


def _advance(bar: tqdm, images: int, losses: Losses) -> None:
    """Advances the bar, and shows the newest loss if it is known without waiting for a GPU."""
    newest = losses.newest()
    if newest is not None:
        bar.set_postfix(loss=f"{newest:.4f}", refresh=False)
    bar.update(images)
