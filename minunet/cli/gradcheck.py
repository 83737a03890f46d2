"""`minunet gradcheck`: every hand-written derivative, compared with differences of its forward."""

import time
from collections.abc import Sequence

from tqdm import tqdm

from minunet.checks import gradient_report
from minunet.checks.gradient_cases import TOLERANCE, Case, all_cases
from minunet.checks.gradient_report import Failure
from minunet.cli.arguments import Parser
from minunet.cli.console import count, say

DESCRIPTION = """Compare every hand-written derivative with differences of its forward.

Where one is wrong: which gradient of which operation, at which index, both values, and the file to look into.

Exit code: 0 all are right, 1 one of them is wrong, 2 wrong use."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the command line. Returns the exit code."""
    parser = Parser(DESCRIPTION, "gradcheck")
    parser.add_argument(
        "--operation", nargs="+", metavar="NAME", help="check these operations only, such as conv2d (default: all)"
    )
    args = parser.parse_args(argv)
    cases = all_cases()
    operations = list(dict.fromkeys(case.operation for case in cases))
    unknown = [name for name in args.operation or [] if name not in operations]
    if unknown:
        parser.error(f"there is no operation {unknown[0]!r}: it must be one of {', '.join(operations)}")
    return gradcheck_table([case for case in cases if case.operation in (args.operation or operations)])


def gradcheck_table(cases: Sequence[Case]) -> int:
    """Prints operation, cases, worst relative error; or, if a derivative is wrong, what is. Returns the exit code."""
    start = time.perf_counter()
    worst: dict[str, float] = {}
    counts: dict[str, int] = {}
    failures: list[Failure] = []
    for case in tqdm(cases, desc="gradient checks", disable=None, leave=False):
        result = gradient_report.run_case(case)
        if isinstance(result, Failure):
            failures.append(result)
        error = result.error if isinstance(result, Failure) else result
        worst[case.operation] = max(worst.get(case.operation, 0.0), error)
        counts[case.operation] = counts.get(case.operation, 0) + 1
    seconds = f"allowed {TOLERANCE:.0e}; {time.perf_counter() - start:.0f} s"
    wrong = {failure.case.operation for failure in failures}
    if not wrong:
        say(f"{'operation':<34}{'cases':>6}  worst relative error")
        for operation, error in worst.items():
            say(f"{operation:<34}{counts[operation]:>6}  {error:.1e}")
        say(f"{'all':<34}{len(cases):>6}  {max(worst.values()):.1e}   ({seconds})")
        return 0
    for line in gradient_report.lines(failures, cases):
        say(line)
    right = [error for operation, error in worst.items() if operation not in wrong]
    others = f"the others are right, to {max(right):.1e}" if right else "no other was checked"
    say(f"{len(wrong)} of {count(len(worst), 'operation')} WRONG; {others} ({seconds})")
    return 1
