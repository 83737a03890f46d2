"""Experiments: a question, your guess, the measurement, the explanation, a picture. One file each.

    experiment.py   what every experiment has
    report.py       all of them in one HTML file

Each of the others holds EXPERIMENT, and a function `measure` in which the whole measurement can be read.
"""

from importlib import import_module
from importlib.util import find_spec

from minunet.learn.experiments.experiment import Experiment, Result

__all__ = ["EXPERIMENTS", "Experiment", "Result"]

FILES = (  # in the order in which a lecture comes to them
    "receptive_field",
    "pooling",
    "checkerboard",
    "skips",
    "bottleneck",
    "initialization",
    "losses",
    "optimizers",
    "learning_rate",
    "batch_norm",
    "augmentation",
    "memory",
)
_found = [import_module(f"{__name__}.{name}").EXPERIMENT for name in FILES if find_spec(f"{__name__}.{name}")]
EXPERIMENTS: dict[str, Experiment] = {experiment.name: experiment for experiment in _found}
