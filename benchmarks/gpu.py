"""All that is to be measured on a GPU, in twelve minutes: checks, times, and a report, in all precisions.

    python benchmarks/gpu.py --out report.md [--minutes 12] [--torch /path/to/python]

Each part is a process with a limit of its own, the most important ones first; what no longer fits is left out.
The report is written after each part: nothing is lost if the machine goes away. Needs CuPy and pytest; PyTorch
is measured if this interpreter has it or --torch names one that has.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import machine

sys.path.insert(0, str(Path(__file__).parents[1]))
from minunet.precision import NAMES

HERE = Path(__file__).parent
TESTS = (
    "tests/test_cublas.py",
    "tests/test_cuda_graph.py",
    "tests/training/test_graph.py",
    "tests/training/test_gpu_step.py",
    "tests/kernels/test_tensor.py",
    "tests/kernels/test_half.py",
    "tests/kernels/test_kernels.py",
)


def parts(options):
    """Yields (title, command, seconds that it may take)."""
    python = [sys.executable]
    torch = ["--torch", options.torch] if options.torch else []
    compare = [*python, HERE / "compare.py", "--device", "gpu", "--rounds", "3", *torch]
    yield "Is everything right?", [*python, "-m", "pytest", "-q", "-n0", *TESTS, "-k", "gpu"], 150
    for name in NAMES:  # one that this GPU does not have ends with a message
        graph = [*python, HERE / "graph.py", "--device", "gpu", "--batch", "8", "64", "--precision", name]
        copies = [] if name == "float32" else ["--copies", "cp.async", "registers"]
        yield f"a step in {name}, with and without a graph", [*graph, *copies], 60
    for name in NAMES:
        yield f"selftest in {name}", [*python, "-m", "minunet", "selftest", "--device", "gpu", "--precision", name], 60
    yield "beside PyTorch, batch 64", [*compare, "--batch", "64"], 150
    yield "beside PyTorch, batch 8", [*compare, "--batch", "8"], 100
    step = [*python, HERE / "step.py", "--device", "gpu", "--batch", "64", "--precision"]
    for name in ("tf32", "mixed"):
        yield f"by kernel, {name}", [*step, name], 40
        yield f"by kernel, {name}, without cp.async", [*step, name, "--registers"], 40
    compiled = [f"PyTorch channels-last, {precision}, compiled" for precision in ("TF32", "bf16")]
    yield "beside compiled PyTorch, batch 64", [*compare, "--batch", "64", "--frameworks", *compiled], 150
    yield "beside PyTorch, batches 16 and 128", [*compare, "--batch", "16", "128"], 180
    yield "by kernel, float32", [*step, "float32"], 40


def run(command, seconds):
    """Returns what the command printed, and how it ended."""
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=HERE.parent,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
        )
        return done.stdout.strip(), f"exit code {done.returncode}"
    except subprocess.TimeoutExpired as error:
        printed = error.stdout or b""
        return (printed if isinstance(printed, str) else printed.decode(errors="replace")).strip(), "stopped: no time"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.md"), help="the report (default: gpu.md)")
    parser.add_argument("--minutes", type=float, default=12, help="for all parts together (default: 12)")
    parser.add_argument("--torch", metavar="PYTHON", help="interpreter that has PyTorch (default: this one)")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    lines = [f"# {time.strftime('%Y-%m-%d')}", "", machine.describe()]
    for title, command, limit in parts(options):
        left = end - time.monotonic()
        if left < 15:
            printed, ending = "", "left out: no time"
        else:
            start = time.monotonic()
            printed, ending = run(command, min(limit, left))
            ending += f" after {time.monotonic() - start:.0f} s"
        lines += ["", f"## {title}", "", ending, "", *([printed] if "|" in printed else ["```", printed, "```"])]
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{title}: {ending}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
