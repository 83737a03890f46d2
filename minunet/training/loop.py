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

import time
import warnings

import numpy as np
from tqdm import tqdm

from minunet import ops
from minunet.autograd import Tensor, no_grad
from minunet.data.labels import IGNORE
from minunet.device import ran_out_of_memory, to_device
from minunet.kernels import kernels_for
from minunet.kernels.memory import keep_freed_memory
from minunet.metrics import MaskScores
from minunet.nn import costs
from minunet.optim import clip_gradients
from minunet.training.batches import Feed
from minunet.training.progress import Losses, Progress

SCORES = ("loss", "iou", "mean_iou", "dice", "accuracy")


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
    model,
    optimizer,
    loss,
    training,
    validation,
    count,
    stop=lambda: False,
    schedule=None,
    clip_norm=None,
    accumulate=1,
    progress=None,
    after_step=lambda: None,
):
    """Trains until `count` epochs are done, and yields after each one its row of scores.

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
    progress: where to begin, a Progress, by default at the first step; it moves along. after_step(): called between
    steps, when model, optimizer and progress belong together and can be saved.
    Raises Diverged when a loss is NaN or infinite, at the latest at the end of its epoch and before its row;
    OutOfMemory, which names a batch size that fits, when the memory of the card is used up.
    """
    if accumulate < 1:
        raise ValueError(f"accumulate is {accumulate}: it must be 1 or more")
    keep_freed_memory()
    progress = Progress(model.device) if progress is None else progress

    def step():
        _step(optimizer, schedule, clip_norm)
        after_step()

    short, feed = None, Feed(model.device)
    try:
        while progress.epoch <= count and not stop():
            row = _epoch(model, step, loss, feed, training, validation, progress, stop, accumulate)
            if row is None:
                return
            row = {**row, "lr": optimizer.lr, "seconds": time.perf_counter() - progress.started}
            if schedule is not None:
                schedule.epoch_done(row)
            progress.start_epoch(progress.epoch + 1)
            yield row
    except Exception as error:
        if model.device == "cpu" or not ran_out_of_memory(error):
            raise
        short = error.with_traceback(None)  # whose frames hold the batch and the whole graph
    if short is not None:
        raise costs.out_of_memory(model, optimizer, training) from short


def _epoch(model, step, loss, feed, training, validation, progress, stop, accumulate):
    """Learns, or learns on, then looks at the validation set. Returns the row's scores, or None if it was stopped."""
    epoch = progress.epoch
    with warnings.catch_warnings():  # a loss that overflows is reported by Diverged, not by NumPy
        warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)
        train = _train_epoch(model, step, loss, feed, training, progress, stop, accumulate)
        val = None if train is None else evaluate(model, loss, validation, f"epoch {epoch}", stop, feed)
    if val is None:
        return None
    return {
        "epoch": epoch,
        **{f"train_{name}": train[name] for name in SCORES},
        **{f"val_{name}": val[name] for name in SCORES},
    }


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


def _train_epoch(model, step, loss, feed, loader, progress, stop, accumulate):
    """One pass over the training set, or what is left of it. Returns its scores, or None if it was stopped."""
    model.train()
    losses, scores = progress.losses, progress.scores
    with _bar(loader, f"epoch {progress.epoch}") as bar:
        bar.update(sum(losses.images))
        for images, masks in feed.batches(loader.batches(progress.epoch, start=progress.step)):
            x, t, weights, masks = prepare_batch(images, masks, model.device)
            z = model.logits(x)
            error = loss(z, t, weights)
            losses.add(error.data, len(images))
            share = _share(loader, progress.step, accumulate)
            (error if share == 1 else error * share).backward()
            scores.update(z, masks)
            progress.step += 1
            _advance(bar, len(images), losses)
            if progress.step % accumulate == 0 or progress.step == len(loader):
                step()
                if stop():
                    return None
    return {"loss": losses.mean(), **scores.result()}


@no_grad()
def evaluate(model, loss, loader, name="validation", stop=lambda: False, feed=None):
    """The scores of the model on all pictures of a Loader: "loss", and what `MaskScores.result` returns.

    feed: the Feed that brings the batches to the model's device, a new one if None. Returns None if stop()
    answered True on the way. Raises Diverged if the loss is not finite.
    """
    model.eval()
    feed = feed or Feed(model.device)
    losses, scores = Losses(f"{name}, validation", model.device), MaskScores(threshold=0.0)
    with _bar(loader, f"{name}, validation") as bar:
        for images, masks in feed.batches(loader.batches(0)):
            x, t, weights, masks = prepare_batch(images, masks, model.device)
            z = model.logits(x)
            losses.add(loss(z, t, weights).data, len(images))
            scores.update(z, masks)
            _advance(bar, len(images), losses)
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


def prepare_batch(images, masks, device):
    """A batch, ready for the model: x, t, weights, masks.

    images: uint8 (N, H, W, 3); masks: uint8 (N, H, W, 1), values 0, 1, and 255 to ignore; NumPy arrays.
    They travel as uint8, a quarter of the bytes, and become float32 on the device: x in [0, 1], t 0 or 1 for
    pet, weights 0 for ignored pixels and 1 for the others.
    """
    images, masks = to_device(images, device), to_device(masks, device)
    x, t, weights = kernels_for(images).decode(images, masks, IGNORE)
    return Tensor(x), t, weights, masks


def _bar(loader, name):
    options = {"unit": " images", "leave": False, "disable": None, "dynamic_ncols": True}
    return tqdm(total=len(loader.dataset), desc=name, **options)


def _advance(bar, images, losses):
    """Moves the bar on, and shows the newest loss in it where that is known without waiting for a GPU."""
    newest = losses.newest()
    if newest is not None:
        bar.set_postfix(loss=f"{newest:.4f}", refresh=False)
    bar.update(images)
