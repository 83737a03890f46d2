"""Find the pets in your own pictures, with a network that train_pets.py has trained.

  python examples/predict_pets.py runs/NAME/best.npz photo.jpg holidays/ "more/*.png" --out masks
  python examples/predict_pets.py runs/NAME/best.npz photos/ --evaluate known_masks/ --out masks

Each picture gets NAME.mask.png (white is pet) and NAME.overlay.png (the outline), beside it or in --out.
Nothing else is written, and nothing replaced but the results of an earlier call.
"""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minunet.cli.arguments import (
    MOST_THREADS,
    Parser,
    between_0_and_1,
    choose_device,
    describe_device,
    device_name,
    fail,
    readable,
    say,
    warn,
    whole,
)
from minunet.data import DataError
from minunet.data.images import find_images, quiet_pillow, read_image
from minunet.data.labels import IGNORE, MEANINGS
from minunet.data.masks import find_mask, read_mask
from minunet.inference.outputs import choose_names, is_ours, write_masks
from minunet.inference.predict import check_tile, exact_margin, predict_squeezed, predict_tiled
from minunet.kernels.memory import keep_freed_memory
from minunet.kernels.threads import set_num_threads
from minunet.metrics import MaskScores, iou
from minunet.weights.io import load_model, read_about

ASSUMED_SIZE = 256  # where the model's file does not say what it learnt from
TILE = 2048  # 4 million pixels, 0.8 GB of memory; of smaller tiles a larger part is computed twice
SOME_FAILED = 1  # the exit code when the other pictures were done


def main(argv=None):
    """Runs with the arguments `argv`, by default those of the command line. Returns the exit code."""
    args = parse_arguments(argv)
    try:
        with quiet_pillow():
            # NaN in an answer is reported with its picture, not by NumPy.
            warnings.filterwarnings("ignore", ".* encountered in ", RuntimeWarning)
            return predict_pets(args)
    except (DataError, OSError) as error:
        return fail(error)
    except KeyboardInterrupt:
        return fail("stopped; the results written so far are whole", 130)


def predict_pets(args):
    """From the model's file to the masks. Returns the exit code."""
    if args.threads is not None:
        set_num_threads(args.threads)
    found, problems = find_images(args.pictures)
    pictures = [picture for picture in found if not is_ours(picture.path)]
    if not pictures:
        raise DataError("; ".join(problems) or "these are all results of an earlier call: give the pictures")
    model, about = open_model(args.model)
    predict, manner, at_once = choose_manner(args, model, about)
    border = args.border or (about.get("border") if about.get("border") in list(MEANINGS) else "pet")
    check_folders(args)

    keep_freed_memory()
    model.to(choose_device(args.device))
    say(f"model       {args.model}, on {describe_device(model.device)}")
    say(f"pictures    {len(pictures)}, {manner}; pet where the probability is above {args.threshold:g}")
    if len(found) > len(pictures):
        say(f"left out    {len(found) - len(pictures)} results of an earlier call")
    for problem in problems:
        fail(problem)
    known = None if args.evaluate is None else KnownMasks(args.evaluate, border, args.threshold)
    done, more_problems = predict_all(args, pictures, predict, at_once, known)
    where = "beside them" if args.out is None else f"in {args.out}"
    say(f"done        {done} of {len(pictures)} pictures; masks and overlays lie {where}")
    if known is not None:
        say(known.summary())
    return SOME_FAILED if problems or more_problems else 0


def predict_all(args, pictures, predict, at_once, known):
    """A mask, an overlay and a line for each picture. Returns how many were done and how many not well."""
    done, failed = 0, 0
    names = iter(choose_names(pictures, args.out))
    bar = tqdm(total=len(pictures), unit=" pictures", disable=None, leave=False, dynamic_ncols=True)
    with bar:
        for batch in read_ahead(pictures, at_once):
            for found, picture, answer in predict_batch(predict, batch):
                line, problem = finish(found, picture, answer, next(names), args.threshold, known)
                with bar.external_write_mode():
                    if line:
                        say(line)
                    if problem:
                        fail(problem)
                done, failed = done + bool(line), failed + bool(problem)
                bar.update()
    return done, failed


