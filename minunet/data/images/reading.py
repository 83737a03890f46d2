"""A file opened as an image: which formats, how many pixels at most, which page of several.

Nothing is decoded before the header has said how many pixels there are: a file of 172 kB can unpack to gigabytes.
Whatever goes wrong becomes a DataError of one line that says why, however the file is damaged.
"""

import importlib
import operator
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, TypeVar

from PIL import Image, UnidentifiedImageError, features

from minunet.data import DataError
from minunet.data.labels import OWN

# Whatever a file's name ends in: a .jpg may be a PNG or GIF inside. Named one by one because Pillow also
# knows formats that start other programs (EPS).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
PERCENTILES, FULL = "percentiles", "full"
MILLION = 1_000_000
IMAGE_DEPTH = 32997  # the TIFF tag of volumes
SOFTWARE = 305  # and of the program that wrote the file
ORIENTATION = 0x0112  # the EXIF tag
_PILLOWS_LIMIT = threading.Lock()

T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    """How image and label files are read.

    stretch      how more than 8 bits become 8 (pixels.py): "percentiles", "full", or (low, high)
    exif         what masks were drawn on where their size does not tell: "stored" pixels or "upright" ones, as a viewer
                 shows them; None refuses such pairs (upright.py)
    page         which page of files with several is read, from 1; None refuses them
    most_pixels  larger images are refused before they are decoded

    Raises ValueError for what is none of these.
    """

    stretch: str | tuple[float, float] = PERCENTILES
    exif: str | None = None
    page: int | None = None
    most_pixels: int = 100 * MILLION

    def __post_init__(self) -> None:
        rule = self.stretch
        if rule not in (PERCENTILES, FULL) and not (isinstance(rule, tuple) and len(rule) == 2 and rule[0] < rule[1]):
            raise ValueError(
                f"stretch is {rule!r}: it must be {PERCENTILES!r}, {FULL!r}, or (low, high), low below high"
            )
        if self.exif not in (None, "stored", "upright"):
            raise ValueError(f"exif is {self.exif!r}: it must be 'stored', 'upright', or None")
        for name, value in (("page", self.page), ("most_pixels", self.most_pixels)):
            if value is not None and operator.index(value) < 1:
                raise ValueError(f"{name} is {value}: it must be an integer of at least 1")


DEFAULT = Reading()
HEADERS = Reading(most_pixels=1 << 62)  # of files of which nothing is decoded


@cache
def formats() -> tuple[str, ...]:
    """The formats that are read here: FORMATS, AVIF if this Pillow has it, and HEIF with the package pillow-heif."""
    found: tuple[str, ...] = FORMATS
    if "avif" in features.modules and features.check("avif"):
        found += ("AVIF",)
    if has_heif():
        found += ("HEIF",)
    return found


