"""Scores: how good predicted masks, classes, objects, whole scenes and boxes are."""

from minunet.metrics.boxes import bounding_box, box_iou
from minunet.metrics.confusion import ConfusionScores, class_iou, confusion_matrix
from minunet.metrics.instances import InstanceScores, aggregated_jaccard_index, average_precision, match
from minunet.metrics.masks import MaskScores, accuracy, dice, iou, mean_iou
from minunet.metrics.panoptic import PanopticScores, panoptic_quality

__all__ = [
    "ConfusionScores",
    "InstanceScores",
    "MaskScores",
    "PanopticScores",
    "accuracy",
    "aggregated_jaccard_index",
    "average_precision",
    "bounding_box",
    "box_iou",
    "class_iou",
    "confusion_matrix",
    "dice",
    "iou",
    "match",
    "mean_iou",
    "panoptic_quality",
]
