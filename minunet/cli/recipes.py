"""Recipes: what --preset, --optimizer and --schedule stand for, and the Trainer that they make together."""

from argparse import Namespace
from collections.abc import Callable

from minunet.models import UNet
from minunet.optim import SGD, Adam, Optimizer, RMSprop
from minunet.tasks import Task
from minunet.training.early_stopping import Patience
from minunet.training.loop import Trainer
from minunet.training.schedules import Constant, Cosine, Plateau, Schedule

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"rmsprop": RMSprop, "adam": Adam, "sgd": SGD}
SCHEDULES: dict[str, Callable[[Namespace, int], Schedule]] = {  # from the arguments and the number of steps in all
    "constant": lambda args, steps: Constant(args.lr),
    "cosine": lambda args, steps: Cosine(args.lr, steps, int(args.warmup * steps)),
    "plateau": lambda args, steps: Plateau(args.lr, args.monitor),
}

# How the network learns: --preset chooses one of these, a flag of the same name overrules it.
PRESETS: dict[str, dict[str, object]] = {
    "lecture": {
        "augment": "none",
        "batch_norm": False,
        "dropout": 0.0,
        "loss": "bce",
        "optimizer": "rmsprop",
        "lr": 1e-3,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup": 0.0,
    },
    "best": {
        "augment": "light",
        "batch_norm": True,
        "dropout": 0.0,
        "loss": "bce+dice",
        "optimizer": "adam",
        "lr": 2e-3,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup": 0.1,
        "batch_size": 8,
    },
}


def make_trainer(args: Namespace, model: UNet, task: Task, batches: int) -> Trainer:
    """Returns the Trainer that the arguments ask for; `batches`: how many an epoch has."""
    schedule = SCHEDULES[args.schedule](args, args.epochs * -(-batches // args.accumulate))
    optimizer = OPTIMIZERS[args.optimizer](model.parameters(), lr=schedule.lr, weight_decay=args.weight_decay)
    return Trainer(
        model,
        optimizer,
        args.loss,
        task=task,
        schedule=schedule,
        clip_norm=args.clip_norm,
        accumulate=args.accumulate,
        early_stopping=Patience(args.monitor, args.early_stop),
    )
