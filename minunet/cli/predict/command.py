"""`minunet predict`: from a trained network and images to masks and overlays, a line each."""

import warnings
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeGuard

import numpy as np
from tqdm import tqdm

from minunet.cli.arguments import MOST_PIXELS, choose_device, describe_device, precision_line
from minunet.cli.console import INTERRUPTED, fail, report_error, say, warn
from minunet.cli.evaluation import KnownLabels
from minunet.cli.predict.arguments import check_folders, check_formats, parse_arguments
from minunet.cli.predict.read_ahead import read_ahead
from minunet.cli.reading import reading_of, stretched
from minunet.data import DataError
from minunet.data.images import ImageFile, Reading, find_images, quiet_pillow, read_image
from minunet.data.labels import MEANINGS
from minunet.inference.coco_file import CocoFile
from minunet.inference.flips import ALL, LEFT_RIGHT, Predict, with_flips
from minunet.inference.outputs import choose_names, is_output, write_outputs
from minunet.inference.predict import check_tiles, predict_resized, predict_tiled
from minunet.inference.tile_picture import save_tile_picture
from minunet.inputs import readable
from minunet.kernels.memory import keep_freed_memory
from minunet.kernels.threads import set_num_threads
from minunet.models import SegmentationModel, UNet2015
from minunet.precision import resolve_precision, use_precision
from minunet.tasks import TASKS, Binary, Instance, Task, from_metadata
from minunet.tasks.regions import MissingPackage, require
from minunet.weights import io

ASSUMED_SIZE = 256  # where the model's file does not say which size it was trained on
SOME_FAILED = 1  # the exit code when the other images were done


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the command line. Returns the exit code."""
    args = parse_arguments(argv)
    try:
        with quiet_pillow():
            # NaN in an answer is reported with its image, not by NumPy.
            warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)
            return _predict(args)
    except (DataError, OSError) as error:
        return fail(error)
    except KeyboardInterrupt:
        return fail("stopped; the results written so far are complete", INTERRUPTED)


def _predict(args: Namespace) -> int:
    """From the model's file to the masks. Returns the exit code."""
    if args.threads is not None:
        set_num_threads(args.threads)
    model, metadata, task = open_model(args.model, args.threshold, args.max_bytes)
    if isinstance(task, Instance):
        task.as_tiff = args.tiff
    check_formats(args, task)
    found, skipped = find_images(args.images)
    suffixes = {suffix for kind in TASKS.values() for suffix in kind.suffixes}  # networks may take turns in a folder
    images = [image for image in found if not is_output(image.path, suffixes)]
    if not images:
        raise DataError("; ".join(skipped) or "all of these are results of an earlier call: give the images themselves")
    predict, manner, at_once = _choose_manner(args, model, metadata, task)
    trained_border = metadata.get("border")
    border: str = args.border or (trained_border if trained_border in list(MEANINGS) else "pet")
    check_folders(args)
    reading = reading_of(args, metadata)
    if args.show_tiles is not None:
        _show_tiles(args, model, images[0], reading)

    keep_freed_memory()
    model.to(choose_device(args.device))
    try:
        precision = resolve_precision(args.precision, model.device)
    except ValueError as error:
        raise DataError(error) from error
    say(f"model       {args.model}, on {describe_device(model.device)}")
    if line := precision_line(precision, model.device):
        say(line)
    above = ""
    if isinstance(task, Binary):
        above = f"; {task.object_name} where the probability is above {args.threshold:g}"
    say(f"images      {len(images)}, {manner}{above}")
    if line := stretched([image.path for image in images], reading):
        say(f"            {line}")
    if len(found) > len(images):
        say(f"skipped     {len(found) - len(images)} results of an earlier call")
    for reason in skipped:
        report_error(reason)
    known = None if args.evaluate is None else KnownLabels(args.evaluate, border, task, reading)
    document = None if args.coco is None else CocoFile(task, args.polygons)
    results = Results(task, known, document, reading)
    with use_precision(precision):
        done, failed = _predict_all(results, images, choose_names(images, args.out), predict, at_once)
    if document is not None:
        document.write(args.coco)
    where = "beside them" if args.out is None else f"in {args.out}"
    labels = {".labels.png": not args.tiff, ".labels.tif": args.tiff}
    made = [suffix for suffix in task.suffixes if labels.get(suffix, True)]
    what = "masks and overlays" if isinstance(task, Binary) else f"files NAME{', NAME'.join(made)}"
    say(f"done        {done} of {len(images)} images; {what} are {where}")
    if known is not None:
        say(known.summary())
    return SOME_FAILED if skipped or failed else 0


class Results(NamedTuple):
    """What is made of the network's outputs, what they are compared with, and the file that gathers the answers."""

    task: Task
    known: KnownLabels | None
    document: CocoFile | None
    reading: Reading


def _predict_all(
    results: Results, images: list[ImageFile], names: list[Path | None], predict: Predict, at_once: int
) -> tuple[int, int]:
    """Writes what belongs to each image, and prints a line. Returns how many were done, and how many had a problem."""
    done, failed = 0, 0
    name = iter(names)
    bar = tqdm(total=len(images), unit=" images", disable=None, leave=False, dynamic_ncols=True)
    with bar:
        for batch in read_ahead(images, at_once, results.reading):
            for found, image, outputs in _predict_batch(predict, batch):
                line, problem = _finish(results, found, image, outputs, next(name))
                with bar.external_write_mode():
                    if line:
                        say(line)
                    if problem:
                        report_error(problem)
                done, failed = done + bool(line), failed + bool(problem)
                bar.update()
    return done, failed


