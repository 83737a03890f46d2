"""Connected components, watershed, distances and peaks: what separates objects, once a network has said where they are.

None of it is particular to segmentation by networks, and none is written here: it comes from scipy.ndimage and
scikit-image, which the extra `instances` installs.
"""

import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.data.labels import MOST_OBJECTS

NDIMAGE, WATERSHED, PEAKS = "scipy.ndimage", "skimage.segmentation", "skimage.morphology"
SMOOTH = 1.0  # standard deviation, in pixels, of what smooths the depth
LEAST_RISE = 0.5  # pixels of depth


class MissingPackage(ImportError):
    """A package that separating objects needs is not installed; the message says which, and how to install it."""


def components(mask: NDArray[np.bool_], diagonal: bool = False) -> NDArray[np.int32]:
    """Returns the connected components of a mask, bool (H, W): int32 (H, W), 0 outside, 1, 2, 3 … inside.

    diagonal: whether pixels that touch at a corner are connected. Raises MissingPackage without SciPy.

    >>> components(np.array([[1, 0, 1], [1, 0, 0], [0, 1, 1]], bool))
    array([[1, 0, 2],
           [1, 0, 0],
           [0, 3, 3]], dtype=int32)
    """
    found, _ = _package(NDIMAGE).label(mask, np.ones((3, 3)) if diagonal else None)
    return found


def grow(seeds: NDArray, region: NDArray[np.bool_], height: NDArray) -> NDArray[np.int32]:
    """Returns the seeds grown over a region by a watershed: int32 (H, W), 0 outside of the region.

    Water rises from the seeds over the landscape `height` (H, W), low places first; where the waters of two seeds meet,
    the border between them stays. A part of the region without a seed in it stays 0.
    Raises MissingPackage without scikit-image.
    """
    return _package(WATERSHED).watershed(height, seeds, mask=region)


def objects(
    inside: NDArray[np.bool_], region: NDArray[np.bool_], height: NDArray, smallest: int = 1
) -> NDArray[np.int32]:
    """Returns one object per component of `inside`, grown over `region` as `grow` does: int32 (H, W).

    smallest: components of fewer pixels are no seeds; they go to the neighbors that grow over them. A part of the
    region without a seed, for being thin, is an object of its own.
    """
    seeds, parts = components(inside & region), components(region)
    seeds[np.bincount(seeds.ravel())[seeds] < smallest] = 0
    seedless = region & ~np.isin(parts, parts[seeds > 0])
    return grow(np.where(seedless, parts + seeds.max(), seeds), region, height)


def split(region: NDArray[np.bool_], inside: NDArray) -> NDArray[np.int32]:
    """Returns the objects of a region that are round rather than long, cut where it is narrow: int32 (H, W).

    inside: how sure it is that a pixel lies inside an object, 0 to 1, (H, W). How deep a pixel lies is its distance to
    the edge of the region, smoothed, times that. Every peak of the depth is a seed, unless it rises less than half a
    pixel above the pass to a higher one; the seeds grow as in `grow`. So two disks that overlap a little, like an 8,
    become two objects, and a rough edge makes none. What is nowhere half a pixel deep, a hair, is dropped.
    Raises MissingPackage without SciPy and scikit-image.
    """
    depth = _package(NDIMAGE).gaussian_filter(_depth(region), SMOOTH) * inside
    # zeros around it: the highest place of a region that fills the image must rise above something
    peaks = _package(PEAKS).h_maxima(np.pad(depth, 1), LEAST_RISE)[1:-1, 1:-1] > 0
    return grow(components(peaks & region, diagonal=True), region, -depth)


def _depth(region):
    """The distance of each pixel to the edge of the region; where it fills the image, half of the shorter side."""
    return np.full(region.shape, min(region.shape) / 2) if region.all() else distance_to(~region)


def without_small(segments: NDArray, smallest: int) -> NDArray[np.uint16]:
    """Returns the segments that have at least `smallest` pixels, numbered 1, 2, 3 … in their order: uint16 (H, W).

    Raises ValueError if more than 65,534 are left, which 16 bits could not tell apart.

    >>> without_small(np.array([[0, 7, 7], [5, 7, 9], [9, 9, 0]]), 2)
    array([[0, 1, 1],
           [0, 1, 2],
           [2, 2, 0]], dtype=uint16)
    """
    numbers, inverse, counts = np.unique(segments, return_inverse=True, return_counts=True)
    kept = (numbers > 0) & (counts >= smallest)
    if kept.sum() > MOST_OBJECTS:
        raise ValueError(f"there are {kept.sum()} objects: an image of labels with 16 bits holds {MOST_OBJECTS}")
    return np.where(kept, np.cumsum(kept), 0).astype(np.uint16)[inverse.reshape(segments.shape)]


def distance_to(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns each pixel's distance to the nearest pixel of the mask, in pixels: (H, W); 0 inside of it.

    The mask must not be empty. Raises MissingPackage without SciPy.
    """
    return _package(NDIMAGE).distance_transform_edt(~mask)


def require(modules: Iterable[str]) -> None:
    """Raises MissingPackage unless all these modules can be imported: better before hours of training than after."""
    for name in modules:
        _package(name)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = {"scipy": "SciPy", "skimage": "scikit-image"}[name.partition(".")[0]]
        raise MissingPackage(
            f'separating objects needs {package}, which is not installed: pip install "minunet[instances]"'
        ) from error
