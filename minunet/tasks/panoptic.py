"""Panoptic segmentation: each pixel has a class, and each pixel of a *thing* (a car, a cat) the number of its object.

There are two methods of telling objects apart, and the task takes either:

    centers      K + 3 channels: K classes by softmax, a heat map of centers, and two offsets to the center (centers.py)
    boundaries   K + 1 channels: K classes and the boundary between things, by softmax, as for instances (instance.py)

Loss of the centers: that of the classes, and of heat map and offsets, weighted (centers.py).

Crowds, things that nobody has told apart, have a class and no number. Nothing is learned from them: nobody knows where
their objects end. The evaluation excuses what is found there.

Answer: the class with the largest probability; pixels of things are grouped; each object takes the class that most of
its pixels have (majority vote). Scores: training, mean IoU of the classes; evaluation, PQ (metrics/panoptic.py).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor
from minunet.data.classes import Classes
from minunet.data.labels import IGNORE, IGNORE_OBJECT, MOST_OBJECTS
from minunet.data.panoptic_ids import ids_to_colors, to_panoptic
from minunet.device import Array, array_module, to_numpy
from minunet.metrics import ConfusionScores, PanopticScores
from minunet.ops.losses import CLASS_LOSSES
from minunet.tasks.centers import (
    HEAT_UNIT,
    OFFSET_UNIT,
    SIGMA,
    center_targets,
    find_centers,
    group,
    majority,
    with_centers,
)
from minunet.tasks.class_drawing import blend, with_key
from minunet.tasks.instance import boundary
from minunet.tasks.instance_drawing import color_instances, instance_overlay
from minunet.tasks.options import WIDEST_BOUNDARY, check_choice, check_length, check_pixels
from minunet.tasks.regions import NDIMAGE, WATERSHED, objects
from minunet.tasks.semantic import ClassTable, LabelScores, Semantic, class_image, to_unit
from minunet.tasks.task import Panel

METHODS = ("centers", "boundaries")
EDGE = 0.2  # a pixel that is more likely than this to be boundary is in no seed: a boundary with a hole parts nothing
HALF = 1 << 15  # labels are integers without a sign: an offset of 0 pixels is this number,
STEPS = 16  # and a pixel is so many steps
FULL = 65535  # a heat of 1


class PanopticAnswer(NamedTuple):
    """A class index for each pixel (255: none), and a number for each pixel of a thing, 0 elsewhere."""

    classes: NDArray[np.uint8]  # (H, W)
    segments: NDArray[np.uint16]  # (H, W)


class PanopticEvaluation:
    """Scores of panoptic answers, see `Evaluation`."""

    def __init__(self, classes: Classes) -> None:
        self.classes = classes
        self.scores = PanopticScores(classes.things)
        self.by_pixels = ConfusionScores(len(classes))
        self.unanswered = np.zeros(256, np.int64)  # pixels of each true class that the answer leaves void

    def update(self, answer: PanopticAnswer, labels: NDArray) -> None:
        self.scores.update(labels[..., 0], labels[..., 1], answer.classes, answer.segments)
        void = answer.classes == IGNORE
        known = np.where(void, IGNORE, labels[..., 0])  # a pixel without an answer is in no cell of the matrix
        self.unanswered += np.bincount(labels[..., 0][void], minlength=256)
        one_hot = answer.classes[..., None] == np.arange(len(self.classes))
        self.by_pixels.update(one_hot[None].astype(np.float32), known[None, ..., None])

    def result(self) -> dict[str, float]:
        return self.scores.result()

    def confusion(self) -> tuple[Sequence[str], NDArray] | None:
        return self.classes.names, self.by_pixels.matrix()

    def table(self) -> list[tuple[str, ...]]:
        scores = self.scores.per_class()
        columns = [self.classes.names, ["thing" if thing else "stuff" for thing in self.classes.things]]
        columns += [[f"{value:.3f}" for value in scores[key]] for key in ("pq", "sq", "rq")]
        columns.append([f"{value:.3f}" for value in self._class_iou()])
        return [("class", "", "PQ", "SQ", "RQ", "IoU"), *zip(*columns)]

    def _class_iou(self):
        """IoU of each class by pixels; those without an answer are missed."""
        matrix = self.by_pixels.matrix()
        both = np.diag(matrix)
        either = matrix.sum(axis=0) + matrix.sum(axis=1) + self.unanswered[: len(self.classes)] - both
        return both / np.where(either > 0, either, np.nan)


class Panoptic:
    """Classes and objects: see minunet/tasks/task.py for what each method is for.

    classes        K classes, some of them things.
    separate_by    how objects are told apart, "centers" or "boundaries".
    class_weights  as for Semantic; the boundary gets the largest of them.
    sigma          of the Gaussians around centers, in pixels.
    boundary       how many pixels wide a boundary is.
    smallest       things of fewer pixels are dropped from an answer: they become void.
    smallest_stuff the same for the area of a class of stuff. A few stray pixels cost as much as a whole class that is
                   missed: PQ counts segments, not pixels.

    Raises ValueError if no class is a thing; ValueError or TypeError for options out of range.
    """

    name: str = "panoptic"
    activation: str = "linear"
    score_names: tuple[str, ...] = ("mean_iou", "accuracy")
    suffixes: tuple[str, ...] = (".panoptic.png", ".segments.json", ".classes.png", ".overlay.png")

    def __init__(
        self,
        classes: Classes,
        separate_by: str = "centers",
        class_weights: Sequence[float] | None = None,
        sigma: float = SIGMA,
        boundary: int = 1,
        smallest: int = 32,
        smallest_stuff: int = 128,
    ) -> None:
        if not any(classes.things):
            raise ValueError(f"none of the classes {', '.join(classes.names)} is a thing: panoptic needs one at least")
        self.classes = classes
        self.separate_by = check_choice("separate_by", separate_by, METHODS)
        self.sigma = check_length("sigma", sigma)
        self.boundary = check_pixels("boundary", boundary, least=1, most=WIDEST_BOUNDARY)
        self.smallest = check_pixels("smallest", smallest)
        self.smallest_stuff = check_pixels("smallest_stuff", smallest_stuff)
        self.by_classes = Semantic(classes, class_weights)
        self.is_thing = ClassTable(classes.things, False, "bool")
        of_boundary = () if class_weights is None else (max(class_weights),)
        self.weights_of = None if class_weights is None else ClassTable([*class_weights, *of_boundary])

    @property
    def out_channels(self) -> int:
        return len(self.classes) + (3 if self.separate_by == "centers" else 1)

    @property
    def packages(self) -> tuple[str, ...]:
        return () if self.separate_by == "centers" else (NDIMAGE, WATERSHED)

    @property
    def losses(self) -> Mapping[str, Callable[..., Tensor]]:
        if self.separate_by == "boundaries":
            return CLASS_LOSSES
        return {name: with_centers(loss) for name, loss in CLASS_LOSSES.items()}

    # ---- from labels to targets ----

    def prepare(self, labels: NDArray) -> NDArray:
        return labels

    def encode(self, labels: NDArray) -> NDArray:
        if self.separate_by == "boundaries":
            return labels
        heat, offsets = center_targets(labels[..., 1], self.sigma)
        whole = np.concatenate([FULL * heat[..., None], STEPS * offsets.clip(-2047, 2047) + HALF], axis=-1)
        return np.concatenate([labels, np.rint(whole).astype(np.uint16)], axis=-1)

    def targets(self, images: Array, labels: Array) -> tuple[Array, Any, Array | None]:
        classes = self.class_map(labels)
        if self.separate_by == "boundaries":
            segments = array_module(labels).where(classes[..., 0] == IGNORE, IGNORE_OBJECT, labels[..., 1])
            edge = boundary(segments, self.boundary) & (segments > 0)
            classes = array_module(labels).where(edge[..., None], np.uint8(len(self.classes)), classes)
            return to_unit(images), classes, self._weights(classes)
        heat = labels[..., 2:3].astype("float32") / FULL
        offsets = (labels[..., 3:5].astype("float32") - HALF) / STEPS
        seen, things = (mask.astype("float32") for mask in (classes != IGNORE, labels[..., 1:2] > 0))
        return to_unit(images), (classes, heat, offsets, seen, things), self._weights(classes)

    def _weights(self, classes):
        return None if self.weights_of is None else self.weights_of(classes)

    def class_map(self, labels: Array) -> Array:
        """Returns the classes to learn, uint8 (N, H, W, 1); pixels of crowds are ignored."""
        classes = labels[..., :1].astype("uint8")
        crowd = self.is_thing(classes) & (labels[..., 1:2] == 0)
        return array_module(labels).where(crowd, np.uint8(IGNORE), classes)  # an assignment would make a GPU wait

    # ---- scores ----

    def training_scores(self) -> ConfusionScores:
        return LabelScores(len(self.classes), self.class_map)

    def evaluation(self) -> PanopticEvaluation:
        return PanopticEvaluation(self.classes)

    def fractions(self, label_batches: Iterable[NDArray]) -> dict[str, float]:
        return self.by_classes.fractions(map(self._class_map_of, label_batches))

    def baselines(self, label_batches: Iterable[NDArray]) -> dict[str, dict[str, float]]:
        return self.by_classes.baselines(map(self._class_map_of, label_batches))

    def _class_map_of(self, labels: NDArray) -> NDArray:
        return to_numpy(self.class_map(labels))

    # ---- from outputs to an answer ----

    def answer(self, outputs: NDArray) -> PanopticAnswer:
        K = len(self.classes)
        classes = outputs[..., :K].argmax(axis=-1).astype(np.uint8)
        things = np.array(self.classes.things)[classes]
        if self.separate_by == "centers":
            centers = find_centers(HEAT_UNIT * outputs[..., K])
            segments = group(OFFSET_UNIT * outputs[..., K + 1 :], centers, things)
        else:
            p = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
            p /= p.sum(axis=-1, keepdims=True)
            segments = objects(p[..., K] < EDGE, things, p[..., K], self.smallest)
        classes = majority(classes, segments, things)
        classes[things & (segments == 0)] = IGNORE  # a thing that no object claims
        return _without_small(classes, segments, self.smallest, self.smallest_stuff)

    def rescale(self, outputs: NDArray, factors: tuple[float, float]) -> NDArray:
        if self.separate_by == "boundaries":
            return outputs
        outputs = outputs.copy()
        outputs[..., -2:] *= np.asarray(factors, outputs.dtype)
        return outputs

    def unflip(self, outputs: NDArray, axis: int) -> NDArray:
        outputs = np.flip(outputs, axis).copy()
        if self.separate_by == "centers":
            outputs[..., axis - 2] *= -1  # the offset down for axis 0, the offset to the right for axis 1
        return outputs

    # ---- words and pictures ----

    def describe(self, answer: PanopticAnswer) -> str:
        numbers, first = np.unique(answer.segments, return_index=True)
        of_class = answer.classes.ravel()[first[numbers > 0]]
        counts = [(int((of_class == k).sum()), name) for k, name in enumerate(self.classes.names)]
        found = ", ".join(f"{count} {name}" for count, name in counts if count)
        known = answer.classes[answer.classes != IGNORE]
        return f"{found or 'no objects'}; {self.by_classes.describe(known) or 'no class'}"

    def files(self, image: NDArray, answer: PanopticAnswer) -> dict[str, Any]:
        ids, info = to_panoptic(answer.classes, answer.segments, self.classes.values, self.classes.things)
        listed = json.dumps({"segments_info": info}) + "\n"
        pictures = class_image(answer.classes, self.classes), self._overlay(image, answer)
        return dict(zip(self.suffixes, (ids_to_colors(ids), listed, *pictures)))

    def _overlay(self, image, answer):
        colored = blend(image, self.classes.colorize(answer.classes))
        return with_key(instance_overlay(colored, answer.segments), self.classes, answer.classes)

    def panels(self, image: NDArray, labels: NDArray, outputs: NDArray) -> list[Panel]:
        answer, scores = self.answer(outputs), self.evaluation()
        true = PanopticAnswer(labels[..., 0].astype(np.uint8), labels[..., 1])
        scores.update(answer, labels)
        try:
            caption = f"PQ {scores.result()['pq']:.2f}"
        except ValueError:
            caption = "nothing to score"
        return [
            Panel("image", image),
            Panel("truth", self._overlay(image, true)),
            Panel("semantic", with_key(self.classes.colorize(answer.classes), self.classes, answer.classes)),
            Panel("instance", color_instances(answer.segments)),
            Panel("panoptic", self._overlay(image, answer), caption),
        ]

    def metadata(self) -> dict[str, Any]:
        options = {
            "separate_by": self.separate_by,
            "sigma": self.sigma,
            "boundary": self.boundary,
            "smallest": self.smallest,
        }
        options |= {"smallest_stuff": self.smallest_stuff}
        return {"task": self.name, "classes": self.classes.to_json(), **options}


def _without_small(classes, segments, smallest, smallest_stuff):
    """The answer without things and stuff of fewer pixels than these; they become void.

    Pixels of two classes are two segments, even if they have one number.
    """
    keys = segments.astype(np.int64) * 256 + classes
    numbers, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    kept = counts >= np.where(numbers >= 256, smallest, smallest_stuff)
    is_object = (numbers >= 256) & kept
    if is_object.sum() > MOST_OBJECTS:
        raise ValueError(f"there are {is_object.sum()} objects: an image of labels with 16 bits holds {MOST_OBJECTS}")
    renumbered = np.where(is_object, np.cumsum(is_object), 0)
    inverse = inverse.reshape(segments.shape)
    kept_classes = np.where(kept[inverse], classes, IGNORE).astype(np.uint8)
    return PanopticAnswer(kept_classes, renumbered[inverse].astype(np.uint16))
