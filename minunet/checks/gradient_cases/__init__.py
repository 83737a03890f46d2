"""The derivatives of this project, as a list of cases to be proved: `minunet gradcheck` and the tests run them.

Inputs are random float64 arrays of odd sizes. Where a function has a corner (ReLU at 0, a maximum among equals), the
inputs keep clear of it, since there a difference is not a derivative.
"""

import itertools

import numpy as np

from minunet.checks.gradient_cases import arithmetic, classes, modules, operations
from minunet.checks.gradient_cases.case import TOLERANCE, Case

__all__ = ["TOLERANCE", "Case", "all_cases"]


def all_cases() -> list[Case]:
    """Returns every Case, operation by operation, the same ones each time."""
    makers = (
        arithmetic.arithmetic,
        arithmetic.elementwise,
        operations.convolutions,
        operations.transposed_convolutions,
        operations.poolings,
        operations.pooled_convolutions,
        operations.concatenations,
        operations.crops,
        operations.regularizers,
        operations.losses,
        classes.softmaxes,
        classes.class_losses,
        classes.errors,
        modules.layers,
        modules.networks,
    )
    return list(itertools.chain.from_iterable(maker(np.random.default_rng(0)) for maker in makers))
