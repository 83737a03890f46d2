"""Known masks of single images, found and read: what predictions are compared with.

A known mask may be a trimap, or an image of 0 and 255 or of 0 and 1; its values say which (labels.py).
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.data import DataError
from minunet.data.images import UprightImage, apply_orientation, load, to_labels
from minunet.data.labels import TRIMAP, USUAL, translate, trimap_table
from minunet.data.skipped import listed


def find_mask(folder: Path, name: str) -> Path:
    """Returns the path of the mask of the image NAME.*: folder/NAME.png, or where the pets dataset has it.

    If there is none, returns the path where it was expected.
    """
    places = [folder, folder / "trimaps", folder / "annotations" / "trimaps"]
    paths = [place / f"{name}.png" for place in places]
    return next((path for path in paths if path.is_file()), paths[0])


def read_mask(path: Path, image: UprightImage, border: str = "pet") -> NDArray[np.uint8]:
    """Returns the mask of an image: uint8 (H, W), 0 background, 1 pet, 255 ignore.

    A mask belongs to the pixels as they are stored, as in training, so the image's orientation is applied to it, too;
    unless only the unrotated mask has the height and width of the upright image. border: as for `pets.Pets`.
    Raises DataError for a file that cannot be read, holds other values, or is of another size.
    """
    mask = load(path, lambda stored: Image.fromarray(_to_mask(to_labels(stored), border)))
    oriented, (height, width) = apply_orientation(mask, image.orientation), image.image.shape[:2]
    for fitting in (oriented, mask):
        if fitting.size == (width, height):
            return np.asarray(fitting)
    raise DataError(f"is {mask.width} x {mask.height}, but its image is {width} x {height} (width x height)")


def _to_mask(labels: NDArray, border: str) -> NDArray[np.uint8]:
    mask = translate(labels, [trimap_table(border), *USUAL])
    if mask is None:
        held = listed(np.unique(labels).tolist())
        raise DataError(f"holds {held}: a mask holds 0 and 255, or 0 and 1, or a trimap's {TRIMAP}")
    return mask
