"""What the commands print: lines on stdout, warnings and errors of one line on stderr, never a traceback."""

import sys
from typing import TextIO

WRONG_USE = 2  # the exit code when what the user gave cannot be used


def say(text: object) -> None:
    """Prints lines at once, also into a pipe."""
    _print(str(text), sys.stdout)


def warn(text: object) -> None:
    """Prints a warning of one line on stderr."""
    _print(f"warning: {one_line(text)}", sys.stderr)


def report_error(error: object) -> None:
    """Prints an error of one line on stderr; the command may continue with the next file."""
    _print(f"error: {one_line(error)}", sys.stderr)


def fail(error: object, code: int = WRONG_USE) -> int:
    """Prints the error that ends the command, and returns the exit code."""
    report_error(error)
    return code


def readable(text: object) -> str:
    """Returns the text (the name of a file, say) with control characters, line breaks and stray bytes escaped.

    >>> print(readable("my\\ncat\\x1b.png"))
    my\\ncat\\x1b.png
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def count(number: int, noun: str) -> str:
    """Returns a number with its noun, in the plural where it must be.

    >>> count(1, "epoch"), count(2, "epoch")
    ('1 epoch', '2 epochs')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def one_line(text: object) -> str:
    """Returns the text with all runs of white space as one space."""
    return " ".join(str(text).split())


def _print(text: str, stream: TextIO) -> None:
    """Prints lines; what the stream's encoding lacks is escaped."""
    text = "\n".join(map(readable, text.split("\n")))
    encoding = stream.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
