"""The images that a list of files, folders and patterns stands for, and which files of folders are passed over."""

import glob
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from minunet.data.images.reading import formats, has_heif

EXTENSIONS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm")
HEIF = (".heic", ".heif", ".hif")
# Images that are passed over in folders: in other formats, of several dimensions, or as a camera's sensor has them.
OTHERS = (
    *(".jp2", ".j2k", ".jpf", ".jpx", ".jxl", ".psd", ".tga", ".svg", ".exr", ".hdr", ".ico", ".pfm", ".qoi", ".jfif"),
    *(".dcm", ".nii", ".nrrd", ".mha", ".czi", ".nd2", ".lif", ".lsm", ".oib", ".oif", ".vsi", ".svs", ".ndpi"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".raw", ".npy"),
)


def is_image_name(path: Path) -> bool:
    """Returns whether the file's extension is one of those that are read in folders."""
    suffix = path.suffix.lower()
    return (
        suffix in EXTENSIONS or (suffix in HEIF and "HEIF" in formats()) or (suffix == ".avif" and "AVIF" in formats())
    )


def passed_over(paths: Iterable[Path]) -> list[str]:
    """Returns what to say about the files of a folder that are images, but of no kind that is read: a line, or none.

    >>> passed_over([Path("a.jp2"), Path("b.JP2"), Path("a.png"), Path("notes.txt")])
    ['2 files are passed over, 2 .jp2 (such as a.jp2): save them as PNG, or as TIFF']
    """
    others = [path for path in paths if path.suffix.lower() in (*OTHERS, *HEIF, ".avif") and not is_image_name(path)]
    if not others:
        return []
    counts = Counter(path.suffix.lower() for path in others)
    kinds = ", ".join(f"{number} {suffix}" for suffix, number in sorted(counts.items()))
    fix = "save them as PNG, or as TIFF"
    if not has_heif() and any(suffix in HEIF for suffix in counts):
        fix = f"pip install 'minunet[heif]' reads HEIC; {fix.replace('them', 'others')}"
    files = "1 file is" if len(others) == 1 else f"{len(others)} files are"
    return [f"{files} passed over, {kinds} (such as {others[0].name}): {fix}"]


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

    inside, others = [], []
    for place, folders, names in os.walk(folder, onerror=closed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(place, name) for name in sorted(names) if not name.startswith(".")]
        inside += [ImageFile(path, path.relative_to(folder)) for path in paths if is_image_name(path)]
        others += [path for path in paths if not is_image_name(path)]
    skipped += [f"{folder}: {line}" for line in passed_over(others)]
    return inside
