"""concatenate: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.learn.exercises.exercise import Exercise, Mistake, Trial, random_like
from minunet.learn.exercises.templates import concatenate as template
from minunet.ops.concatenate import ConcatenateFunction


def trials():
    """The worked example; as many channels in a as in b, more of them, fewer of them."""
    a, b = np.array([1.0, 2]).reshape(1, 1, 1, 2), np.array([3.0]).reshape(1, 1, 1, 1)
    yield Trial("the worked example", np.array([10.0, 20, 30]).reshape(1, 1, 1, 3), (a, b))
    for seed, (label, A, B) in enumerate(
        [("3 + 3 channels", 3, 3), ("4 + 2 channels", 4, 2), ("1 + 3 channels", 1, 3)]
    ):
        gy = random_like((2, 3, 5, A + B), 3 * seed)
        yield Trial(label, gy, (random_like((2, 3, 5, A), 3 * seed + 1), random_like((2, 3, 5, B), 3 * seed + 2)))


def half(gy):
    """The number of channels in the first half of gy."""
    return gy.shape[-1] // 2


EXCHANGED = "the slices are exchanged: a is the first part of y, b the last"
HALVES = "cut in the middle: the cut is after the A = a.shape[-1] channels of a"
WHOLE = "all of gy: only the slice where this input lies in y belongs to it"

EXERCISE = Exercise(
    name="concatenate",
    learns="what a skip connection does to gradients: it cuts, and nothing is added or lost",
    minutes=10,
    gradients=("ga", "gb"),
    template=template,
    trials=trials,
    mistakes=(
        Mistake("ga", EXCHANGED, lambda gy, a, b: gy[..., b.shape[-1] :]),
        Mistake("gb", EXCHANGED, lambda gy, a, b: gy[..., : b.shape[-1]]),
        Mistake("ga", HALVES, lambda gy, a, b: gy[..., : half(gy)]),
        Mistake("gb", HALVES, lambda gy, a, b: gy[..., half(gy) :]),
        Mistake("ga", WHOLE, lambda gy, a, b: gy),
        Mistake("gb", WHOLE, lambda gy, a, b: gy),
        Mistake("ga", "cut at B, the channels of b, in place of A", lambda gy, a, b: gy[..., : b.shape[-1]]),
        Mistake("gb", "cut at B, the channels of b, in place of A", lambda gy, a, b: gy[..., b.shape[-1] :]),
        Mistake("ga", "a channel too many or too few: A = a.shape[-1]", lambda gy, a, b: gy[..., : a.shape[-1] + 1]),
        Mistake("ga", "a channel too many or too few: A = a.shape[-1]", lambda gy, a, b: gy[..., : a.shape[-1] - 1]),
        Mistake("gb", "a channel too many or too few: A = a.shape[-1]", lambda gy, a, b: gy[..., a.shape[-1] + 1 :]),
        Mistake("gb", "a channel too many or too few: A = a.shape[-1]", lambda gy, a, b: gy[..., a.shape[-1] - 1 :]),
        Mistake("ga", "every other channel: they lie side by side, not in turn", lambda gy, a, b: gy[..., ::2]),
        Mistake("gb", "every other channel: they lie side by side, not in turn", lambda gy, a, b: gy[..., 1::2]),
        Mistake("ga", "multiplied by a: a copy has the derivative 1", lambda gy, a, b: gy[..., : a.shape[-1]] * a),
        Mistake("gb", "multiplied by b: a copy has the derivative 1", lambda gy, a, b: gy[..., a.shape[-1] :] * b),
        Mistake("ga", "cut along the first axis: the channels are the last", lambda gy, a, b: gy[: a.shape[-1]]),
        Mistake("gb", "cut along the first axis: the channels are the last", lambda gy, a, b: gy[a.shape[-1] :]),
    ),
    hints=(
        "Each number of a and of b is at exactly one place in y, unchanged: its gradient is the gy at that place.",
        "a is y[..., :A] with A = a.shape[-1], and b is y[..., A:].",
        "A = a.shape[-1];  ga = gy[..., :A].copy();  gb = gy[..., A:].copy()",
    ),
    solution=(ConcatenateFunction,),
    why="Forward copies, backward cuts. The part of gb goes straight across the skip to the layers on the way down, "
    "without passing through anything below.",
)
