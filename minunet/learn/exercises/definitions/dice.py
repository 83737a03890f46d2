"""dice: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.learn.exercises.exercise import Exercise, Mistake, Trial
from minunet.learn.exercises.templates import dice as template
from minunet.ops.dice import DiceLossFunction


def trials():
    """The worked example; a batch; one image; another s; an empty mask."""
    p, t = np.array([1.0, 0.5, 0.5]).reshape(1, 1, 3, 1), np.array([1.0, 0, 1]).reshape(1, 1, 3, 1)
    yield Trial("the worked example", np.array(100.0), (p,), (t, 1.0))
    rng = np.random.default_rng(1)
    for label, shape, s in (
        ("three images", (3, 4, 5, 1), 1.0),
        ("one image", (1, 3, 5, 1), 1.0),
        ("s = 0.1", (2, 3, 3, 2), 0.1),
    ):
        yield Trial(label, np.array(-1.7), (rng.uniform(0.1, 0.9, shape),), (rng.integers(0, 2, shape) * 1.0, s))
    yield Trial("an empty mask", np.array(2.3), (rng.uniform(0.1, 0.9, (2, 3, 4, 1)),), (np.zeros((2, 3, 4, 1)), 1.0))


def sums(p, t, s, axes=(1, 2, 3)):
    """I and D of each image, (N, 1, 1, 1); of the batch with all axes."""
    both = (p * t).sum(axis=axes, keepdims=True)
    return both, p.sum(axis=axes, keepdims=True) + t.sum(axis=axes, keepdims=True) + s


def right(gy, p, t, s, axes=(1, 2, 3)):
    """The gradient; over the whole batch at once with all axes."""
    I, D = sums(p, t, s, axes)
    return -gy * (2 * t * D - (2 * I + s)) / D**2 / I.size


def no_quotient_rule(gy, p, t, s):
    """As if D were a constant."""
    _, D = sums(p, t, s)
    return -gy * 2 * t / D / len(p)


def other_sign(gy, p, t, s):
    """+ in place of - in the quotient rule."""
    I, D = sums(p, t, s)
    return -gy * (2 * t * D + (2 * I + s)) / D**2 / len(p)


def without_two(gy, p, t, s):
    """2 forgotten in the numerator's derivative."""
    I, D = sums(p, t, s)
    return -gy * (t * D - (2 * I + s)) / D**2 / len(p)


def without_s(gy, p, t, s):
    """s forgotten in the numerator."""
    I, D = sums(p, t, s)
    return -gy * (2 * t * D - 2 * I) / D**2 / len(p)


def d_without_s(gy, p, t, s):
    """s forgotten in D."""
    I, D = sums(p, t, s)
    return -gy * (2 * t * (D - s) - (2 * I + s)) / (D - s) ** 2 / len(p)


def of_each_channel(gy, p, t, s):
    """Sums over the pixels of each channel, not over all of an image."""
    I, D = sums(p, t, s, (1, 2))
    return -gy * (2 * t * D - (2 * I + s)) / D**2 / len(p)


def p_for_t(gy, p, t, s):
    """p in place of t in the numerator's derivative."""
    I, D = sums(p, t, s)
    return -gy * (2 * p * D - (2 * I + s)) / D**2 / len(p)


def d_not_squared(gy, p, t, s):
    """The quotient rule with D in place of D²."""
    I, D = sums(p, t, s)
    return -gy * (2 * t * D - (2 * I + s)) / D / len(p)


EXERCISE = Exercise(
    name="dice",
    learns="the quotient rule, and a loss in which every pixel depends on all others of its image",
    minutes=20,
    gradients=("gp",),
    template=template,
    trials=trials,
    mistakes=(
        Mistake("gp", "no quotient rule: D depends on p, too, with ∂D/∂p = 1", no_quotient_rule),
        Mistake(
            "gp",
            "not divided by N: L is the mean over the images",
            lambda gy, p, t, s: right(gy, p, t, s) * len(p),
        ),
        Mistake(
            "gp",
            "one sum for the whole batch: each image has sums of its own",
            lambda gy, p, t, s: right(gy, p, t, s, (0, 1, 2, 3)),
        ),
        Mistake(
            "gp",
            "one sum for the whole batch, divided by N: each image has sums of its own",
            lambda gy, p, t, s: right(gy, p, t, s, (0, 1, 2, 3)) / len(p),
        ),
        Mistake(
            "gp",
            "divided by the number of elements: L is the mean over the N images",
            lambda gy, p, t, s: right(gy, p, t, s) * len(p) / p.size,
        ),
        Mistake("gp", "a sign in the quotient rule: (u/v)' = (u' v - u v') / v², with a minus", other_sign),
        Mistake("gp", "the factor 2 is missing: the derivative of 2 I is 2 t", without_two),
        Mistake("gp", "s is missing above: the numerator is 2 I + s", without_s),
        Mistake("gp", "s is missing below: D = Σ p + Σ t + s", d_without_s),
        Mistake("gp", "one sum for each channel: an image has sums over its H·W·C elements", of_each_channel),
        Mistake("gp", "p in place of t: ∂I/∂p = t", p_for_t),
        Mistake("gp", "D is not squared below: (u/v)' = (u' v - u v') / v²", d_not_squared),
        Mistake(
            "gp",
            "the sign: l is 1 minus the score, so its derivative is minus that of the score",
            lambda gy, p, t, s: -right(gy, p, t, s),
        ),
        Mistake("gp", "gy is left out", lambda gy, p, t, s: right(1.0, p, t, s)),
    ),
    hints=(
        "For one element of one image: ∂I/∂p = t and ∂D/∂p = 1.",
        "With u = 2 I + s and v = D: ∂(u/v)/∂p = (2 t D - (2 I + s)) / D². And l = 1 - u/v, L is a mean over N images.",
        "For each image: gp[n] = -gy / N * (2 * t[n] * D - (2 * I + s)) / D**2",
    ),
    solution=(DiceLossFunction,),
    why="Both the overlap and the total area grow with p. Where t = 1 the first wins, so p is pushed up; where t = 0 "
    "only the area grows, so p is pushed down.",
)
