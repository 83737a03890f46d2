"""Label files: what the numbers in them become, and the known labels of single images, found and read.

    mask_reader       0, 1 and 255, by a table, or by what is usual (labels.py)
    class_reader      class indices, by a table of all numbers that may occur
    instance_reader   objects, renumbered 1, 2, 3 …

Each makes labels of a file as it is stored, or raises a DataError that says which numbers it does not know; whoever
opened the file adds its name. The numbers are

    gray        those of the file; gray that was saved as color is gray again
    palette     the index of each pixel, not its color: index = class, as in the VOC dataset. But a black-and-white
                picture saved with a palette has its meaning in the colors, and its indices in any order: where all
                colors of the palette are gray, and those in use are not their own indices, the gray levels count
    refused     JPEG, also inside TIFF, WebP and other formats that change numbers; color; 16 bits in several channels,
                of which Pillow reads the upper eight; numbers that Pillow would scale or turn over (PGM with another
                greatest number, TIFF with 0 as white); a mask in the alpha channel over a single color;
                floating-point numbers

The known labels of an image are what its prediction is compared with.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.data import DataError
from minunet.data.images import DEFAULT, Reading, UprightImage, raw_modes, read_labels
from minunet.data.images.pixels import is_signed, numbers, zero_is_white
from minunet.data.labels import TRIMAP, USUAL, renumber, translate, trimap_table
from minunet.data.sample import ToMask
from minunet.data.skipped import listed

LOSSY = {"JPEG": "JPEG", "MPO": "JPEG", "WEBP": "WebP", "AVIF": "AVIF", "HEIF": "HEIC"}
NEARLY_GRAY = 16  # how far the channels of a color may differ: choosing the colors of a palette moves them a little
NEED = "a mask needs one integer per pixel"

# ---- the numbers in a file ----


def to_labels(stored: Image.Image) -> NDArray[np.int64]:
    """Returns the label map of an image, one integer per pixel, (H, W). Raises DataError for what is no label map."""
    if kind := lossy_kind(stored):
        raise DataError(f"is a {kind}, which blurs the numbers of a mask: save it as PNG")
    labels = _as_in_the_file(numbers(stored), stored)
    if labels.dtype.kind == "f":
        raise DataError(f"has floating-point pixels (mode {stored.mode}): {NEED}; save it with 8 or 16 bits")
    if stored.mode in ("LA", "PA", "RGB", "RGBA"):
        labels = _one_channel(labels, stored)
    if labels.ndim != 2:
        raise DataError(f"has mode {stored.mode}: {NEED}; save it as gray or with a palette")
    return _gray_levels(labels, stored) if stored.mode in ("P", "PA") else labels.astype(np.int64)


def lossy_kind(stored: Image.Image) -> str | None:
    """What a file of labels is if its format changes numbers, at least by default; None if it keeps them."""
    if stored.format == "TIFF" and "jpeg" in str(stored.info.get("compression", "")).lower():
        return "TIFF with JPEG inside"
    return LOSSY.get(stored.format or "")


def _as_in_the_file(labels: NDArray, stored: Image.Image) -> NDArray:
    """The numbers of a file, of which Pillow stretches those of 2 and 4 bits to 0 to 255. DataError for other changes.

    Files of 1 bit stay as they are: black is 0, white 1.
    """
    modes = raw_modes(stored)
    if stored.format == "PPM" and re.search(r", \d+\)", modes):
        raise DataError(f"has another greatest number than 255 or 65535: {NEED}, as it is; save it as PNG")
    if stored.mode in ("L", "P") and is_signed(stored):
        raise DataError(f"has signed numbers of 8 bits: {NEED}; save it with unsigned ones")
    if stored.mode != "1" and zero_is_white(stored):
        raise DataError("is a TIFF that shows 0 as white and large numbers as black: save it with 0 as black")
    for bits, factor in (("L;2", 85), ("L;4", 17)):
        if bits in modes:
            return labels // factor
    return labels


def _one_channel(labels: NDArray, stored: Image.Image) -> NDArray:
    """The gray channel of an image (H, W, channels) that was saved in color or with transparency."""
    mode = stored.mode
    if "16" in raw_modes(stored):
        raise DataError(
            f"has 16 bits in several channels, of which only the upper half can be read (mode {mode}): {NEED}; "
            "save it as gray with 8 or 16 bits"
        )
    channels = labels[:, :, : 3 if mode.startswith("RGB") else 1]
    if (channels != channels[:, :, :1]).any():
        raise DataError(f"is colored (mode {mode}): {NEED}; save it as gray or with a palette")
    if channels.shape[2] < labels.shape[2] and np.ptp(channels) == 0 and np.ptp(labels[:, :, -1]) > 0:
        raise DataError(
            f"has one color everywhere, and different transparency (mode {mode}): if the mask is in its alpha channel, "
            "save that channel as gray"
        )
    return channels[:, :, 0]


def _gray_levels(indices: NDArray, stored: Image.Image) -> NDArray[np.int64]:
    """The indices of a palette image, or its gray levels where only they can be meant (see above)."""
    palette = stored.getpalette("RGB") or []
    colors = np.array(palette[: len(palette) // 3 * 3], np.int64).reshape(-1, 3)
    used = np.unique(indices)
    if (np.ptp(colors, axis=1) > NEARLY_GRAY).any() or used.size == 0 or used[-1] >= len(colors):
        return indices.astype(np.int64)
    grays = np.rint(colors.mean(axis=1)).astype(np.int64)
    levels = grays[used]
    tells_apart = np.unique(levels).size == used.size and np.unique(grays).size > 1
    return grays[indices] if tells_apart and (levels != used).any() else indices.astype(np.int64)


# ---- what the numbers become ----


def mask_reader(table: Mapping[int, int] | None) -> ToMask:
    """Returns the function from a mask's file to a mask uint8 (H, W); without a table, 0 and 1, or 0 and 255."""

    def read(stored: Image.Image) -> NDArray[np.uint8]:
        labels = to_labels(stored)
        mask = translate(labels, USUAL if table is None else [table])
        if mask is None:
            raise DataError(_misfit(np.unique(labels).tolist(), table))
        return mask

    return read


