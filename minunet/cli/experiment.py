"""`minunet experiment`: a question, your guess, the measurement, the explanation, a picture."""

import argparse
import difflib
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path

from minunet.cli.arguments import Parser, path, whole
from minunet.cli.console import fail, say
from minunet.files import atomic_write
from minunet.learn.experiments import EXPERIMENTS, Experiment, Result
from minunet.learn.experiments.report import png, report_html

DESCRIPTION = """Ask a network a question: make a guess, have it measured, and read why it is so.

  minunet experiment --list          all questions
  minunet experiment skips           one of them; its picture goes into experiments/skips.png
  minunet experiment --all           all of them, in one page: experiments/experiments.html

Exit code: 0 done, 2 wrong use."""

SPELLINGS = {"initialisation": "initialization"}
REPORT = "experiments.html"
WIDTH = 96  # columns of text, at most


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the command line. Returns the exit code."""
    args = parse_arguments(argv)
    if args.list:
        list_questions()
        return 0
    try:
        make_folder(args.out)
        path = args.out / (REPORT if args.all else f"{args.name}.png")
        if path.is_dir():
            return fail(f"{path} is a folder: move it away, or give another --out")
        if args.all:
            run_all(args.out, args.seed)
        else:
            run_one(EXPERIMENTS[args.name], args.guess, args.seed, args.out)
    except OSError as error:
        return fail(error)
    return 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Returns the arguments, checked."""
    parser = Parser(DESCRIPTION, "experiment")
    add = parser.add_argument
    add("name", nargs="?", type=experiment_name, metavar="NAME", help="one of those that --list names")
    add("--list", action="store_true", help="print the question of each experiment, and how long it takes")
    add("--all", action="store_true", help=f"run all experiments, and write {REPORT}")
    add("--guess", type=whole(1), metavar="N", help="your guess (default: you are asked, if there is a terminal)")
    add("--seed", type=whole(0), default=0, metavar="N", help="another seed draws other numbers (default: 0)")
    add(
        "--out",
        type=path,
        default=Path("experiments"),
        metavar="DIR",
        help="the folder for the picture; an older one is replaced (default: experiments)",
    )
    args = parser.parse_args(argv)
    if (args.name is not None) + args.list + args.all != 1:
        parser.error("give the NAME of one experiment, or --list, or --all")
    if args.guess is not None:
        if args.name is None:
            parser.error("--guess is about one experiment: give its NAME, too")
        guesses = len(EXPERIMENTS[args.name].guesses)
        if args.guess > guesses:
            parser.error(f"--guess is {args.guess}: {args.name} has the guesses 1 to {guesses}")
    return args


def experiment_name(text: str) -> str:
    """An argument type: the name of an experiment. The error suggests the nearest one."""
    name = text.lower().replace("_", "-")
    name = SPELLINGS.get(name, name)
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name, EXPERIMENTS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it must be one of {', '.join(EXPERIMENTS)}"
        raise argparse.ArgumentTypeError(f"there is no experiment {text!r}: {hint}")
    return name


def list_questions() -> None:
    """Prints name, time and question of each experiment."""
    width = max(map(len, EXPERIMENTS))
    for name, experiment in EXPERIMENTS.items():
        start = f"{name:<{width}}  {duration(experiment.seconds):>7}  "
        say(textwrap.fill(experiment.question, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)))


def duration(seconds: int) -> str:
    """Returns about how long something takes.

    >>> duration(8), duration(95), duration(150)
    ('8 s', '1.5 min', '2.5 min')
    """
    return f"{seconds} s" if seconds < 60 else f"{round(seconds / 30) / 2:g} min"


def make_folder(folder: Path) -> None:
    """Makes the folder if there is none. Raises OSError now, and not after minutes, if nothing can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def run_all(folder: Path, seed: int) -> None:
    """Runs all experiments. The report is written after each, so that it lasts if somebody stops the rest."""
    results: dict[str, Result] = {}
    for number, (name, experiment) in enumerate(EXPERIMENTS.items(), 1):
        say(f"{number}/{len(EXPERIMENTS)}  {name} ({duration(experiment.seconds)})")
        results[name] = experiment.run(seed)
        say(indented(results[name].measured))
        atomic_write(folder / REPORT, report_html(EXPERIMENTS, results, seed))
    say(f"written: {folder / REPORT}")


def run_one(experiment: Experiment, guess: int | None, seed: int, folder: Path) -> None:
    """Asks, measures, explains. guess: counted from 1, None for none so far."""
    say(textwrap.fill(experiment.question, WIDTH))
    say("")
    for number, text in enumerate(experiment.guesses, 1):
        say(indented(text, f"  {number}  "))
    say("")
    if guess is None and sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():
        guess = ask(len(experiment.guesses))
    say(f"measuring: about {duration(experiment.seconds)} on two cores …")
    result = experiment.run(seed)
    path = folder / f"{experiment.name}.png"
    atomic_write(path, png(result.figure))
    say("")
    say(indented(result.measured, "measured: "))
    say(indented(verdict(experiment, result.answer, guess), "          "))
    say("")
    say(table(result.header, result.rows))
    for paragraph in result.explanation.strip("\n").split("\n\n"):
        say("")
        say(paragraph if paragraph.startswith(" ") else textwrap.fill(paragraph, WIDTH))
    say(f"\nwritten: {path}")


def ask(guesses: int) -> int | None:
    """Returns the guess that is typed in, counted from 1; None for an empty line."""
    while True:
        try:
            text = input(f"Your guess (1 to {guesses}, or Enter for none): ").strip()
        except EOFError:
            say("")
            return None
        except KeyboardInterrupt:
            say("")  # the message goes on a line of its own
            raise
        if not text:
            return None
        if text in map(str, range(1, guesses + 1)):
            return int(text)


def verdict(experiment: Experiment, answer: int, guess: int | None) -> str:
    """Returns what the measurement says about the guess. answer: counted from 0, guess: from 1."""
    right = f"{answer + 1}, {experiment.guesses[answer]}"
    if guess is None:
        return f"So it is {right}"
    if guess == answer + 1:
        return f"You guessed right: {right}"
    return f"You guessed {guess}. It turned out otherwise: {right}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns rows in columns: the first to the left, the others to the right.

    >>> print(table(("skips", "IoU"), [("all", "0.71"), ("none", "0.5")]))
    skips   IoU
    all    0.71
    none    0.5
    """
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    cells = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in cells)


def indented(text: str, start: str = "     ") -> str:
    """Returns a paragraph that begins with `start`; its other lines are indented as far."""
    return textwrap.fill(text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
