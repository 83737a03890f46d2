"""The gradient of the loss with respect to what each layer wrote, ∂L/∂y.

The engine drops the gradients of intermediate results as soon as they are used. To see them, a node is put behind each
layer's output: forward it copies nothing, and backward it keeps the gradient that passes through.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Function, Tensor
from minunet.models import SegmentationModel
from minunet.nn.module import forward_hook
from minunet.tasks import Instance, Panoptic, Task


class Watch(Function):
    """y = x;  gx = gy, which is also appended to `kept`."""

    def __init__(self, kept: list[Any]) -> None:
        self.kept = kept

    def forward(self, x):
        return x

    def backward(self, gy):
        self.kept.append(gy)
        return gy


def labels_of_answer(task: Task, answer: Any) -> NDArray[Any]:
    """Returns the network's own answer as labels (H, W, L), as if somebody had drawn it."""
    if isinstance(task, Panoptic):
        return np.stack([answer.classes, answer.segments], axis=-1).astype(np.uint16)
    return answer[..., None].astype(np.uint16 if isinstance(task, Instance) else np.uint8)


def loss_gradients(
    model: SegmentationModel, task: Task, loss: Callable[..., Tensor], image: NDArray[np.uint8], labels: NDArray[Any]
) -> tuple[float, list[NDArray[Any]]]:
    """Returns the loss, and ∂L/∂(output) as (H, W, C) for the image and each call of a layer, in the order of `trace`.

    image: uint8 (H, W, C); labels (H, W, L), as the task takes them. The last layer's output is its logits.
    """
    images, targets, weights = task.targets(image[None], task.encode(task.prepare(labels))[None])
    x = Tensor(images.astype(model.parameters()[0].dtype), requires_grad=True)
    kept: list[list[Any]] = []

    def watch(layer, inputs, y):
        kept.append([])
        y.creator = Watch(kept[-1])(y).creator

    model.eval()
    with forward_hook(watch):
        z = model.logits(x)
    value = loss(z, targets, weights)
    value.backward()
    for parameter in model.parameters():
        parameter.grad = None
    assert x.grad is not None
    return float(value.item()), [x.grad[0], *(gradients[0][0] for gradients in kept)]
