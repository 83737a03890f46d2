"""Any pictures with masks as a dataset: a folder of the ones, and a folder of the others.

    PICTURES/NAME.jpg    the photograph, of any kind that pictures.py reads
    MASKS/NAME.png       its mask, of the same height and width, one whole number per pixel

A picture and a mask belong together if their names are the same up to the last dot. In a mask, 0 is
background, and 1 is what is to be found; or 255, if there is no 1, as drawing programs save it. Other
numbers, or 255 for "ignore this pixel", want a table of what they mean. Nothing is guessed: a mask with 0, 1
and 255 could mean two things, and one that was saved as JPEG holds all the numbers in between.
"""

import operator
import os
from pathlib import Path

import numpy as np
from PIL import Image

from minunet.data import DataError, cache
from minunet.data.images import ENDINGS, quiet_pillow
from minunet.data.labels import USUAL, read_labels, translate
from minunet.data.pets import IGNORE, MEANINGS, height_width, read_pair
from minunet.data.skipped import listed, report

EXPECTED = "a picture PICTURES/NAME.jpg and a mask MASKS/NAME.png for each NAME"


class PictureFolder:
    """Pictures and masks as a dataset: folder[i] -> (image uint8 (H, W, 3), mask uint8 (H, W, 1)).

    pictures, masks  two folders; files that begin with a dot, or end like no picture, are passed over
    size             an int for squares, or (H, W); both are stretched to it, as pets.py does
    values           what the masks' values mean, a dict (or its pairs) to 0 (background), 1 (found) or 255
                     (ignored), such as {0: 0, 7: 1, 8: 1}; by default 0 is background, and 1 or 255 is found
    strict, cache    as for Pets: raise instead of leaving out, and keep what was decoded

    Attributes, lists of str: `names` of the usable pictures in alphabetical order, without their endings;
    `problems`, each "file: what is wrong": files without a partner are there, too.

    What cannot be used is left out and reported in one message (see problems.py). Raises DataError if there
    is no such folder or no usable pair, and ValueError or TypeError for an argument out of range.
    """

    def __init__(self, pictures, masks, size=256, values=None, strict=False, cache=True):
        self.size, values = height_width(size), _checked_table(values)
        self.pictures, self.masks = (Path(os.path.expanduser(path)).absolute() for path in (pictures, masks))
        pairs, self.problems = _pairs(self.pictures, self.masks)
        decoded = _decode(list(pairs.values()), self.size, values, cache)
        self.problems += decoded.problems.values()
        self._images, self._masks = decoded.images, decoded.trimaps
        self._rows = [row for row in range(len(pairs)) if row not in decoded.problems]
        names = list(pairs)
        self.names = [names[row] for row in self._rows]
        report(f"{pictures} with masks in {masks}", len(self), self.problems, EXPECTED, strict)

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, index):
        """(image uint8 (H, W, 3), mask uint8 (H, W, 1)), new arrays. IndexError beyond the end."""
        row = self._rows[operator.index(index)]
        return np.array(self._images[row]), np.array(self._masks[row])


class Part:
    """Some pictures of a dataset, as a dataset: those with these indices, in that order."""

    def __init__(self, dataset, indices):
        self.dataset, self.indices = dataset, list(indices)
        self.names = [dataset.names[index] for index in self.indices]

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        """As the dataset's. IndexError beyond the end."""
        return self.dataset[self.indices[operator.index(index)]]


