"""rmsprop: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet import optim
from minunet.learn.exercises.exercise import Exercise, Mistake, Trial, random_like
from minunet.learn.exercises.templates import rmsprop as template


def trials():
    """The worked example; a first step; a later one; a large ε; no average at all."""
    one, two, zero = np.array([1.0]), np.array([2.0]), np.array([0.0])
    yield trial("the worked example", one, two, zero, (0.1, 0.75, 3.0))
    w, g = random_like((3, 4), 1), random_like((3, 4), 2)
    yield trial("the first step", w, g, np.zeros((3, 4)), (0.01, 0.9, 1e-7))
    yield trial("a later step", w, g, random_like((3, 4), 3) ** 2, (0.01, 0.9, 1e-7))
    yield trial("a large ε", w, g, random_like((3, 4), 4) ** 2, (0.3, 0.6, 0.5))
    yield trial("ρ = 0", w, g, random_like((3, 4), 5) ** 2, (0.01, 0.0, 0.1))


def trial(label, w, g, v, constants):
    """The Trial with the numbers that the project's own step gives."""
    new_w, new_v = w.copy(), v.copy()
    optim.rmsprop(new_w, g, new_v, *constants)
    return Trial(label, None, (w, g, v), constants, (new_w, new_v), "by the equations")


def new_v(g, v, rho):
    """Returns the running average of g² after this step."""
    return rho * v + (1 - rho) * g**2


def root(g, v, rho, epsilon):
    """Returns what the step is divided by: √(v + ε), with the new v."""
    return np.sqrt(new_v(g, v, rho) + epsilon)


EXERCISE = Exercise(
    name="rmsprop",
    learns="from a gradient to a step, and why all parameters move at a similar pace",
    minutes=10,
    gradients=("w", "v"),
    template=template,
    trials=trials,
    function="update",
    mistakes=(
        Mistake(
            "w",
            "ε stands beside the root: here it is inside, √(v + ε) (in Adam it is beside it)",
            lambda w, g, v, lr, rho, epsilon: w - lr * g / (np.sqrt(new_v(g, v, rho)) + epsilon),
        ),
        Mistake(
            "w",
            "the old v: the step uses the one that has just been computed",
            lambda w, g, v, lr, rho, epsilon: w - lr * g / np.sqrt(v + epsilon),
        ),
        Mistake(
            "w",
            "the step goes uphill: w must move against the gradient, with a minus",
            lambda w, g, v, lr, rho, epsilon: w + lr * g / root(g, v, rho, epsilon),
        ),
        Mistake(
            "w",
            "the root is missing",
            lambda w, g, v, lr, rho, epsilon: w - lr * g / (new_v(g, v, rho) + epsilon),
        ),
        Mistake(
            "w",
            "not divided by √(v + ε): this is plain gradient descent",
            lambda w, g, v, lr, rho, epsilon: w - lr * g,
        ),
        Mistake(
            "w",
            "the step alone: it must be taken from w",
            lambda w, g, v, lr, rho, epsilon: -lr * g / root(g, v, rho, epsilon),
        ),
        Mistake(
            "w",
            "the learning rate is missing",
            lambda w, g, v, lr, rho, epsilon: w - g / root(g, v, rho, epsilon),
        ),
        Mistake(
            "w",
            "v is wrong, and so is the step: look at v first (ρ and 1 - ρ are exchanged)",
            lambda w, g, v, lr, rho, epsilon: w - lr * g / root(g, v, 1 - rho, epsilon),
        ),
        Mistake(
            "w",
            "v is wrong, and so is the step: look at v first (g is not squared)",
            lambda w, g, v, lr, rho, epsilon: w - lr * g / np.sqrt(rho * v + (1 - rho) * g + epsilon),
        ),
        Mistake(
            "w",
            "v is wrong, and so is the step: look at v first (the factor 1 - ρ is missing)",
            lambda w, g, v, lr, rho, epsilon: w - lr * g / np.sqrt(rho * v + g**2 + epsilon),
        ),
        Mistake(
            "w",
            "v is wrong, and so is the step: look at v first (v must not start anew)",
            lambda w, g, v, lr, rho, epsilon: w - lr * g / np.sqrt((1 - rho) * g**2 + epsilon),
        ),
        Mistake("v", "g is not squared", lambda w, g, v, lr, rho, epsilon: rho * v + (1 - rho) * g),
        Mistake("v", "ρ and 1 - ρ are exchanged", lambda w, g, v, lr, rho, epsilon: new_v(g, v, 1 - rho)),
        Mistake("v", "the factor 1 - ρ is missing", lambda w, g, v, lr, rho, epsilon: rho * v + g**2),
        Mistake("v", "the old v is left out", lambda w, g, v, lr, rho, epsilon: (1 - rho) * g**2),
        Mistake("v", "v is not updated", lambda w, g, v, lr, rho, epsilon: v),
    ),
    hints=(
        "First v: it keeps the part ρ of what it was, and takes the part 1 - ρ of g².",
        "Then the step, lr · g, divided by the root of the new v + ε, and taken from w.",
        "v = rho * v + (1 - rho) * g**2;  w = w - lr * g / np.sqrt(v + epsilon)",
    ),
    solution=(optim.rmsprop, optim.RMSprop),
    why="√v is the size that g has had of late, so g / √v is about 1 in size for every parameter, however steep the "
    "loss is along it. ε keeps the division finite. The project changes w and v in place, to save memory.",
)
