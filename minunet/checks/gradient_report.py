"""What `minunet gradcheck` says about derivatives that are wrong: on one screen, the most telling ones first.

A wrong backward makes many cases wrong: each size of a convolution, each layer and each network that has one. So cases
are grouped by operation and gradient; an operation that is computed by others that are wrong, too, comes last, in one
line, because it is right once they are.
"""

import inspect
import textwrap
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from minunet.autograd import Function, GradientError, Tensor
from minunet.autograd.gradcheck import Comparison
from minunet.checks.gradient_cases import Case
from minunet.checks.likeness import likeness
from minunet.checks.source import ABOVE, file_and_lines, lines_of, readable_path
from minunet.kernels import cpu

MOST_LINES = 18  # about operations; the names of those that are not described fit on a few more
MOST_GRADIENTS = 3  # of one operation
MOST_PLACES = 2
WIDTH = 110
DIRECTION = "along a random direction"


class Failure(NamedTuple):
    """A case that failed: the gradients that are wrong, or what was raised, in one line; its kink, if it has one."""

    case: Case
    wrong: tuple[Comparison, ...] = ()
    raised: str = ""
    kink: str = ""

    @property
    def error(self) -> float:
        """The worst relative error; infinite where there were no numbers."""
        return max((comparison.error for comparison in self.wrong), default=float("inf"))


def run_case(case: Case) -> float | Failure:
    """Returns the worst relative error of a case, or its Failure."""
    try:
        return case.run().worst_relative_error
    except GradientError as found:
        return Failure(case, tuple(found.wrong), kink=str(found.kink or ""))
    except Exception as found:  # whatever somebody has written into a backward
        return Failure(case, raised=_described(found))