def split(dataset, share, seed=0, limit=None):
    """Two Parts at random, to train and to validate: the second has this share of the pictures.

    share: between 0 and 1; of two pictures or more, each Part gets at least one. The same seed and number of
    pictures give the same two. limit: at most so many pictures in each. Raises ValueError for an argument out
    of range, DataError for fewer than two pictures.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; it must lie between 0 and 1")
    if limit is not None and operator.index(limit) < 1:
        raise ValueError(f"limit is {limit}; it must be 1 or more, or None for all pictures")
    if len(dataset) < 2:
        raise DataError("there is one picture only: nothing would be left to validate on")
    held_out = min(max(1, round(share * len(dataset))), len(dataset) - 1)
    order = np.random.default_rng(seed).permutation(len(dataset)).tolist()
    return tuple(Part(dataset, sorted(part[:limit])) for part in (order[held_out:], order[:held_out]))


def read_one(picture, mask, size, values=None):
    """One picture with its mask, as PictureFolder reads them: image uint8 (H, W, 3), mask uint8 (H, W, 1)."""
    paths = [Path(os.path.expanduser(path)).absolute() for path in (picture, mask)]
    return read_pair(_common_root(*paths), *paths, height_width(size), _mask_reader(_checked_table(values)))


# ---- what is there ----


def _pairs(pictures, masks):
    """-> {name: (picture path, mask path)} in alphabetical order, and the problems of what has no partner."""
    if pictures == masks:
        raise DataError(f"{pictures} cannot be both: pictures and masks need a folder each")
    problems, found = [], []
    for folder in (pictures, masks):
        files = {}
        for path in _picture_files(folder):
            files.setdefault(path.stem, []).append(path)
        for same in files.values():
            if len(same) > 1:
                others = ", ".join(path.name for path in same[1:])
                problems.append(f"{folder.name}/{same[0].name}: {others} has the same name; keep one of them")
        found.append(files)
    for here, there, folder, kind in [(*found, pictures, "mask"), (*found[::-1], masks, "picture")]:
        alone = [name for name in here if name not in there]
        problems += [f"{folder.name}/{here[name][0].name}: there is no {kind} {name}.*" for name in alone]
    names = [name for name in found[0] if all(len(files.get(name, ())) == 1 for files in found)]
    return {name: (found[0][name][0], found[1][name][0]) for name in names}, problems


def _picture_files(folder):
    """The files that are called like pictures, sorted. DataError if the folder cannot be opened."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot open the folder {folder}: {error.strerror}") from error
    return [path for path in paths if path.suffix.lower() in ENDINGS and not path.name.startswith(".")]


# ---- reading ----


def _decode(sources, size, values, on_disk):
    """All pictures and masks -> cache.Decoded, the masks where pets.py has its trimaps."""
    if not sources:
        return cache.Decoded((), (), {})
    root, to_mask = _common_root(*sources[0]), _mask_reader(values)

    def read(source):
        return read_pair(root, *source, size, to_mask)

    key = f"folder {sorted(values.items()) if values else ''} Pillow {Image.__version__}"
    with quiet_pillow():
        return cache.decode_all(read, sources, size, key, on_disk)


def _common_root(picture, mask):
    """The innermost folder that holds both, for short names in messages."""
    try:
        return Path(os.path.commonpath([picture.parent, mask.parent]))
    except ValueError as error:  # Windows
        raise DataError("pictures and masks must lie on the same drive") from error


def _mask_reader(values):
    """The function from a mask as Pillow has it to one of 0, 1 and 255; see `values` of PictureFolder."""

    def to_mask(picture):
        labels = read_labels(picture)
        mask = translate(labels, USUAL if values is None else [values])
        if mask is None:
            raise DataError(_misfit(np.unique(labels).tolist(), values, picture.format))
        return Image.fromarray(mask)

    return to_mask


def _misfit(present, values, format):
    if format == "JPEG":
        return f"holds {listed(present)}: JPEG blurs the values of a mask; save it as PNG"
    if values:
        return f"holds {listed(present)}; the table of values has {', '.join(map(str, sorted(values)))}"
    return (
        f"holds {listed(present)}; a mask holds 0 and 1, or 0 and 255: say what its values mean "
        "(values={7: 1, ...}, or --mask-values 7=pet,...)"
    )


def _checked_table(values):
    if values is None:
        return None
    table = {operator.index(value): operator.index(meaning) for value, meaning in dict(values).items()}
    if not table or min(table) < 0 or not set(table.values()) <= set(MEANINGS.values()):
        raise ValueError(f"values is {values}; it must lead from numbers, 0 or more, to 0, 1 or {IGNORE}")
    return table