def read_ahead(pictures, at_once):
    """Yields lists of at most so many (found, Picture or DataError), while the next list is being read."""
    groups = [pictures[i : i + at_once] for i in range(0, len(pictures), at_once)]
    with ThreadPoolExecutor(min(4, at_once)) as pool:
        ahead = []
        for group in [*groups, []]:
            ready, ahead = ahead, [(found, pool.submit(attempt, found.path)) for found in group]
            if ready:
                yield [(found, reading.result()) for found, reading in ready]


def attempt(path):
    """The picture, or the DataError that says why there is none."""
    try:
        return read_image(path)
    except DataError as problem:
        return problem


def predict_batch(predict, batch):
    """(found, Picture, probabilities (H, W)) for each, with a DataError in the place of what there is not."""
    images = [picture.image for _, picture in batch if not isinstance(picture, DataError)]
    try:
        answers = iter(predict(images) if images else [])
    except MemoryError:
        smaller = "a smaller --tile-size, --image-size or --batch-size"
        problem = DataError(f"memory does not suffice: try --tile, or {smaller}")
        answers = iter([problem] * len(images))
    return [(*pair, None if isinstance(pair[1], DataError) else next(answers)) for pair in batch]


def finish(found, picture, answer, name, threshold, known):
    """Writes one answer and compares it. Returns the line about it and the problem with it, or None."""
    try:
        mask = write(picture, answer, name, threshold)
    except (DataError, OSError) as problem:
        return None, f"{found.path}: {problem}"
    line = f"{readable(found.path)}: {mask.mean():.1%} pet, {mask.shape[1]} x {mask.shape[0]}"
    try:
        return (line if known is None else f"{line}, IoU {known.compare(found, picture, answer):.3f}"), None
    except DataError as problem:
        return line, str(problem)


def write(picture, answer, name, threshold):
    """Writes the mask, which is returned, bool (H, W), and the overlay. Raises DataError or OSError."""
    for result in (picture, answer):
        if isinstance(result, DataError):
            raise result
    if name is None:
        raise DataError("a picture of the same name was given before: give this one another --out")
    if not np.isfinite(answer).all():
        raise DataError("the network answers with NaN: its weights are of no use")
    mask = answer > threshold
    write_masks(name, picture.image, mask)
    return mask


class KnownMasks:
    """A folder of known masks, and how well the answers match them."""

    def __init__(self, folder, border, threshold):
        self.folder, self.border, self.scores = folder, border, MaskScores(threshold)

    def compare(self, found, picture, answer):
        """The IoU of one picture, which counts in the summary. DataError if it cannot be compared."""
        path = find_mask(self.folder, found.path.stem)
        try:
            mask = read_mask(path, picture, self.border)
        except DataError as problem:
            raise DataError(f"{path}: {problem}") from problem
        if (mask == IGNORE).all():
            raise DataError(f"{path}: every pixel is border, which is ignored")
        self.scores.update(answer[None], mask[None])
        return iou(answer, mask, self.scores.threshold)

    def summary(self):
        """One line: the scores of all pictures."""
        try:
            result = self.scores.result()
        except ValueError:  # nothing was counted
            return "scores      none: no known mask could be used"
        scores = {"mean IoU": "mean_iou", "pixel IoU": "iou", "Dice": "dice", "accuracy": "accuracy"}
        text = ", ".join(f"{name} {result[key]:.3f}" for name, key in scores.items())
        return f"scores      {text}; {result['images']} pictures of their own size, border is {self.border}"


# ---- what the arguments mean ----


