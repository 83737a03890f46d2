"""What is said to the student, as lines."""

import textwrap
from collections.abc import Iterable, Iterator

from minunet.checks.source import ABOVE, lines_of
from minunet.learn.exercises.check import Checked, Verdict
from minunet.learn.exercises.exercise import Exercise

WIDTH = 110


def listed(exercises: Iterable[Exercise]) -> list[str]:
    """Returns a table of the exercises: name, minutes, what one learns."""
    return [
        f"{'exercise':<22}{'minutes':>7}  you learn",
        *(f"{exercise.name:<22}{exercise.minutes:>7}  {exercise.learns}" for exercise in exercises),
    ]


def verdict_lines(exercise: Exercise, file: str, checked: Checked, trials: int) -> Iterator[str]:
    """Yields the answer to a check of the student's file with so many trials."""
    if checked.problem:
        where = f' (in the check "{checked.trial}")' if checked.trial else ""
        yield from _wrapped(f"{file}: {checked.problem}{where}", "")
    if all(verdict.state == "unknown" for verdict in checked.verdicts):
        return
    for verdict in checked.verdicts:
        yield from _about(verdict, trials)
    if checked.right:
        yield f"All right: {exercise.name} is solved. `minunet exercise {exercise.name} --solution` shows ours."


def _about(verdict: Verdict, trials: int) -> Iterator[str]:
    """Yields the lines about one gradient."""
    name = f"{verdict.gradient:<8}"
    indent = " " * len(name)
    if verdict.state == "missing":
        yield f"{name}not there yet (None)"
        return
    if verdict.state == "right":
        remark = f" ({verdict.remark})" if verdict.remark else ""
        checks = _some(len(verdict.right_in), trials)
        yield from _wrapped(f"worst relative error {verdict.error:.1e}, in {checks}{remark}", f"{name}right   ", indent)
        return
    worst = "" if verdict.error == float("inf") else f"worst relative error {verdict.error:.1e}, "
    yield f"{name}WRONG   {worst}wrong in {len(verdict.wrong_in) or len(verdict.right_in)} of {_checks(trials)}"
    if verdict.problem:
        yield from _wrapped(verdict.problem + (f' (in "{verdict.trial}")' if verdict.trial else ""), indent)
    if verdict.wrong_in and not (verdict.problem and not verdict.place):
        place = f"{verdict.gradient}[{', '.join(map(str, verdict.place))}]" if verdict.place else verdict.gradient
        numbers = f"yours is {verdict.theirs + 0.0:.6g}, {verdict.by} it is {verdict.true:.6g}"
        yield from _wrapped(f'first wrong at {place}, in "{verdict.trial}": {numbers}', indent)
    if verdict.inputs:
        yield from _wrapped(f"There: {verdict.inputs}", indent)
    if verdict.mistake:
        yield from _wrapped(f"The likely mistake: {verdict.mistake}.", indent)
    elif verdict.place:
        yield f"{indent}Which kind of mistake gives these numbers is not known."
    if verdict.right_in and verdict.wrong_in and not verdict.mistake:
        yield from _wrapped(f"It is right in: {'; '.join(verdict.right_in)}.", indent)
        yield from _wrapped(f"It is wrong in: {'; '.join(verdict.wrong_in)}.", indent)


def hint_lines(exercise: Exercise, number: int) -> Iterator[str]:
    """Yields hint `number`, counted from 1, and how to get the next one."""
    which = f"Hint {number} of {len(exercise.hints)}: "
    statements = exercise.hints[number - 1].split(";  ")
    if len(statements) == 1:
        yield from _wrapped(statements[0], which, "  ")
    else:  # lines of Python, to be copied
        yield which.rstrip()
        yield from (f"    {statement}" for statement in statements)
    if number < len(exercise.hints):
        yield f"The next one: minunet exercise {exercise.name} --hint {number + 1}"


def solution_lines(exercise: Exercise) -> Iterator[str]:
    """Yields where the project does it, and why it is so."""
    yield f"In {ABOVE}:"
    for thing in exercise.solution:
        yield f"  {lines_of(thing)}: {thing.__qualname__}"
    yield from _wrapped(exercise.why, "")


def _some(count: int, all_of_them: int) -> str:
    """Returns "7 checks"; where the others gave no numbers, "5 of 7 checks"."""
    return _checks(count) if count == all_of_them else f"{count} of {_checks(all_of_them)}"


def _checks(count: int) -> str:
    return f"{count} check" if count == 1 else f"{count} checks"


def _wrapped(text: str, first: str, later: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=first if later is None else later,
        break_long_words=False,
        break_on_hyphens=False,
    )
