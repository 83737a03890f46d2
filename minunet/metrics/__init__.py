"""Scores: how good a predicted mask is, and how good a box is."""

from minunet.metrics.boxes import bounding_box, box_iou
from minunet.metrics.masks import MaskScores, accuracy, dice, iou, mean_iou

__all__ = ["MaskScores", "accuracy", "bounding_box", "box_iou", "dice", "iou", "mean_iou"]
