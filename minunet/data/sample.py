"""What a dataset yields, and what every dataset does with it: read a pair, resize, limit, split.

A sample is a pair: image uint8 (H, W, 3), and its mask uint8 (H, W, 1), whose values labels.py explains.

Images are resized bilinearly, by Pillow, which averages over all pixels that fall into a new one. Plain bilinear
interpolation reads four of the 29 pixels that become one when 1600 x 1200 becomes 256 x 256, and turns fur into noise.
A mask takes the nearest pixel: a mean of 1 (pet) and 3 (boundary) would be 2 (background).
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.data import DataError
from minunet.data.images import load, to_rgb, upright

T = TypeVar("T")
Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # image (H, W, 3), mask (H, W, 1)


class Pairs(Protocol):
    """Anything with a length and pairs of an image and a mask: a list of them will do."""

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


def resize_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Returns a mask uint8 (H, W) resized to size = (height, width)."""
    height, width = size
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def read_pair(
    root: Path,
    image_path: Path,
    mask_path: Path,
    size: tuple[int, int],
    to_mask: Callable[[Image.Image], NDArray[np.uint8]],
) -> Pair:
    """Returns an image uint8 (H, W, 3) and its mask uint8 (H, W, 1), both resized to `size`.

    A mask belongs to the pixels as they are stored, so an image's EXIF orientation is applied only if the mask has the
    height and width of the upright image but not of the stored one.
    to_mask: makes uint8 (H, W) of the mask's file as stored, or raises DataError.
    Raises DataError, which names the file relative to `root`.
    """
    image, mask = _load(root, image_path, to_rgb), _load(root, mask_path, to_mask)
    if image.shape[:2] != mask.shape:
        oriented = _load(root, image_path, upright).image
        image = oriented if oriented.shape[:2] == mask.shape else image
    if image.shape[:2] != mask.shape:
        raise DataError(
            f"{mask_path.relative_to(root).as_posix()}: is {mask.shape[1]} x {mask.shape[0]}, "
            f"but its image is {image.shape[1]} x {image.shape[0]} (width x height)"
        )
    return resize_image(image, size), resize_mask(mask, size)[:, :, np.newaxis]


def _load(root: Path, path: Path, convert: Callable[[Image.Image], T]) -> T:
    try:
        return load(path, convert)
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
