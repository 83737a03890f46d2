"""Picture files of any kind: found, and read as RGB with 8 bits.

    colours     any mode becomes RGB with 8 bits: grey is repeated, palettes are looked up, CMYK is converted,
                16 bits lose their lower eight, what is transparent is laid on white; of an animation, the
                first frame
    direction   a camera held upright stores its picture lying on its side and says so in the EXIF tag 0x0112.
                `read_picture` turns it as a viewer would, and returns what the tag said, because a mask that
                was made for the stored pixels has to be turned as well (`turn`).

What cannot be read is a DataError of one line that says why, whatever the damage was.
"""

import glob
import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from minunet.data import DataError

# Whatever a file's name ends in: a .jpg may be a PNG or GIF inside. Named one by one because Pillow also
# knows formats that start other programs (EPS).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm")

ORIENTATION = 0x0112  # the EXIF tag; its values, and what brings the picture upright
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Picture(NamedTuple):
    """A picture as a viewer shows it, and the EXIF value by which it was turned (1: as it was stored)."""

    image: np.ndarray  # uint8 (H, W, 3)
    orientation: int


def read_picture(path):
    """-> Picture. DataError if the file cannot be read; the message does not repeat the path."""

    def upright(stored):
        value = orientation(stored)
        return Picture(np.asarray(to_rgb(turn(stored, value))), value)

    return load(Path(path), upright)


def load(path, convert):
    """convert(picture as Pillow has it); whatever goes wrong on the way becomes a DataError."""
    try:
        if not path.is_file():
            raise DataError("is not a file" if path.exists() else "is missing")
        if path.stat().st_size == 0:
            raise DataError("is empty")
        with Image.open(path, formats=FORMATS) as picture:
            picture.load()
            return convert(picture)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"is no picture, or in none of the formats {', '.join(FORMATS)}") from error
    except Exception as error:  # damaged files make Pillow raise many kinds, also IndexError and struct.error
        raise DataError(f"cannot be read: {str(error) or type(error).__name__}") from error


@contextmanager
def quiet_pillow():
    """Keeps Pillow's warnings back: of odd EXIF tags, and of more than 89 million pixels.

    They do not say in which file, and what can be read is read. Twice as many pixels are an error anyway.
    To be entered in the main thread, around all reading: the filters of warnings belong to all threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


# ---- what is there ----


class Found(NamedTuple):
    """A picture file, and where it lies below the folder that was asked for (its name, if it was a file)."""

    path: Path
    below: Path


def find_pictures(arguments):
    """-> [Found], [problem]: the files that a list of files, folders and patterns stands for, each once.

    A folder stands for the pictures in it and in its subfolders, told by their endings, in the order of their
    names; what is hidden (.NAME) is passed over. A pattern ("photos/*.jpg", "**" for any depth) is expanded
    unless a file is called so. A file is taken whatever its name, even a missing one: reading it will say so.
    """
    found, problems = {}, []
    for argument in map(str, arguments):
        matches = [argument]
        if glob.has_magic(argument) and not os.path.lexists(argument):
            matches = sorted(glob.glob(argument, recursive=True))
        for match in map(Path, matches):
            alone = [Found(match, Path(match.name))]
            inside = _pictures_in(match, problems) if os.path.isdir(match) else alone
            for picture in inside:
                found.setdefault(os.path.abspath(picture.path), picture)
            if not inside:
                problems.append(f"{match}: holds no picture ({', '.join(ENDINGS)})")
        if not matches:
            problems.append(f"{argument}: there is no such file")
    return list(found.values()), problems


def _pictures_in(folder, problems):
    def closed(error):
        problems.append(f"{error.filename}: cannot be opened: {error.strerror}")

    inside = []
    for place, folders, names in os.walk(folder, onerror=closed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(place, name) for name in sorted(names) if not name.startswith(".")]
        inside += [Found(path, path.relative_to(folder)) for path in paths if path.suffix.lower() in ENDINGS]
    return inside


# ---- colours ----


def to_rgb(picture):
    """Any mode -> RGB, 8 bits per channel."""
    if picture.mode == "F":
        raise DataError("has floating-point pixels, whose range is unknown; save it with 8 or 16 bits")
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise DataError("has pixels of more than 16 bits; save it with 8 or 16")
        picture = Image.fromarray((values >> 8).astype(np.uint8))
    elif "transparency" in picture.info or picture.mode in ("LA", "PA", "RGBA"):
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert("RGB")


# ---- direction ----


def orientation(picture):
    """The EXIF value of a Pillow picture, 1 to 8; 1 where there is none, or none that can be read."""
    try:
        value = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged tag is no reason not to show the picture, and viewers do show it
        return 1
    return value if value in TURNS else 1


def turn(picture, value):
    """The Pillow picture turned as the EXIF value says."""
    return picture.transpose(TURNS[value]) if value in TURNS else picture
