"""Drawn scenes as a dataset in memory."""

import operator

import numpy as np
from numpy.typing import NDArray

from minunet.data.drawn_pets.compose import check_seeds
from minunet.data.drawn_scenes.classes import CLASSES
from minunet.data.drawn_scenes.compose import check_size, draw_scene


def name_of(number: int) -> str:
    """Returns the name of a scene: scene_000012."""
    return f"scene_{number:06d}"


class DrawnScenes:
    """Drawn scenes as a dataset: scenes[i] -> (image uint8 (size, size, 3), labels uint16 (size, size, 2)).

    labels[:, :, 0] holds class indices, and labels[:, :, 1] segments: 0 on stuff, 1, 2 … on the things of this image.

    count   the number of scenes: those numbered first … first + count - 1. Train with the first numbers, and test
            with others: DrawnScenes(800), DrawnScenes(100, first=800)
    size    side of the squares in pixels, at least 32
    seed    another seed draws other scenes

    Attributes: `names` ("scene_000012"), a list of str, and `classes`. Each scene is drawn when it is first asked for,
    and kept: 7 * size**2 bytes each. The arrays are not to be written to.
    Raises ValueError for an argument out of range.

    >>> scenes = DrawnScenes(2, size=64, first=10)
    >>> scenes.names, scenes.classes.names[-2:]
    (['scene_000010', 'scene_000011'], ('cat', 'dog'))
    >>> image, labels = scenes[0]
    >>> image.shape, labels.shape, labels.dtype
    ((64, 64, 3), (64, 64, 2), dtype('uint16'))
    """

    def __init__(self, count: int, size: int = 256, seed: int = 0, first: int = 0) -> None:
        if operator.index(count) < 1:
            raise ValueError(f"count is {count}: it must be an integer of at least 1")
        check_seeds(first, seed)
        self._numbers = range(operator.index(first), operator.index(first) + operator.index(count))
        self.size = check_size(size)
        self.seed = seed
        self.classes = CLASSES
        self.names = [name_of(number) for number in self._numbers]
        self._drawn: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint16]]] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """(image uint8 (size, size, 3), labels uint16 (size, size, 2)). IndexError beyond the end."""
        number = self._numbers[operator.index(index)]
        if number not in self._drawn:
            image, classes, segments = draw_scene(number, self.seed, self.size)
            pair = image, np.stack([classes, segments], axis=2).astype(np.uint16, copy=False)
            for array in pair:
                array.flags.writeable = False
            self._drawn[number] = pair
        return self._drawn[number]
