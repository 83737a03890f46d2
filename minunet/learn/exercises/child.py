"""Runs a student's file: calls its function with the arguments of each trial, and turns whatever happens into one line.

`run.py` starts this file as a process of its own, which loads nothing of minunet. It reads the calls from a folder, and
writes there what came of them: numbers.npz and answers.json.
"""

import contextlib
import faulthandler
import io
import json
import pickle
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MOST_PRINTED = 10  # lines of what the student's file prints
MOST_LETTERS = 120  # of each of them


class Answer(NamedTuple):
    """What a call returned: an array for each gradient, or None where it is not there yet; and a problem, in one line.

    Where the problem is that nothing usable was returned, there are no values.
    """

    values: tuple[Any, ...] = ()
    problem: str = ""


class Printed(io.TextIOBase):
    """A stream that keeps the first lines, however much is printed."""

    def __init__(self) -> None:
        self.lines = [""]
        self.total = 0

    def write(self, text: str) -> int:
        self.total += text.count("\n")
        for number, piece in enumerate(text.split("\n")[: MOST_PRINTED + 1]):
            if number:
                self.lines = [*self.lines, ""][: MOST_PRINTED + 1]
            if len(self.lines) <= MOST_PRINTED:
                self.lines[-1] = (self.lines[-1] + piece)[:MOST_LETTERS]
        return len(text)


def call(
    function: Callable[..., Any], arguments: Sequence[Any], names: Sequence[str], results: Sequence[str], file: str = ""
) -> Answer:
    """Calls the student's function. `names`: of the arguments. `results`: the names of what it must return, in order.

    >>> call(lambda gy, x: gy * x, [np.array([2.0]), np.array([3.0])], ["gy", "x"], ["gx"]).values
    (array([6.]),)
    """
    given = [np.array(a) if isinstance(a, np.ndarray) else a for a in arguments]
    try:
        with np.errstate(all="ignore"):
            result = function(*given)
    except BaseException as error:  # also SystemExit: nothing that a student writes may end the check
        return Answer(problem=describe(error, file, function))
    name = name_of(function)
    answer = _as_answer(result, results, name)
    changed = [
        argument
        for argument, before, after in zip(names, arguments, given)
        if isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True)
    ]
    if changed and not answer.problem:
        problem = (
            f"{name} changes {' and '.join(changed)} in place: somebody else still needs "
            f"{'it' if len(changed) == 1 else 'them'}, so compute into a new array, such as {changed[0]}.copy()"
        )
        return answer._replace(problem=problem)
    return answer


def _as_answer(result: Any, names: Sequence[str], function: str) -> Answer:
    """Checks that the result is an array for each name, or None."""
    listed = f"({', '.join(names)})" if len(names) > 1 else names[0]
    if result is None:
        return Answer(problem=f"{function} returns None: it must end with `return {listed.strip('()')}`")
    if isinstance(result, (tuple, list)) and len(result) == len(names):
        values = tuple(result)
    elif len(names) == 1 and not isinstance(result, (tuple, list)):
        values = (result,)
    else:
        found = f"{len(result)} things" if isinstance(result, (tuple, list)) else f"one {type(result).__name__}"
        order = ", in this order" if len(names) > 1 else ", an array"
        return Answer(problem=f"{function} returns {found}: it must return {listed}{order}")
    for name, value in zip(names, values):
        if not isinstance(value, (np.ndarray, np.generic, int, float, type(None))):
            kind = type(value).__name__
            return Answer(problem=f"{name} is a {kind}: it must be a NumPy array; np.asarray makes one of a list")
        if value is not None and np.asarray(value).dtype.kind not in "fiub":
            return Answer(problem=f"{name} has dtype {np.asarray(value).dtype}: it must hold floating-point numbers")
    return Answer(tuple(None if value is None else np.array(value) for value in values))


def describe(error: BaseException, file: str, function: Callable[..., Any] | None = None) -> str:
    """Returns what went wrong, with the line of the student's file, in one line."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f"line {frames[-1].lineno}" if frames else ""
    if isinstance(error, NotImplementedError):
        return f"{where or 'the file'} is still a TODO: write the gradient there, in place of the `raise`"
    if isinstance(error, SystemExit):
        return f"{where or 'the file'} calls exit: a function hands its results back with `return`"
    if isinstance(error, MemoryError):
        return f"{where or 'the file'} asks for too much memory: the arrays of the checks are tiny, look at the shapes"
    if isinstance(error, EOFError) and frames and "input" in (frames[-1].line or ""):
        return f"{where} waits for input, but nobody is there: compute from the arguments alone"
    if isinstance(error, SyntaxError) and not frames:
        line = f"line {error.lineno}: " if error.lineno else ""
        found = f": {(error.text or '').strip()[:MOST_LETTERS]}" if error.filename == file and error.text else ""
        return f"{line}Python cannot read it ({' '.join(error.msg.split())}){found or ': save it as UTF-8 text'}"
    text = f"{type(error).__name__}: {message_of(error)}".removesuffix(": ")
    if frames:
        return f"{where}: {text}" + f"    [{frames[-1].line}]" * bool(frames[-1].line)
    if function is not None and isinstance(error, TypeError):
        return f"{name_of(function)} cannot be called as the exercise says, keep its line `def …`: {text}"
    return text


def name_of(function: Callable[..., Any]) -> str:
    """Returns the function's name; not everything that can be called has one."""
    return getattr(function, "__name__", "the function")


def message_of(error: BaseException) -> str:
    """Returns what the error says, in one line."""
    try:
        return " ".join(str(error).split())[:300]
    except Exception:  # a student's own kind of error may be wrong, too
        return ""


def load(file: str, name: str) -> tuple[Callable[..., Any] | None, str]:
    """Returns the function `name` of the file, and the problem if there is none, in one line."""
    try:
        functions = runpy.run_path(file, run_name="exercise")
    except BaseException as error:  # also SystemExit
        return None, describe(error, file)
    function = functions.get(name)
    if not callable(function):
        return None, f"there is no function `{name}` in it: keep the line `def {name}(…)` of the exercise"
    return function, ""


def limit_memory(more: int) -> None:
    """Lets this process take `more` bytes besides what it has, where the system offers such a limit."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(folder: str, file: str, seconds: str, memory: str) -> None:
    """Reads the calls in the folder, runs them with the student's file, and writes the answers there."""
    calls = pickle.loads((Path(folder) / "calls").read_bytes())
    printed = Printed()
    sys.stdout = sys.stderr = printed  # type: ignore[assignment]
    sys.path = [str(Path(file).parent), *(p for p in sys.path if p != str(Path(__file__).parent))]  # as for any script
    with open(Path(folder) / "hanging", "w", encoding="utf-8") as hanging:
        faulthandler.dump_traceback_later(float(seconds), exit=True, file=hanging)
        limit_memory(int(memory))
        function, problem = load(file, calls["function"])
        answers = [Answer(problem=problem)] * bool(problem)
        if function is not None:
            answers = [call(function, a, calls["names"], calls["results"], file) for a in calls["arguments"]]
        faulthandler.cancel_dump_traceback_later()
    arrays = {f"{t} {k}": a for t, answer in enumerate(answers) for k, a in enumerate(answer.values) if a is not None}
    np.savez(Path(folder) / "numbers.npz", **arrays)
    report = {
        "problems": [answer.problem for answer in answers],
        "lengths": [len(answer.values) for answer in answers],
        "printed": [line for line in printed.lines[:MOST_PRINTED] if line],
        "more": max(printed.total - MOST_PRINTED, 0),
    }
    (Path(folder) / "answers.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
