"""What the command lines have in common: checked arguments, and errors of one line instead of a traceback."""

import argparse
import math
import re
import sys
import warnings

from minunet import device
from minunet.data.labels import MEANINGS
from minunet.kernels.threads import get_num_threads

MOST_THREADS = 1024  # more bring nothing; a million of them bring the machine down
WRONG_USE = 2  # the exit code when what the user gave cannot be used


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that keeps the layout of its description and takes one line to refuse."""

    def __init__(self, description, command=""):
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(
            prog=f"minunet {command}".strip(), description=description, formatter_class=layout, allow_abbrev=False
        )

    def error(self, message):
        """Prints the message, and exits with code 2."""
        sys.exit(fail(f"{message} (see --help)"))


def whole(least, most=None):
    """An argument type: a whole number from `least` on, up to `most` where that is given."""

    def parse(text):
        if not re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from {least} on")
        if most is not None and int(text) > most:
            raise argparse.ArgumentTypeError(f"{text!r} must be {most} at most")
        return int(text)

    return parse


def positive(text):
    """An argument type: a finite number above 0."""
    return _number(text, lambda value: 0 < value < math.inf, "above 0")


def not_negative(text):
    """An argument type: a finite number from 0 on."""
    return _number(text, lambda value: 0 <= value < math.inf, "from 0 on")


def fraction(text):
    """An argument type: a number from 0 to below 1."""
    return _number(text, lambda value: 0 <= value < 1, "from 0 to below 1")


def _number(text, fits, range_in_words):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not fits(value):  # False for NaN, too
        raise argparse.ArgumentTypeError(f"{text!r} must be a number {range_in_words}")
    return value


def between_0_and_1(text):
    """An argument type: a number above 0 and below 1."""
    return _number(text, lambda value: 0 < value < 1, "above 0 and below 1")


def multiple(of):
    """An argument type: a whole number that `of` divides; the error names the nearest ones that fit."""

    def parse(text):
        size = whole(1)(text)
        if size % of:
            below, above = size // of * of, (size // of + 1) * of
            fitting = f"{below} and {above} are" if below else f"{above} is"
            raise argparse.ArgumentTypeError(f"{size} is no multiple of {of}; {fitting}")
        return size

    return parse


def mask_values(text):
    """An argument type: "0=background,7=pet,255=ignore" -> [[0, 0], [7, 1], [255, 255]].

    Pairs, because run.json, from which a run may be started again, knows no dict with numbers as keys.
    """
    parts = [re.fullmatch(r"\s*([0-9]{1,5})\s*=\s*(\w+)\s*", part) for part in text.split(",")]
    if not all(part and part[2] in MEANINGS for part in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} must name a meaning for each value, such as 0=background,7=pet,255=ignore"
        )
    return [[int(part[1]), MEANINGS[part[2]]] for part in parts]


def device_name(text):
    """An argument type: auto, cpu, gpu, or gpu:K."""
    if not re.fullmatch(r"auto|cpu|gpu(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be auto, cpu, gpu, or gpu:1 for the second GPU")
    return text


def choose_device(name):
    """The device called `name`; "cpu" if it is a GPU that cannot be used, after one warning that says why."""
    try:
        return find_device(name)
    except device.GpuUnavailable as error:
        warn(f"no GPU for --device {name}: {error}. NumPy does the work on the CPU instead")
        return "cpu"


def find_device(name):
    """The device called `name`. Raises GpuUnavailable, whose message is all that is said about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy warns on its own while it looks for the CUDA libraries
        return device.resolve_device(name)


def describe_device(name):
    """The device in words."""
    return f"cpu (NumPy, threads: {get_num_threads()})" if name == "cpu" else f"{name} (CuPy)"


def say(text):
    """Prints a line at once, also into a pipe."""
    _print(text, sys.stdout)


def warn(text):
    """Prints one line on stderr."""
    _print(f"warning: {_one_line(text)}", sys.stderr)


def fail(error, code=WRONG_USE):
    """Prints one line on stderr. Returns the exit code."""
    _print(f"error: {_one_line(error)}", sys.stderr)
    return code


def readable(text):
    """The text (the name of a file, say) with control characters, line breaks and stray bytes escaped.

    >>> print(readable("my\\ncat\\x1b.png"))
    my\\ncat\\x1b.png
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def _print(text, stream):
    """Prints lines at once; what the stream's encoding does not have is escaped."""
    text = "\n".join(map(readable, str(text).split("\n")))
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def _one_line(text):
    return " ".join(str(text).split())
