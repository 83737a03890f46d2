"""Which part of the image a number in the network has seen: boxes by theory, heat maps from the gradient.

learn/receptive_field.py explains both. A heat map costs a forward and a backward pass, and each page has some hundreds,
so they are computed in batches: image n of a batch is asked about several positions at once, as long as their boxes do
not overlap. In the first layers, whose boxes are small, few images answer for a whole grid of positions. In the
decoder, where every box is the whole image, nine images answer for 3 x 3 positions; where that would be too much
arithmetic, it is fewer.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor
from minunet.kernels import plain_products
from minunet.learn.explain.choice import spread
from minunet.learn.receptive_field import NOTHING, ReceptiveField
from minunet.models import SegmentationModel
from minunet.nn.module import forward_hook

MOST_FLOP = 20e9  # of the forward passes for a layer: 9 of the lecture's network, of 256 x 256 pixels, are 19.4e9
MOST_HEAT = 60_000  # pixels of the heat maps of a layer, unless there are only 3 x 3 of them
SIDE = 48  # of a heat map in the page


class FarEnough(Exception):
    """The layer that was asked about has run: nothing behind it is needed."""


class Fields(NamedTuple):
    """The positions, rows x columns, and what each sees, (height, width, positions): all boxes made equally large.

    tops, lefts: of each row and of each column, where that part of the image begins.
    """

    rows: list[int]
    columns: list[int]
    tops: list[int]
    lefts: list[int]
    heat: NDArray[Any]


def affordable(flop: int) -> int:
    """Returns into how many images the positions may be divided, if a forward pass takes so many operations.

    >>> affordable(2 * 10**9), affordable(5 * 10**9), affordable(10**10), affordable(10**12)
    (9, 4, 1, 0)
    """
    return next((images for images in (9, 4, 1) if images * flop <= MOST_FLOP), 0)


def effective_fields(
    model: SegmentationModel,
    x: NDArray[Any],
    number: int,
    field: ReceptiveField,
    pixels: tuple[list[int], list[int]],
    images: int = 9,
) -> Fields:
    """Returns |∂ Σ_c y[i,j,c] / ∂image|, summed over the image's channels, for some (i, j) of a layer's output y.

    Of the last layer, y are the logits: probabilities of classes add up to 1, whatever the image, so their sum has no
    gradient. x: the image (1, H, W, C), 0 to 1. number: which call of a layer makes y, counted from 0. field: its
    boxes. pixels: rows and columns from which the positions are chosen. images: how many may be in the batch.
    """
    starts, sizes = zip(*(_windows(axis, n) for axis, n in zip(field.inside, x.shape[1:3])))
    most = max(3, int((MOST_HEAT / (min(sizes[0], SIDE) * min(sizes[1], SIDE))) ** 0.5))
    each = int(images**0.5)  # along each axis
    (rows, down), (columns, across) = (
        _apart(list_, start, size, most, each) for list_, start, size in zip(pixels, starts, sizes)
    )
    gradient = _gradients(model, np.repeat(x, down * across, axis=0), number, rows, columns, (down, across))
    height, width = sizes
    tops, lefts = ([int(start[i]) for i in chosen] for start, chosen in zip(starts, (rows, columns)))
    seen = [
        gradient[(a % down) * across + b % across, top : top + height, left : left + width]
        for a, top in enumerate(tops)
        for b, left in enumerate(lefts)
    ]
    return Fields(rows, columns, tops, lefts, np.stack(seen, axis=-1))


def _windows(axis, n):
    """Where the windows begin into which the boxes of an axis fit, all of one size and inside n pixels; that size."""
    first, last = axis
    empty = first == NOTHING
    size = int(np.where(empty, 1, last - first + 1).max())
    return np.clip(np.where(empty, 0, first), 0, n - size), size


def _apart(pixels, starts, size, most, each):
    """At most `most` of the pixels, and how many images keep their windows apart: at most `each`.

    Pixel number a is asked about in image a % images, so those of one image are `images` places apart.
    """
    for count in range(min(most, len(pixels)), 0, -1):
        chosen = [pixels[p] for p in (spread(len(pixels), count) if count > 3 else middles(len(pixels), count))]
        for images in range(1, min(each, count) + 1):
            if all(starts[i] + size <= starts[j] for i, j in zip(chosen, chosen[images:])):
                return chosen, images
    raise AssertionError("one position fits into one image")


def middles(n: int, parts: int) -> list[int]:
    """Returns the middles of equal parts of n rows.

    >>> middles(9, 3), middles(2, 2)
    ([1, 4, 7], [0, 1])
    """
    return [(2 * part + 1) * n // (2 * parts) for part in range(parts)]


def _gradients(model, x, number, rows, columns, images):
    """The gradients of a batch (N, H, W) with respect to the images, summed over their channels."""
    down, across = images
    trained = model.parameters()
    try:
        for parameter in trained:
            parameter.requires_grad = False  # only the image's gradient is wanted
        pictures = Tensor(x, requires_grad=True)
        y = _output(model, pictures, number)
        gy = np.zeros(y.shape, y.dtype)
        for a, i in enumerate(rows):
            for b, j in enumerate(columns):
                gy[(a % down) * across + b % across, i, j] = 1
        with plain_products():  # what lies outside of the field gets exactly 0
            y.backward(gy)
    finally:
        for parameter in trained:
            parameter.requires_grad = True
    found: Any = pictures.grad
    return np.abs(found).sum(axis=-1)


def _output(model, images, number):
    """Returns what call `number` of a layer computes."""
    found: list[Any] = []

    def note(layer, inputs, y):
        found.append(y)
        if len(found) > number:
            raise FarEnough

    try:
        with forward_hook(note):
            model.logits(images)
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
