"""Semantic segmentation: each pixel belongs to one of K classes, such as sky, road, car.

network   K channels: logits z, a number per pixel and class; p = softmax(z) are the probabilities of the classes
targets   the class index of each pixel, 0 to K - 1; 255 (ignore) counts nowhere
loss      cross entropy, multi-class Dice, half of each, or focal loss (ops/losses.py)
answer    the class with the largest probability, which is the one with the largest logit
scores    mean IoU over the classes, and accuracy, from the confusion matrix (metrics/confusion.py)

Rare classes. In a street, a pole covers one pixel in a hundred: a network that never says "pole" loses next to nothing.
Class weights multiply the loss of each pixel by a number that belongs to its true class, large where the class is rare.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, fromarray

from minunet.autograd import Tensor
from minunet.data.classes import Classes
from minunet.data.labels import IGNORE
from minunet.device import Array, device_of, to_device
from minunet.metrics import ConfusionScores
from minunet.ops.losses import CLASS_LOSSES
from minunet.tasks.class_drawing import blend, with_key
from minunet.tasks.task import Panel


class LabelScores(ConfusionScores):
    """A confusion matrix of K classes, which a function finds in the labels: class_map(labels) → (N, H, W, 1)."""

    def __init__(self, classes: int, class_map: Callable[[Array], Array]) -> None:
        super().__init__(classes)
        self.class_map = class_map

    def update(self, outputs: Any, labels: Any) -> None:
        super().update(outputs, self.class_map(labels))


class ClassEvaluation:
    """Scores of class maps, see `Evaluation`: the confusion matrix of all images together."""

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self.scores = ConfusionScores(len(classes))

    def update(self, answer: NDArray, labels: NDArray) -> None:
        one_hot = answer[..., None] == np.arange(len(self.classes))
        self.scores.update(one_hot[None].astype(np.float32), labels[None, ..., :1])

    def result(self) -> dict[str, float]:
        return self.scores.result()

    def confusion(self) -> tuple[Sequence[str], NDArray] | None:
        return self.classes.names, self.scores.matrix()

    def table(self) -> list[tuple[str, ...]]:
        scores = zip(self.classes.names, self.scores.class_iou())
        return [("class", "IoU"), *((name, f"{iou:.3f}") for name, iou in scores)]


class ClassTable:
    """A number for each class, which is looked up for the label of each pixel.

    of_classes: K numbers; ignored: the number of all other labels, 255 (ignore) among them. The table goes once to each
    device on which there are labels: copying it for every batch would make a GPU wait.

    >>> ClassTable([0.5, 4.0])(np.array([[1, 0, 255]], np.uint8))
    array([[4. , 0.5, 0. ]], dtype=float32)
    """

    def __init__(self, of_classes: Sequence[float], ignored: float = 0, dtype: str = "float32") -> None:
        table = np.full(256, ignored, dtype)
        table[: len(of_classes)] = of_classes
        self._on: dict[str, Array] = {"cpu": table}

    def __call__(self, labels: Array) -> Array:
        """Returns the number of each label, an integer of 0 to 255: an array of the same shape on the same device."""
        device = device_of(labels)
        if device not in self._on:
            self._on[device] = to_device(self._on["cpu"], device)
        return self._on[device][labels]


class Semantic:
    """A class for each pixel: see minunet/tasks/task.py for what each method is for.

    classes        names, numbers in files, and colors of the K classes.
    class_weights  K numbers of at least 0, what a pixel of each class counts in the loss; None: all the same.

    Raises ValueError for a single class, and unless there is a weight for each class.
    """

    name: str = "semantic"
    activation: str = "softmax"
    losses: Mapping[str, Callable[..., Tensor]] = CLASS_LOSSES
    score_names: tuple[str, ...] = ("mean_iou", "accuracy")
    suffixes: tuple[str, ...] = (".classes.png", ".overlay.png")

    def __init__(self, classes: Classes, class_weights: Sequence[float] | None = None) -> None:
        if len(classes) < 2:
            raise ValueError(f"the only class is {classes.names[0]}: there must be at least two to choose from")
        self.classes = classes
        self.weights_of = None if class_weights is None else ClassTable(check_class_weights(class_weights, classes))

    @property
    def out_channels(self) -> int:
        return len(self.classes)

    @property
    def packages(self) -> tuple[str, ...]:
        return ()

    def prepare(self, labels: NDArray) -> NDArray:
        return labels

    def encode(self, labels: NDArray) -> NDArray:
        return labels

    def targets(self, images: Array, labels: Array) -> tuple[Array, Array, Array | None]:
        true = labels[..., :1]
        return to_unit(images), true, None if self.weights_of is None else self.weights_of(true)

    def training_scores(self) -> ConfusionScores:
        return LabelScores(len(self.classes), lambda labels: labels[..., :1])

    def evaluation(self) -> ClassEvaluation:
        return ClassEvaluation(self.classes)

    def fractions(self, label_batches: Iterable[NDArray]) -> dict[str, float]:
        counts = class_counts(label_batches, len(self.classes))
        return dict(zip(self.classes.names, (counts / counts.sum()).tolist()))

    def baselines(self, label_batches: Iterable[NDArray]) -> dict[str, dict[str, float]]:
        counts = class_counts(label_batches, len(self.classes))
        return {f"all {self.classes.names[counts.argmax()]}": constant_scores(counts, int(counts.argmax()))}

    def answer(self, outputs: NDArray) -> NDArray:
        return outputs.argmax(axis=-1).astype(np.uint8)

    def rescale(self, outputs: NDArray, factors: tuple[float, float]) -> NDArray:
        return outputs

    def unflip(self, outputs: NDArray, axis: int) -> NDArray:
        return np.flip(outputs, axis)

    def describe(self, answer: NDArray) -> str:
        fractions = np.bincount(answer.ravel(), minlength=len(self.classes)) / max(1, answer.size)
        largest = np.argsort(-fractions, kind="stable")[:3]
        return ", ".join(f"{fractions[k]:.1%} {self.classes.names[k]}" for k in largest if fractions[k] > 0)

    def files(self, image: NDArray, answer: NDArray) -> Mapping[str, NDArray | Image | str | bytes]:
        overlay = with_key(blend(image, self.classes.colorize(answer)), self.classes, answer)
        return dict(zip(self.suffixes, (class_image(answer, self.classes), overlay)))

    def panels(self, image: NDArray, labels: NDArray, outputs: NDArray) -> list[Panel]:
        answer, true = self.answer(outputs), labels[..., 0]
        scores = ConfusionScores(len(self.classes))
        scores.update(outputs[None], labels[None, ..., :1])
        counted = (true != IGNORE).any()
        return [
            Panel("image", image),
            Panel("true classes", self.classes.colorize(true)),
            Panel("probability of the answer", outputs.max(axis=-1)),
            Panel(
                "predicted classes",
                with_key(self.classes.colorize(answer), self.classes, answer),
                f"mean IoU {scores.result()['mean_iou']:.2f}" if counted else "all pixels ignored",
            ),
        ]

    def metadata(self) -> dict[str, Any]:
        return {"task": self.name, "classes": self.classes.to_json()}


def class_image(indices: NDArray, classes: Classes) -> Image:
    """Returns class indices (H, W) as an image of the numbers that files have, with a palette if they fit into it."""
    image = fromarray(classes.to_values(indices))
    if max(classes.table()) < 256:
        image.putpalette(classes.palette())
    return image


def to_unit(images: Array) -> Array:
    """Returns uint8 images as float32, 0 to 1, on their device."""
    x = images.astype("float32")
    x /= 255
    return x


def check_class_weights(weights: Sequence[float], classes: Classes) -> Sequence[float]:
    """Returns the weights. Raises ValueError unless there is one for each class, a finite number of at least 0."""
    if len(weights) != len(classes):
        raise ValueError(f"there are {len(weights)} class weights for {len(classes)} classes: there must be one each")
    for name, weight in zip(classes.names, weights):
        if not 0 <= weight < np.inf:
            raise ValueError(f"the class weight of {name} is {weight}: it must be a finite number of at least 0")
    return weights


def class_counts(label_batches: Iterable[NDArray], classes: int) -> NDArray[np.int64]:
    """Returns how many pixels of labels (N, H, W, 1 or more) belong to each class: (classes,).

    Raises ValueError if none does.
    """
    counts = np.zeros(256, np.int64)
    for labels in label_batches:
        counts += np.bincount(labels[..., 0].ravel(), minlength=256)
    if not counts[:classes].any():
        raise ValueError("every pixel is ignored: there are no classes to count")
    return counts[:classes]


def constant_scores(counts: NDArray[np.int64], answer: int) -> dict[str, float]:
    """Returns the scores of one class everywhere, given the pixels of each class.

    The IoU of that class is its fraction of the pixels, since all are predicted to be it; the others have 0.

    >>> constant_scores(np.array([6, 2, 0]), 0)
    {'mean_iou': 0.375, 'accuracy': 0.75}
    """
    fraction = float(counts[answer] / counts.sum())
    occur = int(((counts > 0) | (np.arange(len(counts)) == answer)).sum())
    return {"mean_iou": fraction / occur, "accuracy": fraction}
