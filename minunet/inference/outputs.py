"""What a prediction leaves behind: files beside each image. For the binary task:

    NAME.mask.png       white where the object is, black elsewhere; of the image's size
    NAME.overlay.png    the image with the outline of the mask

Every PNG carries a mark inside (the PNG text "Software"). Only files with this mark are ever replaced: a mask that
somebody drew and gave the same name stays as it is. A text file can carry none; it is replaced if a PNG of the same
prediction lies beside it. Each is written completely or not at all (files.py).
"""

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from minunet.data import DataError
from minunet.data.images import ImageFile, is_own_file
from minunet.data.labels import OWN
from minunet.files import atomic_write


def is_output(path: Path, suffixes: Iterable[str]) -> bool:
    """Returns whether the file at `path` was written by an earlier prediction and still has one of these suffixes."""
    ending = next((suffix for suffix in suffixes if path.name.endswith(suffix)), None)
    if ending is None:
        return False
    if not ending.endswith(".png"):
        stem = path.name.removesuffix(ending)
        pngs = [path.with_name(stem + suffix) for suffix in suffixes if suffix.endswith(".png")]
        return path.is_file() and any(is_output(png, suffixes) for png in pngs)
    return is_own_file(path)


def choose_names(images: Sequence[ImageFile], out: Path | None = None) -> list[Path | None]:
    """Returns where the outputs of each image go: paths without the suffixes, all different, or None.

    out: a folder, in which the images of a folder keep their subfolders; None: beside each image. The outputs of
    cat.jpg and cat.png in one folder are called cat.jpg.mask.png and cat.png.mask.png; of two images with the very same
    name, the second gets None.
    """

    def folder(image):
        return image.path.parent if out is None else out / image.relative_path.parent

    def folded(path):
        return str(path).casefold()  # on some disks Cat and cat are one file

    stems = Counter(folded(folder(image) / image.path.stem) for image in images)
    names: list[Path | None] = []
    taken = set()
    for image in images:
        short, full = folder(image) / image.path.stem, folder(image) / image.path.name
        name = short if stems[folded(short)] == 1 and folded(short) not in taken else full
        names.append(None if folded(name) in taken else name)
        taken.add(folded(name))
    return names


def write_outputs(name: Path, contents: Mapping[str, NDArray | Image.Image | str | bytes]) -> None:
    """Writes NAME + suffix for each of `contents`, {suffix: array uint8 or uint16, image or text}; creates their
    folder.

    Raises DataError if there is a file of that name which no prediction wrote, and OSError where it cannot be written.
    """
    paths = {suffix: name.with_name(name.name + suffix) for suffix in contents}
    for path in paths.values():
        if (path.exists() or path.is_symlink()) and not is_output(path, contents):
            raise DataError(f"{path} exists already and was not written by a prediction: give another --out")
    name.parent.mkdir(parents=True, exist_ok=True)
    # PNGs first: they carry the mark, by which another call knows the other files if this one is stopped halfway
    for suffix, path in sorted(paths.items(), key=lambda item: not item[0].endswith(".png")):
        content = contents[suffix]
        atomic_write(path, content if isinstance(content, (str, bytes)) else _png(content))


def _png(pixels):
    mark = PngInfo()
    mark.add_text("Software", OWN)
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, "PNG", pnginfo=mark, compress_level=1)  # 6 takes five times as long
    return file.getvalue()
