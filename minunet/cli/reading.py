"""The flags that say how image and mask files are read, which several commands share."""

import argparse
import math
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minunet.cli.arguments import Parser, positive, whole
from minunet.data.images import DEFAULT, FULL, MILLION, PERCENTILES, Reading, count_deep, quiet_pillow


def add_reading_arguments(parser: Parser, trained: bool = False) -> None:
    """Adds --stretch, --exif, --page and --max-pixels. trained: there is a model, which says how it was trained."""
    add = parser.add_argument
    add(
        "--stretch",
        type=stretch_rule,
        metavar="percentiles|full|LOW-HIGH",
        help="how more than 8 bits become 8: from the 1st to the 99.8th percentile of each image, the full range of 16 "
        f"bits, or from LOW to HIGH (default: {'as in training, else ' if trained else ''}percentiles)",
    )
    add(
        "--exif",
        choices=("stored", "upright"),
        help="where an image has an EXIF orientation, and the size of its mask does not tell: whether masks are of the "
        "pixels as stored, or upright as a viewer shows them (default: such images are refused)",
    )
    add("--page", type=whole(1, 10**6), metavar="N", help="which page of stacks and animations (default: none is read)")
    add(
        "--max-pixels",
        type=positive,
        metavar="X",
        help="largest image that is read, in millions of pixels: a small file may unpack to gigabytes "
        f"(default: {DEFAULT.most_pixels // MILLION})",
    )


def stretch_rule(text: str) -> str | list[float]:
    """An argument type: percentiles, full, or LOW-HIGH, which becomes [low, high]."""
    if text in (PERCENTILES, FULL):
        return text
    number = r"\s*([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*"
    found = re.fullmatch(f"{number}-{number}", text)
    try:
        pair = [float(part) for part in found.groups()] if found else []
    except ValueError:  # two points in one number
        pair = []
    if not _is_range(pair):
        raise argparse.ArgumentTypeError(
            f"{text!r} must be {PERCENTILES}, {FULL}, or LOW-HIGH, such as 0-4095, LOW below HIGH"
        )
    return pair


def _is_range(pair: object) -> bool:
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and all(type(n) in (int, float) and math.isfinite(n) for n in pair)
        and pair[0] < pair[1]
    )


def reading_of(args: Namespace, metadata: Mapping[str, Any] | None = None) -> Reading:
    """Returns how the arguments ask for files to be read; `metadata` of a model says what was asked in its training."""
    rule = args.stretch
    if rule is None:
        rule = (metadata or {}).get("stretch")
        rule = rule if rule in (PERCENTILES, FULL) or _is_range(rule) else PERCENTILES
    most = DEFAULT.most_pixels if args.max_pixels is None else max(1, round(args.max_pixels * MILLION))
    return Reading(rule if isinstance(rule, str) else (rule[0], rule[1]), args.exif, args.page, most)


def stretched(paths: Sequence[Path], reading: Reading) -> str:
    """Returns a line about images of more than 8 bits, or an empty one if there are none among them."""
    with quiet_pillow():
        deep = count_deep(paths)
    rules = {
        PERCENTILES: "each from its 1st percentile to its 99.8th",
        FULL: "from 0 to 65535",
    }
    rule = rules[reading.stretch] if isinstance(reading.stretch, str) else "from {:g} to {:g}".format(*reading.stretch)
    images = "1 image has" if deep == 1 else f"{deep} images have"
    return f"{images} more than 8 bits, stretched {rule} (--stretch)" if deep else ""
