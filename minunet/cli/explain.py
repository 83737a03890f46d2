"""`minunet explain`: a network and an image become one HTML page that shows what happens inside."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from minunet.cli.arguments import Parser
from minunet.cli.console import INTERRUPTED, fail, say
from minunet.cli.predict.command import open_model
from minunet.data import DataError
from minunet.data.images import quiet_pillow, read_image
from minunet.data.sample import resize_image
from minunet.files import atomic_write
from minunet.learn.explain import explain

DESCRIPTION = """Look inside a network that `minunet train` has trained: one HTML page, for any browser, without a server.

  minunet explain runs/NAME/best.npz photo.jpg --out page.html
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the command line. Returns the exit code."""
    args = parse_arguments(argv)
    try:
        with quiet_pillow():
            return _explain(args)
    except (DataError, OSError) as error:
        return fail(error)
    except KeyboardInterrupt:
        return fail("stopped; no page was written", INTERRUPTED)


def parse_arguments(argv: Sequence[str] | None) -> Namespace:
    """Returns the arguments, each checked by itself."""
    parser = Parser(DESCRIPTION, "explain")
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="weights file, such as runs/NAME/best.npz")
    add("image", type=Path, metavar="IMAGE", help="the image to look at")
    add("--out", type=Path, default=Path("page.html"), metavar="FILE", help="the page (default: page.html)")
    return parser.parse_args(argv)


def _explain(args: Namespace) -> int:
    model, metadata, task = open_model(args.model, 0.5)
    image = read_image(args.image).image
    size = metadata.get("image_size")
    image = resize_image(image, (size, size))
    page = explain(model, task, image, title=f"{args.model} {args.image.name}")
    atomic_write(args.out, page)
    say(f"written: {args.out}, {len(page) / 1e6:.1f} MB")
    return 0
