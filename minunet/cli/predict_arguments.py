"""The flags of `minunet predict`."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from minunet.cli.arguments import MOST_PIXELS, Parser, add_compute_arguments, between_0_and_1, whole
from minunet.data.labels import MEANINGS

DESCRIPTION = """Find the pets in your own images, with a network that `minunet train` has trained.

  minunet predict runs/NAME/best.npz photo.jpg holidays/ "more/*.png" --out masks
  minunet predict runs/NAME/best.npz photos/ --evaluate known_masks/ --out masks

Each image gets NAME.mask.png (white is pet) and NAME.overlay.png (the outline), beside it or in --out. Nothing else is
written, and nothing is replaced but the results of an earlier call.

Exit code: 0 all images done, 1 some could not be (the others are), 2 wrong use or a model that cannot be used,
130 after Ctrl-C."""

TILE = 2048  # 4 million pixels, 0.8 GB of memory; with smaller tiles a larger part is computed twice


def parse_arguments(argv: Sequence[str] | None) -> Namespace:
    """Returns the arguments, each checked by itself."""
    parser = Parser(DESCRIPTION, "predict")
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="weights file, such as runs/NAME/best.npz")
    add(
        "images",
        nargs="+",
        metavar="IMAGES",
        help="images, folders (with their subfolders), or patterns such as 'a*.jpg'",
    )
    add("--out", type=Path, metavar="DIR", help="folder of the results (default: beside each image)")
    add(
        "--threshold",
        type=between_0_and_1,
        default=0.5,
        metavar="X",
        help="pet is where the probability is above X (default: 0.5)",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--image-size",
        type=whole(1, MOST_PIXELS),
        metavar="N",
        help="resize images to N x N for the network (default: the size it was trained on)",
    )
    size.add_argument(
        "--native",
        action="store_true",
        help="show the network each image at full resolution; takes 250 bytes of memory per pixel",
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
        type=Path,
        metavar="FILE.png",
        help="with --tile, for the paper's network: a picture of the first image's tiles, and of what one of them sees",
    )
    add(
        "--flips",
        action="store_true",
        help="average over each image and its mirror images: four times the work, for images without up and down",
    )
    add(
        "--evaluate",
        type=Path,
        metavar="DIR",
        help="compare with known masks, DIR/NAME.png (0 and 255, or trimaps) or as the pets dataset has them",
    )
    add("--tiff", action="store_true", help="instances: label images as TIFF, in place of PNG")
    add("--coco", type=Path, metavar="FILE", help="instances, panoptic: also all answers in one JSON file of COCO")
    add("--polygons", action="store_true", help="with --coco: outlines as polygons, where objects have no holes")
    add("--border", choices=MEANINGS, help="what the boundary in trimaps counts as (default: as in training)")
    add_compute_arguments(parser)
    return parser.parse_args(argv)
