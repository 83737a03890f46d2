"""Scores: how good a predicted mask is, how good predicted classes are, and how good a box is."""

from minunet.metrics.boxes import bounding_box, box_iou
from minunet.metrics.confusion import ConfusionScores, class_iou, confusion_matrix
from minunet.metrics.masks import MaskScores, accuracy, dice, iou, mean_iou

__all__ = [
    "ConfusionScores",
    "MaskScores",
    "accuracy",
    "bounding_box",
    "box_iou",
    "class_iou",
    "confusion_matrix",
    "dice",
    "iou",
    "mean_iou",
]
