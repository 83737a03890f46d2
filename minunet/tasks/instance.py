"""Instance segmentation: each object by itself, such as every nucleus under a microscope.

A network cannot number objects: nothing in an image says which nucleus is the first. But it can say where one ends.

network   three channels, by softmax: background, inside of an object, boundary (the outermost pixels of an object)
targets   these classes, from the numbers of the objects; the weight of each pixel (weight_map.py)
loss      as for classes: cross entropy, Dice, half of each, focal
answer    what is not background is cut into objects, by one of three methods (below)
scores    training: mean IoU of the three classes; evaluation: average precision and others (metrics/instances.py)

Where two objects touch, each has its boundary, and two pixels of it lie between their insides: enough to keep the
components apart. With boundary=0 there are two channels, and what touches becomes one object.

Three methods make objects of the classes; the later ones separate nuclei better:

    components  the connected components of "inside", grown by the width of the boundary
    inside      they are the seeds, which a watershed grows over all that is not background
    distance    the seeds are where objects are deepest (`regions.split`): a bridge of a few pixels joins no two of them
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from minunet.autograd import Tensor
from minunet.data.classes import Classes
from minunet.data.labels import IGNORE, IGNORE_OBJECT, OWN
from minunet.device import Array, array_module
from minunet.metrics import ConfusionScores, InstanceScores
from minunet.ops.losses import CLASS_LOSSES
from minunet.tasks.instance_drawing import boxes_and_outlines, color_instances, instance_overlay
from minunet.tasks.instance_files import label_image, objects_csv
from minunet.tasks.options import WIDEST_BOUNDARY, check_choice, check_pixels, check_word
from minunet.tasks.regions import NDIMAGE, PEAKS, WATERSHED, components, objects, split, without_small
from minunet.tasks.semantic import LabelScores, class_counts, constant_scores, to_unit
from minunet.tasks.task import Panel
from minunet.tasks.weight_map import W0, weight_map

BACKGROUND, INSIDE, BOUNDARY = 0, 1, 2
METHODS = ("distance", "inside", "components")

STEP = 1000  # a weight of 1 in the channel of weights, which is an integer
COLORS = ((24, 24, 24), (90, 200, 250), (255, 120, 60))


class InstanceEvaluation:
    """Scores of numbered objects, see `Evaluation`."""

    def __init__(self) -> None:
        self.scores = InstanceScores()

    def update(self, answer: NDArray, labels: NDArray) -> None:
        self.scores.update(labels[..., 0], answer)

    def result(self) -> dict[str, float]:
        return self.scores.result()

    def confusion(self) -> tuple[Sequence[str], NDArray] | None:
        return None

    def table(self) -> list[tuple[str, ...]]:
        return []


class Instance:
    """Numbered objects: see minunet/tasks/task.py for what each method is for.

    boundary     how many pixels wide the boundary is; 0: no boundary, two channels.
    weigh        whether narrow gaps between objects count more (weight_map.py).
    separate_by  how the objects are separated, one of METHODS.
    smallest     objects of fewer pixels are dropped from an answer.
    object_name  what an object is called in messages and figures.

    Raises ValueError or TypeError for options out of range.
    """

    name: str = "instance"
    activation: str = "softmax"
    losses: Mapping[str, Callable[..., Tensor]] = CLASS_LOSSES
    score_names: tuple[str, ...] = ("mean_iou", "accuracy")
    suffixes: tuple[str, ...] = (".labels.png", ".labels.tif", ".overlay.png", ".boxes.png", ".objects.csv")

    def __init__(
        self,
        boundary: int = 1,
        weigh: bool = True,
        separate_by: str = "distance",
        smallest: int = 20,
        object_name: str = "object",
    ) -> None:
        self.boundary = check_pixels("boundary", boundary, most=WIDEST_BOUNDARY)
        self.weigh = bool(weigh)
        self.separate_by = check_choice("separate_by", separate_by, METHODS)
        self.smallest = check_pixels("smallest", smallest)
        self.object_name = check_word("object_name", object_name)
        self.as_tiff = False  # whether `files` holds the label image as a TIFF, in place of a PNG
        names = ("background", "inside", "boundary")[: 3 if boundary else 2]
        self.classes = Classes(names, colors=COLORS[: len(names)])

    @property
    def out_channels(self) -> int:
        return len(self.classes)

    @property
    def packages(self) -> tuple[str, ...]:
        return {
            "components": (NDIMAGE,),
            "inside": (NDIMAGE, WATERSHED),
            "distance": (NDIMAGE, WATERSHED, PEAKS),
        }[self.separate_by]

    def prepare(self, labels: NDArray) -> NDArray:
        if not self.weigh:
            return labels
        weights = np.rint(STEP * weight_map(labels[..., 0])).astype(np.uint16)
        return np.stack([labels[..., 0], weights], axis=-1)

    def encode(self, labels: NDArray) -> NDArray:
        return labels

    def targets(self, images: Array, labels: Array) -> tuple[Array, Array, Array | None]:
        weights = labels[..., 1:2].astype("float32") / STEP if labels.shape[-1] > 1 else None
        return to_unit(images), self.class_map(labels), weights

    def class_map(self, labels: Array) -> Array:
        """Returns the classes of pixels, uint8 (N, H, W, 1), from object numbers (N, H, W, 1 or more)."""
        xp, segments = array_module(labels), labels[..., 0]
        classes = (segments > 0).astype("uint8")
        if self.boundary:  # where, not an assignment to what a mask selects: that would make a GPU wait
            classes = xp.where(boundary(segments, self.boundary) & (segments > 0), np.uint8(BOUNDARY), classes)
        classes = xp.where(segments == IGNORE_OBJECT, np.uint8(IGNORE), classes)
        return classes[..., None]

    def training_scores(self) -> ConfusionScores:
        return LabelScores(self.out_channels, self.class_map)

    def evaluation(self) -> InstanceEvaluation:
        return InstanceEvaluation()

    def fractions(self, label_batches: Iterable[NDArray]) -> dict[str, float]:
        counts = self._counts(label_batches)
        return dict(zip(self.classes.names, (counts / counts.sum()).tolist()))

    def baselines(self, label_batches: Iterable[NDArray]) -> dict[str, dict[str, float]]:
        return {"all background": constant_scores(self._counts(label_batches), BACKGROUND)}

    def _counts(self, label_batches):
        return class_counts((self.class_map(labels) for labels in label_batches), self.out_channels)

    def answer(self, outputs: NDArray) -> NDArray[np.uint16]:
        inside, region = outputs.argmax(axis=-1) == INSIDE, outputs[..., BACKGROUND] < 0.5
        if self.separate_by == "distance":
            found = split(region, outputs[..., INSIDE])
        elif self.separate_by == "inside":
            found = objects(inside, region, -outputs[..., INSIDE])
        else:
            found = dilated(components(inside), self.boundary)
        return without_small(found, self.smallest)

    def rescale(self, outputs: NDArray, factors: tuple[float, float]) -> NDArray:
        return outputs

    def unflip(self, outputs: NDArray, axis: int) -> NDArray:
        return np.flip(outputs, axis)

    def describe(self, answer: NDArray) -> str:
        number = int(answer.max())
        return f"{number} {self.object_name}{'' if number == 1 else 's'}, {(answer > 0).mean():.1%} of the pixels"

    def files(self, image: NDArray, answer: NDArray) -> Mapping[str, NDArray | Image | str | bytes]:
        labels = {".labels.tif": label_image(answer, ".tif", OWN)} if self.as_tiff else {".labels.png": answer}
        return {
            **labels,
            ".overlay.png": instance_overlay(image, answer),
            ".boxes.png": boxes_and_outlines(image, answer),
            ".objects.csv": objects_csv(answer, image),
        }

    def panels(self, image: NDArray, labels: NDArray, outputs: NDArray) -> list[Panel]:
        answer, scores = self.answer(outputs), self.evaluation()
        scores.update(answer, labels)
        try:
            caption = f"AP at 0.5: {scores.result()['ap50']:.2f}"
        except ValueError:
            caption = "all pixels ignored"
        weights = [Panel("weight map", (weight_map(labels[..., 0]) - 1) / W0)] if self.weigh else []
        return [
            Panel("image", image),
            Panel("true objects", color_instances(labels[..., 0])),
            *weights,
            Panel("predicted classes", self.classes.colorize(outputs.argmax(axis=-1).astype(np.uint8))),
            Panel("objects found", color_instances(answer), caption),
        ]

    def metadata(self) -> dict[str, Any]:
        options = {"boundary": self.boundary, "weigh": self.weigh, "separate_by": self.separate_by}
        return {"task": self.name, **options, "smallest": self.smallest, "object_name": self.object_name}


def boundary(segments: Array, width: int = 1) -> Array:
    """Returns where another number lies within `width` steps (also diagonal ones): bool, (..., H, W).

    The edge of the image is no boundary: an object that is cut off there goes on beyond it. Neither are ignored pixels
    (65535), of which nobody knows whether the object goes on there. Both sides of a border are boundary, that of the
    background too.

    >>> boundary(np.array([[0, 0, 0, 0, 0], [0, 7, 7, 7, 0], [0, 7, 7, 7, 0], [0, 7, 7, 7, 0]])).astype(int)
    array([[1, 1, 1, 1, 1],
           [1, 1, 1, 1, 1],
           [1, 1, 0, 1, 1],
           [1, 1, 0, 1, 1]])
    """
    xp = array_module(segments)
    known = segments != IGNORE_OBJECT
    lowest, highest = segments, xp.where(known, segments, 0)  # 65535 is above all others: it lowers nothing
    for _ in range(width):
        lowest, highest = extreme(lowest, xp.minimum), extreme(highest, xp.maximum)
    return known & (lowest != highest)


def extreme(values: Array, choose: Callable[..., Array]) -> Array:
    """Returns the minimum or maximum of each pixel and its eight neighbors: (..., H, W), on the array's device.

    choose: `minimum` or `maximum`, of NumPy or CuPy.
    """
    padded = array_module(values).pad(values, [*[(0, 0)] * (values.ndim - 2), (1, 1), (1, 1)], mode="edge")
    rows = choose(choose(padded[..., :-2, :], padded[..., 1:-1, :]), padded[..., 2:, :])
    return choose(choose(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])


def dilated(segments: NDArray, steps: int) -> NDArray:
    """Returns the segments with the background within `steps` of one given to it; of two, to the larger number."""
    for _ in range(steps):
        segments = np.where(segments > 0, segments, np.asarray(extreme(segments, np.maximum)))
    return segments
