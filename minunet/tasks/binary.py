"""Binary segmentation: each pixel is the object (a pet) or background.

network   one channel: z, a logit per pixel; p = σ(z) is the probability of the object
targets   t = 1 where the label is 1, else 0; weight 0 where the label is 255 (ignore), else 1
loss      binary cross entropy, Dice, or half of each (ops/losses.py)
answer    the object is where p > threshold, which is where z > 0 for a threshold of 0.5
scores    IoU, Dice and accuracy of the answer (metrics/masks.py)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from minunet.autograd import Tensor
from minunet.data.labels import IGNORE
from minunet.device import Array
from minunet.kernels import kernels_for
from minunet.metrics import MaskScores, iou
from minunet.ops.losses import LOSSES
from minunet.tasks.options import check_word
from minunet.tasks.outline import overlay
from minunet.tasks.task import Panel


class MaskEvaluation:
    """Scores of masks, see `Evaluation`."""

    def __init__(self) -> None:
        self.scores = MaskScores()

    def update(self, answer: NDArray, labels: NDArray) -> None:
        self.scores.update(answer[None], labels[None, ..., 0])

    def result(self) -> dict[str, float]:
        return self.scores.result()

    def confusion(self) -> tuple[Sequence[str], NDArray] | None:
        return None

    def table(self) -> list[tuple[str, ...]]:
        return []


class Binary:
    """The task of the lecture: see minunet/tasks/task.py for what each method is for.

    threshold    the answer is the object where the probability is above it.
    object_name  what the object is called in messages and figures.
    """

    name: str = "binary"
    out_channels: int = 1
    activation: str = "sigmoid"
    losses: Mapping[str, Callable[..., Tensor]] = LOSSES
    score_names: tuple[str, ...] = ("iou", "mean_iou", "dice", "accuracy")
    suffixes: tuple[str, ...] = (".mask.png", ".overlay.png")

    def __init__(self, threshold: float = 0.5, object_name: str = "pet") -> None:
        self.threshold = threshold
        self.object_name = check_word("object_name", object_name)

    @property
    def packages(self) -> tuple[str, ...]:
        return ()

    def prepare(self, labels: NDArray) -> NDArray:
        return labels

    def encode(self, labels: NDArray) -> NDArray:
        return labels

    def targets(self, images: Array, labels: Array) -> tuple[Array, Array, Array]:
        return kernels_for(images).to_float(images, labels, IGNORE)

    def training_scores(self) -> MaskScores:
        return MaskScores(threshold=0.0)

    def evaluation(self) -> MaskEvaluation:
        return MaskEvaluation()

    def fractions(self, label_batches: Iterable[NDArray]) -> dict[str, float]:
        everything = MaskScores()
        for labels in label_batches:
            everything.update(np.ones_like(labels), labels)
        return {"foreground": everything.result()["foreground"]}

    def baselines(self, label_batches: Iterable[NDArray]) -> dict[str, dict[str, float]]:
        everything, nothing = MaskScores(), MaskScores()
        for labels in label_batches:
            everything.update(np.ones_like(labels), labels)
            nothing.update(np.zeros_like(labels), labels)
        return {f"all {self.object_name}": everything.result(), "all background": nothing.result()}

    def answer(self, outputs: NDArray) -> NDArray:
        return outputs[..., 0] > self.threshold

    def rescale(self, outputs: NDArray, factors: tuple[float, float]) -> NDArray:
        return outputs

    def unflip(self, outputs: NDArray, axis: int) -> NDArray:
        return np.flip(outputs, axis)

    def describe(self, answer: NDArray) -> str:
        return f"{answer.mean():.1%} {self.object_name}"

    def files(self, image: NDArray, answer: NDArray) -> Mapping[str, NDArray | Image | str | bytes]:
        return dict(zip(self.suffixes, (answer.astype(np.uint8) * 255, overlay(image, answer))))

    def panels(self, image: NDArray, labels: NDArray, outputs: NDArray) -> list[Panel]:
        p, t = outputs[..., 0], labels[..., 0]
        score = f"IoU {iou(p, t, self.threshold):.2f}" if (t != IGNORE).any() else "all pixels ignored"
        return [
            Panel("image", image),
            Panel("true mask", _mask_colors(t)),
            Panel(f"probability of {self.object_name}", p),
            Panel("predicted outline", overlay(image, self.answer(outputs)), score),
        ]

    def metadata(self) -> dict[str, Any]:
        return {"task": self.name, "object_name": self.object_name}


def _mask_colors(labels):
    """Labels (H, W) as an image: the object light, background dark, ignored pixels gray."""
    colors = np.full((*labels.shape, 3), 24, np.uint8)
    colors[labels == 1] = 240
    colors[labels == IGNORE] = 128
    return colors
