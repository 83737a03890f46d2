"""The Oxford-IIIT Pet pictures, and any other set in the same layout, as pairs of a picture and a mask.

    images/NAME.jpg                  the photograph
    annotations/trimaps/NAME.png     one value per pixel: 1 pet, 2 background, 3 border ("not classified")
    annotations/trainval.txt         a line `NAME CLASS-ID SPECIES BREED-ID` each; SPECIES is 1 cat, 2 dog
    annotations/test.txt             the same for the held-out pictures; lines that begin with # are comments

What a picture goes through, once (cache.py keeps the result; nothing in the data folder is changed):

    colours     any mode becomes RGB with 8 bits, of an animation the first frame (pictures.py)
    direction   a trimap belongs to the pixels as they are stored. So no picture is turned as its EXIF tag
                says, unless its trimap has the height and width of the turned picture only.
    size        both are stretched to one size. The picture bilinearly, by Pillow, which averages over all
                pixels that fall into a new one; plain bilinear interpolation reads four of the 29 that become
                one when 1600 x 1200 becomes 256 x 256, and turns fur into noise. The trimap takes the nearest
                pixel: a mean of 1 (pet) and 3 (border) would be 2 (background).
"""

import operator
import os
from pathlib import Path

import numpy as np
from PIL import Image

from minunet.data import DataError, cache
from minunet.data.images import load, orientation, quiet_pillow, to_rgb, turn
from minunet.data.skipped import SHOWN, listed, report

IGNORE = 255  # the mask value of pixels that count neither as pet nor as background
MEANINGS = {"pet": 1, "background": 0, "ignore": IGNORE}  # all that a mask can say of a pixel
PET, BACKGROUND, BORDER = 1, 2, 3  # the values of a trimap
TRIMAP = "1 (pet), 2 (background), 3 (border)"
SPECIES = {"1": "cat", "2": "dog"}
LAYOUT = "images/NAME.jpg, annotations/trimaps/NAME.png, annotations/{trainval,test}.txt"


class Pets:
    """A list of the data folder as a dataset: pets[i] -> (image uint8 (H, W, 3), mask uint8 (H, W, 1)).

    root    the data folder (or the folder above, if the data folder is called oxford-iiit-pet)
    split   "trainval", "test", or "all" (the one list after the other)
    size    an int for squares, or (H, W)
    border  what the trimap's border is in the mask: "pet" (1), "background" (0) or "ignore" (255)
    limit   take only so many pictures, at even distances over the list, which is sorted by breed: the first
            ones would all be of one. Always the same ones; fewer than asked for if some cannot be used.
    strict  True raises where False leaves out what cannot be used
    cache   True keeps what was decoded in a cache folder outside the data folder (minunet/data/cache.py says
            where), so that the next run starts at once; False decodes anew, and keeps it in memory

    Attributes, lists of str: `names`, `breeds` ("american bulldog") and `species` ("cat" or "dog") of the
    usable pictures, in the order of the list; `problems`, each of them "file: what is wrong".

    The files are all read right away (or were, by an earlier run). What cannot be used is left out and
    reported in ONE message: a warning of the logger "minunet", which Python prints on stderr if the program
    sets up no logging of its own. With strict=True that message is a DataError. There is a DataError in any
    case if there is no data at that path or no usable picture, and another ValueError or a TypeError for an
    argument out of range.
    """

    def __init__(self, root, split="trainval", size=256, border="pet", limit=None, strict=False, cache=True):
        self.size = height_width(size)
        self._mask_values = trimap_table(border)
        lists = _lists(split)
        if limit is not None and operator.index(limit) < 1:
            raise ValueError(f"limit is {limit}; it must be 1 or more, or None for all pictures")
        self.root = _find(Path(os.path.expanduser(root)), lists)
        entries, self.problems = _read_lists(self.root, lists)
        if limit is not None and limit < len(entries):
            entries = [entries[i * len(entries) // limit] for i in range(limit)]

        decoded = _decode(self.root, [name for name, _ in entries], self.size, cache)
        self.problems += decoded.problems.values()
        self._images, self._trimaps = decoded.images, decoded.trimaps
        self._rows = [row for row in range(len(entries)) if row not in decoded.problems]
        self.names = [entries[row][0] for row in self._rows]
        self.species = [entries[row][1] for row in self._rows]
        self.breeds = [(name.rpartition("_")[0] or name).replace("_", " ") for name in self.names]
        expected = f"{LAYOUT}; trimaps of {TRIMAP}"
        report(f"{self.root} ({split})", len(self), self.problems, expected, strict)

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, index):
        """(image uint8 (H, W, 3), mask uint8 (H, W, 1)), new arrays. IndexError beyond the end."""
        row = self._rows[operator.index(index)]
        return np.array(self._images[row]), self._mask_values[self._trimaps[row]]


# ---- arguments ----


def height_width(size):
    """An int, or (H, W) -> (H, W). ValueError or TypeError for what is no size."""
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2 or any(operator.index(n) < 1 for n in pair):
        raise ValueError(f"size is {size}; it must be a number of pixels, 1 or more, or (height, width)")
    return tuple(operator.index(n) for n in pair)


def trimap_table(border):
    """A table uint8 (4,) from trimap value to mask value. ValueError for a border that is none of MEANINGS."""
    if border not in MEANINGS:
        raise ValueError(f"border is {border!r}; it must be one of {', '.join(MEANINGS)}")
    table = np.zeros(4, np.uint8)
    table[[PET, BACKGROUND, BORDER]] = 1, 0, MEANINGS[border]
    return table


def _lists(split):
    lists = {"trainval": ["trainval.txt"], "test": ["test.txt"], "all": ["trainval.txt", "test.txt"]}
    if split not in lists:
        raise ValueError(f"split is {split!r}; it must be one of {', '.join(lists)}")
    return lists[split]


# ---- what is there ----


def _find(root, lists):
    """The data folder: root, or root/oxford-iiit-pet. DataError if neither holds what is needed."""
    inner = root / "oxford-iiit-pet"
    if inner.is_dir() and not (root / "annotations").is_dir():
        root = inner
    missing = [f"{name}/" for name in ["images", "annotations/trimaps"] if not (root / name).is_dir()]
    missing += [f"annotations/{name}" for name in lists if not (root / "annotations" / name).is_file()]
    if missing:
        raise DataError(
            f"no pet pictures in {root}: there is no {', no '.join(missing)}.\n"
            f"Expected: {LAYOUT}.\n"
            f"Found: {_contents(root)}.\n"
            f"minunet.data.download.download({str(root)!r}) fetches the official pictures."
        )
    return root


def _contents(folder):
    """What lies in a folder, in words, for a message."""
    try:
        names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    except OSError as error:
        return f"nothing that can be opened ({error.strerror})"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "an empty folder") + more


