"""`minunet predict --evaluate`: how well the answers match known labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from minunet.data import DataError
from minunet.data.coco.dataset import panoptic_reader
from minunet.data.coco.document import Document, read_document
from minunet.data.images import DEFAULT, ImageFile, Reading, UprightImage, read_labels
from minunet.data.labels import IGNORE, IGNORE_OBJECT
from minunet.data.masks import class_reader, find_mask, instance_reader, read_mask
from minunet.metrics import bounding_box, box_iou
from minunet.tasks import Binary, Instance, Panoptic, Semantic, Task


class KnownLabels:
    """A folder of known labels, and how well the answers match them.

    Raises DataError if the task is panoptic and there is no JSON file that says what the segments are.
    """

    def __init__(self, folder: Path, border: str, task: Task, reading: Reading = DEFAULT) -> None:
        self.folder = folder
        self.border = border
        self.reading = reading
        self.task = task
        self.evaluation = task.evaluation()
        self.document = find_document(folder) if isinstance(task, Panoptic) else None

    def compare(self, found: ImageFile, image: UprightImage, answer: Any) -> str:
        """Returns the scores of one image in words, and counts it in the summary.

        Raises DataError if the image cannot be compared.
        """
        path, labels = self._read(found, image)
        if (labels[..., 0] == ignored_number(self.task)).all():
            raise DataError(f"{path}: every pixel is ignored")
        alone = self.task.evaluation()
        alone.update(answer, labels)
        try:
            result = alone.result()
        except ValueError as error:  # nothing but crowds, say
            raise DataError(f"{path}: {error}") from error
        self.evaluation.update(answer, labels)
        text = ", ".join(f"{words} {result[name]:.3f}" for name, words in IN_A_LINE[self.task.name].items())
        return text + (_boxes(answer, labels[..., 0]) if isinstance(self.task, Binary) else "")

    def _read(self, found: ImageFile, image: UprightImage) -> tuple[Path, NDArray]:
        """The path of an image's labels, and the labels (H, W, L)."""
        task, name = self.task, found.path.stem
        path = find_mask(self.folder, name)
        try:
            if isinstance(task, Semantic):
                return path, read_labels(path, image, class_reader(task.classes.table()), self.reading)[..., None]
            if isinstance(task, Instance):
                return path, read_labels(path, image, instance_reader, self.reading)[..., None]
            if isinstance(task, Panoptic) and self.document is not None:
                if name not in self.document.entries:
                    raise DataError("the JSON file of the segments does not list it")
                entry = self.document.entries[name]
                path = self.folder / entry.png
                return path, read_labels(path, image, panoptic_reader(entry, task.classes), self.reading)
            return path, read_mask(path, image, self.border, self.reading)[..., None]
        except DataError as problem:
            raise DataError(f"{path}: {problem}") from problem

    def summary(self) -> str:
        """Returns the scores of all images: a line, and a table where the task has one."""
        try:
            result = self.evaluation.result()
        except ValueError:  # nothing was counted
            return "scores      none: no known mask could be used"
        text = ", ".join(f"{words} {result[name]:.3f}" for name, words in IN_ALL[self.task.name].items())
        boundary = f", boundary is {self.border}" if isinstance(self.task, Binary) else ""
        images = f"; {result['images']} images of their own size" if "images" in result else ""
        return "\n".join([f"scores      {text}{images}{boundary}", *in_columns(self.evaluation.table())])


IN_A_LINE: Mapping[str, Mapping[str, str]] = {
    "binary": {"iou": "IoU"},
    "semantic": {"mean_iou": "mean IoU", "accuracy": "accuracy"},
    "instance": {"ap50": "AP at 0.5", "dice": "Dice"},
    "panoptic": {"pq": "PQ"},
}
IN_ALL: Mapping[str, Mapping[str, str]] = {
    "binary": {"mean_iou": "mean IoU", "iou": "pixel IoU", "dice": "Dice", "accuracy": "accuracy"},
    "semantic": {"mean_iou": "mean IoU", "accuracy": "accuracy"},
    "instance": {
        "ap50": "AP at 0.5",
        "ap75": "at 0.75",
        "ap": "over 0.5:0.95",
        "precision50": "precision",
        "recall50": "recall",
        "aji": "AJI",
        "dice": "Dice",
    },
    "panoptic": {"pq": "PQ", "sq": "SQ", "rq": "RQ", "pq_things": "PQ of things", "pq_stuff": "PQ of stuff"},
}


def ignored_number(task: Task) -> int:
    """Returns what stands in the first channel of a task's labels where they are ignored."""
    return IGNORE_OBJECT if isinstance(task, Instance) else IGNORE


def find_document(folder: Path) -> Document:
    """Returns the panoptic JSON file of a folder of PNGs, in it or beside it. Raises DataError if there is none."""
    inside, whole = folder / "panoptic.json", folder.absolute()
    beside = whole.parent / f"{whole.name}.json"
    for path in (inside, beside):
        if path.is_file():
            return read_document(path)
    raise DataError(f"there is neither {inside} nor {beside}: what are the segments of the PNGs?")


def in_columns(table: list[tuple[str, ...]]) -> list[str]:
    """Returns the rows of a table as lines, its columns below each other.

    >>> in_columns([("class", "IoU"), ("road", "0.9")])
    ['class  IoU', 'road   0.9']
    """
    widths = [max(map(len, column)) for column in zip(*table)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in table]


def _boxes(answer: NDArray, mask: NDArray) -> str:
    """The IoU of the boxes around both masks, where both have one.

    It is what a detector of objects is judged by, which predicts a box where segmentation predicts an outline.
    """
    found, true = bounding_box(answer & (mask != IGNORE)), bounding_box(mask == 1)
    return "" if found is None or true is None else f", box IoU {box_iou(found, true):.3f}"
