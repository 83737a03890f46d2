"""Train the lecture's U-Net to tell pets from their background.

python examples/train_pets.py                                drawn pets: no download, done in minutes
python examples/train_pets.py --download --device gpu        the real photographs, fetched once (0.8 GB)
python examples/train_pets.py --data-dir ~/oxford-iiit-pet   the real photographs, where you have them
python examples/train_pets.py --pictures DIR --masks DIR     your own, each with a mask of its name
python examples/train_pets.py --resume runs/NAME             go on with a run that was stopped or killed
"""

import argparse
import sys
import zlib
from pathlib import Path

from minunet import UNet, optim
from minunet.cli.arguments import (
    MOST_THREADS,
    Parser,
    between_0_and_1,
    choose_device,
    describe_device,
    device_name,
    fail,
    fraction,
    mask_values,
    multiple,
    not_negative,
    positive,
    say,
    warn,
    whole,
)
from minunet.data import DataError
from minunet.data.augment import PRESETS as AUGMENTATIONS
from minunet.data.download import DownloadError, download
from minunet.data.drawn_pets import DrawnPets
from minunet.data.folder import ImageFolder
from minunet.data.labels import MEANINGS
from minunet.data.loader import Loader
from minunet.data.pets import Pets
from minunet.data.sample import split
from minunet.device import OutOfMemory
from minunet.kernels.threads import get_num_threads, set_num_threads
from minunet.training import loop as train
from minunet.training import schedules
from minunet.training.early_stopping import Patience
from minunet.training.interrupt import Interrupt
from minunet.training.progress import Diverged, Progress
from minunet.training.run_folder import Run, check_free, read_run
from minunet.weights.io import CheckpointError

# What holds where no flag is given. Drawn pets are easier, and are done while you watch.
REAL = {"image_size": 256, "batch_size": 32, "epochs": 25, "limit": None}
DRAWN = {"image_size": 128, "batch_size": 8, "epochs": 9, "limit": 600}

