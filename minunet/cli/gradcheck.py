"""`minunet gradcheck`: every hand-written derivative, compared with differences of its forward."""

import sys
import time

from tqdm import tqdm

from minunet.autograd.gradcheck import GradientError
from minunet.checks.gradient_cases import TOLERANCE, all_cases
from minunet.cli.arguments import Parser
from minunet.cli.console import say


def main(argv=None):
    """Runs the command with the arguments `argv`. Returns the exit code: 0, or 1 if a derivative is wrong."""
    Parser("Compare every hand-written derivative with differences of its forward.", "gradcheck").parse_args(argv)
    return gradcheck_table()


def gradcheck_table():
    """Prints operation, cases, worst relative error; then each derivative that is wrong. Returns the exit code."""
    start, results, wrong = time.perf_counter(), {}, []
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
    count, worst = sum(cases for cases, _ in results.values()), max(worst for _, worst in results.values())
    say(f"{'all':<34}{count:>6}  {worst:.1e}   (allowed {TOLERANCE:.0e}; {time.perf_counter() - start:.0f} s)")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0
