"""What every experiment has: a question, guesses to choose from, and a measurement that decides between them."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Result:
    """What an experiment has found.

    measured     the answer in one or two sentences, with the numbers.
    answer       which of Experiment.guesses turned out right, counted from 0. It follows from the numbers measured.
    header       the column names of a small table.
    rows         its rows, formatted.
    explanation  why it is so: one to three short paragraphs with an empty line between them.
    figure       the picture.
    """

    measured: str
    answer: int
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    explanation: str
    figure: Figure


@dataclass(frozen=True)
class Experiment:
    """A question to a network.

    name      as on the command line.
    question  in one or two sentences.
    guesses   two to four answers that one may believe in.
    seconds   how long it takes, about, on two cores.
    run       run(seed) measures.
    """

    name: str
    question: str
    guesses: tuple[str, ...]
    seconds: int
    run: Callable[[int], Result]
