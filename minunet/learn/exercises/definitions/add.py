"""add: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.autograd.arithmetic import Add, sum_to
from minunet.learn.exercises.exercise import Exercise, Mistake, Trial, random_like
from minunet.learn.exercises.templates import add as template


def trials():
    """The worked example; equal shapes; a row, a column, a number; both repeated; an image and its bias."""
    a, b = np.array([[1.0, 2], [3, 4]]), np.array([10.0, 20])
    yield Trial("the worked example", np.array([[5.0, 6], [7, 8]]), (a, b))
    shapes = {
        "equal shapes": ((3, 4), (3, 4)),
        "a row (1, 4)": ((3, 4), (1, 4)),
        "a column (3, 1)": ((3, 4), (3, 1)),
        "a number": ((2, 3), ()),
        "both are repeated": ((2, 1, 4), (3, 1)),
        "images and a bias": ((2, 3, 5, 4), (4,)),
        "a bias and images": ((1, 3), (2, 2, 2, 3)),
    }
    for seed, (label, (of_a, of_b)) in enumerate(shapes.items()):
        gy = random_like(np.broadcast_shapes(of_a, of_b), 3 * seed)
        yield Trial(label, gy, (random_like(of_a, 3 * seed + 1), random_like(of_b, 3 * seed + 2)))


def with_mean(gy, x):
    """The mean over the axes along which x was repeated."""
    return sum_to(gy, x.shape) * x.size / gy.size


def mean_of_added(gy, x):
    """A mean over the axes that x does not have; summed over those of size 1."""
    added = gy.ndim - x.ndim
    return sum_to(gy.mean(axis=tuple(range(added))), x.shape)


def first_of_added(gy, x):
    """The first along the axes that x does not have; summed over those of size 1."""
    return sum_to(gy[(0,) * (gy.ndim - x.ndim)], x.shape)


def first_axis(gy, x):
    """Summed over the first axis only, wherever the shapes differ."""
    return gy if gy.shape == x.shape else gy.sum(axis=0)


def added_axes(gy, x):
    """Summed over the axes that x does not have, but not over those of size 1."""
    return gy.sum(axis=tuple(range(gy.ndim - x.ndim)))


def kept(gy, x):
    """Summed with keepdims, the added axes never taken away."""
    added = gy.ndim - x.ndim
    axes = tuple(i for i in range(gy.ndim) if i < added or x.shape[i - added] == 1)
    return gy.sum(axis=axes, keepdims=True)


def first_copy(gy, x):
    """The gradient of one of the copies, the first."""
    g = gy[(0,) * (gy.ndim - x.ndim)]
    return g[tuple(slice(0, size) for size in x.shape)]


def mistakes():
    """The same ones for a and b."""
    for gradient, pick in (("ga", 0), ("gb", 1)):
        name = gradient[1]
        for words, make in (
            (f"a sum is missing: {name} was repeated, so its gradient is the sum over the copies", lambda gy, x: gy),
            ("a mean in place of the sum over the copies", with_mean),
            (f"a mean over the axes that {name} does not have, in place of the sum", mean_of_added),
            (f"the first along the axes that {name} does not have: sum over them", first_of_added),
            ("summed over the first axis only: sum over every axis along which it was repeated", first_axis),
            (f"the axes of size 1 are not summed over: {name} was repeated along them, too", added_axes),
            (f"the sum is right, the shape is not: reshape it to that of {name}", kept),
            ("summed over everything: only over the axes along which it was repeated", lambda gy, x: gy.sum()),
            ("the gradient of a single copy: add up those of all of them", first_copy),
        ):
            yield Mistake(gradient, words, lambda gy, *inputs, make=make, pick=pick: make(gy, inputs[pick]))
    yield Mistake("ga", "that is the rule for a product: ∂(a + b)/∂a is 1", lambda gy, a, b: sum_to(gy * b, a.shape))
    yield Mistake("gb", "that is the rule for a product: ∂(a + b)/∂b is 1", lambda gy, a, b: sum_to(gy * a, b.shape))


EXERCISE = Exercise(
    name="add",
    learns="why a broadcast turns into a sum on the way back",
    minutes=20,
    gradients=("ga", "gb"),
    template=template,
    trials=trials,
    mistakes=tuple(mistakes()),
    hints=(
        "With equal shapes, ∂y/∂a = 1 and ∂y/∂b = 1: ga = gy and gb = gy.",
        "If one b was added in three places, a change of b changes three elements of y: its gradient is the sum of "
        "the three gy. Sum over the axes that b does not have (they are the first ones), and over those of size 1.",
        "gb = gy.sum(axis=those axes, keepdims=True).reshape(b.shape), and the same for a.",
    ),
    solution=(sum_to, Add),
    why="Broadcasting copies; the transpose of copying is adding up. The bias of a layer is the case that occurs most: "
    "its gradient is the sum over all pixels of all images.",
)
