"""`minunet exercise`: write a backward yourself, and be told what is wrong with it."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from minunet.cli.arguments import Parser, path, whole
from minunet.cli.console import fail, say
from minunet.learn.exercises import EXERCISES, report
from minunet.learn.exercises.check import check, trials_of
from minunet.learn.exercises.exercise import Exercise
from minunet.learn.exercises.run import run_file

DESCRIPTION = """Write the backward of an operation yourself.

  minunet exercise                          the exercises, from easy to hard
  minunet exercise relu                     writes relu_exercise.py: open it, and fill in its TODO
  minunet exercise relu --check             is it right? If not: where, and what kind of mistake it is
  minunet exercise relu --hint              a hint; --hint 2 is the next one
  minunet exercise relu --solution          where the project does it, and why it is so

Exit code: 0 right or done, 1 the gradient is wrong, 2 wrong use."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the command line. Returns the exit code."""
    parser = Parser(DESCRIPTION, "exercise")
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="which exercise; none: list them all")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list the exercises, from easy to hard")
    what.add_argument(
        "--check",
        nargs="?",
        const="",
        type=lambda text: text and path(text),
        metavar="FILE",
        help="check your file (default: NAME_exercise.py in the current folder); right is what differs by less than a "
        "millionth of the largest number",
    )
    what.add_argument("--hint", nargs="?", const=1, type=whole(1), metavar="N", help="print hint N (default: 1)")
    what.add_argument("--solution", action="store_true", help="print where the project does it, and why it is so")
    what.add_argument(
        "--out", type=path, metavar="FILE", help="where to write the exercise (default: NAME_exercise.py)"
    )
    args = parser.parse_args(argv)
    if args.name is None:
        if args.check is not None or args.hint or args.solution or args.out:
            parser.error("give the name of an exercise, too, such as `minunet exercise relu`")
        return _list()
    exercise = EXERCISES.get(args.name.replace("-", "_"))
    if exercise is None:
        close = difflib.get_close_matches(args.name.replace("-", "_"), EXERCISES, 1)
        meant = f": did you mean {close[0]}?" if close else f": it must be one of {', '.join(EXERCISES)}"
        parser.error(f"there is no exercise {args.name!r}{meant}")
    if args.list:
        return _list()
    if args.hint:
        return _hint(exercise, args.hint)
    if args.solution:
        return _say(report.solution_lines(exercise))
    if args.check is not None:
        return _check(exercise, Path(args.check or exercise.file_name))
    return _write(exercise, args.out or Path(exercise.file_name))


def _list() -> int:
    _say(report.listed(EXERCISES.values()))
    hours = sum(exercise.minutes for exercise in EXERCISES.values()) / 60
    return _say(["", f"All of them take about {hours:.0f} hours. Begin with: minunet exercise relu"])


def _say(lines: Iterable[str]) -> int:
    for line in lines:
        say(line)
    return 0


def _hint(exercise: Exercise, number: int) -> int:
    if number > len(exercise.hints):
        return fail(f"{exercise.name} has {len(exercise.hints)} hints: {number} is too many; --solution shows ours")
    return _say(report.hint_lines(exercise, number))


def _write(exercise: Exercise, file: Path) -> int:
    """Writes the student's file, never over one that is there."""
    source = Path(str(exercise.template.__file__)).read_text(encoding="utf-8")
    try:
        with open(file, "x", encoding="utf-8") as stream:
            stream.write(source)
    except FileExistsError:
        return fail(f"{file} is there already, and is not overwritten: rename it, or choose another place with --out")
    except OSError as error:
        return fail(error)
    say(f"{file} is written: about {exercise.minutes} minutes. Open it, fill in the TODO, and then:")
    given = "" if str(file) == exercise.file_name else f" {file}"
    say(f"  minunet exercise {exercise.name} --check{given}")
    return 0


def _check(exercise: Exercise, file: Path) -> int:
    """Runs the student's file, and says what is right and what is wrong."""
    if not file.is_file():
        return fail(f"{file} is no file: `minunet exercise {exercise.name}` writes {exercise.file_name}")
    trials = trials_of(exercise)
    try:
        run = run_file(exercise, file, trials)
    except OSError as error:
        return fail(error)
    if run.printed:
        more = f" (and {run.more_printed} more lines)" if run.more_printed else ""
        _say([f"Your file printed{more}:", *(f"  {line}" for line in run.printed), ""])
    checked = check(exercise, run.answers)
    _say(report.verdict_lines(exercise, str(file), checked, len(trials)))
    if checked.right:
        return 0
    say(f"Stuck? minunet exercise {exercise.name} --hint")
    return 1
