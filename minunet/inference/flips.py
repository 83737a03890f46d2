"""Test-time augmentation: the outputs of an image and of its mirror images, averaged.

A network has not seen each image from all sides, and answers a little differently for its mirror image. Where it is
unsure, these answers differ most, and their mean is better than each: for four times the work. For images without up
and down (cells, tissue); a cat upside down is nothing that a network has learned.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from minunet.tasks import Task

Predict = Callable[[list[NDArray]], list[NDArray]]
FLIPS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))  # the axes along which an image is flipped


def with_flips(predict: Predict, task: Task) -> Predict:
    """Returns a function from images to outputs, as `predict` is one, that averages over the four mirror images.

    The task says what becomes of outputs when they are flipped back: a probability stays, a direction turns round.
    """

    def averaged(images: list[NDArray]) -> list[NDArray]:
        totals: list[NDArray] = [np.zeros(1, np.float32)] * len(images)
        for axes in FLIPS:
            outputs = predict([np.ascontiguousarray(np.flip(image, axes)) for image in images])
            for axis in axes:
                outputs = [task.unflip(output, axis) for output in outputs]
            totals = [total + output for total, output in zip(totals, outputs, strict=True)]
        return [total / len(FLIPS) for total in totals]

    return averaged
