"""`minunet gradcheck`: every hand-written derivative, compared with differences of its forward."""

import sys
import time
from collections.abc import Sequence

from tqdm import tqdm

from minunet.autograd.gradcheck import GradientError
from minunet.checks.gradient_cases import TOLERANCE, all_cases
from minunet.cli.arguments import Parser
from minunet.cli.console import say

DESCRIPTION = """Compare every hand-written derivative with differences of its forward.

Exit code: 0 all are right, 1 one of them is wrong, 2 wrong use."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the command line. Returns the exit code."""
    Parser(DESCRIPTION, "gradcheck").parse_args(argv)
    return gradcheck_table()


def gradcheck_table() -> int:
    """Prints operation, cases, worst relative error; then each derivative that is wrong. Returns the exit code."""
    start = time.perf_counter()
    results: dict[str, tuple[int, float]] = {}
    wrong: list[str] = []
    for case in tqdm(all_cases(), desc="gradient checks", disable=None, leave=False):
        cases, worst = results.get(case.operation, (0, 0.0))
        try:
            error = case.run().worst_relative_error
        except (GradientError, RuntimeError) as found:  # RuntimeError: the engine refuses a gradient of a wrong shape
            error = float("inf")
            wrong.append(f"{case.operation} {case.label}: {found}")
        results[case.operation] = cases + 1, max(worst, error)
    say(f"{'operation':<34}{'cases':>6}  worst relative error")
    for operation, (cases, worst) in results.items():
        say(f"{operation:<34}{cases:>6}  {worst:.1e}" + ("" if worst <= TOLERANCE else "  WRONG"))
    count = sum(cases for cases, _ in results.values())
    worst = max(worst for _, worst in results.values())
    say(f"{'all':<34}{count:>6}  {worst:.1e}   (allowed {TOLERANCE:.0e}; {time.perf_counter() - start:.0f} s)")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0