# How the network learns: --preset chooses one of these, a flag of the same name overrules it.
PRESETS = {
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
HELD_OUT = 100  # drawn pets to validate on, at most

DOWNLOAD_DIR = Path("data/oxford-iiit-pet")
MONITORS = [f"val_{name}" for name in train.SCORES]
OPTIMIZERS = {"rmsprop": optim.RMSprop, "adam": optim.Adam, "sgd": optim.SGD}
SHOWN = 6  # rows of predictions.png
WORKERS = 4  # threads that augment, at most: three times as fast as one on 16 cores, and more are no faster
# what may be different when a run is resumed
MAY_CHANGE = {"epochs", "early_stop", "save_minutes", "data_dir", "download", "pictures", "masks", "device", "threads"}
FAILED = 1  # the exit code of a run that diverged or ran out of memory


def main(argv=None):
    """Runs with the arguments `argv`, by default those of the command line. Returns the exit code."""
    args = parse_arguments(argv)
    try:
        return train_pets(args)
    except (CheckpointError, DataError, DownloadError, OSError) as error:
        return fail(error)
    except OutOfMemory as error:
        return fail(error, FAILED)
    except MemoryError as error:
        return fail(f"out of memory: try a smaller --batch-size or --image-size ({error})", FAILED)
    except KeyboardInterrupt:
        return fail("stopped at once; what finished epochs saved is whole", 130)


def train_pets(args):
    """From the data to the pictures of the result. Returns the exit code."""
    if args.resume is None:
        check_free(args.out)
    if args.threads is not None:
        set_num_threads(args.threads)
    device = choose_device(args.device)
    say(f"device      {describe_device(device)}")
    training, validation, source = load_data(args)
    say(f"data        {source}")
    side = args.image_size
    say(f"pictures    {len(training)} to train, {len(validation)} to validate, {side} x {side}")
    all_pet = report_masks(training, validation)

    model = UNet(seed=args.seed, dropout=args.dropout, batch_norm=args.batch_norm).to(device)
    augment, workers = AUGMENTATIONS[args.augment], min(WORKERS, get_num_threads())
    batches = Loader(training, args.batch_size, args.seed, augment=augment, workers=workers)
    val_batches = Loader(validation, args.batch_size, shuffle=False)
    parts = prepare(args, model, len(batches))
    report_plan(args, model)
    about = {
        "data": source,
        "device": device,
        "all_pet": all_pet,
        "augmentation": augment,
        "pictures": fingerprint(training, validation),
    }
    with open_run(args, about, model, parts) as run, Interrupt() as interrupt:
        say(f"folder      {run.folder}")
        if args.resume is not None:
            say(f"resumed     after {len(run.history)} epochs and {parts['progress'].step} steps")
        say("\nscores of training / validation:")
        code = learn(args, run, model, parts, batches, val_batches, interrupt)
        run.draw_predictions(model, validation, SHOWN)
    say(run.summary())
    return code


def prepare(args, model, batches):
    """What changes along with the model while it learns, and is saved with it; `batches`: how many an epoch has."""
    return {
        "optimizer": OPTIMIZERS[args.optimizer](model.parameters(), lr=args.lr, weight_decay=args.weight_decay),
        "schedule": make_schedule(args, batches),
        "patience": Patience(args.monitor, args.early_stop or sys.maxsize),
        "progress": Progress(model.device),
    }


def report_plan(args, model):
    """Prints what is learnt, and how."""
    augment = AUGMENTATIONS[args.augment]
    changes = ", ".join(type(change).__name__.lower() for change in augment.transforms) if augment else ""
    say(f"augment     {args.augment}: {changes or 'each picture as it is'}")
    say(
        f"model       U-Net with {sum(p.size for p in model.parameters()):,} parameters; loss {args.loss}, "
        f"{args.optimizer} with learning rate {args.lr:g} ({args.schedule}), batches of {args.batch_size}, "
        f"seed {args.seed}"
    )


def open_run(args, about, model, parts):
    """The Run to write into: a new one, or the one to go on with, whose state model and parts take over."""
    arguments = {name: value for name, value in vars(args).items() if name not in ("command", "resume")}
    about = {"command": args.command, "arguments": arguments, "seed": args.seed, **about}
    if args.resume is not None:
        check_same(read_run(args.resume), about)
    weights_about = {"image_size": args.image_size, "threshold": 0.5, "border": args.border}
    return Run(
        args.resume or args.out,
        about,
        about["all_pet"]["iou"],
        parts,
        weights_about,
        args.save_minutes,
        resume=None if args.resume is None else model,
    )


def learn(args, run, model, parts, batches, val_batches, interrupt):
    """Trains, keeps and prints each epoch's row until there are no more. Returns the exit code."""
    patience = parts["patience"]
    rows = train.epochs(
        model,
        parts["optimizer"],
        train.LOSSES[args.loss],
        batches,
        val_batches,
        args.epochs,
        stop=lambda: interrupt() or patience.waited >= patience.epochs,
        schedule=parts["schedule"],
        clip_norm=args.clip_norm,
        accumulate=args.accumulate,
        progress=parts["progress"],
        after_step=lambda: run.save_in_time(model),
    )
    try:
        for row in rows:
            patience.ends(row)  # first: it is saved with the row
            run.add(row, model)
            say(describe(row, args.epochs))
        if interrupt():
            run.finish("interrupted", model)
            say("interrupted; everything is saved")
            return 128 + interrupt.signal
    except Diverged as error:
        run.finish("diverged")
        return fail(f"{error}. This was --lr {args.lr:g}", FAILED)
    except MemoryError:
        run.finish("out of memory")
        raise
    except OSError as error:
        raise OSError(f"{error}. What was saved before is whole: --resume {run.folder} goes on from there") from error
    if patience.waited >= patience.epochs:
        say(f"stopped early: {patience.waited} epochs without a better {args.monitor}")
    run.finish("finished")
    return 0


def fingerprint(training, validation):
    """A number that changes with the names of the pictures or with their order."""
    return zlib.crc32("\n".join([*training.names, "", *validation.names]).encode())


def check_same(before, now):
    """Compares a run with what shall be its continuation. Raises DataError for other pictures."""
    if before.get("pictures") != now["pictures"]:
        raise DataError(
            f"these are not the pictures that the run began with ({before.get('data')}): it cannot go on with others"
        )
    if before.get("device") != now["device"]:
        warn(f"the run was on {before.get('device')} and goes on on {now['device']}: the last digits will differ")


def make_schedule(args, batches):
    """The Schedule that the arguments ask for, with so many batches in an epoch."""
    if args.schedule == "cosine":
        steps = args.epochs * -(-batches // args.accumulate)
        return schedules.Cosine(args.lr, steps, int(args.warmup * steps))
    if args.schedule == "plateau":
        return schedules.Plateau(args.lr, args.monitor)
    return schedules.Constant(args.lr)


def load_data(args):
    """The training set, the validation set, and a line about them."""
    if args.pictures is not None:
        return load_own(args)
    if args.data_dir is None:
        training = DrawnPets(args.limit, size=args.image_size)
        validation = DrawnPets(min(args.limit, HELD_OUT), size=args.image_size, first=args.limit)
        return training, validation, "drawn pets (real photographs: --download, 0.8 GB, or --data-dir FOLDER)"
    root = download(args.data_dir) if args.download else args.data_dir
    options = {"size": args.image_size, "border": args.border, "limit": args.limit, "strict": args.strict}
    training, validation = Pets(root, "trainval", **options), Pets(root, "test", **options)
    bad = len(training.skipped) + len(validation.skipped)
    source = f"Oxford-IIIT pets in {training.root}, border is {args.border}; {bad} skipped"
    return training, validation, source


def load_own(args):
    """The same for pictures of one's own."""
    values, strict = args.mask_values, args.strict
    everything = ImageFolder(args.pictures, args.masks, args.image_size, values, strict)
    training, validation = split(everything, args.validation_share, args.seed, args.limit)
    source = (
        f"{args.pictures} with masks in {args.masks}, seed {args.seed} holds out "
        f"{args.validation_share:.0%}; {len(everything.skipped)} skipped"
    )
    return training, validation, source


def report_masks(training, validation):
    """Prints the share of pet, and what the two laziest answers score; returns the scores of "all is pet"."""
    share = train.answers_without_a_model(training)[0]["share"]
    pet, background = train.answers_without_a_model(validation)
    say(f"foreground  {share:.1%} of the training pixels, {pet['share']:.1%} of the validation pixels")
    say(
        f"to beat     all pet: pixel IoU {pet['iou']:.3f}, mean IoU {pet['mean_iou']:.3f}; "
        f"all background: pixel IoU {background['iou']:.3f}, mean IoU {background['mean_iou']:.3f}"
    )
    for name, part in (("training", share), ("validation", pet["share"])):
        if not 0.01 < part < 0.99:
            warn(
                f"{part:.1%} of the {name} pixels are pet: there is next to nothing to learn. "
                "Are the masks right? Trimaps hold 1 for pet, 2 for background, 3 for border; "
                "masks of your own, 0 for background and 1 or 255 for pet"
            )
    return pet


def describe(row, epochs):
    """The line of an epoch."""
    scores = [f"loss {row['train_loss']:.4f} / {row['val_loss']:.4f}"]
    names = {"iou": "pixel IoU", "mean_iou": "mean IoU", "dice": "Dice", "accuracy": "accuracy"}
    scores += [f"{text} {row['train_' + key]:.3f} / {row['val_' + key]:.3f}" for key, text in names.items()]
    epoch = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"
    return ",  ".join([epoch, *scores, f"{row['seconds']:.1f} s"])


def parse_arguments(argv):
    """The arguments, checked, and `command`, their texts; with --resume, also those of the run to go on with."""
    command = list(sys.argv[1:] if argv is None else argv)
    args = read_arguments(command)
    if args.resume is None:
        args.command = command
        return args
    try:
        before = read_run(args.resume)["command"]
    except CheckpointError as error:
        make_parser().error(str(error))
    old, args = read_arguments(before), read_arguments([*before, *command])
    differing = [name for name, value in vars(args).items() if name != "resume" and value != getattr(old, name)]
    for name in differing:
        if name not in MAY_CHANGE:
            flag = "--" + name.replace("_", "-")
            make_parser().error(
                f"{flag} {getattr(args, name)} contradicts the run in {args.resume}, which has "
                f"{getattr(old, name)}: leave it away"
            )
    args.command = [*before, *command] if differing else before
    return args


def read_arguments(command):
    """The arguments in a list of texts, checked, with the defaults of the preset, and of REAL or DRAWN, where
    nothing was said."""
    parser = make_parser()
    args = parser.parse_args(command)
    if (args.pictures is None) != (args.masks is None):
        parser.error("--pictures and --masks go together: a picture and its mask have the same name")
    if args.pictures is not None and (args.download or args.data_dir is not None):
        parser.error("--pictures takes the place of --data-dir and --download: give one or the other")
    if args.mask_values is not None and args.masks is None:
        parser.error("--mask-values is about --masks; trimaps have --border")
    if args.download and args.data_dir is None:
        args.data_dir = DOWNLOAD_DIR
    drawn = args.data_dir is None and args.pictures is None
    for name, value in {**(DRAWN if drawn else REAL), **PRESETS[args.preset]}.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


def make_parser():
    """The flags."""
    parser = Parser(
        f"{__doc__}\nExit code: 0 done, 1 the loss diverged or memory ran out, 2 wrong use, "
        "130 after Ctrl-C (the run is saved)."
    )
    add = parser.add_argument

    def both(name):
        return f"(default: {REAL[name] or 'all'}; drawn pets: {DRAWN[name]})"

    def preset(name):
        lecture, best = PRESETS["lecture"][name], PRESETS["best"][name]
        return f"(default: {lecture}{'' if best == lecture else f'; preset best: {best}'})"

    add(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder with images/ and annotations/ (default: none, drawn pets are used)",
    )
    add(
        "--download",
        action="store_true",
        help=f"fetch the real photographs into --data-dir, unless they are there (default: {DOWNLOAD_DIR})",
    )
    add("--pictures", type=Path, metavar="DIR", help="folder of your own pictures; goes with --masks")
    add(
        "--masks",
        type=Path,
        metavar="DIR",
        help="folder of their masks, called like them: 0 is background, 1 or 255 pet",
    )
    add(
        "--mask-values",
        type=mask_values,
        metavar="TABLE",
        help="what other values in --masks mean, such as 0=background,7=pet,255=ignore",
    )
    add(
        "--validation-share",
        type=between_0_and_1,
        default=0.2,
        metavar="X",
        help="share of --pictures that is held out to validate on, chosen by --seed (default: 0.2)",
    )
    add(
        "--device",
        type=device_name,
        default="auto",
        metavar="auto|cpu|gpu",
        help="where to compute; gpu:1 is the second GPU (default: auto, a GPU if it can be used)",
    )
    add(
        "--image-size",
        type=multiple(64),
        metavar="N",
        help=f"side of the pictures in pixels, a multiple of 64 {both('image_size')}",
    )
    add(
        "--preset",
        choices=PRESETS,
        default="lecture",
        help="how to learn: as in the lecture, or with what helps in practice; the flags below overrule it "
        "(default: lecture)",
    )
    add(
        "--batch-size",
        type=whole(1),
        metavar="N",
        help=f"pictures in a step {both('batch_size')[:-1]}; preset best: {PRESETS['best']['batch_size']})",
    )
    add("--epochs", type=whole(1), metavar="N", help=f"passes over the training pictures {both('epochs')}")
    add(
        "--augment",
        choices=AUGMENTATIONS,
        help="change the training pictures at random, anew in each epoch: light is flips, small moves and "
        f"another light, full is all that still looks like a pet {preset('augment')}",
    )
    add(
        "--batch-norm",
        action=argparse.BooleanOptionalAction,
        help=f"batch normalisation after each convolution {preset('batch_norm')}",
    )
    add(
        "--dropout",
        type=fraction,
        metavar="P",
        help=f"rate at which the deepest levels leave out feature maps {preset('dropout')}",
    )
    add("--loss", choices=train.LOSSES, help=f"binary cross entropy, Dice, or half of each {preset('loss')}")
    add(
        "--optimizer",
        choices=OPTIMIZERS,
        help=f"how a gradient becomes a step; rmsprop is the lecture's {preset('optimizer')}",
    )
    add("--lr", type=positive, metavar="X", help=f"learning rate, the highest of its schedule {preset('lr')}")
    add(
        "--schedule",
        choices=("constant", "cosine", "plateau"),
        help="learning rate: always the same, down to 0 along a cosine, or lower whenever --monitor gets no "
        f"better for 5 epochs {preset('schedule')}",
    )
    add(
        "--warmup",
        type=fraction,
        metavar="P",
        help=f"part of all steps in which a cosine schedule first goes up {preset('warmup')}",
    )
    add(
        "--weight-decay",
        type=not_negative,
        metavar="X",
        help=f"how strongly the weights are pulled towards 0, with adam as in AdamW {preset('weight_decay')}",
    )
    add("--clip-norm", type=positive, metavar="X", help="longest gradient allowed (default: any)")
    add(
        "--accumulate",
        type=whole(1),
        default=1,
        metavar="N",
        help="batches whose gradients make one step together, where a large batch does not fit (default: 1)",
    )
    add(
        "--early-stop",
        type=whole(1),
        metavar="N",
        help="stop after N epochs in a row without a better --monitor (default: never)",
    )
    add(
        "--monitor",
        choices=MONITORS,
        default="val_mean_iou",
        help="the score that --early-stop and --schedule plateau watch (default: val_mean_iou)",
    )
    add(
        "--seed",
        type=whole(0),
        default=0,
        metavar="N",
        help="decides the first weights and the order of the pictures (default: 0)",
    )
    add("--limit", type=whole(1), metavar="N", help=f"at most N pictures to train, and to validate {both('limit')}")
    add(
        "--border",
        choices=MEANINGS,
        default="pet",
        help="what the border in the pets' trimaps counts as (default: pet)",
    )
    add("--strict", action="store_true", help="stop if a picture cannot be used (default: go on without it)")
    add("--threads", type=whole(1, MOST_THREADS), metavar="N", help="threads on the CPU (default: one per core)")
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the results, new or empty: no run is overwritten (default: runs/DATE_TIME)",
    )
    add(
        "--resume",
        type=Path,
        metavar="DIR",
        help="go on with the run in this folder, with its arguments; --epochs may ask for more. On the same machine "
        "it ends with the very numbers of a run that was never stopped",
    )
    add(
        "--save-minutes",
        type=positive,
        default=10.0,
        metavar="X",
        help="save within an epoch, too, where it is longer than that, to resume from (default: 10)",
    )
    return parser