def class_reader(table: Mapping[int, int]) -> ToMask:
    """Returns the function from a label file to class indices uint8 (H, W), by a table {number: index or 255}."""

    def read(stored: Image.Image) -> NDArray[np.uint8]:
        labels = to_labels(stored)
        indices = translate(labels, [table])
        if indices is None:
            unknown = listed(sorted(set(np.unique(labels).tolist()) - set(table)))
            known = ", ".join(map(str, sorted(table)))
            raise DataError(
                f"holds {unknown}: the classes have only the numbers {known}; name them, or call them ignore"
            )
        return indices

    return read


def instance_reader(stored: Image.Image) -> NDArray[np.uint16]:
    """Returns the objects of a label file, numbered 1, 2, 3 …: uint16 (H, W), 0 background, 65535 ignore."""
    try:
        return renumber(to_labels(stored), ignore=True)
    except DataError:
        raise
    except ValueError as error:
        raise DataError(str(error)) from error


def _misfit(held: list[int], table: Collection[int] | None) -> str:
    """What is wrong with a file that holds these numbers."""
    if table:
        return f"holds {listed(held)}: the table of values has only {', '.join(map(str, sorted(table)))}"
    return (
        f"holds {listed(held)}: a mask holds 0 and 1, or 0 and 255; say what its values mean "
        "(values={7: 1, ...}, or --mask-values 7=pet,...)"
    )


# ---- the known labels of an image ----


def find_mask(folder: Path, name: str) -> Path:
    """Returns the path of the labels of the image NAME.*: folder/NAME.png or .tif, or where the pets dataset has them.

    If there is none, returns the path where it was expected.
    """
    places = [folder, folder / "trimaps", folder / "annotations" / "trimaps"]
    paths = [place / f"{name}{suffix}" for place in places for suffix in (".png", ".tif", ".tiff")]
    return next((path for path in paths if path.is_file()), paths[0])


def read_mask(path: Path, image: UprightImage, border: str = "pet", reading: Reading = DEFAULT) -> NDArray[np.uint8]:
    """Returns the mask of an image: uint8 (H, W), 0 background, 1 pet, 255 ignore.

    It may be a trimap, or an image of 0 and 255 or of 0 and 1; its values say which. border: as for `pets.Pets`.
    Raises DataError for a file that cannot be read, holds other values, or is of another size.
    """

    def read(stored: Image.Image) -> NDArray[np.uint8]:
        return _to_mask(to_labels(stored), border)

    return np.asarray(read_labels(path, image, read, reading), np.uint8)


def _to_mask(labels: NDArray, border: str) -> NDArray[np.uint8]:
    mask = translate(labels, [trimap_table(border), *USUAL])
    if mask is None:
        held = listed(np.unique(labels).tolist())
        raise DataError(f"holds {held}: a mask holds 0 and 255, or 0 and 1, or a trimap's {TRIMAP}")
    return mask
