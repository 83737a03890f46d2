"""What is wrong with the files of a dataset, told in one message."""

import logging

from minunet.data import DataError

SHOWN = 10  # problems that a message names; the others are counted

log = logging.getLogger("minunet")


def listed(values):
    """The first few of some values, for a message.

    >>> listed([0, 1, 255]), listed(range(9))
    ('0, 1, 255', '0, 1, 2, 3, 4, ...')
    """
    return ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")


def report(where, usable, problems, expected, strict):
    """Says which files are left out; nothing if there are none.

    where     what was read, to begin the message with
    usable    number of pictures that can be used
    problems  list of str, each "file: what is wrong"
    expected  how the files should lie, to end the message with if there is no picture at all
    strict    True raises where False warns

    The warning goes to the logger "minunet". Raises DataError if no picture can be used, or if strict.
    """
    if not problems and usable:
        return
    shown = [f"\n  {problem}" for problem in problems[:SHOWN]]
    if len(problems) > SHOWN:
        shown.append(f"\n  ... and {len(problems) - SHOWN} more")
    message = f"{where}: {usable} pictures can be used, {len(problems)} cannot:{''.join(shown)}"
    if not usable:
        raise DataError(f"{message}\nExpected: {expected}.")
    if strict:
        raise DataError(message)
    log.warning("%s", message)
