"""The training loop.

One step, in the order of the lecture:

    z = model.logits(x)            forward: a number per pixel, above zero for "pet"
    error = loss(z, t, weights)    how wrong they are, one number
    error.backward()               the gradient of that number, in every parameter's .grad
    optimizer.step()               a small step downhill
    optimizer.zero_grad()          forget the gradients, they would add up

An epoch takes such a step for each batch of the training set, or for each group of batches (see `epochs`,
accumulate), then looks at the validation set without learning. `epochs` yields one row of scores per finished
epoch, so the caller's `for` decides what happens between epochs: save, draw, or `break` to stop early.

    for row in train.epochs(model, optimizer, loss, training, validation, count=25):
        print(row["epoch"], row["val_mean_iou"])

On a GPU, Python runs ahead of the card: nothing in a step reads a value back, except the loss now and then.
"""

import math
import os
import signal
import threading
import time
import warnings

import numpy as np
from tqdm import tqdm

from minunet import ops
from minunet.autograd import Tensor, no_grad
from minunet.data.pets import IGNORE
from minunet.device import move
from minunet.kernels import kernels_for
from minunet.kernels.memory import keep_freed_memory
from minunet.metrics import MaskScores
from minunet.optim import clip_gradients

SCORES = ("loss", "iou", "mean_iou", "dice", "accuracy")
READ_EVERY = 20  # steps between two looks at the loss on a GPU


class Diverged(ArithmeticError):
    """The loss is no longer a finite number. The message names the epoch and the step, and what to try."""


def dice_loss_on_logits(z, t, weights=None):
    """`ops.dice_loss` of the probabilities sigmoid(z); arguments as the other losses here."""
    return ops.dice_loss(ops.sigmoid(z), t, weights)


# loss(z, t, weights) -> Tensor of one element; all three are (N, H, W, 1):
# z logits, t 0 or 1, weights 0 where a pixel is ignored and 1 elsewhere
LOSSES = {
    "bce": ops.binary_cross_entropy_with_logits,
    "dice": dice_loss_on_logits,
    "bce+dice": ops.bce_dice_loss,
}


def epochs(
    model, optimizer, loss, training, validation, count, stop=lambda: False, schedule=None, clip_norm=None, accumulate=1
):
    """Trains for `count` epochs, and yields after each one its row of scores.

    model: has logits(x), train(), eval() and .device; optimizer: has step() and zero_grad(); loss: as in
    `LOSSES`. training, validation: Loaders. stop(): asked between steps; once it answers True no further row
    comes, and the model stays as it is after the last step done. A row is a dict: "epoch" (from 1), "train_X"
    and "val_X" for each X in SCORES, "lr" (the learning rate of its last step), and "seconds". The training scores are
    those of the predictions made while learning, so they lag a little behind.

    schedule: decides the learning rate before each step, see schedules.py; None leaves it to the optimizer.
    clip_norm: the longest gradient allowed, see optim.clip_gradients; None for any.
    accumulate: a step for every so many batches, for batches that do not fit into memory at once. The gradients
    add up, each batch with its share of the group's pictures, also where the last batch or group is smaller. For
    losses that are a mean over pictures of one size (all in LOSSES) this is the gradient of one large batch.
    Three things differ: where pixels are ignored, cross entropy divides by those that count in each batch, not in
    all; batch normalisation takes the mean and the variance of each batch, and its averages move once for each;
    dropout draws once for each.
    Raises Diverged when a loss is NaN or infinite, at the latest at the end of its epoch and before its row.
    """
    if accumulate < 1:
        raise ValueError(f"accumulate is {accumulate}: it must be 1 or more")
    keep_freed_memory()

    def step():
        _step(optimizer, schedule, clip_norm)

    for epoch in range(1, count + 1):
        if stop():
            return
        start = time.perf_counter()
        with warnings.catch_warnings():  # a loss that overflows is reported by Diverged, not by NumPy
            warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)
            train = _train_epoch(model, step, loss, training, epoch, stop, accumulate)
            val = None if train is None else evaluate(model, loss, validation, f"epoch {epoch}", stop)
        if val is None:
            return
        row = {
            "epoch": epoch,
            **{f"train_{name}": train[name] for name in SCORES},
            **{f"val_{name}": val[name] for name in SCORES},
            "lr": optimizer.lr,
            "seconds": time.perf_counter() - start,
        }
        if schedule is not None:
            schedule.epoch_done(row)
        yield row


def _step(optimizer, schedule, clip_norm):
    """One step downhill with the gradients that are there, which are then forgotten."""
    if schedule is not None:
        optimizer.lr = schedule(optimizer.steps)
    if clip_norm is not None:
        clip_gradients(optimizer.params, clip_norm)
    optimizer.step()
    optimizer.zero_grad()


def _share(loader, index, accumulate):
    """How much of its group of `accumulate` batches the batch number `index` is: pictures / pictures of the group."""
    first = index // accumulate * accumulate * loader.batch_size
    group = min(accumulate * loader.batch_size, len(loader.dataset) - first)
    return min(loader.batch_size, len(loader.dataset) - index * loader.batch_size) / group


