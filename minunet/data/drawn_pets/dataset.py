"""Drawn pets as a dataset in memory."""

import operator

from minunet.data.drawn_pets.compose import check_size, draw, species_of
from minunet.data.labels import lookup
from minunet.data.pets import CLASSES, SPECIES, trimap_labels
from minunet.data.sample import Pair


class DrawnPets:
    """Drawn pets as a dataset: pets[i] -> (image uint8 (size, size, 3), labels uint8 (size, size, 1)).

    count   the number of images: those numbered first … first + count - 1. Train with the first numbers, and test
            with others: DrawnPets(700), DrawnPets(100, first=700)
    size    side of the squares in pixels, at least 16
    seed    another seed draws other images
    border  what the boundary, a band along the outline, becomes in the labels: "pet" (1), "background" (0) or
            "ignore" (255)
    labels  "mask", "species" or "trimap", as for `pets.Pets`

    Attributes: lists of str, `names` ("cat_000012") and `species` ("cat" or "dog"); `classes`, or None for masks. Each
    image is drawn when it is first asked for, and kept: 4 * size**2 bytes each. The arrays are not to be written to.
    Raises ValueError for an argument out of range.

    >>> pets = DrawnPets(3, size=64, first=10)
    >>> pets.names
    ['cat_000010', 'cat_000011', 'dog_000012']
    >>> image, mask = pets[0]
    >>> import numpy as np
    >>> image.shape, mask.shape, np.unique(mask).tolist()
    ((64, 64, 3), (64, 64, 1), [0, 1])
    """

    def __init__(
        self, count: int, size: int = 256, seed: int = 0, first: int = 0, border: str = "pet", labels: str = "mask"
    ) -> None:
        self._tables = {species: lookup(trimap_labels(labels, border, species)) for species in SPECIES.values()}
        self.classes = CLASSES[labels]
        if operator.index(count) < 1:
            raise ValueError(f"count is {count}: it must be an integer of at least 1")
        self._numbers = range(operator.index(first), operator.index(first) + operator.index(count))
        self.size = check_size(size)
        self.seed = seed
        self.border = border
        self._drawn: dict[int, Pair] = {}
        self.species = [species_of(number, seed) for number in self._numbers]
        self.names = [f"{kind}_{number:06d}" for kind, number in zip(self.species, self._numbers)]

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Pair:
        """(image uint8 (size, size, 3), labels uint8 (size, size, 1)). IndexError beyond the end."""
        number, species = self._numbers[operator.index(index)], self.species[operator.index(index)]
        if number not in self._drawn:
            image, trimap = draw(number, self.seed, self.size)
            pair = image, self._tables[species][trimap][:, :, None]
            for array in pair:
                array.flags.writeable = False
            self._drawn[number] = pair
        return self._drawn[number]