def _read_lists(root, lists):
    """-> [(name, species)], [problem]: the pictures of these lists, and the lines that make no sense."""
    entries, problems = {}, []
    for path in (root / "annotations" / name for name in lists):
        try:
            lines = path.read_text(encoding="utf-8-sig", errors="backslashreplace").split("\n")
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        for number, line in enumerate(map(str.strip, lines), 1):
            if not line or line.startswith("#"):
                continue
            name, species = _parse(line)
            where = f"annotations/{path.name}, line {number}"
            if species is None:
                problems.append(f"{where}: {line[:60]!r} is not NAME CLASS-ID SPECIES BREED-ID")
            elif name in entries:
                problems.append(f"{where}: {name} was listed before; it is used once")
            else:
                entries[name] = species
    if not entries and not problems:
        problems = [f"annotations/{name}: lists no picture" for name in lists]
    return list(entries.items()), problems


def _parse(line):
    """-> (name, "cat" or "dog"), or (None, None) if malformed. A name may hold spaces, but no path."""
    name, *numbers = line.rsplit(maxsplit=3)
    whole = len(numbers) == 3 and all(number.isascii() and number.isdigit() for number in numbers)
    if not whole or not name.isprintable() or "/" in name or "\\" in name:
        return None, None
    species = SPECIES.get(numbers[1])
    return (name, species) if species else (None, None)


# ---- reading ----


def _decode(root, names, size, on_disk):
    """All pictures and trimaps -> cache.Decoded."""
    root = root.absolute()
    images, trimaps = root / "images", root / "annotations" / "trimaps"
    sources = [(images / f"{name}.jpg", trimaps / f"{name}.png") for name in names]

    def read(source):
        return read_pair(root, *source, size, _to_trimap)

    with quiet_pillow():
        return cache.decode_all(read, sources, size, f"Pillow {Image.__version__}", on_disk)


def read_pair(root, picture_path, mask_path, size, to_mask):
    """-> image uint8 (H, W, 3), mask uint8 (H, W, 1). DataError names the file, relative to root.

    to_mask(picture) makes an 8-bit Pillow picture of the mask's values, or raises DataError.
    """
    picture = _load(root, picture_path, to_rgb)
    mask = _load(root, mask_path, to_mask)
    if picture.size != mask.size:
        turned = _load(root, picture_path, lambda stored: to_rgb(turn(stored, orientation(stored))))
        picture = turned if turned.size == mask.size else picture
    if picture.size != mask.size:
        raise DataError(
            f"{mask_path.relative_to(root).as_posix()}: is {mask.width} x {mask.height}, "
            f"its picture is {picture.width} x {picture.height} (width x height)"
        )
    height, width = size
    image = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    return image, np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))[:, :, np.newaxis]


def _load(root, path, convert):
    """The file's picture, converted; whatever goes wrong becomes a DataError that names the file."""
    try:
        return load(path, convert)
    except DataError as problem:
        raise DataError(f"{path.relative_to(root).as_posix()}: {problem}") from problem


def _to_trimap(picture):
    """Grey or palette -> mode L with the values (not the palette's colours) 1, 2, 3."""
    values = np.asarray(picture)
    if values.ndim != 2 or values.dtype.kind == "f":
        raise DataError(f"has mode {picture.mode}; a trimap has one whole number per pixel: {TRIMAP}")
    if ((values < PET) | (values > BORDER)).any():
        unknown = np.setdiff1d(values, [PET, BACKGROUND, BORDER]).tolist()
        raise DataError(f"holds {listed(unknown)}; a trimap holds {TRIMAP}")
    return Image.fromarray(values.astype(np.uint8))
