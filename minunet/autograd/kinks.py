"""Kinks: where a function has two slopes, one to the left and one to the right, and so no derivative.

ReLU has one at 0, a maximum has one wherever two numbers are equal. The central difference there is the mean of the two
slopes; backward returns one of them, or what lies between. Both are right, and they disagree.

How a kink is told from a wrong backward: let l = (f(x) - f(x - ε)) / ε and r = (f(x + ε) - f(x)) / ε. At a kink what
backward says lies between l and r, and |r - l| stays as it is for a larger ε. Where f is only curved, |r - l| = ε |f''|
grows with ε.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minunet.autograd.function import recorded_calls
from minunet.autograd.tensor import Tensor, no_grad
from minunet.device import to_numpy


class Kink(NamedTuple):
    """Where the slopes differ. place: which operation has the kink, and at which numbers, in words; "" if unknown."""

    left: float
    right: float
    place: str = ""

    def __str__(self) -> str:
        return (
            f"{self.place or 'the function'} has a kink there, with the slope {self.left:.6g} on the left and "
            f"{self.right:.6g} on the right, so differences cannot tell whether backward is right: "
            "check it at other inputs"
        )


def find_kink(
    f: Callable[..., Tensor], at: Callable[[float], Sequence[Any]], u: Any, analytic: float, eps: float
) -> Kink | None:
    """Returns the Kink that explains why differences of ⟨u, f⟩ disagree with `analytic`; None if there is none.

    at(s): the arrays that f takes, moved by s along the direction in which the derivative was taken.
    """
    (far_below, below, here, above, far_above), calls = zip(*(_run(f, at(s * eps), u) for s in (-10, -1, 0, 1, 10)))
    left, right = (here - below) / eps, (above - here) / eps
    jump, far_jump = abs(right - left), abs(far_above - 2 * here + far_below) / (10 * eps)
    slack = jump / 100  # rounding
    if not (min(left, right) - slack <= analytic <= max(left, right) + slack and far_jump < 5 * jump):
        return None  # also where a number is NaN
    for triple in zip(*calls[1:4]):  # the first that bends: what comes after it bends, too
        place = _bend(*(call.output for call in triple))
        if place is not None:
            return Kink(left, right, _told(triple, place))
    return Kink(left, right)


def _run(f, arrays, u):
    """Returns ⟨u, f⟩ and the Calls of which f is made."""
    with no_grad(), recorded_calls() as calls, np.errstate(all="ignore"):
        y = f(*(Tensor(a) for a in arrays))
    return float((y.data * u).sum()), calls


def _bend(below, here, above):
    """Returns the index at which the steps to the left and to the right differ most; None if they hardly differ."""
    if not below.shape == here.shape == above.shape or here.dtype.kind != "f" or here.size == 0:
        return None
    below, here, above = (to_numpy(array) for array in (below, here, above))
    bend = np.abs(above - 2 * here + below)
    step = np.maximum(np.abs(above - here), np.abs(here - below)).max()
    place = np.unravel_index(np.argmax(bend), bend.shape)
    return tuple(int(k) for k in place) if bend[place] > 0.1 * step else None


def _told(calls, place):
    """Returns which operation it is, what it read of the only number that was moved, and what it returned there.

    calls: it was called before, at and after the kink.
    """
    below, here, above = ([to_numpy(x) for x in call.inputs] for call in calls)
    numbers = [x[a != b] for a, x, b in zip(below, here, above) if x.dtype.kind == "f"]
    output = calls[1].output
    if sum(x.size for x in numbers) == 1:
        read = f", which reads {np.concatenate(numbers)[0]:.3g} and"
    elif [x.shape for x in here] == [output.shape]:
        read = f", which reads {here[0][place]:.3g} and"
    else:
        read = ", which"
    return f"{calls[1].operation}{read} returns {float(output[place]):.3g},"
