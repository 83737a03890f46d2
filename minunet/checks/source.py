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
    lines, first = inspect.getsourcelines(thing)
    file = inspect.getsourcefile(thing) or "?"
    return f"{readable_path(file)}, lines {first} to {first + len(lines) - 1}"


def readable_path(file: str) -> str:
    """Returns the path of a file: of the package's files from "minunet/" on, in whatever folder that is."""
    path = Path(file)
    return path.relative_to(ABOVE).as_posix() if path.is_relative_to(ABOVE) else str(path)