def open_model(path):
    """The network and what its file says about it. DataError if it does not tell pets from background."""
    try:
        model, about = load_model(path), read_about(path)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}: training leaves the model in runs/NAME/best.npz") from None
    except ValueError as error:
        raise DataError(error) from error
    if (model.in_channels, model.out_channels) != (3, 1):
        raise DataError(
            f"{path} is a network from {model.in_channels} to {model.out_channels} channels; "
            "pets take one from 3 (a picture) to 1 (pet or not)"
        )
    if not all(np.isfinite(array).all() for array in model.state_dict().values()):
        raise DataError(f"{path} holds weights that are NaN or infinite: training has diverged there")
    return model, about


def choose_manner(args, model, about):
    """How to predict: predict(list of images) -> list of probabilities; this in words; how many at once."""
    if args.tile:
        try:
            check_tile(model.depth, args.tile_size, exact_margin(model.depth))
        except ValueError as error:
            raise DataError(f"--tile-size: {error}") from error
        text = f"at full resolution, in tiles of {args.tile_size} x {args.tile_size}"
        return lambda images: [predict_tiled(model, x, args.tile_size)[..., 0] for x in images], text, 1
    if args.native:
        return lambda images: [model.predict(x)[..., 0] for x in images], "at full resolution", 1
    size = args.image_size or about.get("image_size")
    if not isinstance(size, int) or size < 1:
        size = ASSUMED_SIZE
        warn(f"{args.model} does not say from which size it learnt: {size} is assumed, or give --image-size")
    text = f"each squeezed to {size} x {size} for the network"
    return lambda images: predict_squeezed(model, images, size), text, args.batch_size


def check_folders(args):
    """DataError unless --evaluate is a folder and --out is one, now at the latest, that can be written."""
    if args.evaluate is not None and not args.evaluate.is_dir():
        raise DataError(f"{args.evaluate} is not a folder: --evaluate takes a folder of masks")
    if args.out is None:
        return
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DataError(f"{args.out} is not a folder: choose another name for the results") from None
    if not os.access(args.out, os.W_OK | os.X_OK):
        raise DataError(f"the folder {args.out} cannot be written: choose another one for the results")


def parse_arguments(argv):
    """The arguments, each checked by itself."""
    parser = Parser(
        f"{__doc__}\nExit code: 0 all pictures done, 1 some could not be (the others are), "
        "2 wrong use\nor a model that cannot be used, 130 after Ctrl-C."
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="file of weights, as runs/NAME/best.npz")
    add(
        "pictures",
        nargs="+",
        metavar="PICTURES",
        help="files, folders (with their subfolders), or patterns as 'a*.jpg'",
    )
    add("--out", type=Path, metavar="DIR", help="folder of the results (default: beside each picture)")
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
        type=whole(1),
        metavar="N",
        help="squeeze pictures to N x N for the network (default: as it was trained)",
    )
    size.add_argument(
        "--native",
        action="store_true",
        help="show the network each picture at full resolution; 250 bytes of memory per pixel",
    )
    size.add_argument(
        "--tile",
        action="store_true",
        help="the same, one tile after another: for pictures that memory does not hold so",
    )
    add("--tile-size", type=whole(1), default=TILE, metavar="N", help=f"side of a tile (default: {TILE})")
    add(
        "--batch-size",
        type=whole(1),
        default=8,
        metavar="N",
        help="pictures that are squeezed and predicted together (default: 8)",
    )
    add(
        "--evaluate",
        type=Path,
        metavar="DIR",
        help="compare with known masks, DIR/NAME.png (0 and 255, or trimaps) or as the pets dataset has them",
    )
    add("--border", choices=MEANINGS, help="what the border in trimaps counts as (default: as in training)")
    add(
        "--device",
        type=device_name,
        default="auto",
        metavar="auto|cpu|gpu",
        help="where to compute; gpu:1 is the second GPU (default: auto, a GPU if it can be used)",
    )
    add("--threads", type=whole(1, MOST_THREADS), metavar="N", help="threads on the CPU (default: one per core)")
    return parser.parse_args(argv)
