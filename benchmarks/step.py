"""Where the time of one training step goes: phase by phase, and kernel by kernel.

    python benchmarks/step.py --device gpu

Every function of minunet.kernels that the step calls is timed where it is called, on a GPU by its own clock. To measure
how long the GPU works, and not how long Python takes to queue the work, each step waits in the GPU's queue behind
matrix products until all of it has been queued; the column "Python" has the time that the queueing takes. Prints tables
in Markdown.
"""

import argparse
import collections
import contextlib
import itertools
import sys
import time
from pathlib import Path
from statistics import median

import machine
from products import Products

sys.path.insert(0, str(Path(__file__).parents[1]))
from minunet import cuda, device
from minunet.checks.speed import lecture_step
from minunet.kernels import kernels_for
from minunet.kernels.gpu import tensor
from minunet.kernels.memory import keep_freed_memory
from minunet.precision import NAMES, resolve_precision, use_precision


def phases(step, where, products, repeats):
    """Returns {phase: (seconds on the device, seconds of Python)}, medians; the last phase is "all" of them."""
    found = collections.defaultdict(lambda: ([], []))
    for _ in range(repeats):
        cuda.synchronize(where)
        products.fill(0.5)
        marks = _phase_marks(step, where)
        for before, (name, mark, clock) in itertools.pairwise(marks):
            found[name][0].append(cuda.seconds_between(before[1], mark))
            found[name][1].append(clock - before[2])
        found["all"][0].append(cuda.seconds_between(marks[0][1], marks[-1][1]))
        found["all"][1].append(marks[-1][2] - marks[0][2])
    return {name: tuple(map(median, times)) for name, times in found.items()}


def _phase_marks(step, where):
    """Does a step. Returns [(phase, mark of the device, Python's clock)]: the start, then the end of each phase."""
    marks = [("", cuda.mark(where), time.perf_counter())]
    step(lambda name: marks.append((name, cuda.mark(where), time.perf_counter())))
    return marks


def seconds_in_a_row(step, where, count=10):
    """Returns the seconds per step when steps follow one another as in training, starting with an empty queue."""
    cuda.synchronize(where)
    start = time.perf_counter()
    for _ in range(count):
        step()
    cuda.synchronize(where)
    return (time.perf_counter() - start) / count


def kernel_calls(step, where, products, repeats):
    """Returns [(kernel, shapes of its arrays, seconds)] in the order of the calls, medians over `repeats` steps."""
    runs = []
    for _ in range(repeats):
        cuda.synchronize(where)
        products.fill(0.5)
        with _watched_kernels(kernels_for(products.matrix), where) as calls:
            step()
        runs.append([(name, shapes, cuda.seconds_between(*marks)) for name, shapes, *marks in calls])
    return [(*same[0][:2], median(seconds for _, _, seconds in same)) for same in zip(*runs)]


@contextlib.contextmanager
def _watched_kernels(kernels, where):
    """Yields a list of (name, shapes, mark before, mark after) that grows with each call of a kernel.

    Operations find a kernel by its name in the package `kernels`, so that is where it is wrapped. Kernels that call one
    another import each other's functions from their own files: those calls are not wrapped, and count with the caller.
    """
    calls = []
    functions = {name: getattr(kernels, name) for name in kernels.__all__}

    def watch(name, function):
        def watched(*arguments, **options):
            before = cuda.mark(where)
            result = function(*arguments, **options)
            calls.append((name, _shapes(arguments), before, cuda.mark(where)))
            return result

        return watched

    vars(kernels).update({name: watch(name, function) for name, function in functions.items()})
    try:
        yield calls
    finally:
        vars(kernels).update(functions)


def _shapes(arguments):
    """Returns the shapes of the first two arrays, which tell the size of a convolution."""
    return " ".join(["x".join(map(str, a.shape)) for a in arguments if hasattr(a, "shape")][:2])


def tables(found, calls, longest):
    """Yields the lines of three tables: phases, totals per kernel, and the calls that took longest."""
    yield "| phase | ms | Python, ms |\n| --- | --- | --- |"
    for name, (seconds, python) in found.items():
        yield f"| {name} | {1e3 * seconds:.3f} | {1e3 * python:.3f} |"
    total, by_name = found["all"][0], collections.defaultdict(list)
    for name, _, seconds in calls:
        by_name[name].append(seconds)
    by_name["outside of kernels"] = [total - sum(seconds for *_, seconds in calls)]
    yield "\n| kernel | calls | ms | of the step |\n| --- | --- | --- | --- |"
    for name, times in sorted(by_name.items(), key=lambda item: -sum(item[1])):
        yield f"| {name} | {len(times)} | {1e3 * sum(times):.3f} | {100 * sum(times) / total:.1f}% |"
    yield "\n| call | arrays | ms | of the step |\n| --- | --- | --- | --- |"
    for name, shapes, seconds in sorted(calls, key=lambda call: -call[2])[:longest]:
        yield f"| {name} | {shapes} | {1e3 * seconds:.3f} | {100 * seconds / total:.1f}% |"


def main():
    keep_freed_memory()  # as the training loop does
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu, gpu, or gpu:1 (default: cpu)")
    parser.add_argument("--batch", type=int, default=16, help="images per step (default: 16)")
    parser.add_argument("--size", type=int, default=256, help="height and width (default: 256)")
    parser.add_argument("--repeats", type=int, default=5, help="steps, of which the median is reported (default: 5)")
    parser.add_argument("--longest", type=int, default=40, help="how many calls the last table lists (default: 40)")
    parser.add_argument("--precision", choices=NAMES, default="float32", help="on a GPU (default: float32)")
    parser.add_argument(
        "--registers", action="store_true", help="tensor cores: tiles pass through registers, without cp.async"
    )
    parser.add_argument("--product", type=int, help="side of the matrices multiplied (default: 3000; 8192 on a GPU)")
    options = parser.parse_args()
    tensor.ASYNC = not options.registers

    where = device.resolve_device(options.device)
    with use_precision(resolve_precision(options.precision, where)):
        report(where, options)


def report(where, options):
    step = lecture_step(where, options.batch, options.size)
    for _ in range(3):
        step()
    products = Products(where, options.product)
    print(
        f"{machine.describe()}\n{machine.blas() if where == 'cpu' else cuda.describe_gpu(where)}\n"
        f"batch {options.batch}, {options.size}x{options.size}, {options.precision}; "
        f"a large float32 matrix product reaches {products.gflops:.0f} GFLOP/s"
    )
    seconds = seconds_in_a_row(step, where)
    print(f"a step takes {1e3 * seconds:.2f} ms, {1e3 * seconds / options.batch:.4f} ms per image\n")
    found = phases(step, where, products, options.repeats)
    print("\n".join(tables(found, kernel_calls(step, where, products, options.repeats), options.longest)))


if __name__ == "__main__":
    main()
