"""The flags of `minunet train`: their defaults, the presets, and how --resume brings those of an earlier run back."""

import argparse
import sys
from argparse import Namespace
from collections.abc import Sequence

from minunet.cli.arguments import (
    MOST_PIXELS,
    Parser,
    add_compute_arguments,
    add_graph_argument,
    fraction,
    image_size,
    not_negative,
    path,
    positive,
    whole,
)
from minunet.cli.train.datasets import add_dataset_arguments, check_dataset_arguments, is_drawn
from minunet.cli.train.recipes import LOSS_FOR_CLASSES, OPTIMIZERS, PRESETS, SCHEDULES
from minunet.cli.train.resumed import continued
from minunet.cli.train.task_arguments import add_task_arguments, check_task_arguments
from minunet.data.augment import PRESETS as AUGMENTATIONS
from minunet.ops.losses import CLASS_LOSSES, LOSSES
from minunet.tasks import TASKS
from minunet.training.plots import SCORES

DESCRIPTION = """Train the lecture's U-Net to tell pets from their background.

  minunet train                                drawn pets: no download, done in minutes
  minunet train --download --device gpu        the real photographs, fetched once (0.8 GB)
  minunet train --data-dir ~/oxford-iiit-pet   the real photographs, where you have them
  minunet train --images DIR --masks DIR       your own, each with a mask of the same name
  minunet train --task panoptic                drawn scenes: each cat, each dog, and what is around them
  minunet train --resume runs/NAME             continue a run that was stopped or killed

Exit code: 0 done, 1 the loss diverged or memory ran out, 2 wrong use, 130 after Ctrl-C (the run is saved)."""

# What holds where no flag is given. Drawn pets are easier, and are done while you watch: at twice the lecture's rate
# they take fewer epochs.
REAL = {"image_size": 256, "batch_size": 32, "epochs": 25, "limit": None, "lr": 1e-3}
DRAWN = {"image_size": 128, "batch_size": 8, "epochs": 7, "limit": 600, "lr": 2e-3}
SCENES = {"image_size": 128, "batch_size": 8, "epochs": 20, "limit": 800, "lr": 1e-3}

MONITORS = [f"val_{name}" for name in ("loss", *SCORES)]


def parse_arguments(argv: Sequence[str] | None) -> Namespace:
    """Returns the arguments, checked, and with them two that are no flags.

    command  the words that they came from, and before them an earlier run's
    before   the arguments of the run that is resumed, None for a new run
    """
    command = list(sys.argv[1:] if argv is None else argv)
    given = _make_parser().parse_args(command)
    if given.resume is None:
        args = _read_arguments(command)
        args.command, args.before = command, None
        return args
    return continued(given, command, _read_arguments, _make_parser())


def _read_arguments(command: list[str], origin: str = "") -> Namespace:
    """The arguments in a list of words, checked; where one is missing, the default of the preset, or REAL or DRAWN.

    origin: the file that has the words, for messages.
    """
    parser = _make_parser()
    parser.origin = origin
    args = parser.parse_args(command)
    check_task_arguments(parser, args)
    check_dataset_arguments(parser, args)
    drawn = DRAWN if args.task == "binary" else SCENES
    recipe = PRESETS[args.preset]
    if args.task != "binary":
        recipe = {**recipe, "loss": LOSS_FOR_CLASSES[str(recipe["loss"])]}
    for name, value in {**(drawn if is_drawn(args) else REAL), **recipe}.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    _check_together(parser, args)
    return args


def _check_together(parser: Parser, args: Namespace) -> None:
    """Refuses flags that do not fit the task or the data."""
    losses = LOSSES if args.task == "binary" else CLASS_LOSSES
    if args.loss not in losses:
        parser.error(f"--loss {args.loss} is not a loss of the task {args.task}: choose one of {', '.join(losses)}")
    scores = [f"val_{name}" for name in ("loss", *TASKS[args.task].score_names)]
    if args.monitor not in scores:
        parser.error(f"--monitor {args.monitor} is not a score of the task {args.task}: choose {', '.join(scores)}")
    if args.images is None and not isinstance(args.image_size, int):
        parser.error("--image-size: only --images can have another size than a square of N x N")
    if args.schedule_epochs is not None and args.schedule != "cosine":
        parser.error(f"--schedule-epochs is for --schedule cosine, and this is {args.schedule}")
    if args.momentum and args.optimizer != "sgd":
        parser.error(f"--momentum is for --optimizer sgd, and this is {args.optimizer}")


def _make_parser() -> Parser:
    parser = Parser(DESCRIPTION, "train")
    add_task_arguments(parser)
    add_dataset_arguments(parser)
    _add_size_arguments(parser)
    _add_recipe_arguments(parser)
    _add_optimizer_arguments(parser)
    _add_stopping_arguments(parser)
    _add_run_arguments(parser)
    return parser


def _by_data(name: str) -> str:
    """The default of a flag, for a help text, where it depends on the data."""
    by_preset = f"; preset best: {PRESETS['best'][name]}" if name in PRESETS["best"] else ""
    return f"default: {REAL[name] or 'all'}; drawn pets: {DRAWN[name]}{by_preset}"


def _by_preset(name: str) -> str:
    """The default of a flag, for a help text, where it depends on the preset."""
    lecture, best = (_in_words(PRESETS[preset][name]) for preset in ("lecture", "best"))
    return f"default: {lecture}{'' if best == lecture else f'; preset best: {best}'}"


