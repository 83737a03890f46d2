"""Is each gradient right? And if not: where it is wrong first, and what kind of mistake gives these numbers."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from minunet.autograd.gradcheck import numerical_gradient, relative_errors
from minunet.learn.exercises import recognize
from minunet.learn.exercises.child import Answer
from minunet.learn.exercises.exercise import Exercise, Numbers, Trial

TOLERANCE = 1e-6
TOLERANCE_OF_FLOAT32 = 1e-4  # a sum of many numbers of seven digits is right to about five
EPSILON = 1e-6  # half the step of the differences


class Verdict(NamedTuple):
    """What is to be said about one gradient.

    state      "right", "wrong", "missing" (None was returned), or "unknown" (there were no numbers at all)
    problem    what is wrong with it besides its numbers (its shape, its dtype), else ""
    error      the worst relative error of all trials with numbers
    trial      the first trial where it is wrong; and there
    place      the first wrong element, with theirs and the true value, and how that was found
    mistake    the kind of mistake that gives these numbers, if it is a known one
    right_in   the trials where it is right
    inputs     what that first wrong trial is computed with, if it is not the worked example
    remark     what is to be said of a gradient that is right
    """

    gradient: str
    state: str
    problem: str = ""
    error: float = 0.0
    trial: str = ""
    place: tuple[int, ...] = ()
    theirs: float = 0.0
    true: float = 0.0
    by: str = ""
    mistake: str = ""
    right_in: tuple[str, ...] = ()
    wrong_in: tuple[str, ...] = ()
    inputs: str = ""
    remark: str = ""


class Checked(NamedTuple):
    """A Verdict for each gradient, and what happened instead of an answer, if it did."""

    verdicts: list[Verdict]
    problem: str = ""
    trial: str = ""  # where the problem came up first, if not at once

    @property
    def right(self) -> bool:
        return not self.problem and all(verdict.state == "right" for verdict in self.verdicts)


@functools.cache
def trials_of(exercise: Exercise) -> tuple[Trial, ...]:
    """Returns the trials of an exercise, each with the numbers that are expected; to be read only."""
    return tuple(trial._replace(expected=expected(exercise, trial)) for trial in exercise.trials())


def expected(exercise: Exercise, trial: Trial) -> tuple[Numbers, ...]:
    """Returns the gradients of a trial: those that it gives, or the differences of the forward."""
    if trial.expected is not None:
        return trial.expected
    arrays = [np.array(x, dtype=np.float64) for x in trial.inputs]

    def loss(changed):
        return float((exercise.template.forward(*changed, *trial.constants) * trial.gy).sum())

    return tuple(numerical_gradient(loss, arrays, i, EPSILON) for i in range(len(exercise.gradients)))


def check(exercise: Exercise, answers: Sequence[Answer]) -> Checked:
    """Compares the answers with the trials, one for each; or a single one, whose problem concerns the whole file."""
    trials = trials_of(exercise)
    problem, where = "", ""
    for number, (answer, trial) in enumerate(zip(answers, trials)):
        if answer.problem and not problem:
            problem, where = answer.problem, trial.label if number else ""
    with_numbers = [(trial, answer.values) for answer, trial in zip(answers, trials) if answer.values]
    verdicts = []
    for k, gradient in enumerate(exercise.gradients):
        numbers = [(trial, values[k]) for trial, values in with_numbers]
        if not numbers:
            verdicts.append(Verdict(gradient, "unknown"))
        elif any(values is None for _, values in numbers):
            verdicts.append(Verdict(gradient, "missing"))
        else:
            verdicts.append(_judge(exercise, k, [(trial, np.asarray(values)) for trial, values in numbers]))
    return Checked(verdicts, problem, where)


def _judge(exercise: Exercise, k: int, numbers: list[tuple[Trial, Numbers]]) -> Verdict:
    """Returns the Verdict on gradient number k."""
    gradient = exercise.gradients[k]
    wrong = [(trial, theirs) for trial, theirs in numbers if _is_wrong(theirs, _true(trial, k))]
    right_in = tuple(trial.label for trial, theirs in numbers if not _is_wrong(theirs, _true(trial, k)))
    comparable = [(theirs, _true(trial, k)) for trial, theirs in numbers if theirs.shape == _true(trial, k).shape]
    error = max((float(relative_errors(theirs, true).max(initial=0)) for theirs, true in comparable), default=np.inf)
    if not wrong:
        dtypes = {str(theirs.dtype) for _, theirs in numbers} - {"float64"}
        found = f"it has dtype {min(dtypes)} where everything given is float64" if dtypes else ""
        if any(np.dtype(dtype).kind != "f" or np.dtype(dtype).itemsize < 4 for dtype in dtypes):
            return Verdict(gradient, "wrong", f"{found}: do not change the dtype", error, right_in=right_in)
        return Verdict(gradient, "right", error=error, right_in=right_in, remark=found)
    trial, theirs = wrong[0]
    true = _true(trial, k)
    verdict = Verdict(
        gradient,
        "wrong",
        error=error,
        trial=trial.label,
        mistake=recognize.mistake(exercise, k, numbers),
        right_in=right_in,
        wrong_in=tuple(trial.label for trial, _ in wrong),
        inputs=_inputs(exercise, trial) if trial is not trials_of(exercise)[0] else "",
    )
    if theirs.shape != true.shape:
        whose = gradient.removeprefix("g") or gradient
        problem = f"its shape is {theirs.shape}, and that of {whose} is {true.shape}: they must be equal"
        return verdict._replace(problem=problem, error=np.inf)
    place = tuple(int(i) for i in np.argwhere(relative_errors(theirs, true) > TOLERANCE)[0])
    problem = "" if np.isfinite(theirs).all() else f"{gradient} holds NaN or infinity: look for 0/0, log(0) or overflow"
    return verdict._replace(
        problem=problem, place=place, theirs=float(theirs[place]), true=float(true[place]), by=trial.by
    )


def _inputs(exercise: Exercise, trial: Trial) -> str:
    """Returns the shapes of the arrays which the student's function is called with, and its other arguments."""
    return ", ".join(
        f"{name} {value.shape}" if isinstance(value, np.ndarray) and value.ndim else f"{name} = {value}"
        for name, value in zip(exercise.names, trial.arguments)
    )


def _true(trial: Trial, k: int) -> Numbers:
    assert trial.expected is not None  # trials_of fills it in
    return trial.expected[k]


def _is_wrong(theirs: Numbers, true: Numbers) -> bool:
    few = theirs.dtype.itemsize < 4 or theirs.dtype.kind != "f"  # a dtype with few digits is a mistake of its own
    allowed = 1e-3 if few else TOLERANCE_OF_FLOAT32 if theirs.dtype == np.float32 else TOLERANCE
    return theirs.shape != true.shape or bool((relative_errors(theirs, true) > allowed).any())