def _described(error: Exception) -> str:
    """Returns the error, with the last line of this package that it came through."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(ABOVE))]
    frames = [frame for frame in frames if "/checks/" not in frame.filename.replace("\\", "/")]
    return f"{text} ({readable_path(frames[-1].filename)}, line {frames[-1].lineno})" if frames else text


def lines(failures: Sequence[Failure], cases: Iterable[Case]) -> list[str]:
    """Returns the report. `cases`: all that were run, also those that passed."""
    totals: dict[str, int] = {}
    for case in cases:
        totals[case.operation] = totals.get(case.operation, 0) + 1
    groups: dict[str, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(failure.case.operation, []).append(failure)
    made_of = {operation: functions_of(group[0].case) for operation, group in groups.items()}
    causes = [operation for operation in groups if not _consequence(operation, made_of)]
    causes.sort(key=lambda operation: len(made_of[operation]))
    consequences = [operation for operation in groups if operation not in causes]
    result: list[str] = []
    described = 0
    for operation in causes:
        about = _about(operation, groups[operation], totals[operation], made_of[operation])
        if result and len(result) + len(about) > MOST_LINES:
            break
        result += about
        described += 1
    if causes[described:]:
        result += _wrapped("wrong, too: " + ", ".join(causes[described:]))
    if consequences:
        result += _wrapped("wrong, too, but made of what is named above: " + ", ".join(consequences))
    return result


def functions_of(case: Case) -> set[type[Function]]:
    """Returns the kinds of Function that a case computes with; none if its forward fails."""
    try:
        y = case.f(*(Tensor(x, requires_grad=x.dtype.kind == "f") for x in case.inputs))
    except Exception:
        return set()
    waiting, found = [y.creator], set()
    seen = set()
    while waiting:
        function = waiting.pop()
        if isinstance(function, Function) and id(function) not in seen:
            seen.add(id(function))
            found.add(type(function))
            waiting.extend(function.sources)
    return found


def _consequence(operation: str, made_of: dict[str, set[type[Function]]]) -> bool:
    """Returns whether the operation is computed by all that another wrong one is computed by, and by more.

    Of those that are computed by the same (conv2d and its layer), the one that came first is the cause.
    """
    own = made_of[operation]
    for other, functions in made_of.items():
        if other == operation:
            return any(made_of[later] < own for later in made_of if made_of[later])
        if functions and functions <= own:
            return True
    return False


def _about(operation: str, failures: list[Failure], total: int, functions: set[type[Function]]) -> list[str]:
    """Returns the lines about one operation: its wrong gradients, and where it is written."""
    result = [f"{operation}: {len(failures)} of {total} {'case' if total == 1 else 'cases'} WRONG"]
    by_gradient: dict[str, list[tuple[Failure, Comparison]]] = {}
    for failure in failures:
        for comparison in failure.wrong:
            by_gradient.setdefault(gradient_name(failure.case, comparison), []).append((failure, comparison))
    if len(by_gradient) > 1:
        by_gradient.pop(DIRECTION, None)  # an index says more
    for gradient, found in list(by_gradient.items())[:MOST_GRADIENTS]:
        result += _about_gradient(gradient, found)
    if len(by_gradient) > MOST_GRADIENTS:
        result.append(f"  and {len(by_gradient) - MOST_GRADIENTS} more of its gradients")
    raised = [failure for failure in failures if failure.raised]
    if raised:
        result += _wrapped(f"  {raised[0].raised}", "    ")
    kinks = [failure.kink for failure in failures if failure.kink]
    if kinks:
        result += _wrapped(f"  {kinks[0]}", "    ")
    return result + _places(functions)


def _places(functions: set[type[Function]]) -> list[str]:
    """Returns the lines on where to look."""
    if len(functions) <= MOST_PLACES:
        by_name = sorted(functions, key=lambda function: function.__name__)
        places = [line for function in by_name for line in [f"  {place_of(function)}", *_kernel_lines(function)]]
    else:
        kinds = ", ".join(sorted(function.__name__.removesuffix("Function") for function in functions))
        places = _wrapped(f"  made of {kinds}", "    ")
    if len(functions) > 1:
        engine = lines_of(Function.run_backward)
        places += _wrapped(f"  each of them right on its own? Then gradients are added up wrongly: {engine}", "    ")
    return places


def _about_gradient(gradient: str, found: list[tuple[Failure, Comparison]]) -> list[str]:
    """Returns the lines about one gradient: the most telling of its cases, the one with the fewest numbers."""
    failure, worst = min(found, key=lambda pair: pair[1].analytic.size)
    index = f"[{', '.join(map(str, worst.place))}]" if worst.place else ""
    label = f', in "{failure.case.label}"' if failure.case.label else ""
    cases = {id(failure) for failure, _ in found}
    error = max(comparison.error for _, comparison in found)
    alike = {likeness(comparison.analytic, comparison.numeric) for _, comparison in found}
    always = "" if len(alike) > 1 or "" in alike or gradient == DIRECTION else f": {alike.pop()}"
    return _wrapped(
        f"  {gradient}{index}: backward says {worst.analytic[worst.place] + 0.0:.6g}, differences say "
        f"{worst.numeric[worst.place]:.6g}{label}; {len(cases)} {'case' if len(cases) == 1 else 'cases'}, "
        f"relative error up to {error:.1e}{always}",
        "    ",
    )


def gradient_name(case: Case, comparison: Comparison) -> str:
    """Returns the name of a gradient: gw for the input that the case's function calls w."""
    kind, number = comparison.where.split()
    if kind == "direction":
        return DIRECTION
    parameters = list(inspect.signature(case.f).parameters.values())
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if int(number) < len(names):
        return f"g{names[int(number)]}"
    return f"gradient of {parameters[-1].name.rstrip('s')} {int(number) - len(names)}"  # f(x, *parameters)


def place_of(function: type[Function]) -> str:
    """Returns where a Function's forward and backward are written."""
    file, forward = file_and_lines(function.forward)
    other, backward = file_and_lines(function.backward)
    where = backward if other == file else f"{other}, {backward}"
    return f"{function.__name__}: forward {file}, {forward}; backward {where}"


def _kernel_lines(function: type[Function]) -> list[str]:
    """Returns the lines on the kernels that a Function's gradient is computed with; none if it has none."""
    kernels = kernels_of(function.backward) or kernels_of(function.forward)  # a loss prepares its gradient in forward
    where = [f"{kernel.__name__} ({lines_of(kernel)})" for kernel in kernels]
    return _wrapped("    with the kernels " + ", ".join(where), "      ") if where else []


def kernels_of(method: Callable[..., Any]) -> list[Callable[..., Any]]:
    """Returns the kernels that a method calls by their names, in the form in which the CPU runs them."""
    names = method.__code__.co_names
    found = [getattr(cpu, name) for name in names if name in cpu.__all__] if "kernels_for" in names else []
    return [kernel for kernel in found if inspect.isfunction(kernel)]


def _wrapped(text: str, later: str = "  ") -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=later, break_long_words=False, break_on_hyphens=False)
