"""What others hand over, taken with care: paths, files, JSON, and text that is to be shown.

user_path(path)      a path as people write it, with ~ for the home folder
read_file(path)      the bytes of a regular file: no pipe that waits forever, no device that never ends
read_lines(path)     the same as text
parse_json(text)     JSON that means one thing, and whose values can be shown and written again
readable(text)       what a terminal may show
log                  the logger of the package, whose messages are readable
"""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

LARGEST_TEXT = 64 * 2**20  # bytes of a list, or of what a run says about itself
DEEPEST = 100  # lists and objects in each other; what people write has three or four


def user_path(path: str | os.PathLike[str]) -> Path:
    """Returns a path in which a leading ~ or ~name is that user's home folder. Raises ValueError for no path at all.

    >>> user_path("runs/a").as_posix()
    'runs/a'
    """
    text = os.fspath(path)
    try:
        whole = os.fsencode(text)
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} is not a path: it holds what no file name can") from error
    if not whole or b"\0" in whole:
        raise ValueError(f"{text!r} is not a path: it {'holds a null byte' if whole else 'is empty'}")
    return Path(os.path.expanduser(text))


def read_file(path: str | Path, most: int | None = None, links: bool = True) -> bytes:
    """Returns the bytes of a regular file.

    most: how many it may have. links: whether the path may be a symbolic link; not in a folder that somebody else has
    made, where it could lead anywhere. Raises OSError, with a reason, for everything else.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe is opened without waiting
    if not links and os.path.islink(path):
        raise OSError(
            errno.ELOOP, "it is a symbolic link, which may lead anywhere: put the file itself there", str(path)
        )
    handle = os.open(path, flags)
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file", str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
        if most is not None and status.st_size > most:
            reason = f"it has {status.st_size / 1e6:.1f} MB, and may have {most / 1e6:.1f} MB"
            raise OSError(errno.EFBIG, reason, str(path))
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def read_lines(path: str | Path, errors: str = "strict") -> list[str]:
    """Returns the lines of a text file in UTF-8. Raises OSError as `read_file`, and UnicodeDecodeError."""
    text = read_file(path, LARGEST_TEXT).decode("utf-8-sig", errors)
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def parse_json(text: str | bytes) -> Any:
    """Returns what JSON says. Raises ValueError, with the reason, for what is damaged or could mean two things.

    >>> parse_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: 'a' is there twice
    """
    try:
        value = json.loads(text, object_pairs_hook=_one_of_each)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _check_depth(value)
    escaped = b"\\ud" if isinstance(text, bytes) else "\\ud"
    if escaped in text.lower():  # type: ignore[operator]
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError("it holds half a character, which no text can hold") from error
    return value


def _one_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in keys if keys.count(key) > 1)!r:.60} is there twice")
    return content


def _check_depth(value: Any) -> None:
    inside = [value]
    for _ in range(DEEPEST):
        containers = (each for each in inside if isinstance(each, (dict, list)))
        inside = [x for each in containers for x in (each.values() if isinstance(each, dict) else each)]
        if not inside:
            return
    raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def readable(text: object) -> str:
    """Returns the text (the name of a file, say) with control characters, line breaks and stray bytes escaped.

    >>> print(readable("my\\ncat\\x1b.png"))
    my\\ncat\\x1b.png
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def readable_lines(text: object) -> str:
    """Returns the same of a text that has line breaks of its own, which stay."""
    return "\n".join(map(readable, str(text).split("\n")))


def _show_readably(record: logging.LogRecord) -> bool:
    """Makes a message readable before any handler has it; it may name files that a stranger has named."""
    record.msg, record.args = readable_lines(record.getMessage()), None
    return True


log = logging.getLogger("minunet")
log.addFilter(_show_readably)
