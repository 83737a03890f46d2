"""What a prediction leaves behind: two PNG files per picture.

    NAME.mask.png       white where there is pet, black elsewhere; of the picture's size
    NAME.overlay.png    the picture with the outline of the mask

Both bear a mark inside (PNG text "Software"). Only what bears it is ever replaced: a mask that somebody drew
and called the same stays as it is. They are written whole or not at all (files.py).
"""

import io
from collections import Counter

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from minunet.data import DataError
from minunet.files import atomic_write
from minunet.training.plots import overlay

MASK, OVERLAY = ".mask.png", ".overlay.png"
MARK = "minunet predict_pets"


def is_ours(path):
    """Whether the file at `path` is a mask or overlay that was written here."""
    if not path.name.endswith((MASK, OVERLAY)):
        return False
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return picture.info.get("Software") == MARK
    except Exception:  # damaged files make Pillow raise many kinds; whatever it is, it is not ours
        return False


def choose_names(pictures, out=None):
    """Where the results of each picture go: a list of paths without the endings, all different, or None.

    pictures: `images.ImageFile`s. out: a folder, in which the pictures of a folder keep their subfolders; None:
    beside each picture. Of cat.jpg and cat.png in one folder the results are called cat.jpg.mask.png and
    cat.png.mask.png; of two pictures that are called the same in all, the second gets None.
    """

    def folder(picture):
        return picture.path.parent if out is None else out / picture.relative_path.parent

    def alike(path):
        return str(path).casefold()  # on some disks Cat and cat are one file

    stems = Counter(alike(folder(picture) / picture.path.stem) for picture in pictures)
    names, taken = [], set()
    for picture in pictures:
        short, full = folder(picture) / picture.path.stem, folder(picture) / picture.path.name
        name = short if stems[alike(short)] == 1 and alike(short) not in taken else full
        names.append(None if alike(name) in taken else name)
        taken.add(alike(name))
    return names


def write_masks(name, image, mask):
    """Writes NAME.mask.png and NAME.overlay.png; makes their folder.

    image: uint8 (H, W, 3); mask: bool (H, W). Raises DataError if there is a file of that name which was not
    made here, and OSError where it cannot be written.
    """
    contents = {MASK: mask.astype(np.uint8) * 255, OVERLAY: overlay(image, mask)}
    paths = {ending: name.with_name(name.name + ending) for ending in contents}
    for path in paths.values():
        if (path.exists() or path.is_symlink()) and not is_ours(path):
            raise DataError(f"{path} is there already and is no result of this program: give another --out")
    name.parent.mkdir(parents=True, exist_ok=True)
    for ending, path in paths.items():
        atomic_write(path, _png(contents[ending]))


def _png(pixels):
    mark = PngInfo()
    mark.add_text("Software", MARK)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=mark, compress_level=1)  # 6 takes five times as long
    return file.getvalue()
