"""Which images a command works on: drawn ones, the Oxford-IIIT pets, or your own folders."""

import zlib
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minunet.cli.arguments import Parser, between_0_and_1, mask_values, path
from minunet.cli.reading import add_reading_arguments, reading_of, stretched
from minunet.data import DataError
from minunet.data.classes import Classes
from minunet.data.coco import CocoPanoptic
from minunet.data.download import download
from minunet.data.drawn_pets import DrawnPets
from minunet.data.drawn_scenes import CLASSES, DrawnScenes
from minunet.data.folder import ImageFolder
from minunet.data.labels import MEANINGS
from minunet.data.pets import SPECIES_CLASSES, TRIMAP_CLASSES, Pets
from minunet.data.sample import Dataset, Labels, Relabeled, Subset, limited, split
from minunet.inputs import read_lines

DOWNLOAD_DIR = Path("data/oxford-iiit-pet")
HELD_OUT = 100  # drawn images to validate on, at most


OF_OWN_IMAGES = (  # flags that mean nothing without --images
    "classes",
    "panoptic_json",
    "stretch",
    "exif",
    "page",
    "max_pixels",
    "names",
    "validation_names",
    "validation_images",
    "validation_masks",
    "validation_panoptic_json",
)


class Data(NamedTuple):
    """What is trained and validated on, a line about it, and its classes where it has any."""

    training: Dataset
    validation: Dataset
    source: str
    classes: Classes | None = None


def add_dataset_arguments(parser: Parser) -> None:
    """Adds the flags that choose the images."""
    add = parser.add_argument
    add(
        "--data-dir",
        type=path,
        metavar="DIR",
        help="folder with images/ and annotations/ (default: none, drawn pets are used)",
    )
    add(
        "--download",
        action="store_true",
        help=f"fetch the real photographs into --data-dir, unless they are there (default: {DOWNLOAD_DIR})",
    )
    add("--images", "--pictures", type=path, metavar="DIR", help="folder of your own images; goes with --masks")
    add(
        "--masks",
        type=path,
        metavar="DIR",
        help="folder of their masks, named like the images: 0 is background, 1 or 255 pet; for other tasks, of the "
        "class maps, of the object numbers, or of the panoptic PNGs",
    )
    add(
        "--mask-values",
        type=mask_values,
        metavar="TABLE",
        help="what other values in --masks mean, such as 0=background,7=pet,255=ignore",
    )
    add("--panoptic-json", type=path, metavar="FILE", help="panoptic: what the segments in --masks are, as in COCO")
    add(
        "--validation-fraction",
        "--validation-share",
        type=between_0_and_1,
        default=0.2,
        metavar="X",
        help="fraction of --images that is held out for validation, chosen by --seed (default: 0.2)",
    )
    for name, what in (
        ("images", "folder of images to validate with, in place of holding some out"),
        ("masks", "folder of their masks (default: --masks)"),
        ("panoptic-json", "and what their segments are (default: --panoptic-json)"),
    ):
        kind = "FILE" if name == "panoptic-json" else "DIR"
        add(f"--validation-{name}", type=path, metavar=kind, help=what)
    add("--names", type=path, metavar="FILE", help="train with these of --images only: a file with a name on each line")
    add("--validation-names", type=path, metavar="FILE", help="and validate with these")
    add(
        "--border",
        choices=MEANINGS,
        default="pet",
        help="what the boundary pixels in the pets' trimaps count as (default: pet)",
    )
    add_reading_arguments(parser)
    add("--strict", action="store_true", help="stop if an image cannot be used (default: skip it and continue)")


def check_dataset_arguments(parser: Parser, args: Namespace) -> None:
    """Refuses flags that contradict each other, and fills in the folder of a download."""
    if (args.images is None) != (args.masks is None):
        parser.error("--images and --masks go together: an image and its mask have the same name")
    if args.images is not None and (args.download or args.data_dir is not None):
        parser.error("--images takes the place of --data-dir and --download: give one or the other")
    if args.mask_values is not None and args.masks is None:
        parser.error("--mask-values is about --masks; for trimaps there is --border")
    if args.mask_values is not None and args.task != "binary":
        parser.error("--mask-values is for the task binary; --classes says what the numbers of other tasks mean")
    for name in OF_OWN_IMAGES:
        if getattr(args, name) is not None and args.images is None:
            parser.error(f"--{name.replace('_', '-')} goes with --images")
    if args.validation_names and not (args.names or args.validation_images):
        parser.error("--validation-names goes with --names or --validation-images")
    for name in ("validation_masks", "validation_panoptic_json"):
        if getattr(args, name) is not None and not (args.validation_images or args.validation_names):
            parser.error(f"--{name.replace('_', '-')} goes with --validation-images or --validation-names")
    if args.trimap and not (args.download or args.data_dir is not None):
        parser.error("--trimap is about the pets dataset: it goes with --data-dir or --download")
    if args.images is not None and args.task == "semantic" and args.classes is None:
        parser.error("--classes is missing: what do the numbers in --masks mean? For example 0=sky,1=road,255=ignore")
    if args.images is not None and args.task == "panoptic" and args.panoptic_json is None:
        parser.error("--panoptic-json is missing: the file that says what the segments in --masks are")
    if args.task in ("instance", "panoptic") and (args.download or args.data_dir is not None):
        parser.error(f"the trimaps of the pets do not tell one pet from another: --task {args.task} needs --images")
    if args.download and args.data_dir is None:
        args.data_dir = DOWNLOAD_DIR


