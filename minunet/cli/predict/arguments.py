"""The flags of `minunet predict`."""

import os
from argparse import Namespace
from collections.abc import Sequence

from minunet.cli.arguments import (
    MOST_PIXELS,
    Parser,
    add_compute_arguments,
    add_model_arguments,
    between_0_and_1,
    image_size,
    path,
    whole,
)
from minunet.cli.reading import add_reading_arguments
from minunet.data import DataError
from minunet.data.coco.document import about_json
from minunet.data.labels import MEANINGS
from minunet.inference.coco_file import is_answers
from minunet.tasks import Instance, Panoptic, Task

DESCRIPTION = """Find the pets in your own images, with a network that `minunet train` has trained.

  minunet predict runs/NAME/best.npz photo.jpg holidays/ "more/*.png" --out masks
  minunet predict runs/NAME/best.npz photos/ --evaluate known_masks/ --out masks

Each image gets NAME.mask.png (white is pet) and NAME.overlay.png (the outline), beside it or in --out; from a network
for another task, label images and tables: the last line of the output names them. Nothing else is written, and nothing
is replaced but the results of an earlier call.

Exit code: 0 all images done, 1 some could not be (the others are), 2 wrong use or a model that cannot be used,
130 after Ctrl-C."""

TILE = 2048  # 4 million pixels, 0.8 GB of memory; with smaller tiles a larger part is computed twice


def parse_arguments(argv: Sequence[str] | None) -> Namespace:
    """Returns the arguments, each checked by itself."""
    parser = Parser(DESCRIPTION, "predict")
    add = parser.add_argument
    add_model_arguments(parser)
    add(
        "images",
        nargs="+",
        type=lambda text: str(path(text)),
        metavar="IMAGES",
        help="images, folders (with their subfolders), or patterns such as 'a*.jpg'",
    )
    add("--out", type=path, metavar="DIR", help="folder of the results (default: beside each image)")
    add(
        "--threshold",
        type=between_0_and_1,
        default=0.5,
        metavar="X",
        help="pet is where the probability is above X (default: 0.5)",
    )
    _add_manner_arguments(parser)
    _add_answer_arguments(parser)
    add_reading_arguments(parser, trained=True)
    add_compute_arguments(parser)
    return parser.parse_args(argv)


def _add_manner_arguments(parser: Parser) -> None:
    """At which size the network sees an image, how often, and in which pieces."""
    add = parser.add_argument
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--image-size",
        type=image_size(1, MOST_PIXELS),
        metavar="N|HxW",
        help="resize images to N x N, or to height x width, for the network (default: the size it was trained on)",
    )
    size.add_argument(
        "--native",
        action="store_true",
        help="show the network each image at full resolution; takes about 110 bytes of memory per pixel",
    )
    size.add_argument(
        "--tile",
        action="store_true",
        help="the same, one tile after another: for images too large for memory",
    )
    add("--tile-size", type=whole(1, MOST_PIXELS), default=TILE, metavar="N", help=f"side of a tile (default: {TILE})")
    add(
        "--batch-size",
        type=whole(1),
        default=8,
        metavar="N",
        help="images that are resized and predicted together (default: 8)",
    )
    add(
        "--show-tiles",
        type=path,
        metavar="FILE.png",
        help="with --tile, for the paper's network: a picture of the first image's tiles, and of what one of them sees",
    )
    flips = parser.add_mutually_exclusive_group()
    flips.add_argument(
        "--mirror", action="store_true", help="average over each image and its mirror image: twice the work"
    )
    flips.add_argument(
        "--flips",
        action="store_true",
        help="the same with up and down: four times the work, for images that have neither",
    )


def _add_answer_arguments(parser: Parser) -> None:
    """What the answers become, and what they are compared with."""
    add = parser.add_argument
    add(
        "--evaluate",
        type=path,
        metavar="DIR",
        help="compare with known labels, DIR/NAME.png: masks (0 and 255, or trimaps), or as those trained with",
    )
    add("--tiff", action="store_true", help="instances: label images as TIFF, in place of PNG")
    add(
        "--coco",
        type=path,
        metavar="FILE",
        help="instances, panoptic: also all answers in one JSON file of COCO; its sizes and coordinates are those of "
        "the upright images",
    )
    add("--polygons", action="store_true", help="with --coco: outlines as polygons, where objects have no holes")
    add("--border", choices=MEANINGS, help="what the boundary in trimaps counts as (default: as in training)")


# ---- once the network is known ----


def check_formats(args: Namespace, task: Task) -> None:
    """Raises DataError for files that the task's answers cannot become, or that would replace another's."""
    if args.tiff and not isinstance(task, Instance):
        raise DataError(f"--tiff is for label images of objects, and this network's task is {task.name}")
    if args.coco is not None and not isinstance(task, (Instance, Panoptic)):
        raise DataError(f"--coco is for objects and panoptic segments, and this network's task is {task.name}")
    if args.polygons and args.coco is None:
        raise DataError("--polygons is about the outlines in a file of --coco FILE: name that, too")
    if args.polygons and not isinstance(task, Instance):
        raise DataError(f"--polygons is for objects, and this network's task is {task.name}")
    if args.coco is None:
        return
    if args.coco.suffix.lower() != ".json":
        raise DataError(f"--coco {args.coco}: the name of the file must end in .json")
    if args.coco.exists() and not is_answers(args.coco):
        raise DataError(f"{args.coco} exists already and was not written by a prediction: give another --coco")
    if not args.coco.absolute().parent.is_dir():
        raise DataError(f"--coco {args.coco}: there is no folder {args.coco.parent}")


def check_folders(args: Namespace) -> None:
    """Raises DataError unless --evaluate is a folder, and --out one, created now at the latest, that is writable."""
    if args.evaluate is not None and not args.evaluate.is_dir():
        hint = about_json(args.evaluate)
        raise DataError(
            f"{args.evaluate} is not a folder: --evaluate takes a folder of masks{'; ' if hint else ''}{hint}"
        )
    if args.evaluate is not None and (hint := about_json(args.evaluate)):
        if not any(path.suffix.lower() in (".png", ".tif", ".tiff") for path in args.evaluate.rglob("*")):
            raise DataError(f"{args.evaluate} holds no label images; {hint}")
    if args.out is None:
        return
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"{args.out} is not a folder: choose another name for the results") from None
    if not os.access(args.out, os.W_OK | os.X_OK):
        raise DataError(f"the folder {args.out} is not writable: choose another one for the results")
