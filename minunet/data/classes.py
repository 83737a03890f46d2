"""Classes: what the network calls 0, 1, 2 …, what files call them, their names, their colors, and which can be counted.

A network with K channels answers with a class *index*, 0 to K-1. A file holds a class *number*, which may be any: the
eleven classes of a street scene may be 0 to 10 with 11 for "not labeled", those of tissue 1 to 4. `Classes` leads from
the one to the other. 255 is the index of pixels that count in no loss and in no score, as in labels.py.

Files that have no colors get those of the PASCAL VOC challenge, whose palette is a formula: the bits of the number n,
from the lowest up, go in turn to red, green and blue, and fill each from its highest bit down:

    n = … n5 n4 n3 n2 n1 n0 (bits)        red  n0 n3 n6 …      green  n1 n4 n7 …      blue  n2 n5 n8 …

So 15 = 001111 has n0 = n1 = n2 = n3 = 1: red 11000000, green 10000000, blue 10000000, which is (192, 128, 128). 0 is
black, no two numbers get the same color, and small numbers get colors that lie far apart.
"""

import operator
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minunet.data.labels import IGNORE
from minunet.inputs import read_lines, user_path

Color = tuple[int, int, int]
IGNORE_NAMES = ("ignore", "void")  # names that stand for 255
MOST_CLASSES, MOST_VALUE = IGNORE, 65535  # indices 0 to 254; numbers that a 16-bit file can hold
VOID_COLOR = (224, 224, 192)  # of pixels that are ignored: VOC's color for 255