def _in_words(value: object) -> str:
    """A default as it is typed."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _add_size_arguments(parser: Parser) -> None:
    """How much there is to learn, and where it is computed."""
    add = parser.add_argument
    add(
        "--image-size",
        type=image_size(64, MOST_PIXELS),
        metavar="N|HxW",
        help="height and width of the images in pixels, multiples of 64, to which they are resized; original: as they "
        f"are, padded to the next multiple of 64 ({_by_data('image_size')})",
    )
    add(
        "--limit",
        type=whole(1),
        metavar="N",
        help=f"at most N images for training, and at most N for validation ({_by_data('limit')})",
    )
    add("--epochs", type=whole(1), metavar="N", help=f"passes over the training images ({_by_data('epochs')})")
    add(
        "--batch-size",
        type=whole(1),
        metavar="N",
        help=f"images per step ({_by_data('batch_size')})",
    )
    add_compute_arguments(parser)
    add_graph_argument(parser)


def _add_recipe_arguments(parser: Parser) -> None:
    """What the network is, what it sees, and what it is trained toward."""
    add = parser.add_argument
    add(
        "--preset",
        choices=PRESETS,
        default="lecture",
        help="how to learn: as in the lecture, or with what helps in practice; the flags below overrule it "
        "(default: lecture)",
    )
    add(
        "--augment",
        choices=AUGMENTATIONS,
        help="change the training images at random, anew in each epoch: light means flips, small moves and slightly "
        f"different light, full means all that still looks like a pet ({_by_preset('augment')})",
    )
    add(
        "--batch-norm",
        action=argparse.BooleanOptionalAction,
        help=f"batch normalization after each convolution ({_by_preset('batch_norm')})",
    )
    add(
        "--dropout",
        type=fraction,
        metavar="P",
        help=f"rate at which the deepest levels drop feature maps ({_by_preset('dropout')})",
    )
    add(
        "--loss",
        choices={**LOSSES, **CLASS_LOSSES},
        help="binary cross entropy, Dice, or half of each; ce, dice, ce+dice and focal where there are several classes "
        f"({_by_preset('loss')})",
    )
    add(
        "--network",
        choices=("unet", "unet2015"),
        help="the lecture's U-Net, or the paper's with valid convolutions (default: unet; preset paper: unet2015)",
    )
    add("--width", type=whole(1, 1024), metavar="N", help="filters of its first level (default: 8; unet2015: 64)")


def _add_optimizer_arguments(parser: Parser) -> None:
    """How a gradient becomes a step."""
    add = parser.add_argument
    add(
        "--optimizer",
        choices=OPTIMIZERS,
        help=f"how a gradient becomes a step; rmsprop is the lecture's ({_by_preset('optimizer')})",
    )
    add("--momentum", type=fraction, metavar="X", help=f"of sgd ({_by_preset('momentum')}; preset paper: 0.99)")
    add("--lr", type=positive, metavar="X", help=f"learning rate, the highest of the schedule ({_by_data('lr')})")
    add(
        "--schedule",
        choices=SCHEDULES,
        help="learning rate: constant, down to 0 along a cosine, or lowered whenever --monitor has not improved for "
        f"5 epochs ({_by_preset('schedule')})",
    )
    add(
        "--schedule-epochs",
        type=whole(1),
        metavar="N",
        help="epochs within which a cosine falls to 0; further ones keep its last rate (default: --epochs)",
    )
    add(
        "--warmup",
        type=fraction,
        metavar="P",
        help=f"fraction of these epochs in which a cosine schedule first rises ({_by_preset('warmup')})",
    )
    add(
        "--weight-decay",
        type=not_negative,
        metavar="X",
        help=f"how strongly the weights are pulled toward 0, with adam as in AdamW ({_by_preset('weight_decay')})",
    )
    add("--clip-norm", type=positive, metavar="X", help="scale longer gradients down to this norm (default: never)")
    add(
        "--accumulate",
        type=whole(1),
        default=1,
        metavar="N",
        help="batches whose gradients make one step together, where a large batch does not fit (default: 1)",
    )


def _add_stopping_arguments(parser: Parser) -> None:
    """When training ends early."""
    add = parser.add_argument
    add(
        "--early-stop",
        type=whole(1),
        metavar="N",
        help="stop after N epochs in a row without an improvement of --monitor; while that is still what it was after "
        "the first epoch, those in which the loss falls do not count (default: never)",
    )
    add(
        "--monitor",
        choices=MONITORS,
        default="val_mean_iou",
        help="the score that --early-stop and --schedule plateau look at (default: val_mean_iou)",
    )


def _add_run_arguments(parser: Parser) -> None:
    """What decides the random choices, where the results go, and when."""
    add = parser.add_argument
    add(
        "--seed",
        type=whole(0),
        default=0,
        metavar="N",
        help="decides the initial weights, the order of the images and all other random choices (default: 0)",
    )
    add(
        "--out",
        type=path,
        metavar="DIR",
        help="folder of the results, new or empty: no run is overwritten (default: runs/DATE_TIME)",
    )
    add(
        "--resume",
        type=path,
        metavar="DIR",
        help="continue the run in this folder, with its arguments. On the same machine it ends with exactly the "
        "numbers of a run that was never stopped. --epochs may ask for more; a cosine is then stretched over all of "
        "them, and the learning rate jumps up, unless --schedule-epochs keeps its former end",
    )
    add(
        "--save-minutes",
        type=positive,
        default=10.0,
        metavar="X",
        help="in epochs longer than this, also save a checkpoint every X minutes (default: 10)",
    )
