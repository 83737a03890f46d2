"""relu: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.kernels.reference.pointwise import relu_gradient
from minunet.learn.exercises.exercise import Exercise, Mistake, Trial, random_like
from minunet.learn.exercises.templates import relu as template
from minunet.ops.relu import ReLUFunction


def trials():
    """The worked example; random numbers clear of the corner; the corner itself."""
    yield Trial("the worked example", np.array([10.0, 20, 30]), (np.array([-1.0, 2, 3]),))
    x = random_like((2, 3, 5, 3), 1)
    yield Trial("random numbers", random_like(x.shape, 2), (x + 0.1 * np.sign(x),))
    gy = np.array([3.0, -2, 5])
    yield Trial("x = 0", gy, (np.array([-1.0, 0, 1]),), expected=(np.array([0.0, 0, 5]),), by="by convention")


EXERCISE = Exercise(
    name="relu",
    learns="a derivative that is 0 or 1, and what a mask is",
    minutes=5,
    gradients=("gx",),
    template=template,
    trials=trials,
    mistakes=(
        Mistake("gx", "not masked: where x is below 0, y does not change with x, so gx is 0 there", lambda gy, x: gy),
        Mistake("gx", "masked on the wrong side: gy passes where x is above 0", lambda gy, x: gy * (x < 0)),
        Mistake(
            "gx",
            "masked by gy in place of x: it is the sign of x that decides, whatever the sign of gy",
            lambda gy, x: np.maximum(gy, 0),
        ),
        Mistake(
            "gx",
            "masked by gy, too: only the sign of x decides, a negative gy passes",
            lambda gy, x: np.maximum(gy, 0) * (x > 0),
        ),
        Mistake(
            "gx", "-gy where x is below 0: that is the gradient of |x|, here it is 0", lambda gy, x: gy * np.sign(x)
        ),
        Mistake("gx", "gy is left out: this is ∂y/∂x alone", lambda gy, x: (x > 0) * 1.0),
        Mistake("gx", "multiplied by y: the derivative is 1 there, not x", lambda gy, x: gy * np.maximum(x, 0)),
        Mistake("gx", "at x = 0 the derivative is taken to be 0: write x > 0, not x >= 0", lambda gy, x: gy * (x >= 0)),
        Mistake("gx", "this is the forward: max(x, 0) again", lambda gy, x: np.maximum(x, 0)),
    ),
    hints=(
        "Where x > 0, y = x, so ∂y/∂x = 1. Where x < 0, y = 0 and stays 0, so ∂y/∂x = 0.",
        "x > 0 is an array of True and False. Multiplied by numbers, True counts as 1 and False as 0.",
        "gx = gy * (x > 0)",
    ),
    solution=(ReLUFunction, relu_gradient),
    why="gx = gy where x > 0, else 0. The project keeps y in place of x: y > 0 exactly where x > 0.",
)