def voc_color(number: int) -> Color:
    """Returns the color (red, green, blue) of a number in the VOC palette, each 0 to 255.

    >>> [voc_color(number) for number in (0, 1, 2, 15, 255)]
    [(0, 0, 0), (128, 0, 0), (0, 128, 0), (192, 128, 128), (224, 224, 192)]
    """
    color = [0, 0, 0]
    for bit in range(24):
        color[bit % 3] |= (number >> bit & 1) << (7 - bit // 3)
    return color[0], color[1], color[2]


@dataclass(frozen=True)
class Classes:
    """K classes, in the order of the network's channels.

    names   of the classes, all different
    values  the number of each class in files, 0 to 65535, all different (default: 0, 1, 2 …)
    colors  (red, green, blue) of each, 0 to 255 (default: the VOC palette's color of its value)
    things  which classes are countable objects (default: none; the others are *stuff*: sky, road)
    also    what other numbers in files mean: pairs (number, class index or 255), or a mapping of these

    Raises ValueError, or TypeError for what is no integer, if these do not fit together.

    >>> classes = Classes(("road", "car"), values=(7, 26), things=(False, True), also={0: 255, 27: 1})
    >>> len(classes), classes.table(), classes.colors
    (2, {7: 0, 26: 1, 0: 255, 27: 1}, ((128, 128, 128), (64, 192, 0)))
    """

    names: tuple[str, ...]
    values: tuple[int, ...] = ()
    colors: tuple[Color, ...] = ()
    things: tuple[bool, ...] = ()
    also: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.names, str):
            raise TypeError(f"names is {self.names!r}: it must be a list of names")
        count = len(self.names)
        values = tuple(map(operator.index, self.values)) or tuple(range(count))
        colors = tuple(_color(color) for color in self.colors) or tuple(map(voc_color, values))
        also = self.also.items() if isinstance(self.also, Mapping) else self.also
        settled = {
            "names": tuple(self.names),
            "values": values,
            "colors": colors,
            "things": tuple(map(bool, self.things)) or (False,) * count,
            "also": tuple((operator.index(value), operator.index(index)) for value, index in also),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)  # the way into a frozen dataclass
        self._check(count)

    def _check(self, count: int) -> None:
        if not 1 <= count <= MOST_CLASSES:
            raise ValueError(f"there are {count} classes: there must be 1 to {MOST_CLASSES}")
        for name in self.names:
            if not isinstance(name, str) or not name.strip() or not name.isprintable() or name.lower() in IGNORE_NAMES:
                raise ValueError(f"a class is called {name!r}: a name is text, and not {' or '.join(IGNORE_NAMES)}")
        if len(set(self.names)) < count:
            raise ValueError(f"names is {self.names}: each class needs a name of its own")
        for field in ("values", "colors", "things"):
            if len(getattr(self, field)) != count:
                raise ValueError(f"{field} has {len(getattr(self, field))} entries for {count} classes: {self.names}")
        numbers = [*self.values, *(value for value, _ in self.also)]
        for number, times in Counter(numbers).items():
            if not 0 <= number <= MOST_VALUE:
                raise ValueError(f"class number {number}: it must be between 0 and {MOST_VALUE}")
            if times > 1:
                raise ValueError(f"class number {number} is given twice: a number in a file can mean only one class")
        for number, index in self.also:
            if index != IGNORE and not 0 <= index < count:
                raise ValueError(f"also leads from {number} to {index}: it must lead to a class index or to {IGNORE}")

    def __len__(self) -> int:
        """K, the number of classes, without "ignore"."""
        return len(self.names)

    # ---- files ----

    def table(self) -> dict[int, int]:
        """Returns what each number in a file means: {number: class index, or 255}."""
        return {value: index for index, value in enumerate(self.values)} | dict(self.also)

    @property
    def ignored_value(self) -> int:
        """The number of "ignore" in files: the first one given; if none is, 255, or the next lower one that is free."""
        given = [value for value, index in self.also if index == IGNORE]
        taken = self.table()
        return given[0] if given else next(value for value in range(IGNORE, -1, -1) if value not in taken)

    def to_values(self, indices: ArrayLike) -> NDArray[Any]:
        """Returns class indices (0 to K-1, or 255) as the numbers of files: uint8 if all fit into it, else uint16.

        Raises ValueError for other indices, TypeError for what is no integer.

        >>> Classes(("sky", "road"), values=(3, 7)).to_values([[0, 1, 255]])
        array([[  3,   7, 255]], dtype=uint8)
        """
        numbers = np.array([*self.values, self.ignored_value])
        return numbers.astype(np.uint8 if numbers.max() < 256 else np.uint16)[self._rows(indices)]

    def _rows(self, indices: ArrayLike) -> NDArray[np.intp]:
        """Indices as rows of a table of K classes and "ignore"."""
        array = np.asarray(indices)
        if array.dtype.kind not in "ui":
            raise TypeError(f"class indices are {array.dtype}: they must be integers")
        strange = (array != IGNORE) & ((array < 0) | (array >= len(self)))
        if strange.any():
            found = np.unique(array[strange]).tolist()
            raise ValueError(f"class index {found[0]}: it must be 0 to {len(self) - 1}, or {IGNORE} (ignore)")
        return np.where(array == IGNORE, len(self), array).astype(np.intp)

    # ---- colors ----

    def palette(self) -> list[int]:
        """Returns 256 colors as 768 integers, as Pillow's putpalette takes them: entry n is the color of file number n.

        Raises ValueError if a class has a number above 255, which no palette file can hold.
        """
        if max(self.table()) > 255:
            raise ValueError(f"class number {max(self.table())}: a file with a palette holds numbers up to 255")
        colors = [voc_color(number) for number in range(256)]
        for value, index in [(self.ignored_value, IGNORE), *self.table().items()]:
            colors[value] = VOID_COLOR if index == IGNORE else self.colors[index]
        return [channel for color in colors for channel in color]

    def colorize(self, indices: NDArray[Any]) -> NDArray[np.uint8]:
        """Returns class indices, integers (H, W), as an image uint8 (H, W, 3). Raises ValueError for other indices."""
        return np.array([*self.colors, VOID_COLOR], np.uint8)[self._rows(indices)]

    # ---- kept with a run, and with its weights ----

    def to_json(self) -> dict[str, Any]:
        """Returns the classes as a dict of lists, which json.dumps takes."""
        return {name: [list(x) if isinstance(x, tuple) else x for x in value] for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Classes":
        """Returns the classes that to_json() returned. Raises ValueError for anything else.

        >>> classes = parse("0=sky,1=road,255=ignore")
        >>> Classes.from_json(classes.to_json()) == classes
        True
        """
        try:
            return cls(**kept)
        except (TypeError, ValueError) as error:
            raise ValueError(f"these are no classes: {error}") from error


def _color(channels: Sequence[int]) -> Color:
    color = tuple(operator.index(channel) for channel in channels)
    if len(color) != 3 or not all(0 <= channel <= 255 for channel in color):
        raise ValueError(f"color is {color}: it must be red, green and blue, each between 0 and 255")
    return color[0], color[1], color[2]


# ---- written by people ----


def parse(text: str) -> Classes:
    """Returns the classes of a list `NUMBER=NAME,…`, as on a command line; their order is that of the list.

    Several numbers may have one name; the first of them is written into files. The names ignore and void mean 255.
    Raises ValueError, which names the entry that is wrong.

    >>> classes = parse("1=pet,3=pet,2=background,0=ignore")
    >>> classes.names, classes.values, classes.table()
    (('pet', 'background'), (1, 2), {1: 0, 2: 1, 3: 0, 0: 255})
    """
    entries = []
    for entry in text.split(","):
        number, _, name = (part.strip() for part in entry.partition("="))
        if not _is_number(number) or not name:
            raise ValueError(f"{entry.strip()!r} is not NUMBER=NAME, as in 0=sky,1=building,255=ignore")
        entries.append((int(number), name, None, None))
    return _gather(entries)


def read_classes(path: str | Path) -> Classes:
    """Returns the classes of a text file, one a line: `NAME`, or `NUMBER NAME`; names may hold spaces.

    Without numbers, they are 0, 1, 2 …; a file has them in all lines or in none. A line may end with `thing` or `stuff`
    (the default), and with a color, `#rrggbb` or `R G B`, in any order. Names may come again, and ignore and void mean
    255, as for `parse`. Empty lines, and those that begin with #, are skipped.

        0 road   stuff 128 64 128
        1 car    thing #00008e
        255 ignore

    Raises ValueError, which names the line; OSError if the file cannot be read.
    """
    lines = read_lines(user_path(path), "replace")
    kept = [(place, line.split()) for place, line in enumerate(lines, 1) if line.strip() and line.strip()[0] != "#"]
    numbered = [_is_number(words[0]) and len(words) > 1 for _, words in kept]
    entries = []
    for index, (place, words) in enumerate(kept):
        if numbered[index] != numbered[0]:
            raise ValueError(f"{path}, line {place}: number all classes (NUMBER NAME) or none (NAME)")
        try:
            entries.append((int(words.pop(0)) if numbered[0] else index, *_line(words)))
        except ValueError as error:
            raise ValueError(f"{path}, line {place}: {error}") from error
    try:
        return _gather(entries)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _line(words: list[str]) -> tuple[str, bool | None, Color | None]:
    """Name, whether a thing, and color, of the words of a line after its number."""
    thing, color = None, None
    while len(words) > 1:
        if words[-1] in ("thing", "stuff") and thing is None:
            thing = words.pop() == "thing"
        elif re.fullmatch("#[0-9a-fA-F]{6}", words[-1]) and color is None:
            digits = words.pop()[1:]
            color = _color([int(digits[place : place + 2], 16) for place in (0, 2, 4)])
        elif len(words) > 3 and all(map(_is_number, words[-3:])) and color is None:
            color = _color(list(map(int, words[-3:])))
            del words[-3:]
        else:
            break
    return " ".join(words), thing, color


def _gather(entries: Iterable[tuple[int, str, bool | None, Color | None]]) -> Classes:
    """The classes of (number, name, thing, color): what a later entry of a name leaves out, the first has said."""
    first: dict[str, tuple[int, bool, Color]] = {}
    also: list[tuple[int, int]] = []
    for number, name, thing, color in entries:
        if name.lower() in IGNORE_NAMES:
            also.append((number, IGNORE))
        elif name in first:
            also.append((number, list(first).index(name)))
        else:
            first[name] = number, bool(thing), color or voc_color(number)
    values, things, colors = zip(*first.values()) if first else ((), (), ())
    return Classes(tuple(first), values, colors, things, tuple(also))


def median_frequency_weights(class_maps: Iterable[NDArray[Any]], count: int) -> list[float]:
    """Returns K = count weights by which rare classes count in a loss as frequent ones do: w_c = median(f) / f_c.

    f_c is the number of pixels of class c, divided by that of all pixels of the images in which it occurs (Eigen and
    Fergus, ICCV 2015). Ignored pixels are in neither number. A class that never occurs gets 1.
    class_maps: an image each, integers of any shape: indices 0 to count - 1, or 255.

    >>> images = [[0, 0, 0, 1], [0, 0, 0, 2]]  # f = 6/8, 1/4, 1/4; their median is 1/4
    >>> median_frequency_weights(map(np.array, images), 3)
    [0.3333333333333333, 1.0, 1.0]
    """
    pixels, around = np.zeros((2, count))
    for class_map in class_maps:
        found = np.bincount(class_map.ravel(), minlength=count)[:count]
        pixels += found
        around += np.where(found > 0, found.sum(), 0)
    frequencies = pixels / np.maximum(around, 1)
    middle = np.median(frequencies[pixels > 0]) if pixels.any() else 1.0
    return [float(middle / f) if f else 1.0 for f in frequencies]
