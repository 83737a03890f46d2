"""Known masks from files, to compare predictions with: trimaps, or pictures of 0 and 255.

A file's values say which of them it is. Of palettes the values count, not the colours:

    1, 2, 3     a trimap of the pets (pets.py): pet, background, border
    0, 255      black is background, white is pet
    0, 1        the same
"""

import numpy as np
from PIL import Image

from . import DataError
from .folder import read_labels
from .pets import TRIMAP, mask_values
from .pictures import load, turn


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


def _to_mask(values, border):
    """uint8 (H, W) of 0, 1 and 255, whatever the values mean."""
    held = set(np.unique(values).tolist())
    if held <= {1, 2, 3}:
        return mask_values(border)[values]
    if held <= {0, 1} or held <= {0, 255}:
        return (values > 0).astype(np.uint8)
    some = ", ".join(str(value) for value in sorted(held)[:5]) + (", ..." if len(held) > 5 else "")
    raise DataError(f"holds {some}; a mask holds 0 and 255, or 0 and 1, or a trimap's {TRIMAP}")
