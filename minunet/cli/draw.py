"""`minunet draw`: drawn cats and dogs, written into a folder."""

from collections.abc import Sequence

from minunet.cli.arguments import Parser, whole
from minunet.cli.console import fail, say
from minunet.data.drawn_pets import write_dataset


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`. Returns the exit code."""
    parser = Parser("Draw cats and dogs with their trimaps, in the layout of the Oxford-IIIT pet dataset.", "draw")
    parser.add_argument("folder", help="where to write them: a new or an empty folder")
    options = {
        "trainval": (100, "images to train with"),
        "test": (20, "images to test with"),
        "size": (256, "side of an image in pixels"),
        "seed": (0, "another seed draws other images"),
    }
    for name, (default, what) in options.items():
        help_text = f"{what} (default: {default})"
        parser.add_argument(f"--{name}", type=whole(0), default=default, metavar="N", help=help_text)
    args = parser.parse_args(argv)
    try:
        write_dataset(args.folder, args.trainval, args.test, args.size, args.seed)
    except (ValueError, OSError) as error:
        return fail(error)
    say(f"{args.trainval} + {args.test} images in {args.folder}")
    return 0
