"""`minunet selftest`: what a device computes, checked, and how fast it trains."""

import sys
from collections.abc import Sequence

from tqdm import tqdm

from minunet import cuda, device
from minunet.checks import selftest, speed
from minunet.cli.arguments import Parser, device_name, resolve_device
from minunet.cli.console import fail, say

QUICK = {"batch": 2, "size": 64}
DESCRIPTION = """Check what a device computes, and measure how fast it trains.

Exit code: 0 all is correct, 1 something is computed incorrectly, 2 wrong use or no such GPU."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command with the arguments `argv`, by default those of the command line. Returns the exit code."""
    parser = Parser(DESCRIPTION, "selftest")
    add = parser.add_argument
    add(
        "--device",
        type=device_name,
        default="auto",
        metavar="auto|cpu|gpu",
        help="what to test (default: auto, a GPU if it can be used)",
    )
    add("--quick", action="store_true", help="small sizes only: half a minute, and no figures to quote")
    args = parser.parse_args(argv)
    return selftest_report(args.device, args.quick)


def selftest_report(name: str, quick: bool) -> int:
    """Prints what each operation's worst error is on the device, then how fast that trains. Returns the exit code."""
    try:
        where = resolve_device(name)
    except device.GpuUnavailable as error:
        return fail(f"no GPU to test: {error}")
    say(f"device  {where}" + (f": {cuda.describe_gpu(where)}" if where != "cpu" else "") + "\n")
    rows = selftest.run(
        selftest.all_checks(quick or where == "cpu"),
        where,
        lambda checks: tqdm(checks, desc="checks", disable=None, leave=False),
    )
    say(f"{'operation':<34}{'checks':>6}  worst relative error: float32  float64")
    for row in rows:
        errors = f"{row.worst['float32']:>30.1e}{row.worst['float64']:>9.1e}"
        say(f"{row.operation:<34}{row.checks:>6}  {errors}" + ("  WRONG" if row.failed else ""))
    failed = [line for row in rows for line in row.failed]
    for line in failed:
        print(line, file=sys.stderr)
    sizes = QUICK if quick else {"batch": 64 if where != "cpu" else 16, "size": 256}
    say("")
    for line in speed.report(where, **sizes, quick=quick):
        say(line)
    return 1 if failed else 0
