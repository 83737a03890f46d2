"""Recipes: what --preset, --optimizer and --schedule stand for, and the Trainer that they make together."""

from argparse import Namespace
from collections.abc import Callable

from minunet.models import UNet, UNet2015
from minunet.optim import SGD, Adam, Optimizer, RMSprop
from minunet.tasks import Task
from minunet.training.early_stopping import Patience
from minunet.training.loop import Trainer
from minunet.training.schedules import Constant, Cosine, Plateau, Schedule

LOSS_FOR_CLASSES = {"bce": "ce", "bce+dice": "ce+dice"}  # what a preset's loss is where there are several classes
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"rmsprop": RMSprop, "adam": Adam, "sgd": SGD}
SCHEDULES: dict[str, Callable[[Namespace, int], Schedule]] = {  # from the arguments and the steps of an epoch
    "constant": lambda args, steps: Constant(args.lr),
    "cosine": lambda args, steps: _cosine(args, steps),
    "plateau": lambda args, steps: Plateau(args.lr, args.monitor),
}

# How the network learns: --preset chooses one of these, a flag of that name overrules it. What it leaves open depends
# on the data (arguments.py).
PRESETS: dict[str, dict[str, object]] = {
    "lecture": {
        "network": "unet",
        "augment": "none",
        "batch_norm": False,
        "dropout": 0.0,
        "loss": "bce",
        "optimizer": "rmsprop",
        "momentum": 0.0,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup": 0.0,
    },
    "best": {
        "network": "unet",
        "augment": "light",
        "batch_norm": True,
        "dropout": 0.0,
        "loss": "bce+dice",
        "optimizer": "adam",
        "momentum": 0.0,
        "lr": 2e-3,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup": 0.1,
        "batch_size": 8,
    },
    # Ronneberger, Fischer, Brox, 2015. The paper names no learning rate.
    "paper": {
        "network": "unet2015",
        "augment": "elastic",
        "batch_norm": False,
        "dropout": 0.5,
        "loss": "bce",
        "optimizer": "sgd",
        "momentum": 0.99,
        "lr": 1e-3,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup": 0.0,
        "batch_size": 1,
    },
}


def schedule_end(args: Namespace) -> int:
    """Returns the epoch with which a cosine ends."""
    return args.epochs if args.schedule_epochs is None else args.schedule_epochs


def _cosine(args: Namespace, steps: int) -> Cosine:
    total = schedule_end(args) * steps
    return Cosine(args.lr, total, int(args.warmup * total), keep_last=schedule_end(args) < args.epochs)


def make_model(args: Namespace, task: Task) -> UNet | UNet2015:
    """Returns the network that the arguments ask for, with the channels that the task needs."""
    options = {
        "out_channels": task.out_channels,
        "activation": task.activation,
        "seed": args.seed,
        "dropout": args.dropout,
        "batch_norm": args.batch_norm,
    }
    if args.width is not None:
        options["width"] = args.width
    if args.network == "unet2015":
        return UNet2015(in_channels=3, mirror=True, **options)
    return UNet(**options)


def make_trainer(args: Namespace, model: UNet | UNet2015, task: Task, batches: int) -> Trainer:
    """Returns the Trainer that the arguments ask for; `batches`: how many an epoch has."""
    schedule = SCHEDULES[args.schedule](args, -(-batches // args.accumulate))
    options = {"momentum": args.momentum} if args.optimizer == "sgd" else {}
    optimizer = OPTIMIZERS[args.optimizer](
        model.parameters(), lr=schedule.lr, weight_decay=args.weight_decay, **options
    )
    return Trainer(
        model,
        optimizer,
        args.loss,
        task=task,
        schedule=schedule,
        clip_norm=args.clip_norm,
        accumulate=args.accumulate,
        early_stopping=Patience(args.monitor, args.early_stop),
        graph=args.graph,
    )
