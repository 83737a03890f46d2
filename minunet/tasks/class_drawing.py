"""Classes in color: laid over the image, with a key that says which color is which class."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from minunet.data.classes import Classes
from minunet.data.labels import IGNORE

LINE = 13  # pixels, the height of a line of the key in Pillow's own font


def blend(image: NDArray[np.uint8], colors: NDArray[np.uint8], opacity: float = 0.5) -> NDArray[np.uint8]:
    """Returns the image with colors laid over it, both uint8 (H, W, 3): opacity 0 is the image, 1 the colors.

    >>> blend(np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 200, np.uint8)).tolist()
    [[[100, 100, 100]]]
    """
    mixed = (1 - opacity) * image.astype(np.float32) + opacity * colors.astype(np.float32)
    return (mixed + 0.5).astype(np.uint8)


def with_key(pixels: NDArray[np.uint8], classes: Classes, present: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the image uint8 (H, W, 3) with a key in its corner: the color and name of each class that is present.

    present: class indices of any shape; 255 is left out. Classes that do not fit into the height are left out, too:
    the largest ones come first.
    """
    counts = np.bincount(np.asarray(present).ravel(), minlength=256)
    counts[IGNORE] = 0
    order = [k for k in np.argsort(-counts, kind="stable") if counts[k]][: max(0, (pixels.shape[0] - 6) // LINE)]
    if not order:
        return pixels.copy()
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    width = max(pen.textlength(classes.names[k]) for k in order)
    pen.rectangle((2, 2, 22 + width, 5 + LINE * len(order)), fill=(20, 20, 20))
    for line, k in enumerate(order):
        top = 4 + LINE * line
        pen.rectangle((5, top + 1, 14, top + 10), fill=classes.colors[k])
        pen.text((18, top), classes.names[k], fill=(255, 255, 255))
    return np.asarray(picture)
