"""What a pixel of a mask can say: class numbers, 255 for "ignore", and tables from the values in files to classes.

A *label map* has one integer per pixel, whatever it means to the program that saved it. A *mask* is a label map in the
classes of minunet:

    0    background
    1    pet, or whatever is to be found
    255  ignore: the pixel counts in no loss and in no score

A table, {value: class}, leads from the one to the other. The usual ones need not be given:

    0, 1        0 is background, 1 is pet
    0, 255      black is background, white is pet, as drawing programs save it
    1, 2, 3     a *trimap* of the Oxford-IIIT pets: pet, background, and the boundary between them, "not classified"
"""

import operator
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

IGNORE = 255  # the mask value of pixels that count neither as pet nor as background
MEANINGS = {"pet": 1, "background": 0, "ignore": IGNORE}  # all that a mask can say about a pixel
PET, BACKGROUND, BOUNDARY = 1, 2, 3  # the values of a trimap
TRIMAP = "1 (pet), 2 (background), 3 (boundary)"
USUAL = ({0: 0, 1: 1}, {0: 0, 255: 1})  # tables for masks whose values nobody has explained


def trimap_table(border: str) -> dict[int, int]:
    """Returns the table of a trimap. border: what its boundary counts as, one of MEANINGS, or ValueError.

    >>> trimap_table("ignore")
    {1: 1, 2: 0, 3: 255}
    """
    if border not in MEANINGS:
        raise ValueError(f"border is {border!r}: it must be one of {', '.join(MEANINGS)}")
    return {PET: 1, BACKGROUND: 0, BOUNDARY: MEANINGS[border]}


def check_table(values: Mapping[int, int] | Iterable[tuple[int, int]]) -> dict[int, int]:
    """Returns a table (or its pairs) as a dict of ints. Raises ValueError or TypeError unless it leads to classes.

    >>> check_table([[0, 0], [7, 1]])
    {0: 0, 7: 1}
    """
    table = {operator.index(value): operator.index(meaning) for value, meaning in dict(values).items()}
    if not table or min(table) < 0 or not set(table.values()) <= set(MEANINGS.values()):
        raise ValueError(f"values is {values}: it must lead from integers of at least 0 to 0, 1 or {IGNORE}")
    return table


def translate(labels: NDArray, tables: Iterable[Mapping[int, int]]) -> NDArray[np.uint8] | None:
    """Returns a label map, int (H, W), as a mask, uint8 (H, W), or None if no table fits.

    The first table that has all values of the label map is taken.

    >>> translate(np.array([[0, 255]]), USUAL)
    array([[0, 1]], dtype=uint8)
    """
    present = set(np.unique(labels).tolist())
    fitting = [table for table in tables if present <= set(table)]
    if not fitting:
        return None
    mask = np.zeros(labels.shape, np.uint8)
    for value, meaning in fitting[0].items():
        mask[labels == value] = meaning
    return mask


def lookup(table: Mapping[int, int]) -> NDArray[np.uint8]:
    """Returns a table as an array: lookup(table)[labels] is the mask of a label map that holds only its values."""
    array = np.zeros(max(table) + 1, np.uint8)
    array[list(table)] = list(table.values())
    return array
