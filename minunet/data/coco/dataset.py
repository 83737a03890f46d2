"""Images with panoptic labels in COCO's format as a dataset."""

import operator
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.data import DataError, cache
from minunet.data.classes import Classes
from minunet.data.coco.document import Document, Entry, read_document
from minunet.data.images import DEFAULT, Reading, quiet_pillow
from minunet.data.images.pixels import is_deep
from minunet.data.masks import lossy_kind
from minunet.data.panoptic_ids import colors_to_ids, from_panoptic
from minunet.data.sample import Frame, Pair, common_root
from minunet.data.skipped import report_skipped
from minunet.inputs import user_path

EXPECTED = "IMAGES/NAME.jpg, PANOPTIC/NAME.png, and a panoptic.json of COCO that lists them"


class CocoPanoptic:
    """Images and panoptic labels: coco[i] -> (image uint8 (H, W, 3), labels uint16 (H, W, 2)).

    images, panoptic  two folders, of the images and of the PNGs
    annotations       the JSON file
    size, multiple    as for ImageFolder: an int or (H, W), or None to keep the images as they are, but padded
    strict, cache     as for Pets: whether to raise instead of skipping, and whether to keep what was decoded
    names             only the images of these names (without extension), in that order; None takes all
    reading           how files are read, as for ImageFolder

    labels[..., 0] is a class index or 255 (void); labels[..., 1] is 0 on stuff and void, and 1, 2, 3 … on things, one
    number each, in the order of segments_info. Crowds, things that nobody has told apart, have their class and 0.

    Attributes: `names`, `paths` and `skipped`, lists as for ImageFolder; `classes`, whose values are the category ids;
    `size` and `content` as for ImageFolder.

    What cannot be used is skipped and reported in one message (skipped.py). Raises DataError if the JSON file cannot be
    used or no image can, and ValueError or TypeError for an argument out of range.
    """

    def __init__(
        self,
        images: str | Path,
        panoptic: str | Path,
        annotations: str | Path,
        size: int | tuple[int, int] | None = 256,
        strict: bool = False,
        cache: bool = True,
        names: Sequence[str] | None = None,
        multiple: int = 64,
        reading: Reading = DEFAULT,
    ) -> None:
        Frame.of(1 if size is None else size, multiple, Path(), ())  # raises before anything is read
        places = (user_path(path).absolute() for path in (images, panoptic, annotations))
        images_at, pngs_at, file = places
        document = read_document(file)
        self.classes = document.classes
        entries, self.skipped = _chosen(document, names)
        files: dict[str, tuple[Path, ...]] = {
            name: (images_at / entry.image, pngs_at / entry.png, file) for name, entry in entries.items()
        }
        root = common_root(images_at, pngs_at)
        of_png = {png: image for image, png, _ in files.values()}
        frame = Frame.of(size, multiple, root, list(of_png), reading, of_png)
        self.size, self.content = frame.size, frame.content
        segments = {files[name]: entries[name].segments for name in entries}

        def read(source: tuple[Path, ...]) -> Pair:
            return frame.read(root, source[0], source[1], partial(_labels, segments[source], self.classes))

        decoded = _decode(read, list(files.values()), frame, cache)
        self.skipped += decoded.skipped.values()
        self._images, self._labels = decoded.images, decoded.masks
        self._rows = [row for row in range(len(files)) if row not in decoded.skipped]
        found = list(files)
        self.names = [found[row] for row in self._rows]
        self.paths = [files[name][0] for name in self.names]
        report_skipped(f"{images} with {annotations}", len(self), self.skipped, EXPECTED, strict)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Pair:
        """(image uint8 (H, W, 3), labels uint16 (H, W, 2)), new arrays. IndexError beyond the end."""
        row = self._rows[operator.index(index)]
        return np.array(self._images[row]), np.array(self._labels[row])


def _chosen(document: Document, names: Sequence[str] | None) -> tuple[dict[str, Entry], list[str]]:
    """Returns the document's entries of these names, in that order, and what is to be reported."""
    if isinstance(names, str):
        raise TypeError(f"names is {names!r}: it must be a list of names")
    if names is None:
        return document.entries, list(document.skipped)
    order = dict.fromkeys(names)
    skipped = [f"{name}: is not among the images" for name in order if name not in document.entries]
    skipped += [f"{name}: is listed more than once; it is used once" for name in order if names.count(name) > 1]
    chosen = {name: document.entries[name] for name in order if name in document.entries}
    return chosen, [*document.skipped, *skipped]


def _decode(read: cache.Read, sources: list[tuple[Path, ...]], frame: Frame, on_disk: bool) -> cache.Decoded:
    if not sources:
        return cache.Decoded(np.zeros((0, *frame.size, 3), np.uint8), np.zeros((0, *frame.size, 2), np.uint16), {})
    with quiet_pillow():
        key = f"coco panoptic with crowds Pillow {Image.__version__}{frame.key()}"
        return cache.decode_all(read, sources, frame.size, key, on_disk, channels=2, dtype=np.uint16)


def panoptic_reader(entry: Entry, classes: Classes) -> Callable[[Image.Image], NDArray[np.uint16]]:
    """Returns the function from the PNG of an entry, as stored, to labels uint16 (H, W, 2) in these classes."""
    return partial(_labels, entry.segments, classes)


def _labels(segments: list[dict[str, int]], classes: Classes, stored: Image.Image) -> NDArray[np.uint16]:
    """The labels uint16 (H, W, 2) of a PNG as it is stored."""
    if kind := lossy_kind(stored):
        raise DataError(f"is a {kind}, which blurs the numbers of segments: save it as PNG")
    if stored.mode == "RGB" and is_deep(stored):
        raise DataError("has 16 bits per channel: a panoptic PNG has 8 of each of red, green and blue")
    if stored.mode != "RGB":
        raise DataError(f"has mode {stored.mode}: a panoptic PNG has the number of each segment in red, green and blue")
    try:
        indices, numbers = from_panoptic(colors_to_ids(np.asarray(stored)), segments, classes.table(), classes.things)
    except ValueError as error:
        raise DataError(str(error)) from error
    return np.stack([indices, numbers], axis=2).astype(np.uint16)
