"""What kind of mistake gives these numbers? The student's are compared with those that typical mistakes give.

Each exercise has its own mistakes (definitions/). What can happen in any of them is here: a sign, a factor, an axis
that was not summed over, two gradients returned in the wrong order.
"""

from collections.abc import Callable

import numpy as np

from minunet.autograd.gradcheck import numerical_gradient
from minunet.checks.likeness import alike, factor_between, in_words
from minunet.learn.exercises.exercise import Exercise, Mistake, Numbers, Trial

Pairs = list[tuple[Trial, Numbers]]  # trials, and the student's numbers there


def mistake(exercise: Exercise, k: int, numbers: Pairs) -> str:
    """Returns in words what gives gradient number k as the student has it, "" if it is nothing known."""
    own = [m for m in exercise.mistakes if m.gradient == exercise.gradients[k]]
    for sign, also in ((1, ""), (-1, "; and the sign is wrong")):
        found = [m.words for m in own if all(_gives(m, trial, sign * theirs) for trial, theirs in numbers)]
        if found:  # more than one only where the other trials gave no numbers: then they cannot be told apart
            return ". Or: ".join(found[:2]) + also
    return (
        _common_factor(k, numbers)
        or _wrong_order(exercise, k, numbers)
        or _not_summed(k, numbers)
        or _moved(k, numbers)
        or _upstream_ignored(exercise, k, numbers)
        or _changing_factor(k, numbers)
    )


def _gives(known: Mistake, trial: Trial, theirs: Numbers) -> bool:
    """Returns whether the mistake gives the student's numbers in this trial."""
    try:
        with np.errstate(all="ignore"):
            made = np.asarray(known.make(*trial.arguments))
    except (ValueError, IndexError):  # it cannot be made with these shapes
        return False
    return _same(theirs, made)


def _same(a: Numbers, b: Numbers) -> bool:
    """Returns whether two arrays agree, NaN and infinity included."""
    if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return False
    return alike(np.where(np.isfinite(a), a, 0), np.where(np.isfinite(b), b, 0))


def _right(trial: Trial, k: int) -> Numbers:
    assert trial.expected is not None
    return trial.expected[k]


def _common_factor(k: int, numbers: Pairs) -> str:
    """A sign or a factor, the same in all trials."""
    informative = [(theirs, _right(trial, k)) for trial, theirs in numbers if _right(trial, k).any()]
    factors = [factor_between(theirs, right) for theirs, right in informative]
    first = factors[0] if factors else None
    if first is None or any(c is None or abs(c - first) > 1e-6 * max(abs(first), 1e-3) for c in factors):
        return ""
    if first and sum(np.count_nonzero(right) for _, right in informative) < 3:
        return ""  # one number is always some other number's multiple
    return in_words(first)


def _changing_factor(k: int, numbers: Pairs) -> str:
    """A factor in each trial, but not the same: a size, most likely."""
    informative = [(trial, theirs, _right(trial, k)) for trial, theirs in numbers]
    informative = [found for found in informative if np.count_nonzero(found[2]) > 1]
    factors = {trial.label: factor_between(theirs, right) for trial, theirs, right in informative}
    if len(factors) < 2 or None in factors.values():
        return ""
    first_with: dict[str, str] = {}
    for label, factor in factors.items():
        first_with.setdefault(f"{factor:.4g}", label)
    some = ", ".join(f'{factor} in "{label}"' for factor, label in list(first_with.items())[:3])
    return f"a factor that changes from check to check ({some}): compare it with the sizes there, and with gy"


def _wrong_order(exercise: Exercise, k: int, numbers: Pairs) -> str:
    """Another of the gradients, in the place of this one."""
    for other, name in enumerate(exercise.gradients):
        if other != k and all(_same(theirs, _right(trial, other)) for trial, theirs in numbers):
            return f"this is {name}: the order is ({', '.join(exercise.gradients)})"
    return ""


def _not_summed(k: int, numbers: Pairs) -> str:
    """More axes than there should be, or longer ones: their sum is right."""
    if all(theirs.shape == _right(trial, k).shape for trial, theirs in numbers):
        return ""
    if all(_same(theirs.reshape(-1), _right(trial, k).reshape(-1)) for trial, theirs in numbers):
        return "the numbers are right, the shape is not: look for keepdims, [None] or a missing reshape"
    for trial, theirs in numbers:
        right = _right(trial, k)
        if theirs.shape != right.shape and not _sum_is(theirs, right):
            return ""
    return "a sum is missing: summed over the axes that are too many, it is right"


def _sum_is(theirs: Numbers, right: Numbers) -> bool:
    added = theirs.ndim - right.ndim
    if added < 0:
        return False
    wide = theirs.shape[added:]
    if any(a != b and b != 1 for a, b in zip(wide, right.shape)):
        return False
    axes = (*range(added), *(added + i for i, (a, b) in enumerate(zip(wide, right.shape)) if a != b))
    return _same(theirs.sum(axis=axes).reshape(right.shape), right)


def _moved(k: int, numbers: Pairs) -> str:
    """The right numbers in other places: transposed, or reversed along an axis."""
    ndim = _right(numbers[0][0], k).ndim
    if ndim > 1 and all(_same(theirs, _right(trial, k).T) for trial, theirs in numbers):
        return "it is transposed"
    for axis in range(ndim):
        if all(_same(theirs, np.flip(_right(trial, k), axis)) for trial, theirs in numbers):
            return f"it is reversed along axis {axis}"
    return ""


def _upstream_ignored(exercise: Exercise, k: int, numbers: Pairs) -> str:
    """The gradient for gy = 1, whatever gy is."""
    for trial, theirs in numbers:
        if trial.gy is None:
            return ""
        arrays = [np.array(x, dtype=np.float64) for x in trial.inputs]
        if not _same(theirs, numerical_gradient(_sum_of_forward(exercise, trial), arrays, k, 1e-6)):
            return ""
    return "gy is left out: it arrives from the operation above, and is rarely 1"


def _sum_of_forward(exercise: Exercise, trial: Trial) -> Callable[[list[Numbers]], float]:
    return lambda inputs: float(exercise.template.forward(*inputs, *trial.constants).sum())
