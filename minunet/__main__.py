"""`python -m minunet gradcheck | selftest`: proves every derivative; checks a device, and says how fast it is."""

import argparse
import sys
import time

from tqdm import tqdm

from minunet import device, selftest, speed
from minunet.autograd.gradcheck import GradientError
from minunet.command_line import device_name, fail, find_device, say
from minunet.gradient_cases import TOLERANCE, all_cases

QUICK = {"batch": 2, "size": 64}


def main(arguments=None):
    """Runs the command; returns the exit code: 0, 1 if something is computed wrongly, 2 without the GPU that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m minunet", description="minunet proves itself.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("gradcheck", help="compare every hand-written derivative with differences of its forward")
    add = commands.add_parser("selftest", help="check what a device computes, and measure how fast it trains").add_argument
    add("--device", type=device_name, default="auto", metavar="auto|cpu|gpu", help="what to test (default: auto)")
    add("--quick", action="store_true", help="small sizes only: half a minute, and no figures to quote")
    options = parser.parse_args(arguments)
    return gradcheck_table() if options.command == "gradcheck" else selftest_report(options.device, options.quick)


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
    print(f"{'operation':<34}{'cases':>6}  worst relative error")
    for operation, (cases, worst) in results.items():
        print(f"{operation:<34}{cases:>6}  {worst:.1e}" + ("" if worst <= TOLERANCE else "  WRONG"))
    count, worst = sum(cases for cases, _ in results.values()), max(worst for _, worst in results.values())
    print(f"{'all':<34}{count:>6}  {worst:.1e}   (allowed {TOLERANCE:.0e}; {time.perf_counter() - start:.0f} s)")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


def selftest_report(name, quick):
    """Prints what each operation's worst error is on the device, then how fast that trains. Returns the exit code."""
    try:
        where = find_device(name)
    except device.GpuUnavailable as error:
        return fail(f"no GPU to test: {error}")
    say(f"device  {where}" + (f": {device.card(where)}" if where != "cpu" else "") + "\n")
    rows = selftest.run(selftest.all_checks(quick or where == "cpu"), where,
                        lambda checks: tqdm(checks, desc="checks", disable=None, leave=False))
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


if __name__ == "__main__":
    sys.exit(main())
