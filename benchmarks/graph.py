"""A training step of the lecture's U-Net on a GPU, asked for operation by operation, and as one recorded CUDA graph.

    python benchmarks/graph.py [--device gpu] [--batch 1 8 16 64] [--size 256] [--precision float32 tf32 mixed]
        [--copies cp.async registers]

For each batch size and precision: how long a step takes, and how long Python needs to ask for it (seconds of the CPU);
where the second is larger, the GPU waits. A step goes from bytes on the GPU to the scores. With both --copies, each way
in which the kernels of tensor cores bring tiles of an image into shared memory (kernels/cuda/copies.cu) is measured.
"""

import argparse
import contextlib
import itertools
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))
from minunet.checks.speed import lecture_step
from minunet.cuda import describe_gpu, release_memory, synchronize
from minunet.cuda_graph import RecordedStep
from minunet.device import resolve_device
from minunet.kernels.gpu import tensor
from minunet.precision import NAMES, resolve_precision, use_precision


def measure(device, batch, size, graph, steps):
    """Returns (milliseconds per step, milliseconds to ask for one)."""
    one_by_one = lecture_step(device, batch, size)
    recorded = RecordedStep(lambda: one_by_one() or (), device)
    step = recorded if graph else one_by_one
    with recorded.in_its_stream() if graph else contextlib.nullcontext():
        for _ in range(4):
            step()
        asked = []
        for _ in range(steps):
            synchronize(device)
            start = time.process_time()
            step()
            asked.append(time.process_time() - start)
        synchronize(device)
        start = time.perf_counter()
        for _ in range(steps):
            step()
        synchronize(device)
        taken = (time.perf_counter() - start) / steps
    return 1000 * taken, 1000 * median(asked)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="gpu", help="gpu, or gpu:1 for the second GPU (default: gpu)")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 16, 64], help="images per step")
    parser.add_argument(
        "--precision", nargs="+", choices=NAMES, default=["float32"], help="one or several (default: float32)"
    )
    parser.add_argument("--size", type=int, default=256, help="height and width (default: 256)")
    parser.add_argument(
        "--copies", nargs="+", choices=["cp.async", "registers"], default=["cp.async"], help="one or both of them"
    )
    parser.add_argument("--steps", type=int, default=20, help="steps to measure (default: 20)")
    options = parser.parse_args()
    device = resolve_device(options.device)
    for precision in options.precision:
        try:
            resolve_precision(precision, device)
        except ValueError as error:
            parser.error(str(error))
    print(f"{describe_gpu(device)}; {options.size}x{options.size}\n")
    print(
        "| batch | precision | copies | operation by operation, ms per step | to ask for it, ms of CPU "
        "| graph, ms per step | to ask, ms |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for batch, precision, copies in itertools.product(options.batch, options.precision, options.copies):
        cells, tensor.ASYNC = [str(batch), precision, copies], copies == "cp.async"
        for graph in (False, True):
            with use_precision(precision):
                cells += [f"{ms:.3f}" for ms in measure(device, batch, options.size, graph, options.steps)]
            release_memory(device)
        print("| " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
