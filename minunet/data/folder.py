"""Your own images with labels as a dataset: a folder of images, and a folder of label files.

    IMAGES/NAME.jpg    the photograph, of any kind that images.py reads
    MASKS/NAME.png     its labels, of the same height and width, one integer per pixel

An image and a label file belong together if their names are the same up to the last dot. `labels` says what the
integers are:

    mask       0 is background, and 1 is what is to be found; or 255, if there is no 1, as drawing programs save it.
               Other values, or 255 for "ignore this pixel", need a table that says what they mean
    classes    numbers of classes; a table says which
    instances  a number per object, whichever; 0 is background, 65535 "ignore"

Nothing is guessed: a mask with 0, 1 and 255 could mean two things, and one that was saved as JPEG holds all the values
in between.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike
from PIL import Image

from minunet.data import DataError, cache
from minunet.data.classes import MOST_CLASSES, Classes
from minunet.data.coco.document import about_json
from minunet.data.images import DEFAULT, Reading, is_image_name, passed_over, quiet_pillow
from minunet.data.labels import check_table
from minunet.data.masks import class_reader, instance_reader, mask_reader
from minunet.data.sample import Frame, Pair, ToMask, common_root, height_width, read_pair, split
from minunet.data.skipped import report_skipped
from minunet.inputs import user_path

__all__ = ["ImageFolder", "PictureFolder", "read_one", "split"]

EXPECTED = "an image IMAGES/NAME.jpg and a mask MASKS/NAME.png for each NAME"
DTYPES: dict[str, DTypeLike] = {"mask": np.uint8, "classes": np.uint8, "instances": np.uint16}

Table = Mapping[int, int] | Iterable[tuple[int, int]]
Files = dict[str, tuple[Path, Path]]  # the image's and the mask's path of each name


class ImageFolder:
    """Images and label files as a dataset: folder[i] -> (image uint8 (H, W, 3), labels (H, W, 1)).

    images, masks  two folders; hidden files, and those without an image's extension, do not count
    size           an int for squares, or (H, W); both are resized to it (sample.py). None keeps their own size, which
                   must then be the same for all, and pads it to the next multiple of `multiple`, at the bottom and on
                   the right; what is added counts in nothing
    values         what the values of the masks mean, a dict (or its pairs) to 0 (background), 1 (found) or 255
                   (ignored), such as {0: 0, 7: 1, 8: 1}; by default 0 is background, and 1 or 255 is found.
                   With labels="classes" it is needed, and leads to class indices, 0 to 254, or 255; `Classes` will do
    strict, cache  as for Pets: whether to raise instead of skipping, and whether to keep what was decoded
    labels         "mask", "classes" (both uint8) or "instances" (uint16, 1, 2, 3 … in each image)
    names          only the images of these names (without extension), in that order; None takes all
    reading        how files are read: EXIF orientation, more than 8 bits, pages, size (images.Reading)

    Attributes, lists: `names` of the usable images, in alphabetical order unless given, and their `paths`; `skipped`,
    each "file: what is wrong", files without a partner among them. Also `size`, (H, W) of the arrays; `content`, (H, W)
    of what was not added at the edges; and `classes`, if `values` is a Classes.

    What cannot be used is skipped and reported in one message (skipped.py). Raises DataError if there is no such folder
    or no usable pair, or if sizes differ that must not, and ValueError or TypeError for an argument out of range.
    """

    def __init__(
        self,
        images: str | Path,
        masks: str | Path,
        size: int | tuple[int, int] | None = 256,
        values: Table | Classes | None = None,
        strict: bool = False,
        cache: bool = True,
        labels: str = "mask",
        names: Sequence[str] | None = None,
        multiple: int = 64,
        reading: Reading = DEFAULT,
    ) -> None:
        Frame.of(1 if size is None else size, multiple, Path(), ())  # raises before anything is read
        self.classes = values if isinstance(values, Classes) else None
        table = _table(values, labels)
        reader = _reader(table, labels)
        self.images, self.masks = _absolute(images), _absolute(masks)
        files, self.skipped = _pairs(self.images, self.masks, names)
        root = common_root(self.images, self.masks)
        of_mask = {mask: image for image, mask in files.values()}
        frame = Frame.of(size, multiple, root, [mask for _, mask in files.values()], reading, of_mask)
        self.size, self.content = frame.size, frame.content

        def read(source: tuple[Path, ...]) -> Pair:
            image_path, mask_path = source
            return frame.read(root, image_path, mask_path, reader)

        kind = "" if labels == "mask" else f"{labels} "
        key = f"folder {kind}{sorted(table.items()) if table else ''} Pillow {Image.__version__}{frame.key()}"
        decoded = _decode(read, list(files.values()), self.size, key, cache, DTYPES[labels])
        self.skipped += decoded.skipped.values()
        self._images, self._masks = decoded.images, decoded.masks
        self._rows = [row for row in range(len(files)) if row not in decoded.skipped]
        found = list(files)
        self.names = [found[row] for row in self._rows]
        self.paths = [files[name][0] for name in self.names]
        hint = "" if len(self) else about_json(self.masks) or about_json(self.images)
        expected = f"{EXPECTED}; {hint}" if hint else EXPECTED
        report_skipped(f"{images} with masks in {masks}", len(self), self.skipped, expected, strict)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Pair:
        """(image uint8 (H, W, 3), labels uint8 or uint16 (H, W, 1)), new arrays. IndexError beyond the end."""
        row = self._rows[operator.index(index)]
        return np.array(self._images[row]), np.array(self._masks[row])


PictureFolder = ImageFolder  # its former name


def read_one(
    image: str | Path,
    mask: str | Path,
    size: int | tuple[int, int],
    values: Table | Classes | None = None,
    labels: str = "mask",
    reading: Reading = DEFAULT,
) -> Pair:
    """Returns one image and its labels, as ImageFolder reads them: uint8 (H, W, 3), uint8 or uint16 (H, W, 1)."""
    image_path, mask_path = _absolute(image), _absolute(mask)
    reader = _reader(_table(values, labels), labels)
    root = common_root(image_path.parent, mask_path.parent)
    with quiet_pillow():
        return read_pair(root, image_path, mask_path, height_width(size), reader, reading)


def _absolute(path: str | Path) -> Path:
    return user_path(path).absolute()


def _table(values: Table | Classes | None, labels: str) -> dict[int, int] | None:
    """The table of `values`, checked for what these labels may be."""
    if labels not in DTYPES:
        raise ValueError(f"labels is {labels!r}: it must be one of {', '.join(DTYPES)}")
    if isinstance(values, Classes):
        values = values.table()
    if labels == "instances" and values is not None:
        raise ValueError("values is given, but instances are whatever numbers there are: leave it out")
    if labels == "classes" and values is None:
        raise ValueError(
            "labels='classes' needs `values`: Classes, or a table {number in the files: class index or 255}"
        )
    if values is None:
        return None
    return check_table(values, most=1 if labels == "mask" else MOST_CLASSES - 1)


def _reader(table: dict[int, int] | None, labels: str) -> ToMask:
    if labels == "instances":
        return instance_reader
    return mask_reader(table) if labels == "mask" or table is None else class_reader(table)


# ---- what is there ----


def _pairs(images: Path, masks: Path, names: Sequence[str] | None) -> tuple[Files, list[str]]:
    """Returns {name: (image path, mask path)}, of these names or in alphabetical order, and what has no partner."""
    if images == masks:
        hint = about_json(images)
        raise DataError(
            f"{images} is given for both images and masks: they need a folder each{'; ' if hint else ''}{hint}"
        )
    if isinstance(names, str):
        raise TypeError(f"names is {names!r}: it must be a list of names")
    order = dict.fromkeys(names or ())  # a set that keeps their order
    skipped: list[str] = []
    found: list[dict[str, list[Path]]] = []
    for folder in (images, masks):
        files: dict[str, list[Path]] = {}
        paths, rest = _image_files(folder)
        skipped += [f"{folder.name}: {about}" for about in passed_over(rest)]
        for path in paths:
            if names is None or path.stem in order:
                files.setdefault(path.stem, []).append(path)
        for same in files.values():
            if len(same) > 1:
                others = ", ".join(path.name for path in same[1:])
                skipped.append(f"{folder.name}/{same[0].name}: {others} has the same name; keep one of them")
        found.append(files)
    for here, there, folder, kind in [(found[0], found[1], images, "mask"), (found[1], found[0], masks, "image")]:
        alone = [name for name in here if name not in there]
        skipped += [f"{folder.name}/{here[name][0].name}: there is no {kind} {name}.*" for name in alone]
    if names is not None:
        nowhere = [name for name in order if not any(name in files for files in found)]
        again = [name for name in order if names.count(name) > 1]
        skipped += [f"{name}: there is neither an image nor a mask of that name" for name in nowhere]
        skipped += [f"{name}: is listed more than once; it is used once" for name in again]
    usable = [
        name for name in (found[0] if names is None else order) if all(len(files.get(name, ())) == 1 for files in found)
    ]
    return {name: (found[0][name][0], found[1][name][0]) for name in usable}, skipped


def _image_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Returns the files with an image's extension, sorted, and the others. DataError if the folder cannot be opened."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        hint = about_json(folder)
        raise DataError(f"cannot open the folder {folder}: {error.strerror}{'; ' if hint else ''}{hint}") from error
    seen = [path for path in paths if not path.name.startswith(".")]
    return [path for path in seen if is_image_name(path)], [path for path in seen if not is_image_name(path)]


# ---- reading ----


def _decode(
    read: cache.Read, sources: list[tuple[Path, Path]], size: tuple[int, int], key: str, on_disk: bool, dtype: DTypeLike
) -> cache.Decoded:
    if not sources:
        return cache.Decoded(np.zeros((0, *size, 3), np.uint8), np.zeros((0, *size, 1), dtype), {})
    with quiet_pillow():
        return cache.decode_all(read, sources, size, key, on_disk, dtype=dtype)
