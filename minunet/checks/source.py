"""Where something is written: the file and the lines, found by looking, so that they are never out of date."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minunet.version

ABOVE = Path(minunet.version.__file__).parent.parent


def lines_of(thing: Callable[..., Any]) -> str:
    """Returns the file and the lines of a function, a method or a class.

    >>> lines_of(lines_of).split(", lines ")[0]
    'minunet/checks/source.py'
    """
    return ", ".join(file_and_lines(thing))


def file_and_lines(thing: Callable[..., Any]) -> tuple[str, str]:
    """Returns the file, and "lines 60 to 74"."""
    lines, first = inspect.getsourcelines(thing)
    last = first + len(lines) - 1
    where = f"line {first}" if first == last else f"lines {first} to {last}"
    return readable_path(inspect.getsourcefile(thing) or "?"), where


def readable_path(file: str) -> str:
    """Returns the path of a file: of the package's files from "minunet/" on, in whatever folder that is."""
    path = Path(file)
    return path.relative_to(ABOVE).as_posix() if path.is_relative_to(ABOVE) else str(path)
