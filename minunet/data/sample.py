"""What a dataset yields, and what every dataset does with it: read a pair, resize, limit, split.

A sample is a pair: image uint8 (H, W, 3), and its labels (H, W, L), whose kinds and values labels.py explains: a mask
or class map uint8 (H, W, 1), instances uint16 (H, W, 1), or classes with segments uint16 (H, W, 2).

Images are resized bilinearly, by Pillow, which averages over all pixels that fall into a new one. Plain bilinear
interpolation reads four of the 29 pixels that become one when 1600 x 1200 becomes 256 x 256, and turns fur into noise.
Labels take the nearest pixel: a mean of 1 (pet) and 3 (boundary) would be 2 (background).
"""

import operator
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.data import DataError
from minunet.data.images import DEFAULT, Reading, labels_size, quiet_pillow, read_image, read_labels
from minunet.data.labels import Labels, ignored

T = TypeVar("T")
Pair = tuple[NDArray[np.uint8], Labels]  # image (H, W, 3), labels (H, W, L)
ToMask = Callable[[Image.Image], Labels]  # a label file as stored -> labels (H, W) or (H, W, L)


class Pairs(Protocol):
    """Anything with a length and pairs of an image and its labels: a list of them will do."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Pair: ...


class Dataset(Pairs, Protocol):
    """Pairs with names. IndexError beyond the end, so that a `for` loop ends there."""

    @property
    def names(self) -> Sequence[str]:
        """A name for each image, in order."""
        ...


# ---- reading and resizing ----


def height_width(size: int | Sequence[int]) -> tuple[int, int]:
    """Returns an int, or (H, W), as (H, W). Raises ValueError or TypeError if it is not a size.

    >>> height_width(256), height_width((192, 256))
    ((256, 256), (192, 256))
    """
    pair: tuple[Any, ...] = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2 or any(operator.index(n) < 1 for n in pair):
        raise ValueError(f"size is {size}: it must be a number of pixels of at least 1, or (height, width)")
    return operator.index(pair[0]), operator.index(pair[1])


def resize_image(image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Returns an image uint8 (H, W, 3), or probabilities float32 (H, W), resized to size = (height, width)."""
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def resize_mask(labels: Labels, size: tuple[int, int]) -> Labels:
    """Returns labels uint8 or uint16, (H, W) or (H, W, L), resized to size = (height, width) by the nearest pixel."""
    if labels.ndim == 3:
        return np.stack([resize_mask(channel, size) for channel in np.moveaxis(labels, 2, 0)], axis=2)
    height, width = size
    # Pillow resizes 8-bit and 32-bit integers in all its versions.
    stored = Image.fromarray(labels if labels.dtype == np.uint8 else labels.astype(np.int32))
    return np.asarray(stored.resize((width, height), Image.Resampling.NEAREST)).astype(labels.dtype, copy=False)


def read_pair(
    root: Path,
    image_path: Path,
    mask_path: Path,
    size: tuple[int, int] | None,
    to_mask: ToMask,
    reading: Reading = DEFAULT,
) -> Pair:
    """Returns an image uint8 (H, W, 3) and its labels (H, W, L), both resized to `size`; None leaves them as they are.

    Both are upright, as a viewer shows the image.
    to_mask: makes labels (H, W) or (H, W, L) of the mask's file as stored, or raises DataError.
    Raises DataError, which names the file relative to `root`.
    """
    upright = _named(root, image_path, lambda: read_image(image_path, reading))
    mask = _named(root, mask_path, lambda: read_labels(mask_path, upright, to_mask, reading))
    image = upright.image
    if size is not None:
        image, mask = resize_image(image, size), resize_mask(mask, size)
    return image, mask if mask.ndim == 3 else mask[:, :, np.newaxis]


def common_size(
    root: Path, paths: Iterable[Path], reading: Reading = DEFAULT, images: Mapping[Path, Path] | None = None
) -> tuple[int, int]:
    """Returns the one (height, width) of all these label files, upright; (1, 1) if none of them can be read.

    images: the image of each label file, where it is known; with a camera's orientation, labels may lie on their side.

    Raises DataError, which names two files relative to `root`, if they differ.
    """
    first: tuple[Path, tuple[int, int]] | None = None
    with quiet_pillow():
        sizes = [(path, labels_size(path, (images or {}).get(path), reading)) for path in paths]
    for path, size in sizes:
        if first is None and size is not None:
            first = path, size
        elif first is not None and size not in (None, first[1]):
            names = [each.relative_to(root).as_posix() for each in (first[0], path)]
            (height, width), (other_height, other_width) = first[1], size or (0, 0)
            raise DataError(
                f"{names[0]} is {width} x {height}, but {names[1]} is {other_width} x {other_height} (width x height): "
                "images that keep their size must all have the same; give a size to resize them to"
            )
    return first[1] if first else (1, 1)