def _train_epoch(model, step, loss, loader, epoch, stop, accumulate):
    """One pass over the training set. Returns its scores, or None if it was stopped."""
    model.train()
    losses, scores = _Losses(f"epoch {epoch}", model.device), MaskScores(threshold=0.0)
    with _bar(loader, f"epoch {epoch}") as bar:
        for index, (images, masks) in enumerate(loader.batches(epoch)):
            x, t, weights, masks = to_device(images, masks, model.device)
            z = model.logits(x)
            error = loss(z, t, weights)
            losses.add(error.data, len(images), bar)
            share = _share(loader, index, accumulate)
            (error if share == 1 else error * share).backward()
            scores.update(z, masks)
            bar.update(len(images))
            if (index + 1) % accumulate == 0 or index + 1 == len(loader):
                step()
                if stop():
                    return None
    return {"loss": losses.mean(), **scores.result()}


@no_grad()
def evaluate(model, loss, loader, name="validation", stop=lambda: False):
    """The scores of the model on all pictures of a Loader: "loss", and what `MaskScores.result` returns.

    Returns None if stop() answered True on the way. Raises Diverged if the loss is not finite.
    """
    model.eval()
    losses, scores = _Losses(f"{name}, validation", model.device), MaskScores(threshold=0.0)
    with _bar(loader, f"{name}, validation") as bar:
        for images, masks in loader.batches(0):
            x, t, weights, masks = to_device(images, masks, model.device)
            z = model.logits(x)
            losses.add(loss(z, t, weights).data, len(images), bar)
            scores.update(z, masks)
            bar.update(len(images))
            if stop():
                return None
    return {"loss": losses.mean(), **scores.result()}


def answers_without_a_model(dataset):
    """What "all is pet" and "all is background" would score: a pair of dicts (see `MaskScores.result`).

    Raises ValueError if every pixel of the dataset is ignored.
    """
    pet, background = MaskScores(), MaskScores()
    for i in tqdm(range(len(dataset)), desc="masks", unit=" images", leave=False, disable=None, delay=1):
        mask = dataset[i][1][None]
        pet.update(np.ones_like(mask), mask)
        background.update(np.zeros_like(mask), mask)
    return pet.result(), background.result()


def to_device(images, masks, device):
    """A batch, ready for the model: x, t, weights, masks.

    images: uint8 (N, H, W, 3); masks: uint8 (N, H, W, 1), values 0, 1, and 255 to ignore; NumPy arrays.
    They travel as uint8, a quarter of the bytes, and become float32 on the device: x in [0, 1], t 0 or 1 for
    pet, weights 0 for ignored pixels and 1 for the others.
    """
    images, masks = move(images, device), move(masks, device)
    x, t, weights = kernels_for(images).decode(images, masks, IGNORE)
    return Tensor(x), t, weights, masks


class Interrupt:
    """Turns Ctrl-C into a question that the loop asks between two steps, so that no step is left half done.

    Inside `with Interrupt() as interrupt:`, the first SIGINT (Ctrl-C) or SIGTERM makes `interrupt()` answer
    True and is kept in `interrupt.signal`; the second raises KeyboardInterrupt at once. Outside the main
    thread, where Python allows no handlers, it changes nothing.
    """

    signal = None

    def __enter__(self):
        caught = (signal.SIGINT, signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread():
            caught = ()
        self._before = {number: signal.signal(number, self._note) for number in caught}
        return self

    def __exit__(self, *exception):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self):
        return self.signal is not None

    def _note(self, number, frame):
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        # not print: a handler may come in the middle of another print
        os.write(2, b"\nstopping after this step, then saving (once more: stop at once)\n")


class _Losses:
    """The losses of one pass, left on the device and read as seldom as that is free."""

    def __init__(self, name, device):
        self.name, self.every = name, 1 if device == "cpu" else READ_EVERY
        self.losses, self.images = [], []

    def add(self, loss, images, bar):
        """Note the mean loss of a batch of so many pictures. Raises Diverged if it is read and not finite."""
        self.losses.append(loss)
        self.images.append(images)
        if len(self.losses) % self.every == 0:
            value = float(loss)
            if not math.isfinite(value):
                self.mean()
            bar.set_postfix(loss=f"{value:.4f}", refresh=False)

    def mean(self):
        """The mean over all pictures. Raises Diverged at the first loss that is not finite."""
        values = [float(loss) for loss in self.losses]
        for step, value in enumerate(values, 1):
            if not math.isfinite(value):
                raise Diverged(
                    f"{self.name}, step {step}: the loss is {value}. Try a learning rate ten times lower, "
                    "another loss or optimizer, and check the masks: 0 and 1, and 255 to ignore"
                )
        return sum(v * n for v, n in zip(values, self.images)) / sum(self.images)


def _bar(loader, name):
    options = {"unit": " images", "leave": False, "disable": None, "dynamic_ncols": True}
    return tqdm(total=len(loader.dataset), desc=name, **options)
