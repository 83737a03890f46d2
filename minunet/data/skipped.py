"""Files of a dataset that cannot be used: skipped, and reported in one message."""

from collections.abc import Sequence

from minunet.data import DataError
from minunet.inputs import log, readable

SHOWN = 10  # how many skipped files a message names; the others are counted


def listed(values: Sequence[object]) -> str:
    """Returns the first few of some values, for a message.

    >>> listed([0, 1, 255]), listed(range(9))
    ('0, 1, 255', '0, 1, 2, 3, 4, ...')
    """
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")


def report_skipped(where: str, usable: int, skipped: Sequence[str], expected: str, strict: bool) -> None:
    """Says which files were skipped and why; says nothing if there are none.

    where     what was read: the beginning of the message
    usable    the number of images that can be used
    skipped   a str for each file, "file: what is wrong"
    expected  how the files should be laid out: the end of the message if there is no image at all
    strict    True raises where False warns

    The warning goes to the logger "minunet". Raises DataError if no image can be used, or if strict.
    """
    if not skipped and usable:
        return
    shown = [f"\n  {readable(reason)}" for reason in skipped[:SHOWN]]
    if len(skipped) > SHOWN:
        shown.append(f"\n  ... and {len(skipped) - SHOWN} more")
    images = "image" if usable == 1 else "images"
    message = f"{where}: {usable} usable {images}, {len(skipped)} skipped:{''.join(shown)}"
    if not usable:
        raise DataError(f"{message}\nExpected: {expected}.")
    if strict:
        raise DataError(message)
    log.warning("%s", message)
