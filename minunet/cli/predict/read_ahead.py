"""The images of `minunet predict`, a few at a time, the next of them read while the network works."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from minunet.data import DataError
from minunet.data.images import ImageFile, Reading, UprightImage, pixels_in, read_image

MOST_TOGETHER = 50_000_000  # pixels of images that are read and predicted together


def read_ahead(
    images: list[ImageFile], at_once: int, reading: Reading
) -> Iterator[list[tuple[ImageFile, UprightImage | DataError]]]:
    """Yields lists of at most `at_once` images (or why there is none), while the next list is being read."""
    groups = _groups(images, at_once)
    with ThreadPoolExecutor(min(4, at_once)) as pool:
        ahead: list[tuple[ImageFile, Future]] = []
        for group in [*groups, []]:
            ready, ahead = ahead, [(found, pool.submit(_attempt, found.path, reading)) for found in group]
            if ready:
                yield [(found, reading.result()) for found, reading in ready]


def _groups(images: list[ImageFile], at_once: int) -> list[list[ImageFile]]:
    """The images in lists of at most `at_once`, of fewer where they are large: two lists are in memory at a time."""
    groups: list[list[ImageFile]] = [[]]
    total = 0
    for image in images:
        pixels = pixels_in(image.path)
        if len(groups[-1]) == at_once or (groups[-1] and total + pixels > MOST_TOGETHER):
            groups.append([])
            total = 0
        groups[-1].append(image)
        total += pixels
    return groups


def _attempt(path: Path, reading: Reading) -> UprightImage | DataError:
    """The image, or the DataError that says why there is none."""
    try:
        return read_image(path, reading)
    except DataError as problem:
        return problem
