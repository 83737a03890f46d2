"""Which part of the image a number in the network has seen: boxes by theory, heat maps from the gradient.

learn/receptive_field.py explains both. A heat map costs a forward and a backward pass, so they are computed for a few
positions of each layer, on a grid of 3 x 3, all of them in one batch: image n of the batch is asked about position n.
Where that would be too much arithmetic, it is 2 x 2, one position, or none.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor
from minunet.learn.receptive_field import NOTHING, ReceptiveField
from minunet.models import SegmentationModel
from minunet.nn.module import forward_hook

MOST_FLOP = 20e9  # of the forward passes for a layer: 9 of the lecture's network, of 256 x 256 pixels, are 19.4e9


class FarEnough(Exception):
    """The layer that was asked about has run: nothing behind it is needed."""


class Fields(NamedTuple):
    """The positions, rows x columns, and their heat maps (positions, H, W)."""

    rows: list[int]
    columns: list[int]
    heat: NDArray[Any]


def positions(n: int, parts: int) -> list[int]:
    """Returns the middles of `parts` equal parts of n rows, at most one for each row.

    >>> positions(9, 3), positions(2, 3)
    ([1, 4, 7], [0, 1])
    """
    parts = min(n, parts)
    return [(2 * part + 1) * n // (2 * parts) for part in range(parts)]


def affordable(flop: int) -> int:
    """Returns how many positions along each axis the forward passes, each of so many operations, leave room for.

    >>> affordable(10**9), affordable(5 * 10**9), affordable(10**10), affordable(10**12)
    (3, 2, 1, 0)
    """
    return next((parts for parts in (3, 2, 1) if parts**2 * flop <= MOST_FLOP), 0)


def effective_fields(
    model: SegmentationModel, x: NDArray[Any], number: int, size: tuple[int, int], parts: int = 3
) -> Fields:
    """Returns |∂ Σ_c y[i,j,c] / ∂image|, summed over the image's channels, for a few (i, j) of a layer's output y.

    x: the image (1, H, W, C), 0 to 1. number: which call of a layer makes y, counted from 0; size: y's (H, W).
    """
    rows, columns = (positions(n, parts) for n in size)
    trained = model.parameters()
    try:
        for parameter in trained:
            parameter.requires_grad = False  # only the image's gradient is wanted
        images = Tensor(np.repeat(x, len(rows) * len(columns), axis=0), requires_grad=True)
        y = _output(model, images, number)
        gy = np.zeros(y.shape, y.dtype)
        for n, (i, j) in enumerate((i, j) for i in rows for j in columns):
            gy[n, i, j] = 1
        y.backward(gy)
    finally:
        for parameter in trained:
            parameter.requires_grad = True
    gradient: Any = images.grad
    return Fields(rows, columns, np.abs(gradient).sum(axis=-1))


def _output(model, images, number):
    """Returns what call `number` of a layer computes."""
    found: list[Any] = []

    def note(layer, inputs, y):
        found.append(y)
        if len(found) > number:
            raise FarEnough

    try:
        with forward_hook(note):
            model(images)
    except FarEnough:
        pass
    return found[number]


def box_tables(field: ReceptiveField) -> list[list[int]]:
    """Returns [top, bottom, left, right]: of each row i and column j, the pixels of the image that it can depend on.

    They are clipped to the image, bottom and right excluded; a row that depends on none has top = bottom = 0.
    """
    tables = []
    for first, last in field.inside:
        empty = first == NOTHING
        tables += [np.where(empty, 0, first).tolist(), np.where(empty, 0, last + 1).tolist()]
    return tables
