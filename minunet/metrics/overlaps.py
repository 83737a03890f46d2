"""Which objects of two label images lie on each other, and by how much: what all scores of objects begin with."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Overlaps(NamedTuple):
    """The objects of two images of the same pixels, and the pairs of them that share pixels.

    true, found              int (A,), (B,): the objects of either image, in rising order of their codes
    true_areas, found_areas  int (A,), (B,): their pixels
    i, j                     int (P,), (P,): pair p is true[i[p]] and found[j[p]]; only pairs that share a pixel
    common                   int (P,): the pixels that both objects of a pair cover, at least 1
    """

    true: NDArray
    found: NDArray
    true_areas: NDArray
    found_areas: NDArray
    i: NDArray
    j: NDArray
    common: NDArray

    def unions(self) -> NDArray:
        """Returns |T ∪ P| = |T| + |P| - |T ∩ P| of each pair, int (P,)."""
        return self.true_areas[self.i] + self.found_areas[self.j] - self.common


def overlaps(true: NDArray, found: NDArray) -> Overlaps:
    """Returns which objects share pixels. true, found: integers of any equal shape, 0 to 2^31 - 1; 0 is an object, too.

    No loop over objects: each pixel becomes one number, t·2³² + f, and equal numbers are counted. A 2 x 4 image:

        true  1 1 2 2      found  5 5 5 2      pairs (1, 5): 3 pixels   (1, 0): 1   (2, 5): 1   (2, 2): 3
              1 1 2 2             5 0 2 2

    >>> o = overlaps(np.array([[1, 1, 2, 2], [1, 1, 2, 2]]), np.array([[5, 5, 5, 2], [5, 0, 2, 2]]))
    >>> [(int(o.true[i]), int(o.found[j]), int(n)) for i, j, n in zip(o.i, o.j, o.common)]
    [(1, 0, 1), (1, 5, 3), (2, 2, 3), (2, 5, 1)]
    >>> o.true_areas, o.found_areas, o.unions()
    (array([4, 4]), array([1, 3, 4]), array([4, 5, 4, 7]))
    """
    pairs, common = np.unique(
        (true.astype(np.int64).ravel() << 32) | found.astype(np.int64).ravel(), return_counts=True
    )
    true_codes, i = np.unique(pairs >> 32, return_inverse=True)
    found_codes, j = np.unique(pairs & 0xFFFFFFFF, return_inverse=True)
    areas = [np.bincount(index, common, minlength=len(codes)) for index, codes in ((i, true_codes), (j, found_codes))]
    return Overlaps(true_codes, found_codes, areas[0].astype(np.int64), areas[1].astype(np.int64), i, j, common)
