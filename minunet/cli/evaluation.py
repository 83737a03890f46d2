"""`minunet predict --evaluate`: how well the answers match known masks."""

from pathlib import Path

from numpy.typing import NDArray

from minunet.data import DataError
from minunet.data.images import ImageFile, UprightImage
from minunet.data.labels import IGNORE
from minunet.data.masks import find_mask, read_mask
from minunet.metrics import bounding_box, box_iou
from minunet.tasks import Binary


class KnownMasks:
    """A folder of known masks, and how well the answers match them."""

    def __init__(self, folder: Path, border: str, task: Binary) -> None:
        self.folder = folder
        self.border = border
        self.task = task
        self.scores = task.evaluation_scores()

    def compare(self, found: ImageFile, image: UprightImage, outputs: NDArray) -> str:
        """Returns the scores of one image in words, and counts it in the summary.

        Beside the IoU of the masks stands that of the boxes around them: it is what a detector of objects is judged by,
        which predicts a box where segmentation predicts an outline. Raises DataError if the image cannot be compared.
        """
        path = find_mask(self.folder, found.path.stem)
        try:
            mask = read_mask(path, image, self.border)
        except DataError as problem:
            raise DataError(f"{path}: {problem}") from problem
        if (mask == IGNORE).all():
            raise DataError(f"{path}: every pixel is ignored")
        scores = self.task.evaluation_scores()
        for counted in (scores, self.scores):
            counted.update(outputs[None, ..., 0], mask[None])
        text = f"IoU {scores.result()['iou']:.3f}"
        found_box = bounding_box(self.task.answer(outputs) & (mask != IGNORE))
        true_box = bounding_box(mask == 1)
        return text if found_box is None or true_box is None else f"{text}, box IoU {box_iou(found_box, true_box):.3f}"

    def summary(self) -> str:
        """Returns one line: the scores of all images."""
        try:
            result = self.scores.result()
        except ValueError:  # nothing was counted
            return "scores      none: no known mask could be used"
        names = {"mean IoU": "mean_iou", "pixel IoU": "iou", "Dice": "dice", "accuracy": "accuracy"}
        text = ", ".join(f"{name} {result[key]:.3f}" for name, key in names.items())
        return f"scores      {text}; {result['images']} images of their own size, boundary is {self.border}"
