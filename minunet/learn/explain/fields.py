"""Which part of the image a number in the network has seen: boxes by theory, heat maps from the gradient.

learn/receptive_field.py explains both. A heat map costs a forward and a backward pass, so they are computed for a few
positions of each layer, on a grid of at most 3 x 3, all of them in one batch: image n of the batch is asked about
position n.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor
from minunet.device import to_device, to_numpy
from minunet.learn.receptive_field import NOTHING, ReceptiveField
from minunet.models import SegmentationModel
from minunet.nn.module import forward_hook

POSITIONS = 3  # along each axis of a map


class FarEnough(Exception):
    """The layer that was asked about has run: nothing behind it is needed."""


class Fields(NamedTuple):
    """The positions, rows x columns, and their heat maps (positions, H, W)."""

    rows: list[int]
    columns: list[int]
    heat: NDArray[Any]


def few_positions(n: int) -> list[int]:
    """Returns the middles of at most three equal parts of n rows.

    >>> few_positions(9), few_positions(2)
    ([1, 4, 7], [0, 1])
    """
    parts = min(n, POSITIONS)
    return [(2 * part + 1) * n // (2 * parts) for part in range(parts)]


def effective_fields(model: SegmentationModel, x: NDArray[Any], number: int) -> Fields:
    """Returns |∂ Σ_c y[i,j,c] / ∂image|, summed over the image's channels, for a few (i, j) of a layer's output y.

    x: the image (1, H, W, C), 0 to 1. number: which call of a layer makes y, counted from 0.
    """
    shape = _output(model, Tensor(x), number).shape
    rows, columns = few_positions(shape[1]), few_positions(shape[2])
    count = len(rows) * len(columns)
    trained = model.parameters()
    try:
        for parameter in trained:
            parameter.requires_grad = False  # only the image's gradient is wanted
        images = Tensor(to_device(np.repeat(x, count, axis=0), model.device), requires_grad=True)
        y = _output(model, images, number)
        gy = np.zeros(y.shape, y.dtype)
        for n, (i, j) in enumerate((i, j) for i in rows for j in columns):
            gy[n, i, j] = 1
        y.backward(to_device(gy, model.device))
    finally:
        for parameter in trained:
            parameter.requires_grad = True
    return Fields(rows, columns, np.abs(to_numpy(images.grad)).sum(axis=-1))


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
