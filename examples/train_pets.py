"""Train the lecture's U-Net to tell pets from their background.

  python examples/train_pets.py                                drawn pets: no download, done in minutes
  python examples/train_pets.py --download --device gpu        the real photographs, fetched once (0.8 GB)
  python examples/train_pets.py --data-dir ~/oxford-iiit-pet   the real photographs, where you have them
"""

import sys
from pathlib import Path

from minunet import UNet, optim, train
from minunet.command_line import (
    MOST_THREADS, Parser, choose_device, describe_device, device_name, fail, multiple, positive, say, warn,
    whole,
)
from minunet.data import DataError
from minunet.data.download import DownloadError, download
from minunet.data.drawn_pets import DrawnPets
from minunet.data.loader import Loader
from minunet.data.pets import Pets
from minunet.kernels.threads import set_num_threads
from minunet.runs import Run, check_free

# What holds where no flag is given. Drawn pets are easier, and are done while you watch.
REAL = {"image_size": 256, "batch_size": 32, "epochs": 25, "limit": None}
DRAWN = {"image_size": 128, "batch_size": 8, "epochs": 9, "limit": 600}
HELD_OUT = 100  # drawn pets to validate on, at most

DOWNLOAD_DIR = Path("data/oxford-iiit-pet")
OPTIMIZERS = {"rmsprop": optim.RMSprop, "adam": optim.Adam, "sgd": optim.SGD}
SHOWN = 6  # rows of predictions.png
FAILED = 1  # the exit code of a run that diverged or ran out of memory


def main(argv=None):
    """Runs with the arguments `argv`, by default those of the command line. Returns the exit code."""
    args = parse_arguments(argv)
    try:
        return train_pets(args)
    except (DataError, DownloadError, OSError) as error:
        return fail(error)
    except MemoryError as error:
        return fail(f"out of memory: try a smaller --batch-size or --image-size ({error})", FAILED)
    except KeyboardInterrupt:
        return fail("stopped at once; what finished epochs saved is whole", 130)


def train_pets(args):
    """From the data to the pictures of the result. Returns the exit code."""
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

    model = UNet(seed=args.seed).to(device)
    optimizer, loss = OPTIMIZERS[args.optimizer](model.parameters(), lr=args.lr), train.LOSSES[args.loss]
    batches = Loader(training, args.batch_size, args.seed)
    val_batches = Loader(validation, args.batch_size, shuffle=False)
    about = {"arguments": vars(args), "seed": args.seed, "device": device, "data": source, "all_pet": all_pet}
    run = Run(args.out, about, baseline=all_pet["iou"])
    say(f"model       U-Net with {sum(p.size for p in model.parameters()):,} parameters; loss {args.loss}, "
        f"{args.optimizer} with learning rate {args.lr:g}, batches of {args.batch_size}, seed {args.seed}")

    code = 0
    with train.Interrupt() as interrupt:
        say(f"folder      {run.folder}\n\nscores of training / validation:")
        try:
            for row in train.epochs(model, optimizer, loss, batches, val_batches, args.epochs, interrupt):
                run.add(row, model)
                say(describe(row, args.epochs))
            if interrupt():
                run.finish("interrupted", model)
                say("interrupted; everything is saved")
                code = 128 + interrupt.signal
            else:
                run.finish("finished")
        except train.Diverged as error:
            run.finish("diverged")
            code = fail(f"{error}. This was --lr {args.lr:g}", FAILED)
        run.draw_predictions(model, validation, SHOWN)
    say(run.summary())
    return code


def load_data(args):
    """The training set, the validation set, and a line about them."""
    if args.data_dir is None:
        training = DrawnPets(args.limit, size=args.image_size)
        validation = DrawnPets(min(args.limit, HELD_OUT), size=args.image_size, first=args.limit)
        return training, validation, "drawn pets (real photographs: --download, 0.8 GB, or --data-dir FOLDER)"
    root = download(args.data_dir) if args.download else args.data_dir
    options = {"size": args.image_size, "border": args.border, "limit": args.limit, "strict": args.strict}
    training, validation = Pets(root, "trainval", **options), Pets(root, "test", **options)
    bad = len(training.problems) + len(validation.problems)
    source = f"Oxford-IIIT pets in {training.root}, border is {args.border}; {bad} left out"
    return training, validation, source


