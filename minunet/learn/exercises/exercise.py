"""What an exercise is made of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]


class Trial(NamedTuple):
    """One set of inputs to check with.

    label      what is special about it: "stride 2"
    gy         the upstream gradient, random and never all ones; None where there is none (an optimizer's step)
    inputs     what the gradients belong to, in their order; float64
    constants  the further arguments of forward and backward: the truth, a stride
    expected   None: the gradients are found by differences of the forward. Else the numbers themselves, where a
               difference is no derivative (ties) or there is nothing to differentiate.
    by         how they are found, in words
    """

    label: str
    gy: Numbers | None
    inputs: tuple[Numbers, ...]
    constants: tuple[Any, ...] = ()
    expected: tuple[Numbers, ...] | None = None
    by: str = "by differences"

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What the student's function is called with."""
        return (*(() if self.gy is None else (self.gy,)), *self.inputs, *self.constants)


class Mistake(NamedTuple):
    """A typical mistake: what it is, in words for the student, and the gradient that it leads to.

    `make` takes what the student's function takes. It returns `gradient` as the mistake would have it, of whatever
    shape; it may raise where the student's function would.
    """

    gradient: str
    words: str
    make: Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """An exercise. The student's file is `template`, with the forward in it."""

    name: str
    learns: str  # what one learns, half a line
    minutes: int  # about how long it takes
    gradients: tuple[str, ...]  # the names of what is to be returned, in order
    template: ModuleType
    trials: Callable[[], Iterable[Trial]]  # the worked example of the template comes first
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, ...]
    solution: tuple[Callable[..., Any], ...]  # where the project does it
    why: str  # why it is so
    function: str = "backward"  # the name of the function that the student writes

    @property
    def file_name(self) -> str:
        return f"{self.name}_exercise.py"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arguments of the student's function."""
        code = getattr(self.template, self.function).__code__
        return code.co_varnames[: code.co_argcount]


def random_like(shape: tuple[int, ...], seed: int) -> Numbers:
    """Returns an array of normal random numbers, the same ones for the same seed."""
    return np.random.default_rng(seed).standard_normal(shape)