def _predict_batch(predict, batch):
    """(found, image, outputs (H, W, channels)) for each, with a DataError in the place of what could not be had."""
    pixels = [image.image for _, image in batch if not isinstance(image, DataError)]
    try:
        outputs = iter(predict(pixels) if pixels else [])
    except MemoryError:
        smaller = "a smaller --tile-size, --image-size or --batch-size"
        problem = DataError(f"not enough memory: try --tile, or {smaller}")
        outputs = iter([problem] * len(pixels))
    return [(*pair, None if isinstance(pair[1], DataError) else next(outputs)) for pair in batch]


def _finish(results, found, image, outputs, name):
    """Writes one answer and compares it. Returns the line about it and the problem with it, or None."""
    try:
        answer = _write(results.task, image, outputs, name)
    except (DataError, OSError) as problem:
        return None, f"{found.path}: {problem}"
    height, width = image.image.shape[:2]
    line = f"{readable(found.path)}: {results.task.describe(answer)}, {width} x {height}"
    if results.document is not None:
        png_name = found.relative_path.with_name(f"{name.name}.panoptic.png")
        results.document.add(found.relative_path.as_posix(), png_name.as_posix(), answer)
    known = results.known
    try:
        return (line if known is None else f"{line}, {known.compare(found, image, answer)}"), None
    except (DataError, OSError) as problem:
        return line, str(problem)


def _write(task, image, outputs, name):
    """Writes what the task leaves behind, and returns the answer. Raises DataError or OSError."""
    for result in (image, outputs):
        if isinstance(result, DataError):
            raise result
    if name is None:
        raise DataError("an image of the same name was given before: give this one another --out")
    if not np.isfinite(outputs).all():
        raise DataError("the network answers with NaN: its weights are useless")
    try:
        answer = task.answer(outputs)
    except ValueError as error:  # too many objects
        raise DataError(error) from error
    write_outputs(name, task.files(image.image, answer))
    return answer


def open_model(
    path: Path, threshold: float = 0.5, max_bytes: int | None = None
) -> tuple[SegmentationModel, dict, Task]:
    """The network, the metadata of its file, and what it was trained for. DataError if that is not known here."""
    try:
        weights = io.read(path, max_bytes)
        model = io.build(weights)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}: training leaves the model in runs/NAME/best.npz") from None
    except ValueError as error:
        raise DataError(error) from error
    try:
        task = from_metadata(weights.metadata)
        require(task.packages)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    except MissingPackage as error:
        raise DataError(error) from error
    if isinstance(task, Binary):
        task.threshold = threshold
    if (model.in_channels, model.out_channels) != (3, task.out_channels):
        meaning = "1 (pet or not)" if isinstance(task, Binary) else str(task.out_channels)
        raise DataError(
            f"{path} is a network from {model.in_channels} to {model.out_channels} channels: "
            f"for {'pets' if isinstance(task, Binary) else task.name} it must be one from 3 (an image) to {meaning}"
        )
    if not all(np.isfinite(array).all() for array in model.state_dict().values()):
        raise DataError(f"{path} holds weights that are NaN or infinite: that training has diverged")
    return model, weights.metadata, task


def _show_tiles(args: Namespace, model: SegmentationModel, first: ImageFile, reading: Reading) -> None:
    """Writes the picture of the tiles. DataError where there are none, or if the image cannot be read."""
    if not args.tile or not isinstance(model, UNet2015):
        raise DataError("--show-tiles is for --tile with the paper's network (--network unet2015)")
    try:
        save_tile_picture(args.show_tiles, read_image(first.path, reading).image, args.tile_size, model.depth)
    except DataError as problem:
        raise DataError(f"{first.path}: {problem}") from problem


def _choose_manner(args: Namespace, model: SegmentationModel, metadata: dict, task: Task) -> tuple[Predict, str, int]:
    """How to predict: a function from a list of images to a list of outputs; this in words; how many at once."""
    predict, text, at_once = _choose_size(args, model, metadata, task)
    if args.flips or args.mirror:
        flips, words = (ALL, "and flipped") if args.flips else (LEFT_RIGHT, "and mirrored")
        return with_flips(predict, task, flips), f"{text}, {words}", at_once
    return predict, text, at_once


def _choose_size(args: Namespace, model: SegmentationModel, metadata: dict, task: Task) -> tuple[Predict, str, int]:
    """The same, without flips."""
    if args.tile:
        try:
            check_tiles(model, args.tile_size)
        except ValueError as error:
            raise DataError(f"--tile-size: {error}") from error
        text = f"at full resolution, in tiles of {args.tile_size} x {args.tile_size}"
        return lambda images: [predict_tiled(model, image, args.tile_size) for image in images], text, 1
    size = None if args.native else network_size(args.model, metadata, args.image_size)
    if size is None:
        return lambda images: [model.predict(image) for image in images], "at full resolution", 1
    height, width = size
    text = f"each resized to {width} x {height} for the network"
    return lambda images: predict_resized(model, images, (height, width), task.rescale), text, args.batch_size


def network_size(path: Path, metadata: dict, wanted: object = None) -> tuple[int, int] | None:
    """The (H, W) to which images are resized for the network: as wanted, else as in training. None: not at all."""
    size = wanted or metadata.get("image_size")
    if size == "original":
        return None
    if _is_size(size):
        return size[0], size[1]
    side = size if _is_side(size) else ASSUMED_SIZE
    if side is not size:
        warn(f"{path} does not say which size it was trained on: {side} is assumed, or give --image-size")
    return side, side


def _is_size(size: object) -> TypeGuard[list[int]]:
    """Whether these are a height and a width, as flags and the metadata of a file have them."""
    return isinstance(size, list) and len(size) == 2 and all(map(_is_side, size))


def _is_side(n: object) -> TypeGuard[int]:
    return isinstance(n, int) and not isinstance(n, bool) and 0 < n <= MOST_PIXELS
