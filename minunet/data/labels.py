"""What a pixel's label can say: a class or an object, 255 for "ignore", and tables from values in files to classes.

A *label map* has one integer per pixel, whatever it means to the program that saved it. *Labels* are what a network
learns from. There are four kinds:

    mask       uint8  (H, W, 1)   0 background, 1 what is to be found, 255 ignore
    classes    uint8  (H, W, 1)   an index 0, 1 … K-1 of K classes (classes.py), 255 ignore
    instances  uint16 (H, W, 1)   0 background, 1, 2, 3 … one number per object, 65535 ignore
    panoptic   uint16 (H, W, 2)   a class index or 255 (ignore); and 0, or on objects 1, 2, 3 … one number each

A mask, then, is a label map in these classes:

    0    background
    1    pet, or whatever is to be found
    255  ignore: the pixel counts in no loss and in no score

A table, {value: class}, leads from the one to the other. The usual ones need not be given:

    0, 1        0 is background, 1 is pet
    0, 255      black is background, white is pet, as drawing programs save it
    1, 2, 3     a *trimap* of the Oxford-IIIT pets: pet, background, and the boundary between them, "not classified"

*Segments* have the number of an object per pixel instead, in 16 bits:

    0           no object
    1 to 65534  objects, in any order, with or without gaps
    65535       ignore: the pixel counts in no loss and in no score
"""

import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.unsignedinteger[Any]]  # uint8 or uint16, (H, W, L)

IGNORE = 255  # the class of pixels that count in nothing: neither as pet nor as background
IGNORE_OBJECT = 65535  # the same in segments
MOST_OBJECTS = IGNORE_OBJECT - 1  # the objects that one image can have
MEANINGS = {"pet": 1, "background": 0, "ignore": IGNORE}  # all that a mask can say about a pixel
PET, BACKGROUND, BOUNDARY = 1, 2, 3  # the values of a trimap
TRIMAP = "1 (pet), 2 (background), 3 (boundary)"
OWN = "minunet predict_pets"  # the "Software" in images that a prediction wrote, as the first version called itself
USUAL = ({0: 0, 1: 1}, {0: 0, 255: 1})  # tables for masks whose values nobody has explained


def trimap_table(border: str) -> dict[int, int]:
    """Returns the table of a trimap. border: what its boundary counts as, one of MEANINGS, or ValueError.

    >>> trimap_table("ignore")
    {1: 1, 2: 0, 3: 255}
    """
    if border not in MEANINGS:
        raise ValueError(f"border is {border!r}: it must be one of {', '.join(MEANINGS)}")
    return {PET: 1, BACKGROUND: 0, BOUNDARY: MEANINGS[border]}


def check_table(values: Mapping[int, int] | Iterable[tuple[int, int]], most: int = 1) -> dict[int, int]:
    """Returns a table (or its pairs) as a dict of ints. Raises ValueError or TypeError unless it leads to classes.

    most: the highest class, at most 254; those of a mask are 0 and 1.

    >>> check_table([[0, 0], [7, 1]])
    {0: 0, 7: 1}
    """
    table = {operator.index(value): operator.index(meaning) for value, meaning in dict(values).items()}
    if not table or min(table) < 0 or not set(table.values()) <= {*range(most + 1), IGNORE}:
        classes = "0, 1" if most == 1 else f"0 to {most},"
        raise ValueError(f"values is {values}: it must lead from integers of at least 0 to {classes} or {IGNORE}")
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


def as_segments(numbers: NDArray, ignore: bool = False) -> NDArray[np.uint16]:
    """Returns the number of each pixel's object, integers (H, W), as segments, uint16 (H, W).

    ignore: whether 65535 stands for ignored pixels, as in a true label image; without it, 65535 is one object too many.
    Raises TypeError for what is no integer, and ValueError for another shape, for numbers below 0, and for those that
    segments cannot hold. If it is only the numbers that are high, and not the objects that are many, see `renumber`.

    >>> as_segments(np.array([[0, 7], [7, 65534]]))
    array([[    0,     7],
           [    7, 65534]], dtype=uint16)
    """
    numbers = np.asarray(numbers)
    if numbers.dtype.kind not in "uib":
        raise TypeError(f"segments are {numbers.dtype}: they must be integers, 0 and one number per object")
    if numbers.ndim != 2:
        raise ValueError(f"segments have shape {numbers.shape}: they must be (H, W); of (H, W, 1), give [..., 0]")
    low, high = (int(numbers.min()), int(numbers.max())) if numbers.size else (0, 0)
    if low < 0:
        raise ValueError(f"segments hold {low}: they must be 0 (no object) or above")
    if high > (IGNORE_OBJECT if ignore else MOST_OBJECTS):
        raise ValueError(
            f"segments hold the number {high}: it must be at most {MOST_OBJECTS}, because a 16-bit label image has "
            f"65536 values, of which 0 means no object and {IGNORE_OBJECT} means ignore; number the objects 1, 2, 3 … "
            "with minunet.data.labels.renumber, or cut the image into tiles if it has too many"
        )
    return numbers.astype(np.uint16)


def renumber(numbers: NDArray, ignore: bool = False) -> NDArray[np.uint16]:
    """Returns segments whose objects are numbered 1, 2, 3 … without gaps, in the order of `numbers`; 0 stays 0.

    numbers: integers (H, W), 0 where there is no object. ignore: whether 65535 stands for ignored pixels, and stays.
    Raises ValueError for numbers below 0, and for more than 65534 objects.

    >>> renumber(np.array([[0, 70000], [9, 70000]]))
    array([[0, 2],
           [1, 2]], dtype=uint16)
    """
    present, index = np.unique(np.append(numbers, 0), return_inverse=True)  # 0 is among them, and the lowest
    if present[0] < 0:
        raise ValueError(f"segments hold {present[0]}: they must be 0 (no object) or above")
    objects = (present != 0) & (present != IGNORE_OBJECT if ignore else True)
    if objects.sum() > MOST_OBJECTS:
        raise ValueError(
            f"the image has {objects.sum()} objects: a 16-bit label image can hold {MOST_OBJECTS}; cut it into tiles"
        )
    new = np.where(objects, np.cumsum(objects), present)
    return as_segments(new[index[:-1]].reshape(np.shape(numbers)), ignore)


def ignored(labels: Labels) -> list[int]:
    """Returns what a pixel that counts in nothing holds in labels (H, W, L) of this kind, a number per channel.

    >>> ignored(np.zeros((1, 1, 1), np.uint8)), ignored(np.zeros((1, 1, 2), np.uint16))
    ([255], [255, 0])
    """
    if labels.shape[-1] == 2:
        return [IGNORE, 0]
    return [IGNORE if labels.dtype == np.uint8 else IGNORE_OBJECT]


def lookup(table: Mapping[int, int]) -> NDArray[np.uint8]:
    """Returns a table as an array: lookup(table)[labels] is the mask of a label map that holds only its values."""
    array = np.zeros(max(table) + 1, np.uint8)
    array[list(table)] = list(table.values())
    return array
