"""Argument types that check what the user typed, and the parser that all commands share."""

import argparse
import math
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from minunet import device
from minunet.cli.console import fail, warn
from minunet.data.labels import MEANINGS
from minunet.inputs import user_path
from minunet.kernels.threads import get_num_threads
from minunet.precision import NAMES, describe_precision

MOST_THREADS = 1024  # more gain nothing; a million of them bring the machine down
MOST_PIXELS = 2**14  # per side: a mistyped size is refused before it takes all of the machine's memory


class Parser(argparse.ArgumentParser):
    """The parser of all commands: keeps the layout of its description; refuses in one line, with exit code 2."""

    def __init__(self, description: str, command: str = "") -> None:
        layout = argparse.RawDescriptionHelpFormatter
        name = f"minunet {command}".strip()
        super().__init__(prog=name, description=description, formatter_class=layout, allow_abbrev=False)
        self.origin = ""  # where the words come from, if not from the command line

    def _print_message(self, message: str, file: Any = None) -> None:
        """Prints the help. argparse would pass over an output that cannot be written."""
        if message:
            (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        """Prints the message, and exits with code 2."""
        sys.exit(fail(f"{self.origin}{': ' if self.origin else ''}{message} (see {self.prog} --help)"))


def whole(least: int, most: int = 10**18) -> Callable[[str], int]:
    """Returns an argument type: an integer from `least` to `most`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\s*[+-]?[0-9]{1,100}\s*", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} must be an integer of at least {least}")
        if int(text) > most:
            raise argparse.ArgumentTypeError(f"{text!r} must be at most {most}")
        return int(text)

    return parse


def positive(text: str) -> float:
    """An argument type: a finite number above 0."""
    return _number(text, lambda value: 0 < value < math.inf, "above 0")


def not_negative(text: str) -> float:
    """An argument type: a finite number of at least 0."""
    return _number(text, lambda value: 0 <= value < math.inf, "of at least 0")


def fraction(text: str) -> float:
    """An argument type: a number of at least 0 and below 1."""
    return _number(text, lambda value: 0 <= value < 1, "of at least 0 and below 1")


def between_0_and_1(text: str) -> float:
    """An argument type: a number above 0 and below 1."""
    return _number(text, lambda value: 0 < value < 1, "above 0 and below 1")


def _number(text: str, fits: Callable[[float], bool], range_in_words: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not fits(value):  # False for NaN, too
        raise argparse.ArgumentTypeError(f"{text!r} must be a number {range_in_words}")
    return value


def multiple(of: int, most: int) -> Callable[[str], int]:
    """Returns an argument type: a positive multiple of `of`, at most `most`; the error names the nearest ones."""

    def parse(text: str) -> int:
        size = whole(1, most)(text)
        if size % of:
            below, above = size // of * of, (size // of + 1) * of
            fitting = f"{below} and {above} are" if below else f"{above} is"
            raise argparse.ArgumentTypeError(f"{size} is not a multiple of {of}; {fitting}")
        return size

    return parse


def image_size(of: int, most: int) -> Callable[[str], Any]:
    """Returns an argument type: N, or HxW, multiples of `of`; or "original". As int, [H, W], or that word."""
    side = multiple(of, most)

    def parse(text: str) -> int | list[int] | str:
        if text == "original":
            return text
        sides = [side(part) for part in text.lower().split("x", 1)]
        return sides[0] if len(sides) == 1 or sides[0] == sides[1] else sides

    return parse


def mask_values(text: str) -> list[list[int]]:
    """An argument type: "0=background,7=pet,255=ignore" becomes [[0, 0], [7, 1], [255, 255]].

    Pairs, because run.json, from which a run may be started again, has no dict with integer keys.
    """
    entries = [re.fullmatch(r"\s*([0-9]{1,5})\s*=\s*(\w+)\s*", entry) for entry in text.split(",")]
    if not all(entry and entry[2] in MEANINGS for entry in entries):
        raise argparse.ArgumentTypeError(
            f"{text!r} must give each value a meaning ({', '.join(MEANINGS)}), such as 0=background,7=pet,255=ignore"
        )
    return [[int(entry[1]), MEANINGS[entry[2]]] for entry in entries if entry]


def path(text: str) -> Path:
    """An argument type: a path, in which ~ is the home folder also where a shell leaves it: in --out=~/x."""
    try:
        return user_path(text)
    except (ValueError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_model_arguments(parser: Parser) -> None:
    """Adds MODEL, and what its file may unpack to."""
    parser.add_argument("model", type=path, metavar="MODEL", help="weights file, such as runs/NAME/best.npz")
    parser.add_argument(
        "--max-bytes",
        type=whole(1),
        metavar="N",
        help="bytes that MODEL may unpack to, if you trust it (default: 32 times the size of the file, or 64 MiB)",
    )


def add_compute_arguments(parser: Parser) -> None:
    """Adds --device, --threads and --precision: where a command computes, and how exactly."""
    parser.add_argument(
        "--device",
        type=device_name,
        default="auto",
        metavar="auto|cpu|gpu",
        help="where to compute; gpu:1 is the second GPU (default: auto, a GPU if it can be used)",
    )
    parser.add_argument(
        "--threads", type=whole(1, MOST_THREADS), metavar="N", help="threads on the CPU (default: one per core)"
    )
    parser.add_argument(
        "--precision",
        choices=(*NAMES, "auto"),
        default="auto",
        help="on a GPU: tf32 rounds the factors of convolutions to 11 bits, mixed stores activations in 16 bits "
        "(default: auto, which is tf32 where the GPU has it, else float32)",
    )


def add_graph_argument(parser: Parser) -> None:
    """Adds --graph and --no-graph: whether a GPU is told each operation of each step."""
    parser.add_argument(
        "--graph",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="on a GPU, record a training step once, as a CUDA graph, and replay it: the same numbers in less time "
        "(default: --graph)",
    )


def device_name(text: str) -> str:
    """An argument type: auto, cpu, gpu, or gpu:K."""
    if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be auto, cpu, gpu, or gpu:1 for the second GPU")
    return text


def choose_device(name: str) -> str:
    """Returns the device called `name`; "cpu" where a GPU cannot be used, after one warning that says why."""
    try:
        return resolve_device(name)
    except device.GpuUnavailable as error:
        warn(f"no GPU for --device {name}: {error}. NumPy does the work on the CPU instead")
        return "cpu"


def resolve_device(name: str) -> str:
    """Returns the device called `name`. Raises GpuUnavailable, whose message is all that is said about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy issues warnings of its own while it searches for the CUDA libraries
        return device.resolve_device(name)


def precision_line(precision: str, device: str) -> str | None:
    """Returns the line that says how exactly a GPU computes, None for the CPU."""
    return None if device == "cpu" else f"precision   {describe_precision(precision, device)}"


def describe_device(name: str) -> str:
    """Returns the device in words."""
    return f"cpu (NumPy, threads: {get_num_threads()})" if name == "cpu" else f"{name} (CuPy)"