class Frame(NamedTuple):
    """How the images of a dataset come to have one size: they are resized to it, or kept as they are, and padded."""

    size: tuple[int, int]  # (H, W) of the arrays
    content: tuple[int, int]  # the same without what is added at the bottom and on the right
    resized: bool
    reading: Reading = DEFAULT

    @classmethod
    def of(
        cls,
        size: int | Sequence[int] | None,
        multiple: int,
        root: Path,
        paths: Iterable[Path],
        reading: Reading = DEFAULT,
        images: Mapping[Path, Path] | None = None,
    ) -> "Frame":
        """Returns the frame for a size; None keeps that of the files, padded to the next multiple.

        paths: the label files, which then must all have one size. Raises DataError, which names two of them relative to
        `root`, if they have not; ValueError or TypeError for an argument out of range.
        """
        if operator.index(multiple) < 1:
            raise ValueError(f"multiple is {multiple}: it must be an integer of at least 1")
        if size is not None:
            return cls(height_width(size), height_width(size), True, reading)
        content = common_size(root, paths, reading, images or {})
        height, width = (-(-length // multiple) * multiple for length in content)
        return cls((height, width), content, False, reading)

    def read(self, root: Path, image_path: Path, mask_path: Path, to_mask: ToMask) -> Pair:
        """Returns a pair, as read_pair does, in the size of this frame."""
        if self.resized:
            return read_pair(root, image_path, mask_path, self.size, to_mask, self.reading)
        pair = read_pair(root, image_path, mask_path, None, to_mask, self.reading)
        if pair[1].shape[:2] != self.content:
            (height, width), (other_height, other_width) = pair[1].shape[:2], self.content
            name = mask_path.relative_to(root).as_posix()
            raise DataError(
                f"{name}: is {width} x {height}, the others {other_width} x {other_height} (width x height)"
            )
        return pad(pair, self.size)

    def key(self) -> str:
        """Returns what sets the arrays of this frame apart from others of the same files, for the key of a cache."""
        return ("" if self.resized else f" content {self.content}") + f" {self.reading}"


def pad(pair: Pair, size: tuple[int, int]) -> Pair:
    """Returns an image and its labels, enlarged to size = (height, width) at the bottom and on the right.

    The image goes on as its reflection, so that no edge appears that is none; the new pixels count in nothing.

    >>> image, labels = pad((np.array([[[1] * 3, [2] * 3]], np.uint8), np.zeros((1, 2, 1), np.uint8)), (1, 4))
    >>> image[0, :, 0].tolist(), labels[0, :, 0].tolist()
    ([1, 2, 1, 2], [0, 0, 255, 255])
    """
    image, labels = pair
    height, width = labels.shape[:2]
    larger = np.empty((*size, labels.shape[2]), labels.dtype)
    larger[:] = ignored(labels)
    larger[:height, :width] = labels
    margins = [(0, size[0] - height), (0, size[1] - width), (0, 0)]
    return np.pad(image, margins, mode="reflect"), larger


def common_root(images: Path, masks: Path) -> Path:
    """Returns the innermost folder that holds both folders, for short names in messages."""
    try:
        return Path(os.path.commonpath([images, masks]))
    except ValueError as error:  # Windows
        raise DataError("images and masks must lie on the same drive") from error


def _named(root: Path, path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except DataError as problem:
        raise DataError(f"{path.relative_to(root).as_posix()}: {problem}") from problem


# ---- fewer samples ----


def check_limit(limit: int | None) -> None:
    """Raises ValueError or TypeError unless `limit` is an integer of at least 1, or None for all images."""
    if limit is not None and operator.index(limit) < 1:
        raise ValueError(f"limit is {limit}: it must be an integer of at least 1, or None for all images")


def limited(items: Sequence[T], limit: int | None) -> list[T]:
    """Returns at most `limit` of the items, evenly spaced, and always the same ones.

    Datasets are often sorted by class, so the first few would all be of one.

    >>> limited(range(10), 4)
    [0, 2, 5, 7]
    """
    check_limit(limit)
    if limit is None or limit >= len(items):
        return list(items)
    return [items[i * len(items) // limit] for i in range(limit)]


class Subset:
    """The images of a dataset with these indices, in that order, as a dataset."""

    def __init__(self, dataset: Dataset, indices: Iterable[int]) -> None:
        self.dataset = dataset
        self.indices = list(indices)
        self.names = [dataset.names[index] for index in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Pair:
        """The dataset's own pair. IndexError beyond the end."""
        return self.dataset[self.indices[operator.index(index)]]


class Relabeled:
    """A dataset whose labels have gone through a function: the images of `dataset`, with function(labels).

    The function is called once for each image, when it is first asked for, and the result is kept in memory: such as
    the class maps of panoptic labels, or what takes long to compute from each.
    """

    def __init__(self, dataset: Dataset, function: Callable[[Labels], Labels]) -> None:
        self.dataset = dataset
        self.function = function
        self.names = dataset.names
        self._kept: dict[int, Labels] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Pair:
        """The dataset's image, and its labels after the function: a new array. IndexError beyond the end."""
        place = range(len(self))[operator.index(index)]  # -1 is the last one, as in a list
        image, labels = self.dataset[place]
        if place not in self._kept:  # two threads at a time may both compute it, and get the same
            self._kept[place] = self.function(labels)
        return image, self._kept[place].copy()


def split(dataset: Dataset, fraction: float, seed: int = 0, limit: int | None = None) -> tuple[Subset, Subset]:
    """Returns two random Subsets, to train and to validate with: the second has this fraction of the images.

    fraction: between 0 and 1; of two images or more, each Subset gets at least one. The same seed and number of images
    give the same two. limit: at most so many images in each. Raises ValueError for an argument out of range, DataError
    for fewer than two images.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction is {fraction}: it must lie between 0 and 1")
    check_limit(limit)
    if len(dataset) < 2:
        raise DataError("there is only one image: none would be left to validate with")
    held_out = min(max(1, round(fraction * len(dataset))), len(dataset) - 1)
    order = np.random.default_rng(seed).permutation(len(dataset)).tolist()
    # In a random order, the first so many are as good a choice as evenly spaced ones.
    training, validation = (Subset(dataset, sorted(part[:limit])) for part in (order[held_out:], order[:held_out]))
    return training, validation
