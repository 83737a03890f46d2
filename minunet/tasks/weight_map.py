"""The weight map of the U-Net paper: background between two objects that nearly touch counts more.

A gap of two pixels between two cells is one pixel in a thousand. A network that closes it loses next to nothing, and
yet it has made one object of two. So a pixel of the background gets the weight

    w = 1 + w0 exp(-(d1 + d2)² / 2σ²)

where d1 is its distance to the nearest object and d2 to the second nearest. With w0 = 10 and σ = 5, as in the paper, in
pixels:

    in the middle of a gap of 1      d1 = 1, d2 = 1      w = 1 + 10 exp(-4/50)   = 10.2
    in the middle of a gap of 9      d1 = 5, d2 = 5      w = 1 + 10 exp(-100/50) = 2.4
    far from a second object         d1 + d2 > 20        w = 1.0

Pixels of objects weigh 1. The paper has another number in place of the 1, w_c, which makes up for how rare a class is;
here that is what class weights are for. Source: Ronneberger, Fischer, Brox, "U-Net", 2015, equation 2.
"""

import numpy as np
from numpy.typing import NDArray

from minunet.data.labels import IGNORE_OBJECT
from minunet.tasks.regions import distance_to

W0, SIGMA = 10.0, 5.0
FAR = 4.0  # a weight is left at 1 where d1 + d2 is more than this times σ: exp(-8) w0 = 0.003


def weight_map(segments: NDArray, w0: float = W0, sigma: float = SIGMA) -> NDArray[np.float32]:
    """Returns the weight of each pixel, float32 (H, W).

    segments: integers (H, W), 0 background, one number per object; 65535 is ignored and belongs to no object.
    w0, sigma: how much the narrowest gap weighs, and how fast that fades, in pixels.
    """
    height, width = segments.shape
    reach = int(np.ceil(FAR * sigma)) + 1
    nearest = np.full((2, height, width), np.inf)  # d1 and d2
    for number, (rows, columns) in _boxes(segments).items():
        # No pixel farther than `reach` from this object's box can have a weight because of it.
        window = np.s_[
            max(0, rows[0] - reach) : rows[1] + reach,
            max(0, columns[0] - reach) : columns[1] + reach,
        ]
        d = distance_to(segments[window] == number)
        d1, d2 = nearest[0][window], nearest[1][window]
        nearest[1][window] = np.minimum(d2, np.maximum(d1, d))
        nearest[0][window] = np.minimum(d1, d)
    weights = 1 + w0 * np.exp(-(nearest.sum(axis=0) ** 2) / (2 * sigma**2))
    return np.where(segments == 0, weights, 1).astype(np.float32)


def _boxes(segments):
    """{number: ((first row, row after the last), (first column, column after the last))} of each object."""
    boxes = {}
    rows, columns = np.nonzero((segments > 0) & (segments < IGNORE_OBJECT))
    numbers = segments[rows, columns]
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    for number, r, c in zip(found, np.split(rows[order], starts[1:]), np.split(columns[order], starts[1:])):
        boxes[int(number)] = (int(r.min()), int(r.max()) + 1), (int(c.min()), int(c.max()) + 1)
    return boxes
