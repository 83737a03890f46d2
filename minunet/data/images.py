"""Image files of any kind: found, and read as RGB with 8 bits, or as a label map.

    colors      any mode becomes RGB with 8 bits: gray is repeated, palettes are looked up, CMYK is converted, 16 bits
                 lose their lower eight, transparent pixels are laid on white; of an animation, the first frame
    label maps   the integers as they are stored; of a palette its indices, not its colors (masks.py)
    orientation  a camera held upright stores its image lying on its side, and says so in the EXIF tag 0x0112.
                 `read_image` applies it, as a viewer does, and returns what the tag said, because a mask that was made
                 for the stored pixels needs the same (`apply_orientation`)

A file that cannot be read raises a DataError of one line that says why, however it is damaged.
"""

import glob
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from minunet.data import DataError

# Whatever a file's name ends in: a .jpg may be a PNG or GIF inside. Named one by one because Pillow also
# knows formats that start other programs (EPS).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm")

RAW_MODES = "raw modes"  # the key under which `load` notes in an image's info how its pixels lie in the file
ORIENTATION = 0x0112  # the EXIF tag; its values, and what brings the image upright
TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

T = TypeVar("T")


# ---- reading a file ----


class UprightImage(NamedTuple):
    """An image as a viewer shows it, and the EXIF orientation that was applied (1: it was stored like this)."""

    image: NDArray[np.uint8]  # (H, W, 3)
    orientation: int


def read_image(path: str | Path) -> UprightImage:
    """Returns the image of a file. Raises DataError if it cannot be read; the message does not repeat the path."""
    return load(Path(path), upright)


def load(path: Path, convert: Callable[[Image.Image], T]) -> T:
    """Returns convert(the image as stored); whatever goes wrong on the way becomes a DataError."""
    try:
        if not path.is_file():
            raise DataError("is not a file" if path.exists() else "is missing")
        if path.stat().st_size == 0:
            raise DataError("is empty")
        with Image.open(path, formats=FORMATS) as stored:
            stored.info[RAW_MODES] = _raw_modes(stored)  # before load(), which forgets them
            stored.load()
            return convert(stored)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"is not an image, or not in one of the formats {', '.join(FORMATS)}") from error
    except Exception as error:  # damaged files make Pillow raise many kinds, also IndexError and struct.error
        raise DataError(f"cannot be read: {str(error) or type(error).__name__}") from error


def _raw_modes(stored: Image.Image) -> str:
    """How the pixels lie in the file: "RGB;16B" where Pillow gives the upper half of 16 bits as "RGB"."""
    return " ".join(str(tile[3]) for tile in getattr(stored, "tile", ()))


def stored_size(path: Path) -> tuple[int, int] | None:
    """Returns (height, width) of an image file as it is stored, from its first bytes; None if it cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as stored:
            return stored.height, stored.width
    except Exception:  # reading it will say what is wrong
        return None


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silences Pillow's warnings about odd EXIF tags, and about more than 89 million pixels.

    They do not say in which file, and what can be read is read. Twice as many pixels are an error anyway.
    Enter it in the main thread, around all reading: all threads share the filters of warnings.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


# ---- what the stored pixels become ----


def to_rgb(stored: Image.Image) -> NDArray[np.uint8]:
    """Returns an image of any mode as RGB with 8 bits per channel, (H, W, 3)."""
    if stored.mode == "F":
        raise DataError("has floating-point pixels of unknown range (mode F): save it with 8 or 16 bits")
    if stored.mode.startswith("I"):
        values = np.asarray(stored)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise DataError(f"has pixels of more than 16 bits (mode {stored.mode}): save it with 8 or 16 bits")
        stored = Image.fromarray((values >> 8).astype(np.uint8))
    elif "transparency" in stored.info or stored.mode in ("LA", "PA", "RGBA"):
        white = Image.new("RGBA", stored.size, "white")
        stored = Image.alpha_composite(white, stored.convert("RGBA"))
    return np.asarray(stored.convert("RGB"))


def upright(stored: Image.Image) -> UprightImage:
    """Returns an image as RGB, with its EXIF orientation applied."""
    orientation = exif_orientation(stored)
    return UprightImage(to_rgb(apply_orientation(stored, orientation)), orientation)


def exif_orientation(stored: Image.Image) -> int:
    """Returns the EXIF orientation of an image, 1 to 8; 1 if it has none, or none that can be read."""
    try:
        value = stored.getexif().get(ORIENTATION, 1)
    except Exception:  # viewers show an image with a damaged tag, too
        return 1
    return value if value in TRANSPOSES else 1


def apply_orientation(stored: Image.Image, orientation: int) -> Image.Image:
    """Returns the image flipped or rotated as the EXIF orientation says."""
    return stored.transpose(TRANSPOSES[orientation]) if orientation in TRANSPOSES else stored


# ---- finding files ----


class ImageFile(NamedTuple):
    """The path of an image, and its path relative to the folder that was asked for (its name, if a file was)."""

    path: Path
    relative_path: Path


def find_images(arguments: Iterable[str | Path]) -> tuple[list[ImageFile], list[str]]:
    """Returns the image files that a list of files, folders and patterns stands for, each once, and what was skipped.

    A folder stands for the images in it and in its subfolders, told by their extensions, sorted by name; hidden ones
    (.NAME) are passed over. A pattern ("photos/*.jpg", "**" for any depth) is expanded unless a file has that very
    name. A file is taken whatever its name, even if it is missing: reading it will say so.
    """
    found: dict[str, ImageFile] = {}
    skipped: list[str] = []
    for argument in map(str, arguments):
        matches = [argument]
        if glob.has_magic(argument) and not os.path.lexists(argument):
            matches = sorted(glob.glob(argument, recursive=True))
        for match in map(Path, matches):
            alone = [ImageFile(match, Path(match.name))]
            inside = _images_in(match, skipped) if os.path.isdir(match) else alone
            for file in inside:
                found.setdefault(os.path.abspath(file.path), file)
            if not inside:
                skipped.append(f"{match}: contains no images ({', '.join(EXTENSIONS)})")
        if not matches:
            skipped.append(f"{argument}: there is no such file")
    return list(found.values()), skipped


def _images_in(folder: Path, skipped: list[str]) -> list[ImageFile]:
    def closed(error: OSError) -> None:
        skipped.append(f"{error.filename}: cannot be opened: {error.strerror}")

    inside = []
    for place, folders, names in os.walk(folder, onerror=closed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(place, name) for name in sorted(names) if not name.startswith(".")]
        inside += [ImageFile(path, path.relative_to(folder)) for path in paths if path.suffix.lower() in EXTENSIONS]
    return inside
