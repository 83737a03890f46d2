"""Image files of any kind: found, and read upright, as RGB with 8 bits, or as a label map.

reading.py    a file opened: which formats, how many pixels at most, which of several pages (`Reading`)
pixels.py     any mode becomes RGB with 8 bits; deeper ones are stretched
upright.py    the EXIF orientation, of an image and of its labels
finding.py    the images in folders, and what is passed over
"""

from minunet.data.images.finding import EXTENSIONS, ImageFile, find_images, is_image_name, passed_over
from minunet.data.images.pixels import count_deep, to_rgb
from minunet.data.images.reading import (
    DEFAULT,
    FULL,
    MILLION,
    PERCENTILES,
    Reading,
    is_own_file,
    load,
    pixels_in,
    quiet_pillow,
    raw_modes,
)
from minunet.data.images.upright import UprightImage, labels_size, read_image, read_labels, upright_size

__all__ = [
    "DEFAULT",
    "EXTENSIONS",
    "FULL",
    "MILLION",
    "PERCENTILES",
    "ImageFile",
    "Reading",
    "UprightImage",
    "count_deep",
    "find_images",
    "is_image_name",
    "is_own_file",
    "labels_size",
    "load",
    "passed_over",
    "pixels_in",
    "quiet_pillow",
    "raw_modes",
    "read_image",
    "read_labels",
    "to_rgb",
    "upright_size",
]