def report_masks(training, validation):
    """Prints the share of pet, and what the two laziest answers score; returns the scores of "all is pet"."""
    share = train.answers_without_a_model(training)[0]["share"]
    pet, background = train.answers_without_a_model(validation)
    say(f"foreground  {share:.1%} of the training pixels, {pet['share']:.1%} of the validation pixels")
    say(f"to beat     all pet: pixel IoU {pet['iou']:.3f}, mean IoU {pet['mean_iou']:.3f}; "
        f"all background: pixel IoU {background['iou']:.3f}, mean IoU {background['mean_iou']:.3f}")
    for name, part in (("training", share), ("validation", pet["share"])):
        if not 0.01 < part < 0.99:
            warn(f"{part:.1%} of the {name} pixels are pet: there is next to nothing to learn. "
                 "Are the masks right? Trimaps hold 1 for pet, 2 for background, 3 for border")
    return pet


def describe(row, epochs):
    """The line of an epoch."""
    scores = [f"loss {row['train_loss']:.4f} / {row['val_loss']:.4f}"]
    names = {"iou": "pixel IoU", "mean_iou": "mean IoU", "dice": "Dice", "accuracy": "accuracy"}
    scores += [f"{text} {row['train_' + key]:.3f} / {row['val_' + key]:.3f}" for key, text in names.items()]
    epoch = f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"
    return ",  ".join([epoch, *scores, f"{row['seconds']:.1f} s"])


def parse_arguments(argv):
    """The arguments, checked, with the defaults of REAL or DRAWN where nothing was said."""
    parser = Parser(f"{__doc__}\nExit code: 0 done, 1 the loss diverged or memory ran out, 2 wrong use, "
                    "130 after Ctrl-C (the run is saved).")
    add = parser.add_argument

    def both(name):
        return f"(default: {REAL[name] or 'all'}; drawn pets: {DRAWN[name]})"

    add("--data-dir", type=Path, metavar="DIR",
        help="folder with images/ and annotations/ (default: none, drawn pets are used)")
    add("--download", action="store_true",
        help=f"fetch the real photographs into --data-dir, unless they are there (default: {DOWNLOAD_DIR})")
    add("--device", type=device_name, default="auto", metavar="auto|cpu|gpu",
        help="where to compute; gpu:1 is the second GPU (default: auto, a GPU if it can be used)")
    add("--image-size", type=multiple(64), metavar="N",
        help=f"side of the pictures in pixels, a multiple of 64 {both('image_size')}")
    add("--batch-size", type=whole(1), metavar="N", help=f"pictures in a step {both('batch_size')}")
    add("--epochs", type=whole(1), metavar="N", help=f"passes over the training pictures {both('epochs')}")
    add("--loss", choices=train.LOSSES, default="bce",
        help="binary cross entropy, Dice, or half of each (default: bce)")
    add("--optimizer", choices=OPTIMIZERS, default="rmsprop",
        help="how a gradient becomes a step (default: rmsprop, the lecture's)")
    add("--lr", type=positive, default=1e-3, metavar="X", help="learning rate (default: 0.001)")
    add("--seed", type=whole(0), default=0, metavar="N",
        help="decides the first weights and the order of the pictures (default: 0)")
    add("--limit", type=whole(1), metavar="N",
        help=f"at most N pictures to train, and to validate {both('limit')}")
    add("--border", choices=("pet", "background", "ignore"), default="pet",
        help="what the border in the pets' trimaps counts as (default: pet)")
    add("--strict", action="store_true",
        help="stop if a picture cannot be used (default: go on without it)")
    add("--threads", type=whole(1, MOST_THREADS), metavar="N",
        help="threads on the CPU (default: one per core)")
    add("--out", type=Path, metavar="DIR",
        help="folder of the results, new or empty: no run is overwritten (default: runs/DATE_TIME)")

    args = parser.parse_args(argv)
    if args.download and args.data_dir is None:
        args.data_dir = DOWNLOAD_DIR
    for name, value in (DRAWN if args.data_dir is None else REAL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    return args


if __name__ == "__main__":
    sys.exit(main())
