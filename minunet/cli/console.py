"""What the commands print: lines on stdout, warnings and errors of one line on stderr, never a traceback."""

import contextlib
import os
import re
import sys
from typing import TextIO

from minunet.inputs import readable_lines

WRONG_USE = 2  # the exit code when what the user gave cannot be used
INTERRUPTED = 130  # the exit code after Ctrl-C, as shells have it: 128 + SIGINT
NUMBER_OF_ERROR = re.compile(r"\[(Errno|WinError) -?\d+\] ")  # with which Python begins what the system says


def say(text: object) -> None:
    """Prints lines at once, also into a pipe."""
    _print(str(text), sys.stdout)


def warn(text: object) -> None:
    """Prints a warning of one line on stderr."""
    _complain(f"warning: {one_line(text)}")


def report_error(error: object) -> None:
    """Prints an error of one line on stderr; the command may continue with the next file."""
    _complain(f"error: {one_line(error)}")


def fail(error: object, code: int = WRONG_USE) -> int:
    """Prints the error that ends the command, and returns the exit code."""
    report_error(error)
    return code


def count(number: int, noun: str) -> str:
    """Returns a number with its noun, in the plural where it must be.

    >>> count(1, "epoch"), count(2, "epoch")
    ('1 epoch', '2 epochs')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def one_line(text: object) -> str:
    """Returns the text with all runs of white space as one space, without the numbers of the system's errors.

    >>> one_line(FileNotFoundError(2, "No such file or directory", "cat.jpg"))
    "No such file or directory: 'cat.jpg'"
    """
    return NUMBER_OF_ERROR.sub("", " ".join(str(text).split()))


def open_closed_streams() -> None:
    """Lets stdout and stderr lead nowhere where whoever started the program has closed them: Python has None there."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))


def flush_output() -> None:
    """Writes out what was printed on stdout. Raises OSError if that is impossible."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard(sys.stdout)
        raise


def _complain(text: str) -> None:
    """Prints a line on stderr; if nobody reads that either, there is nobody to tell."""
    with contextlib.suppress(OSError):
        _print(text, sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    """Prints lines; what the stream's encoding lacks is escaped. Raises OSError if they cannot be written."""
    text = readable_lines(text)
    encoding = stream.encoding or "utf-8"
    try:
        print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except OSError:
        _discard(stream)
        raise


def _discard(stream: TextIO) -> None:
    """Sends what the stream still holds nowhere: Python would try again as it ends, and print a traceback."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
    stream.flush()
