"""Test-time augmentation: the outputs of an image and of its mirror images, averaged.

A network has not seen each image from all sides, and answers a little differently for its mirror image. Where it is
unsure, these answers differ most, and their mean is better than each. Left and right can be exchanged in most images;
up and down only where there is neither (cells, tissue): a cat upside down is nothing that a network has learned. The
work is doubled by the one, and again by the other.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from minunet.tasks import Task

Predict = Callable[[list[NDArray]], list[NDArray]]
Flips = tuple[tuple[int, ...], ...]  # for each mirror image, the axes along which the image is flipped
LEFT_RIGHT: Flips = ((), (1,))
ALL: Flips = ((), (0,), (1,), (0, 1))


def with_flips(predict: Predict, task: Task, flips: Flips = ALL) -> Predict:
    """Returns a function from images to outputs, as `predict` is one, that averages over the image and its flips.

    The task says what becomes of outputs when they are flipped back: a probability stays, a direction turns round.
    """

    def averaged(images: list[NDArray]) -> list[NDArray]:
        totals: list[NDArray] = [np.zeros(1, np.float32)] * len(images)
        for axes in flips:
            outputs = predict([np.ascontiguousarray(np.flip(image, axes)) for image in images])
            for axis in axes:
                outputs = [task.unflip(output, axis) for output in outputs]
            totals = [total + output for total, output in zip(totals, outputs, strict=True)]
        return [total / len(flips) for total in totals]

    return averaged
