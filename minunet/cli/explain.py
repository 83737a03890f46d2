"""`minunet explain`: a network and an image become one HTML page that shows what happens inside."""

import os
import warnings
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minunet.cli.arguments import MOST_PIXELS, MOST_THREADS, Parser, add_model_arguments, image_size, path, whole
from minunet.cli.console import INTERRUPTED, fail, say
from minunet.cli.evaluation import find_document
from minunet.cli.predict.command import network_size, open_model
from minunet.cli.reading import add_reading_arguments, reading_of, stretched
from minunet.data import DataError
from minunet.data.coco.dataset import panoptic_reader
from minunet.data.images import Reading, UprightImage, quiet_pillow, read_image, read_labels
from minunet.data.labels import MEANINGS
from minunet.data.masks import class_reader, instance_reader, read_mask
from minunet.data.sample import resize_image, resize_mask
from minunet.files import atomic_write
from minunet.inputs import read_file, readable
from minunet.kernels.threads import set_num_threads
from minunet.learn.explain import MARK, explain
from minunet.ops.losses import CLASS_LOSSES, LOSSES
from minunet.tasks import Instance, Panoptic, Semantic, Task

DESCRIPTION = """Look inside a network that `minunet train` has trained: one HTML page, which any browser shows.

  minunet explain runs/NAME/best.npz photo.jpg --out page.html
  minunet explain runs/NAME/best.npz photo.jpg --mask known.png --out page.html

The page shows the U with the feature maps of every layer, the sum behind every number, how far each number sees, the
gradients of the loss, what is kept for backward, and the answer without each of the skip connections. It needs no
server, and fetches nothing.

Exit code: 0 done, 2 wrong use or a model or image that cannot be used, 130 after Ctrl-C."""

LARGEST = 1 << 20  # pixels that the network may see: four times as many would take gigabytes of memory, and minutes


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the command line. Returns the exit code."""
    args = parse_arguments(argv)
    try:
        with quiet_pillow():
            warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)  # NaN is an error of one line
            return _explain(args)
    except (DataError, OSError) as error:
        return fail(error)
    except KeyboardInterrupt:
        return fail("stopped; no page was written", INTERRUPTED)


def parse_arguments(argv: Sequence[str] | None) -> Namespace:
    """Returns the arguments, each checked by itself."""
    parser = Parser(DESCRIPTION, "explain")
    add = parser.add_argument
    add_model_arguments(parser)
    add("image", type=path, metavar="IMAGE", help="the image to look at")
    add(
        "--out",
        type=page_name,
        default=Path("explained.html"),
        metavar="FILE",
        help="the page; an older page of this command is replaced (default: explained.html)",
    )
    add(
        "--mask",
        type=path,
        metavar="FILE",
        help="the true mask or labels, as those trained with: the target of the loss (default: the network's answer)",
    )
    add("--border", choices=MEANINGS, help="what the boundary in a trimap counts as (default: as in training)")
    add(
        "--loss",
        choices=sorted({*LOSSES, *CLASS_LOSSES}),
        help="whose gradients are shown (default: bce, or ce for classes)",
    )
    add(
        "--image-size",
        type=image_size(1, MOST_PIXELS),
        metavar="N|HxW",
        help="resize the image to N x N, or to height x width (default: the size that the network was trained on)",
    )
    add_reading_arguments(parser, trained=True)
    add("--threads", type=whole(1, MOST_THREADS), metavar="N", help="threads on the CPU (default: one per core)")
    return parser.parse_args(argv)


def page_name(text: str) -> Path:
    """An argument type: the name of an HTML file."""
    if Path(text).suffix.lower() not in (".html", ".htm"):
        raise ArgumentTypeError(f"{text!r} must end with .html")
    return path(text)


def _explain(args: Namespace) -> int:
    """From the files to the page. Returns the exit code."""
    if args.threads is not None:
        set_num_threads(args.threads)
    _check_out(args.out)
    model, metadata, task = open_model(args.model, max_bytes=args.max_bytes)
    if args.loss is not None and args.loss not in task.losses:
        raise DataError(f"--loss {args.loss} is not a loss of the task {task.name}: choose {', '.join(task.losses)}")
    image, labels = _read(args, task, metadata)
    size = network_size(args.model, metadata, args.image_size) or image.shape[:2]
    if size[0] * size[1] > LARGEST:
        raise DataError(
            f"{args.image} would be shown at {size[1]} x {size[0]} (width x height): a page holds at most {LARGEST:,} "
            "pixels; give a smaller --image-size"
        )
    small = None if labels is None else resize_mask(labels, size)
    try:
        title = readable(f"{args.model.name} on {args.image.name}")
        page = explain(model, task, resize_image(image, size), small, args.loss, title)
    except ValueError as error:  # too many objects in the answer, say
        raise DataError(f"{args.image}: {error}") from error
    atomic_write(args.out, page)
    say(f"model       {args.model}: {type(model).__name__} for the task {task.name}")
    resized = "" if image.shape[:2] == tuple(size) else "resized to "
    say(f"image       {readable(args.image)}, {resized}{size[1]} x {size[0]} (width x height)")
    if line := stretched([args.image], reading_of(args, metadata)):
        say(f"            {line}")
    say(f"written     {args.out}, {len(page.encode()) / 1e6:.1f} MB: open it in a browser")
    return 0


def _check_out(out: Path) -> None:
    """Raises DataError, before anything is computed, if the page could not be written or would replace another file."""
    if out.is_dir():
        raise DataError(f"--out {out} is a folder: it must be the name of an HTML file")
    if not out.absolute().parent.is_dir():
        raise DataError(f"--out {out}: there is no folder {out.parent}")
    if not os.access(out.absolute().parent, os.W_OK | os.X_OK):
        raise DataError(f"the folder {out.absolute().parent} is not writable: choose another one for --out")
    if out.exists() or out.is_symlink():
        if MARK.encode() not in read_file(out)[:1000]:
            raise DataError(f"{out} exists already and was not written by this command: give another --out")


def _read(args: Namespace, task: Task, metadata: dict) -> tuple[NDArray[np.uint8], NDArray | None]:
    """The image (H, W, 3) and its labels (H, W, L), or None. Raises DataError, which names the file."""
    path, reading, trained_border = args.image, reading_of(args, metadata), metadata.get("border")
    try:
        image = read_image(path, reading)
        if args.mask is None:
            return image.image, None
        path = args.mask
        border = args.border or (trained_border if trained_border in list(MEANINGS) else "pet")
        labels = _read_labels(path, task, image, str(border), reading)
    except DataError as problem:
        raise DataError(f"{path}: {problem}") from problem
    return image.image, labels if labels.ndim == 3 else labels[..., None]


def _read_labels(path: Path, task: Task, image: UprightImage, border: str, reading: Reading) -> NDArray:
    """The labels of a file, as those that the task was trained with."""
    if isinstance(task, Semantic):
        return read_labels(path, image, class_reader(task.classes.table()), reading)
    if isinstance(task, Instance):
        return read_labels(path, image, instance_reader, reading)
    if isinstance(task, Panoptic):
        entry = find_document(path.absolute().parent).entries.get(path.stem)
        if entry is None:
            raise DataError("the JSON file of the segments does not list it")
        return read_labels(path, image, panoptic_reader(entry, task.classes), reading)
    return read_mask(path, image, border, reading)
