"""`minunet selftest`: what a device computes, checked, and how fast it trains."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from tqdm import tqdm

from minunet import cuda, device
from minunet.checks import rounding, selftest, speed
from minunet.cli.arguments import Parser, device_name, resolve_device
from minunet.cli.console import fail, say
from minunet.precision import NAMES, describe_precision, resolve_precision, use_precision

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
    add(
        "--precision",
        choices=NAMES,
        default="float32",
        help="of a GPU: tf32 and mixed are compared with float64, by the errors that they may have (default: float32)",
    )
    add("--quick", action="store_true", help="small sizes only: half a minute, and no figures to quote")
    args = parser.parse_args(argv)
    return selftest_report(args.device, args.quick, args.precision)


def selftest_report(name: str, quick: bool, precision: str = "float32") -> int:
    """Prints what each operation's worst error is on the device, then how fast that trains. Returns the exit code."""
    try:
        where = resolve_device(name)
        precision = resolve_precision(precision, where)
    except device.GpuUnavailable as error:
        return fail(f"no GPU to test: {error}")
    except ValueError as error:
        return fail(error)
    say(f"device  {where}" + (f": {cuda.describe_gpu(where)}" if where != "cpu" else ""))
    if precision != "float32":
        say(f"        {describe_precision(precision, where)}")
    say("")
    failed = _print_table(_compare(where, quick, precision))
    say("")
    sizes = QUICK if quick else {"batch": 64 if where != "cpu" else 16, "size": 256}
    if where != "cpu":
        sizes = {**sizes, "smaller": 1 if quick else 8}
    with use_precision(precision):
        for line in speed.report(where, **sizes, quick=quick):
            say(line)
    return 1 if failed else 0


def _compare(where: str, quick: bool, precision: str) -> list[selftest.Row]:
    """What is compared with NumPy: in float32 and float64, or in the precision asked for."""

    def watch(checks: Iterable[Any]) -> Iterable[Any]:
        return tqdm(checks, desc="checks", disable=None, leave=False)

    if precision == "float32":
        return selftest.run(selftest.all_checks(quick or where == "cpu"), where, watch)
    return rounding.run(rounding.single_operations(quick), precision, where, watch)


def _print_table(rows: list[selftest.Row]) -> bool:
    """Prints the rows, and on stderr what failed. Returns whether anything did."""
    names = list(rows[0].worst)
    say(f"{'operation':<34}{'checks':>6}  worst relative error: {'  '.join(names)}")
    for row in rows:
        errors = "".join(f"{row.worst[name]:>{len(name) + 2}.1e}" for name in names)
        say(f"{row.operation:<34}{row.checks:>6}  {'':<20}{errors}" + ("  WRONG" if row.failed else ""))
    failed = [line for row in rows for line in row.failed]
    for line in failed:
        print(line, file=sys.stderr)
    return bool(failed)
