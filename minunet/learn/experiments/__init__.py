"""Experiments: a question, your guess, the measurement, the explanation, a picture. One file each.

    experiment.py   what every experiment has
    report.py       all of them in one HTML file

Each of the others holds EXPERIMENT, and a function `measure` in which the whole measurement can be read.
"""

from minunet.learn.experiments import (
    augmentation,
    batch_norm,
    bottleneck,
    checkerboard,
    initialization,
    learning_rate,
    losses,
    memory,
    optimizers,
    pooling,
    receptive_field,
    skips,
)
from minunet.learn.experiments.experiment import Experiment, Result

__all__ = ["EXPERIMENTS", "Experiment", "Result"]

_in_the_order_of_a_lecture = (
    receptive_field,
    pooling,
    checkerboard,
    skips,
    bottleneck,
    initialization,
    losses,
    optimizers,
    learning_rate,
    batch_norm,
    augmentation,
    memory,
)
EXPERIMENTS: dict[str, Experiment] = {file.EXPERIMENT.name: file.EXPERIMENT for file in _in_the_order_of_a_lecture}
