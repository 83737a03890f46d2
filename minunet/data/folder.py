"""Your own images with masks as a dataset: a folder of images, and a folder of masks.

    IMAGES/NAME.jpg    the photograph, of any kind that images.py reads
    MASKS/NAME.png     its mask, of the same height and width, one integer per pixel

An image and a mask belong together if their names are the same up to the last dot. In a mask, 0 is background, and 1 is
what is to be found; or 255, if there is no 1, as drawing programs save it. Other values, or 255 for "ignore this
pixel", need a table that says what they mean. Nothing is guessed: a mask with 0, 1 and 255 could mean two things, and
one that was saved as JPEG holds all the values in between.
"""

import operator
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.data import DataError, cache
from minunet.data.images import EXTENSIONS, quiet_pillow, to_labels
from minunet.data.labels import USUAL, check_table, translate
from minunet.data.sample import Pair, height_width, read_pair, split
from minunet.data.skipped import listed, report_skipped

__all__ = ["ImageFolder", "PictureFolder", "read_one", "split"]

EXPECTED = "an image IMAGES/NAME.jpg and a mask MASKS/NAME.png for each NAME"

Table = Mapping[int, int] | Iterable[tuple[int, int]]
ToMask = Callable[[Image.Image], NDArray[np.uint8]]


class ImageFolder:
    """Images and masks as a dataset: folder[i] -> (image uint8 (H, W, 3), mask uint8 (H, W, 1)).

    images, masks  two folders; hidden files, and those without an image's extension, do not count
    size           an int for squares, or (H, W); both are resized to it (sample.py)
    values         what the values of the masks mean, a dict (or its pairs) to 0 (background), 1 (found) or 255
                   (ignored), such as {0: 0, 7: 1, 8: 1}; by default 0 is background, and 1 or 255 is found
    strict, cache  as for Pets: whether to raise instead of skipping, and whether to keep what was decoded

    Attributes, lists of str: `names` of the usable images in alphabetical order, without their extensions; `skipped`,
    each "file: what is wrong", files without a partner among them.

    What cannot be used is skipped and reported in one message (skipped.py). Raises DataError if there is no such folder
    or no usable pair, and ValueError or TypeError for an argument out of range.
    """

    def __init__(
        self,
        images: str | Path,
        masks: str | Path,
        size: int | tuple[int, int] = 256,
        values: Table | None = None,
        strict: bool = False,
        cache: bool = True,
    ) -> None:
        self.size = height_width(size)
        table = None if values is None else check_table(values)
        self.images, self.masks = _absolute(images), _absolute(masks)
        pairs, self.skipped = _pairs(self.images, self.masks)
        decoded = _decode(list(pairs.values()), self.size, table, cache)
        self.skipped += decoded.skipped.values()
        self._images, self._masks = decoded.images, decoded.masks
        self._rows = [row for row in range(len(pairs)) if row not in decoded.skipped]
        names = list(pairs)
        self.names = [names[row] for row in self._rows]
        report_skipped(f"{images} with masks in {masks}", len(self), self.skipped, EXPECTED, strict)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Pair:
        """(image uint8 (H, W, 3), mask uint8 (H, W, 1)), new arrays. IndexError beyond the end."""
        row = self._rows[operator.index(index)]
        return np.array(self._images[row]), np.array(self._masks[row])


PictureFolder = ImageFolder  # its former name


def read_one(image: str | Path, mask: str | Path, size: int | tuple[int, int], values: Table | None = None) -> Pair:
    """Returns one image and its mask, as ImageFolder reads them: uint8 (H, W, 3), uint8 (H, W, 1)."""
    image_path, mask_path = _absolute(image), _absolute(mask)
    to_mask = _mask_reader(None if values is None else check_table(values))
    return read_pair(_common_root(image_path, mask_path), image_path, mask_path, height_width(size), to_mask)


def _absolute(path: str | Path) -> Path:
    return Path(os.path.expanduser(path)).absolute()


# ---- what is there ----


def _pairs(images: Path, masks: Path) -> tuple[dict[str, tuple[Path, Path]], list[str]]:
    """Returns {name: (image path, mask path)} in alphabetical order, and what has no partner."""
    if images == masks:
        raise DataError(f"{images} is given for both images and masks: they need a folder each")
    skipped: list[str] = []
    found: list[dict[str, list[Path]]] = []
    for folder in (images, masks):
        files: dict[str, list[Path]] = {}
        for path in _image_files(folder):
            files.setdefault(path.stem, []).append(path)
        for same in files.values():
            if len(same) > 1:
                others = ", ".join(path.name for path in same[1:])
                skipped.append(f"{folder.name}/{same[0].name}: {others} has the same name; keep one of them")
        found.append(files)
    for here, there, folder, kind in [(found[0], found[1], images, "mask"), (found[1], found[0], masks, "image")]:
        alone = [name for name in here if name not in there]
        skipped += [f"{folder.name}/{here[name][0].name}: there is no {kind} {name}.*" for name in alone]
    names = [name for name in found[0] if all(len(files.get(name, ())) == 1 for files in found)]
    return {name: (found[0][name][0], found[1][name][0]) for name in names}, skipped


def _image_files(folder: Path) -> list[Path]:
    """Returns the files with an image's extension, sorted. Raises DataError if the folder cannot be opened."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"cannot open the folder {folder}: {error.strerror}") from error
    return [path for path in paths if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")]


# ---- reading ----


def _decode(
    sources: list[tuple[Path, Path]], size: tuple[int, int], table: dict[int, int] | None, on_disk: bool
) -> cache.Decoded:
    if not sources:
        return cache.Decoded(np.zeros((0, *size, 3), np.uint8), np.zeros((0, *size, 1), np.uint8), {})
    root, to_mask = _common_root(*sources[0]), _mask_reader(table)

    def read(source: tuple[Path, ...]) -> Pair:
        image_path, mask_path = source
        return read_pair(root, image_path, mask_path, size, to_mask)

    key = f"folder {sorted(table.items()) if table else ''} Pillow {Image.__version__}"
    with quiet_pillow():
        return cache.decode_all(read, sources, size, key, on_disk)


def _common_root(image: Path, mask: Path) -> Path:
    """The innermost folder that holds both, for short names in messages."""
    try:
        return Path(os.path.commonpath([image.parent, mask.parent]))
    except ValueError as error:  # Windows
        raise DataError("images and masks must lie on the same drive") from error


def _mask_reader(table: dict[int, int] | None) -> ToMask:
    """The function from a mask's file, as stored, to a mask of 0, 1 and 255; see `values` of ImageFolder."""

    def to_mask(stored: Image.Image) -> NDArray[np.uint8]:
        labels = to_labels(stored)
        mask = translate(labels, USUAL if table is None else [table])
        if mask is None:
            raise DataError(_misfit(np.unique(labels).tolist(), table, stored.format))
        return mask

    return to_mask


def _misfit(present: list[int], table: dict[int, int] | None, file_format: str | None) -> str:
    """What is wrong with a mask that holds these values."""
    if file_format == "JPEG":
        return f"holds {listed(present)}: JPEG blurs the values of a mask; save it as PNG"
    if table:
        return f"holds {listed(present)}: the table of values has only {', '.join(map(str, sorted(table)))}"
    return (
        f"holds {listed(present)}: a mask holds 0 and 1, or 0 and 255; say what its values mean "
        "(values={7: 1, ...}, or --mask-values 7=pet,...)"
    )
