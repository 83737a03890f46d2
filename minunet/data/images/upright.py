"""Images upright, as a viewer shows them, and their labels the same way.

A camera held upright stores its image lying on its side, and says so in the EXIF tag 0x0112. A mask may belong to the
pixels as they are stored (made by a program that does not look at the tag) or to what a viewer shows (a drawing
program, and what `minunet predict` wrote). Applied the wrong way, it covers something else. So, for an image with
orientation o:

    stored    o is applied to the mask, whatever its own tag says
    upright   the mask's own tag is applied, if it has one, and nothing else

Files of a prediction, which carry a mark, are upright; other masks are what alone fits the size of their image. Where
both would fit and differ, `Reading.exif` says which, and without it the mask is refused.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.data import DataError
from minunet.data.images.pixels import to_rgb
from minunet.data.images.reading import DEFAULT, Reading, applied_orientation, exif_orientation, is_own, load
from minunet.data.labels import Labels

LYING = (5, 6, 7, 8)  # of these orientations, height and width change places
BACK = {6: 8, 8: 6}  # what undoes them; the others undo themselves
WIDTH, HEIGHT = 256, 257  # TIFF tags, of the pixels as stored


class UprightImage(NamedTuple):
    """An image as a viewer shows it, and the EXIF orientation that was applied (1: it was stored like this)."""

    image: NDArray[np.uint8]  # (H, W, 3)
    orientation: int


def read_image(path: str | Path, reading: Reading = DEFAULT) -> UprightImage:
    """Returns the image of a file. Raises DataError if it cannot be read; the message does not repeat the path."""

    def upright(stored: Image.Image) -> UprightImage:
        left, applied = exif_orientation(stored), applied_orientation(stored)
        pixels = np.ascontiguousarray(turned(to_rgb(stored, reading), left))
        return UprightImage(pixels, left if applied == 1 else applied)

    return load(Path(path), upright, reading)


def read_labels(
    path: Path, image: UprightImage, reader: Callable[[Image.Image], Labels], reading: Reading = DEFAULT
) -> Labels:
    """Returns the labels of an image as `reader` makes them of the stored file: (H, W) or (H, W, L), upright.

    Raises DataError for a file that cannot be read, that the reader refuses, that is of another size, or that could
    belong to the stored pixels as well as to the upright ones.
    """

    def upright(stored: Image.Image) -> Labels:
        labels = reader(stored)
        as_stored = turned(labels, BACK.get(applied_orientation(stored), applied_orientation(stored)))
        ways = {
            "stored": turned(as_stored, image.orientation),
            "upright": turned(labels, exif_orientation(stored)),
        }
        if is_own(stored):
            ways = {"upright": ways["upright"]}
        ways = {way: each for way, each in ways.items() if each.shape[:2] == image.image.shape[:2]}
        if not ways:
            raise DataError(_misfit(labels, image))
        fitting = list(ways.values())
        if len(ways) > 1 and reading.exif is not None:
            fitting = [ways[reading.exif]]
        if len(fitting) > 1 and not np.array_equal(fitting[0], fitting[1]):
            raise DataError(
                f"could belong to the pixels of its image as they are stored, or as a viewer shows them "
                f"(EXIF orientation {image.orientation}): --exif stored or --exif upright says which "
                "(Reading(exif=...))"
            )
        return np.ascontiguousarray(fitting[0])

    return load(path, upright, reading)


def _misfit(labels: Labels, image: UprightImage) -> str:
    (height, width), (image_height, image_width) = labels.shape[:2], image.image.shape[:2]
    rotated = f" upright, stored with EXIF orientation {image.orientation}" if image.orientation in LYING else ""
    return f"is {width} x {height}, but its image is {image_width} x {image_height} (width x height){rotated}"


def turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Returns pixels or labels (H, W) or (H, W, C) flipped or rotated as an EXIF orientation says, a view.

    >>> turned(np.array([[1, 2]]), 6).tolist()
    [[1], [2]]
    >>> turned(np.array([[1, 2]]), 8).tolist()
    [[2], [1]]
    """
    if orientation in LYING:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def upright_size(path: Path, reading: Reading = DEFAULT) -> tuple[int, int] | None:
    """Returns (height, width) of an image file as a viewer shows it, from its header; None if it cannot be read."""

    def size(stored: Image.Image) -> tuple[int, int]:
        tags = getattr(stored, "tag_v2", {})  # of a TIFF, Pillow's own size may be that of the upright image
        width, height = tags.get(WIDTH, stored.width), tags.get(HEIGHT, stored.height)
        return (width, height) if exif_orientation(stored) in LYING else (height, width)

    try:
        return load(path, size, reading, decode=False)
    except DataError:  # reading it will say what is wrong
        return None


def labels_size(labels: Path, image: Path | None, reading: Reading = DEFAULT) -> tuple[int, int] | None:
    """Returns the (height, width) that `read_labels` will give the labels of an image, from the headers of both files.

    None if the labels cannot be read. Without an image, they are taken as upright.
    """
    size = upright_size(labels, reading)
    of_image = None if image is None else upright_size(image, reading)
    lie = size is not None and of_image is not None and size != of_image and size[::-1] == of_image
    return of_image if lie else size
