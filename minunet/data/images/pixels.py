"""Any mode of an image becomes RGB with 8 bits.

8 bits       as they are: gray is repeated, palettes are looked up, CMYK is converted, transparent pixels are laid on
             white
deeper gray  16 or 32 bits and floating point are stretched, as microscopes' images must be: a camera of 12 bits fills a
             sixteenth of 16. By default (`Reading.stretch`) each image by itself, so that training and prediction do
             the same without knowing each other's images:

                 percentiles   the 1st percentile becomes 0, the 99.8th 255, what lies beyond is cut off, as in
                               StarDist's examples; where these two are one value, from the least to the greatest
                 full          the upper eight of 16 bits, as in photographs: 0 becomes 0, and 65535 255
                 (low, high)   low becomes 0 and high 255, in all images: their brightness stays comparable
deeper color refused, but for "full": Pillow hands over the upper eight of 16 bits, and no more
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.data import DataError
from minunet.data.images.reading import DEFAULT, FULL, HEADERS, Reading, load, raw_modes

LOW, HIGH = 1, 99.8  # the percentiles
PHOTOMETRIC, SAMPLE_FORMAT = 262, 339  # TIFF tags: whether 0 is white, and whether numbers are signed
MOST_16 = 65535


def to_rgb(stored: Image.Image, reading: Reading = DEFAULT) -> NDArray[np.uint8]:
    """Returns an image of any mode as RGB with 8 bits per channel, (H, W, 3)."""
    if stored.mode.startswith(("I", "F")):
        gray = stretch(numbers(stored), reading.stretch)
        if zero_is_white(stored):
            gray = 255 - gray
        return np.repeat(gray[:, :, None], 3, axis=2)
    if is_deep(stored) and reading.stretch != FULL:
        raise DataError(
            f"has 16 bits in several channels (mode {stored.mode}), of which only the upper eight can be read: "
            "--stretch full takes these; or save it as gray, or with 8 bits"
        )
    if stored.mode in ("L", "P") and is_signed(stored):
        raise DataError("has signed pixels of 8 bits: save it with unsigned ones")
    if "transparency" in stored.info or stored.mode in ("LA", "PA", "RGBA"):
        white = Image.new("RGBA", stored.size, "white")
        stored = Image.alpha_composite(white, stored.convert("RGBA"))
    return np.asarray(stored if stored.mode == "RGB" else stored.convert("RGB"))


def numbers(stored: Image.Image) -> NDArray:
    """Returns the numbers of a gray image of more than 8 bits; Pillow has unsigned ones of 32 bits as signed."""
    values = np.asarray(stored)
    unsigned = stored.mode == "I" and "I;32" in raw_modes(stored) and not is_signed(stored)
    return values.view(np.uint32) if unsigned else values


def is_signed(stored: Image.Image) -> bool:
    """Whether the numbers of a TIFF may be below 0."""
    sample_format = getattr(stored, "tag_v2", {}).get(SAMPLE_FORMAT, 1)
    return 2 in (sample_format if isinstance(sample_format, tuple) else (sample_format,))


def zero_is_white(stored: Image.Image) -> bool:
    """Whether a TIFF says that 0 is white; of 8 bits, Pillow turns such images over by itself."""
    return getattr(stored, "tag_v2", {}).get(PHOTOMETRIC) == 0


def is_deep(stored: Image.Image) -> bool:
    """Whether an image, of which at least the header has been read, has more than 8 bits per channel."""
    modes = raw_modes(stored)
    deep_ppm = stored.format == "PPM" and any(most > 255 for most in map(int, re.findall(r", (\d+)\)", modes)))
    return stored.mode.startswith(("I", "F")) or ";16" in modes or deep_ppm


def stretch(values: NDArray, rule: str | tuple[float, float]) -> NDArray[np.uint8]:
    """Returns gray values (H, W) of any kind as 8 bits, by one of the rules above.

    >>> stretch(np.array([[800, 2300, 3800]], np.uint16), "percentiles")
    array([[  0, 128, 255]], dtype=uint8)
    >>> stretch(np.array([[800, 2300, 3800]], np.uint16), (800, 6800))
    array([[  0,  64, 128]], dtype=uint8)
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError("has pixels that are NaN or infinite")
    if rule == FULL:
        kind = "floating-point pixels" if values.dtype.kind == "f" else "pixels of more than 16 bits, or below 0"
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > MOST_16:
            raise DataError(f"has {kind}, whose full range is unknown: --stretch LOW-HIGH says it")
        return (values >> 8).astype(np.uint8)
    if isinstance(rule, str):
        low, high = (
            float(np.percentile(values, LOW, method="lower")),
            float(np.percentile(values, HIGH, method="higher")),
        )
        if high <= low:
            low, high = float(values.min()), float(values.max())
    else:
        low, high = rule
    scale = 255 / (high - low) if high > low else 0.0
    gray = np.empty(values.shape, np.uint8)
    for row, line in enumerate(values):  # one row at a time: no second image of floats
        gray[row] = np.clip((line.astype(np.float64) - low) * scale, 0, 255) + 0.5
    return gray


def count_deep(paths: Iterable[Path]) -> int:
    """Returns how many of these images have more than 8 bits per channel, by their headers."""

    def deep(path: Path) -> bool:
        try:
            return load(path, is_deep, HEADERS, decode=False)
        except DataError:  # reading it will say what is wrong
            return False

    return sum(map(deep, paths))
