"""Scores: how good a predicted mask is, how good a box is, and how good objects and whole scenes are."""

from minunet.metrics.boxes import bounding_box, box_iou
from minunet.metrics.instances import InstanceScores, aggregated_jaccard_index, average_precision, match
from minunet.metrics.masks import MaskScores, accuracy, dice, iou, mean_iou
from minunet.metrics.panoptic import PanopticScores, panoptic_quality

__all__ = [
    "InstanceScores",
    "MaskScores",
    "PanopticScores",
    "accuracy",
    "aggregated_jaccard_index",
    "average_precision",
    "bounding_box",
    "box_iou",
    "dice",
    "iou",
    "match",
    "mean_iou",
    "panoptic_quality",
]
