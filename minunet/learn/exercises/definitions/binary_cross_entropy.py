"""binary_cross_entropy: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.learn.exercises.exercise import Exercise, Mistake, Trial
from minunet.learn.exercises.templates import binary_cross_entropy as template
from minunet.ops.binary_cross_entropy import BinaryCrossEntropyFunction, BinaryCrossEntropyWithLogitsFunction


def trials():
    """The worked example; a batch of masks; probabilities near 0 and 1."""
    yield Trial("the worked example", np.array(4.0), (np.array([0.5, 0.8]),), (np.array([1.0, 0]),))
    rng = np.random.default_rng(1)
    p, t = rng.uniform(0.1, 0.9, (3, 4, 5, 1)), rng.integers(0, 2, (3, 4, 5, 1)) * 1.0
    yield Trial("a batch of masks", np.array(1.7), (p,), (t,))
    yield Trial(
        "sure of itself", np.array(-0.3), (np.array([[0.01, 0.99], [0.02, 0.95]]),), (np.array([[1.0, 0], [0, 1]]),)
    )


def each(p, t):
    """The derivative of a single element's loss."""
    return (p - t) / (p * (1 - p))


EXERCISE = Exercise(
    name="binary_cross_entropy",
    learns="the chain rule through a logarithm and a mean",
    minutes=15,
    gradients=("gp",),
    template=template,
    trials=trials,
    mistakes=(
        Mistake("gp", "not divided by n: L is the mean over all elements", lambda gy, p, t: gy * each(p, t)),
        Mistake(
            "gp",
            "divided by the number of images, not of elements: the mean is over all of them",
            lambda gy, p, t: gy * each(p, t) / len(p),
        ),
        Mistake(
            "gp",
            "not divided by p (1 - p): p - t is the gradient with respect to the logits, before the sigmoid",
            lambda gy, p, t: gy * (p - t) / p.size,
        ),
        Mistake(
            "gp",
            "the sign between the two terms: the derivative of ln(1 - p) is -1 / (1 - p), with a minus",
            lambda gy, p, t: gy * (-t / p - (1 - t) / (1 - p)) / p.size,
        ),
        Mistake(
            "gp",
            "the sign of the first term: the derivative of -t ln p is -t / p",
            lambda gy, p, t: gy * (t / p + (1 - t) / (1 - p)) / p.size,
        ),
        Mistake(
            "gp",
            "the second term is missing: pixels with t = 0 have a gradient, too",
            lambda gy, p, t: gy * -t / p / p.size,
        ),
        Mistake("gp", "gy is left out", lambda gy, p, t: each(p, t) / p.size),
        Mistake("gp", "p and t are exchanged", lambda gy, p, t: gy * (-p / t - -(1 - p) / (1 - t)) / p.size),
    ),
    hints=(
        "For one element: ∂l/∂p = -t/p + (1 - t)/(1 - p).",
        "On one denominator this is (p - t) / (p (1 - p)). And the mean: each element counts 1/n.",
        "gp = gy * (p - t) / (p * (1 - p)) / p.size",
    ),
    solution=(BinaryCrossEntropyFunction, BinaryCrossEntropyWithLogitsFunction),
    why="∂l/∂p = (p - t) / (p (1 - p)). The project also clips p, since ln 0 is -∞. On logits the sigmoid's derivative "
    "p (1 - p) cancels the denominator, and p - t is left: that form is the one to train with.",
)