def is_drawn(args: Namespace) -> bool:
    """Returns whether the arguments ask for drawn images."""
    return args.data_dir is None and args.images is None


def load_data(args: Namespace) -> Data:
    """Returns the data that the arguments ask for. Raises DataError, DownloadError or OSError."""
    if args.images is not None:
        return _own(args)
    if not is_drawn(args):
        return _pets(args)
    return _drawn_pets(args) if args.task == "binary" else _drawn_scenes(args)


def _drawn_pets(args: Namespace) -> Data:
    training = DrawnPets(args.limit, size=args.image_size)
    validation = DrawnPets(min(args.limit, HELD_OUT), size=args.image_size, first=args.limit)
    return Data(training, validation, "drawn pets (real photographs: --download, 0.8 GB, or --data-dir FOLDER)")


def _drawn_scenes(args: Namespace) -> Data:
    training = DrawnScenes(args.limit, size=args.image_size)
    validation = DrawnScenes(min(args.limit, HELD_OUT), size=args.image_size, first=args.limit)
    labels = {"semantic": class_map, "instance": object_numbers, "panoptic": None}[args.task]
    source = "drawn scenes (your own images: --images)"
    if labels is None:
        return Data(training, validation, source, CLASSES)
    return Data(Relabeled(training, labels), Relabeled(validation, labels), source, CLASSES)


def class_map(labels: Labels) -> Labels:
    """Returns the class maps, uint8 (H, W, 1), of panoptic labels (H, W, 2)."""
    return labels[..., :1].astype("uint8")


def object_numbers(labels: Labels) -> Labels:
    """Returns the object numbers, uint16 (H, W, 1), of panoptic labels (H, W, 2)."""
    return labels[..., 1:]


def _pets(args: Namespace) -> Data:
    root = download(args.data_dir) if args.download else args.data_dir
    labels, classes = "mask", None
    if args.task == "semantic":
        labels, classes = ("trimap", TRIMAP_CLASSES) if args.trimap else ("species", SPECIES_CLASSES)
    options: dict[str, Any] = {"size": args.image_size, "border": args.border, "limit": args.limit}
    options |= {"strict": args.strict, "labels": labels}
    training, validation = Pets(root, "trainval", **options), Pets(root, "test", **options)
    skipped = len(training.skipped) + len(validation.skipped)
    meaning = "" if args.trimap else f", boundary is {args.border}"
    source = f"Oxford-IIIT pets in {training.root}{meaning}; {skipped} skipped"
    return Data(training, validation, source, classes)


# ---- your own images ----


def _own(args: Namespace) -> Data:
    names, validation_names = read_names(args.names), read_names(args.validation_names)
    everything = _reader(args)(args.images, args.masks, args.panoptic_json, names)
    training: Dataset
    validation: Dataset
    skipped, paths = len(everything.skipped), list(everything.paths)
    if args.validation_images is None and validation_names is None:
        training, validation = split(everything, args.validation_fraction, args.seed, args.limit)
        held_out = f"seed {args.seed} holds out {args.validation_fraction:.0%}"
    else:
        others = _reader(args)(
            args.validation_images or args.images,
            args.validation_masks or args.masks,
            args.validation_panoptic_json or args.panoptic_json,
            validation_names,
        )
        _check_alike(everything, others)
        training, validation = (Subset(part, limited(range(len(part)), args.limit)) for part in (everything, others))
        skipped += len(others.skipped)
        paths += others.paths
        held_out = f"validated with {args.validation_images or args.validation_names}"
    source = f"{args.images} with masks in {args.masks}, {held_out}; {skipped} skipped"
    if line := stretched(paths, reading_of(args)):
        source += f"; {line}"
    classes = everything.classes if args.task == "panoptic" else None
    if args.task == "semantic":
        classes = Classes.from_json(args.classes)
    return Data(training, validation, source, classes)


def _check_alike(training: ImageFolder | CocoPanoptic, validation: ImageFolder | CocoPanoptic) -> None:
    """Raises DataError unless both have the same classes. They may differ in size: a U-Net takes images of any."""
    if training.classes != validation.classes:
        raise DataError("the two JSON files of segments have different categories: the network can have only one set")


def _reader(args: Namespace) -> Callable[[Path, Path, Path, Sequence[str] | None], ImageFolder | CocoPanoptic]:
    """The function from two folders, a JSON file and names to the dataset that the task needs."""
    size = None if args.image_size == "original" else args.image_size
    common: dict[str, Any] = {"size": size, "strict": args.strict, "reading": reading_of(args)}
    if args.task == "panoptic":
        return lambda images, masks, file, names: CocoPanoptic(images, masks, file, names=names, **common)
    kinds: dict[str, dict[str, Any]] = {
        "binary": {"values": args.mask_values},
        "semantic": {"values": args.classes and Classes.from_json(args.classes).table(), "labels": "classes"},
        "instance": {"labels": "instances"},
    }
    return lambda images, masks, _, names: ImageFolder(images, masks, names=names, **kinds[args.task], **common)


def read_names(path: Path | None) -> list[str] | None:
    """Returns the names in a file, one a line, without extensions. Raises DataError if there are none."""
    if path is None:
        return None
    try:
        lines = read_lines(path)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of names: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"{path} holds no names: it must have the name of an image on each line")
    return names


def fingerprint(training: Dataset, validation: Dataset) -> int:
    """Returns a number that changes with the names of the images or with their order."""
    return zlib.crc32("\n".join([*training.names, "", *validation.names]).encode())
