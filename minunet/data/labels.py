"""Masks from files: what their pixels say; and known masks to compare predictions with.

A known mask may be a trimap, or a picture of 0 and 255; its values say which. Of palettes the values count, not
the colours:

    1, 2, 3     a trimap of the pets (pets.py): pet, background, border
    0, 255      black is background, white is pet
    0, 1        the same
"""

import numpy as np
from PIL import Image

from minunet.data import DataError
from minunet.data.images import load, turn
from minunet.data.pets import BACKGROUND, BORDER, PET, TRIMAP, trimap_table
from minunet.data.skipped import listed

USUAL = ({0: 0, 1: 1}, {0: 0, 255: 1})  # what a mask's values mean where nobody says so: tables for `translate`


def read_labels(picture):
    """One whole number per pixel: int (H, W). Grey that was saved as colour is grey again."""
    labels = np.asarray(picture)
    if labels.dtype.kind == "f":
        raise DataError("has floating-point pixels; a mask has whole numbers")
    if picture.mode in ("LA", "RGB", "RGBA"):  # whether with transparency or without
        colours = labels[:, :, : 1 if picture.mode == "LA" else 3]
        if (colours != colours[:, :, :1]).any():
            raise DataError("is coloured; a mask has one whole number per pixel")
        labels = colours[:, :, 0]
    if labels.ndim != 2:
        raise DataError(f"has mode {picture.mode}; a mask has one whole number per pixel")
    return labels.astype(np.int64)


def translate(labels, tables):
    """Labels, int (H, W), as a mask, uint8 (H, W), by the first table that has them all; None if there is none.

    tables: dicts from a label to 0 (background), 1 (pet) or 255 (ignore).
    """
    present = set(np.unique(labels).tolist())
    fitting = [table for table in tables if present <= set(table)]
    if not fitting:
        return None
    mask = np.zeros(labels.shape, np.uint8)
    for label, meaning in fitting[0].items():
        mask[labels == label] = meaning
    return mask


def find_mask(folder, name):
    """The file with the mask of the picture NAME.*: folder/NAME.png, or where the pets dataset has it.

    Where there is none, the path where it was expected.
    """
    places = [folder, folder / "trimaps", folder / "annotations" / "trimaps"]
    paths = [place / f"{name}.png" for place in places]
    return next((path for path in paths if path.is_file()), paths[0])


def read_mask(path, picture, border="pet"):
    """The mask of a `pictures.Picture`: uint8 (H, W), 0 background, 1 pet, 255 ignore.

    A mask belongs to the pixels as they are stored, as in training, so it is turned with its picture; unless
    it has the height and width of the turned picture only. border: as in pets.py.
    Raises DataError for a file that cannot be read, holds other values, or is of another size.
    """
    mask = load(path, lambda stored: Image.fromarray(_to_mask(read_labels(stored), border)))
    turned, (height, width) = turn(mask, picture.orientation), picture.image.shape[:2]
    for fitting in (turned, mask):
        if fitting.size == (width, height):
            return np.asarray(fitting)
    raise DataError(f"is {mask.width} x {mask.height}, its picture is {width} x {height} (width x height)")


def _to_mask(labels, border):
    """uint8 (H, W) of 0, 1 and 255, whatever the labels mean."""
    table = trimap_table(border)
    mask = translate(labels, [{value: table[value] for value in (PET, BACKGROUND, BORDER)}, *USUAL])
    if mask is None:
        held = listed(np.unique(labels).tolist())
        raise DataError(f"holds {held}; a mask holds 0 and 255, or 0 and 1, or a trimap's {TRIMAP}")
    return mask
