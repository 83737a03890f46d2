"""Which images a command works on: drawn pets, the Oxford-IIIT pets, or your own folders."""

import zlib
from argparse import Namespace
from pathlib import Path

from minunet.cli.arguments import Parser, between_0_and_1, mask_values
from minunet.data.download import download
from minunet.data.drawn_pets import DrawnPets
from minunet.data.folder import ImageFolder
from minunet.data.labels import MEANINGS
from minunet.data.pets import Pets
from minunet.data.sample import Dataset, split

DOWNLOAD_DIR = Path("data/oxford-iiit-pet")
HELD_OUT = 100  # drawn pets to validate on, at most


def add_dataset_arguments(parser: Parser) -> None:
    """Adds the flags that choose the images."""
    add = parser.add_argument
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
    add("--images", "--pictures", type=Path, metavar="DIR", help="folder of your own images; goes with --masks")
    add(
        "--masks",
        type=Path,
        metavar="DIR",
        help="folder of their masks, named like the images: 0 is background, 1 or 255 pet",
    )
    add(
        "--mask-values",
        type=mask_values,
        metavar="TABLE",
        help="what other values in --masks mean, such as 0=background,7=pet,255=ignore",
    )
    add(
        "--validation-fraction",
        "--validation-share",
        type=between_0_and_1,
        default=0.2,
        metavar="X",
        help="fraction of --images that is held out for validation, chosen by --seed (default: 0.2)",
    )
    add(
        "--border",
        choices=MEANINGS,
        default="pet",
        help="what the boundary pixels in the pets' trimaps count as (default: pet)",
    )
    add("--strict", action="store_true", help="stop if an image cannot be used (default: skip it and continue)")


def check_dataset_arguments(parser: Parser, args: Namespace) -> None:
    """Refuses flags that contradict each other, and fills in the folder of a download."""
    if (args.images is None) != (args.masks is None):
        parser.error("--images and --masks go together: an image and its mask have the same name")
    if args.images is not None and (args.download or args.data_dir is not None):
        parser.error("--images takes the place of --data-dir and --download: give one or the other")
    if args.mask_values is not None and args.masks is None:
        parser.error("--mask-values is about --masks; for trimaps there is --border")
    if args.download and args.data_dir is None:
        args.data_dir = DOWNLOAD_DIR


def is_drawn(args: Namespace) -> bool:
    """Returns whether the arguments ask for drawn pets."""
    return args.data_dir is None and args.images is None


def load_datasets(args: Namespace) -> tuple[Dataset, Dataset, str]:
    """Returns the training set, the validation set, and a line about them."""
    if args.images is not None:
        return _own(args)
    return _drawn(args) if is_drawn(args) else _pets(args)


def _drawn(args: Namespace) -> tuple[Dataset, Dataset, str]:
    training = DrawnPets(args.limit, size=args.image_size)
    validation = DrawnPets(min(args.limit, HELD_OUT), size=args.image_size, first=args.limit)
    return training, validation, "drawn pets (real photographs: --download, 0.8 GB, or --data-dir FOLDER)"


def _pets(args: Namespace) -> tuple[Dataset, Dataset, str]:
    root = download(args.data_dir) if args.download else args.data_dir
    options = {"size": args.image_size, "border": args.border, "limit": args.limit, "strict": args.strict}
    training, validation = Pets(root, "trainval", **options), Pets(root, "test", **options)
    skipped = len(training.skipped) + len(validation.skipped)
    source = f"Oxford-IIIT pets in {training.root}, boundary is {args.border}; {skipped} skipped"
    return training, validation, source


def _own(args: Namespace) -> tuple[Dataset, Dataset, str]:
    everything = ImageFolder(args.images, args.masks, args.image_size, args.mask_values, args.strict)
    training, validation = split(everything, args.validation_fraction, args.seed, args.limit)
    source = (
        f"{args.images} with masks in {args.masks}, seed {args.seed} holds out "
        f"{args.validation_fraction:.0%}; {len(everything.skipped)} skipped"
    )
    return training, validation, source


def fingerprint(training: Dataset, validation: Dataset) -> int:
    """Returns a number that changes with the names of the images or with their order."""
    return zlib.crc32("\n".join([*training.names, "", *validation.names]).encode())
