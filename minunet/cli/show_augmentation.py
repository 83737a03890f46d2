"""`minunet show-augmentation`: a sheet of what each transform does to an image, and the presets of --augment."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minunet.cli.arguments import MOST_PIXELS, Parser, mask_values, path, whole
from minunet.cli.console import fail, say
from minunet.cli.reading import add_reading_arguments, reading_of
from minunet.data import DataError
from minunet.data.augment import (
    PRESETS,
    Augmentation,
    Brightness,
    Contrast,
    Elastic,
    Flip,
    FlipVertical,
    QuarterTurn,
    Rotate,
    Saturation,
    Scale,
    Shift,
    Tint,
)
from minunet.data.drawn_pets import DrawnPets
from minunet.data.folder import read_one
from minunet.training import plots

DESCRIPTION = """Show what --augment does to an image: a sheet of each transform by itself, and of the presets.

  minunet show-augmentation                                  a drawn dog, into augmentations.png
  minunet show-augmentation --image dog.jpg --mask dog.png   an image of your own

The red line is the outline of the mask, which has to move with the image.

Exit code: 0 done, 2 wrong use."""

DRAWN = 20  # a dog that sits in the middle
SINGLE = {  # as strong as in the preset "full"
    "flip": Flip(),
    "flip vertically": FlipVertical(),
    "quarter turn": QuarterTurn(),
    "rotate": Rotate(20),
    "scale": Scale(0.3),
    "shift": Shift(0.1),
    "elastic": Elastic(0.03),
    "brightness": Brightness(0.3),
    "contrast": Contrast(0.3),
    "saturation": Saturation(0.5),
    "tint": Tint(0.07),
}
PRESET_NAMES = ("light", "light", "full", "full", "full", "flips", "cells", "cells")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the command line. Returns the exit code."""
    args = parse_arguments(argv)
    try:
        if args.image is None:
            image, mask = DrawnPets(1, args.size, first=DRAWN)[0]
        else:
            image, mask = read_one(args.image, args.mask, args.size, args.mask_values, reading=reading_of(args))
        plots.save_sheet(args.out, *sheet(image, mask, args.seed))
    except (DataError, OSError) as error:
        return fail(error)
    say(f"written: {args.out}")
    return 0


def sheet(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], seed: int
) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]], list[str]]:
    """Returns the images, the masks and the titles of the sheet: three lists."""
    augmentations = [(title, Augmentation(transform)) for title, transform in SINGLE.items()]
    augmentations += [(f"preset {name}", preset) for name in PRESET_NAMES if (preset := PRESETS[name])]
    rows = [(image, mask, "as it is")]
    for number, (title, augment) in enumerate(augmentations):
        rows.append((*augment(image, mask, np.random.default_rng([seed, number])), title))
    images, masks, titles = map(list, zip(*rows))
    return images, masks, titles


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Returns the arguments, checked."""
    parser = Parser(DESCRIPTION, "show-augmentation")
    add = parser.add_argument
    add(
        "--image",
        "--picture",
        type=path,
        metavar="FILE",
        help="an image of your own; goes with --mask (default: a drawn dog)",
    )
    add("--mask", type=path, metavar="FILE", help="its mask: 0 is background, 1 or 255 is pet")
    add(
        "--mask-values",
        type=mask_values,
        metavar="TABLE",
        help="what other values in --mask mean; for a trimap, 1=pet,2=background,3=pet",
    )
    add_reading_arguments(parser)
    add(
        "--size",
        type=whole(16, MOST_PIXELS),
        default=256,
        metavar="N",
        help="side of an image in pixels (default: 256)",
    )
    add(
        "--seed",
        type=whole(0),
        default=177,
        metavar="N",
        help="another seed gives other changes (default: 177, with which each one can be seen)",
    )
    add(
        "--out",
        type=sheet_name,
        default=Path("augmentations.png"),
        metavar="FILE",
        help="the sheet, a .png or a .jpg; an older one is replaced (default: augmentations.png)",
    )
    args = parser.parse_args(argv)
    if (args.image is None) != (args.mask is None):
        parser.error("--image and --mask go together: give both or neither")
    if args.mask_values is not None and args.mask is None:
        parser.error("--mask-values is about --mask: give that, too")
    return args


def sheet_name(text: str) -> Path:
    """An argument type: the name of an image file to be written."""
    if Path(text).suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise argparse.ArgumentTypeError(f"{text!r} must end with .png or .jpg")
    return path(text)