@cache
def has_heif() -> bool:
    """Whether HEIC files can be read: the extra minunet[heif] is there. Pillow knows the format afterwards."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return False
    return True


def load(path: Path, convert: Callable[[Image.Image], T], reading: Reading = DEFAULT, decode: bool = True) -> T:
    """Returns convert(the image as stored); whatever goes wrong on the way becomes a DataError.

    decode=False: the pixels are not needed, only what the header says.
    """
    try:
        if not path.is_file():  # a pipe or a device might never end
            raise DataError("is not a file" if path.exists() else "is missing")
        if path.stat().st_size == 0:
            raise DataError("is empty")
        with open(path, "rb") as file, _open(file) as stored:
            _check_pixels(stored.size, reading.most_pixels)
            if decode:
                _turn_to_page(stored, reading)
                stored.info[_RAW_MODES] = raw_modes(stored)  # before load(), which forgets them
                tag = exif_orientation(stored) if stored.format == "TIFF" else 1
                stored.load()
                stored.info[_APPLIED] = tag if tag != exif_orientation(stored) else 1
            return convert(stored)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(_unknown(path)) from error
    except Exception as error:  # damaged files make Pillow raise many kinds, also IndexError and struct.error
        raise DataError(f"cannot be read: {str(error) or type(error).__name__}") from error


# Keys under which `load` notes in an image's info what Pillow forgets: how its pixels lie in the file, and the
# orientation that Pillow itself applies to a TIFF as it loads the pixels. The texts of a PNG become keys, too, but
# none with a zero byte.
_RAW_MODES, _APPLIED = "\0raw modes", "\0applied orientation"


def raw_modes(stored: Image.Image) -> str:
    """How the pixels lie in the file: "RGB;16B" where Pillow gives the upper half of 16 bits as "RGB"."""
    known = stored.info.get(_RAW_MODES)
    return " ".join(str(tile[3]) for tile in getattr(stored, "tile", ())) if known is None else str(known)


def exif_orientation(stored: Image.Image) -> int:
    """Returns the EXIF orientation of an image, 1 to 8; 1 if it has none, or none that can be read."""
    try:
        value = stored.getexif().get(ORIENTATION, 1)
    except Exception:  # viewers show an image with a damaged tag, too
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def applied_orientation(stored: Image.Image) -> int:
    """Returns the orientation that the pixels have been brought upright by while they were loaded; 1 for none."""
    return int(stored.info.get(_APPLIED, 1))


def _open(file: BinaryIO) -> Image.Image:
    """The image with its header read. Pillow's own limit of pixels is lifted for this moment: `Reading` has one.

    Of a path, Pillow would map the pixels of some TIFFs into memory, and mixes up their rows if they lie on their side.
    """
    with _PILLOWS_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=formats())
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _check_pixels(size: tuple[int, int], most: int) -> None:
    (width, height), pixels = size, size[0] * size[1]
    if pixels > most:
        raise DataError(
            f"has {width} x {height} = {pixels:,} pixels, and at most {most:,} are read: "
            f"--max-pixels {-(-pixels // MILLION)} (in millions) allows it (Reading(most_pixels=...))"
        )


def _turn_to_page(stored: Image.Image, reading: Reading) -> None:
    """Raises DataError for several pages, unless one is chosen, or there is no such page."""
    if stored.format == "MPO":  # a camera's JPEG with a second image: the first is the photograph, by the standard
        return
    if int(getattr(stored, "tag_v2", {}).get(IMAGE_DEPTH, 1)) != 1:
        raise DataError("is a TIFF volume, with several planes in one page: save each plane as an image")
    pages = getattr(stored, "n_frames", 1)
    if pages > 1 and reading.page is None:
        raise DataError(f"has {pages} pages or frames: choose one with --page 1 to {pages} (Reading(page=...))")
    if pages > 1 and reading.page is not None:
        if reading.page > pages:
            raise DataError(f"has {pages} pages or frames: there is no page {reading.page}")
        stored.seek(reading.page - 1)
        _check_pixels(stored.size, reading.most_pixels)


def _unknown(path: Path) -> str:
    """What is wrong with a file that is none of the formats; formats that others read are told by their first bytes."""
    with suppress(OSError), open(path, "rb") as file:
        start = file.read(12)
        if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"heim"):
            return "is a HEIC image, which needs another package: pip install 'minunet[heif]'"
    return (
        f"is not an image, or not in one of the formats {', '.join(formats())}, or its pixels are of a kind that "
        "cannot be read, such as more than 32 bits: save it as PNG, or as TIFF with 8 or 16 bits"
    )


def pixels_in(path: Path) -> int:
    """Returns how many pixels an image has, from its header; 0 if it cannot be read."""
    try:
        return load(path, lambda stored: stored.width * stored.height, HEADERS, decode=False)
    except DataError:  # reading it will say what is wrong
        return 0


def is_own_file(path: Path) -> bool:
    """Returns whether there is an image at `path` that a prediction wrote."""
    try:
        return load(path, is_own, HEADERS, decode=False)
    except DataError:  # whatever it is, it is not ours
        return False


def is_own(stored: Image.Image) -> bool:
    """Whether the file was written by a prediction, whose files are upright."""
    return OWN in (stored.info.get("Software"), getattr(stored, "tag_v2", {}).get(SOFTWARE))


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silences Pillow's warnings about odd EXIF tags.

    They do not say in which file, and what can be read is read.
    Enter it in the main thread, around all reading: all threads share the filters of warnings.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield
