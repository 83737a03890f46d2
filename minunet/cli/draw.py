"""`minunet draw`: cats and dogs, one by one or in scenes, are drawn and written into a folder."""

from collections.abc import Sequence

from minunet.cli.arguments import MOST_PIXELS, Parser, path, whole
from minunet.cli.console import fail, say
from minunet.data.drawn_pets import write_dataset
from minunet.data.drawn_scenes import write_scenes

DESCRIPTION = """Draw cats and dogs with their trimaps, in the layout of the Oxford-IIIT pet dataset; or, with --scenes,
several of them in rooms and gardens, with class maps, instances, and panoptic segments as COCO has them.

Exit code: 0 done, 2 wrong use."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the command line. Returns the exit code."""
    parser = Parser(DESCRIPTION, "draw")
    add = parser.add_argument
    add("folder", type=path, metavar="FOLDER", help="where to write them: a new or an empty folder")
    add("--scenes", action="store_true", help="draw scenes with several animals (default: one pet in each image)")
    add("--trainval", type=whole(0), default=100, metavar="N", help="images to train with (default: 100)")
    add("--test", type=whole(0), default=20, metavar="N", help="images to test with (default: 20)")
    add(
        "--size",
        type=whole(0, MOST_PIXELS),
        default=256,
        metavar="N",
        help="side of an image in pixels (default: 256)",
    )
    add("--seed", type=whole(0), default=0, metavar="N", help="another seed draws other images (default: 0)")
    args = parser.parse_args(argv)
    try:
        write = write_scenes if args.scenes else write_dataset
        write(args.folder, args.trainval, args.test, args.size, args.seed)
    except (ValueError, OSError) as error:
        return fail(error)
    say(f"{args.trainval} + {args.test} {'scenes' if args.scenes else 'images'} in {args.folder}")
    return 0
