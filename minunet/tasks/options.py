"""What the options of tasks must be. They may come from the metadata of a weights file, which can say anything."""

import math
import operator
from collections.abc import Sequence

WIDEST_BOUNDARY = 64  # pixels; a boundary takes a pass over the image for each pixel of its width


def check_pixels(name: str, value: int, least: int = 0, most: int = 1 << 40) -> int:
    """Returns a number of pixels. Raises TypeError unless it is an integer, ValueError unless it is in the range.

    >>> check_pixels("boundary", 2, most=64)
    2
    """
    pixels = operator.index(value)
    if not least <= pixels <= most:
        raise ValueError(f"{name} is {value}: it must be a number of pixels, {least} to {most}")
    return pixels


def check_length(name: str, value: float) -> float:
    """Returns a length in pixels, a float. Raises TypeError unless it is a number, ValueError unless it is above 0."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}: it must be a length in pixels, above 0")
    return float(value)


def check_choice(name: str, value: str, choices: Sequence[str]) -> str:
    """Returns the value. Raises ValueError unless it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: it must be one of {', '.join(choices)}")
    return value


def check_word(name: str, value: str) -> str:
    """Returns the word or words. Raises ValueError unless they can be printed on a line."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError(f"{name} is {value!r}: it must be a word, or a few, on one line")
    return value
