"""minunet beside its peers: the lecture's U-Net with the same weights and images, one process per framework.

    python benchmarks/compare.py --torch /path/to/python --keras /path/to/python
    python benchmarks/compare.py --device gpu --batch 64 16

A peer is measured if its interpreter is given, by its option or by MINUNET_BENCH_TORCH, MINUNET_BENCH_KERAS or
MINUNET_BENCH_DEZERO; on a GPU, PyTorch is also measured if this interpreter has it. All processes stay alive and take
turns, A B C A B C …, so that a machine that slows down or speeds up does so for all of them.

Prints Markdown, ready for README.md: the machine, a table for each batch size, and on the CPU one for `predict` of
single images. On the CPU minunet is measured under two kernels of its BLAS: the one that OpenBLAS chooses for this
processor, and the one for Haswell, which is what processors with AVX2 and without AVX-512 get.
"""

import argparse
import datetime
import importlib.util
import os
import sys

import machine
from gpu_modes import GPU_PEERS, GPU_USUAL, precision_of
from peers import PEERS, start
from tqdm import tqdm

USUAL = "minunet", "PyTorch channels-last", "Keras"


def measure(peers, commands, options):
    """Runs the rounds; in each, every peer has one turn at each command."""
    one_round = [(command, peer) for command in commands for peer in peers.values()]
    for command, peer in tqdm(options.rounds * one_round, desc="turns", disable=None):
        peer.turn(command, options.seconds)


def table(peers, columns, images, options, last):
    """Yields the lines of a table: medians in ms per image, with the lowest and highest of a turn in brackets.

    columns: {command: its heading}; last: (heading, function from a Peer to its cell), for the last column.
    A peer's time is compared with those of minunet in the same precision.
    """
    digits, memory = (1, "peak memory") if options.device == "cpu" else (4, "memory kept on the GPU")
    ours = {framework: peer for framework, peer in peers.items() if framework.startswith("minunet")}
    headings = ["framework"]
    for heading in columns.values():
        headings += [heading, "minunet takes"]
    headings += [f"{memory}, MB", last[0]]
    yield "| " + " | ".join(headings) + " |"
    yield "|" + len(headings) * " --- |"
    for framework, peer in peers.items():
        kernels = framework in ours and len(ours) > 1 and options.device == "cpu"
        cells = [f"{peer.name}, {kernel(framework, peer)}" if kernels else peer.name]
        for command in columns:
            middle, low, high = peer.times(command, images)
            alike = [mine for name, mine in ours.items() if precision_of(name) == precision_of(framework)]
            ratios = [f"{mine.times(command, images)[0] / middle:.2f}×" for mine in alike]
            cells += [f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"]
            cells += ["" if framework in ours else ", ".join(ratios)]
        yield "| " + " | ".join([*cells, f"{peer.peak_mb:.0f}", last[1](peer)]) + " |"


def kernel(framework, peer):
    """Returns the kernel that NumPy's BLAS used, in words."""
    used = peer.notes.split("kernel ")[-1].split(",")[0]
    return f"{used} kernel" + (" (OpenBLAS' choice)" if framework == "minunet" else "")


def training_and_inference(batch, options):
    """Measures and prints one table. Returns whether minunet could be started."""
    peers = start(batch, options, options.warmup, ("train", "infer"))
    if "minunet" not in peers:
        return False
    measure(peers, ("train", "infer"), options)
    print(
        f"\n{options.size}x{options.size}, batch {batch}; training is forward, binary cross entropy, backward, RMSprop:"
    )
    columns = {"train": "training, ms per image", "infer": "inference, ms per image"}
    last = f"loss at step {options.warmup}", lambda peer: f"{peer.losses[-1]:.6f}"
    finish(peers, table(peers, columns, batch, options, last), lambda peer: peer.losses[-1])
    return True


def single_images(options):
    """Measures and prints the table for `predict` of one image of each size."""
    columns = {f"predict{size}": f"predict {size}x{size}, ms" for size in options.predict}
    peers = start(1, options, 0, columns)
    measure(peers, columns, options)
    sizes = " and ".join(f"{size}x{size}" for size in options.predict)
    print(f"\nOne image of {sizes}, with fresh weights:")
    command = next(iter(columns))
    last = "mean probability", lambda peer: f"{peer.means[command]:.6f}"
    finish(peers, table(peers, columns, 1, options, last), lambda peer: peer.means[command])


def finish(peers, lines, proof):
    """Prints the table, and a warning for each peer whose proof(peer), a number, differs; ends the processes."""
    print("\n" + "\n".join(lines) + "\n")
    for peer in peers.values():
        if abs(proof(peer) / proof(peers["minunet"]) - 1) > (1e-2 if "f16" in peer.name else 1e-3):
            print(f"{peer.name} did NOT do the same work: {proof(peer)} instead of {proof(peers['minunet'])}\n")
        print(f"- {peer.name}: {peer.notes}")
        peer.close()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--minunet", metavar="PYTHON", default=sys.executable, help="interpreter for minunet (default: this one)"
    )
    for name in ("torch", "keras", "dezero"):
        default = os.environ.get(f"MINUNET_BENCH_{name.upper()}")
        parser.add_argument(f"--{name}", metavar="PYTHON", default=default, help=f"interpreter that has {name}")
    parser.add_argument("--device", default="cpu", help="cpu, gpu, or gpu:1 for the second GPU (default: cpu)")
    parser.add_argument(
        "--batch",
        type=int,
        nargs="+",
        metavar="N",
        help="images per step; one table for each number (default: 16 4 1; 64 on a GPU)",
    )
    parser.add_argument(
        "--predict",
        type=int,
        nargs="*",
        default=[256, 2048],
        metavar="SIZE",
        help="sizes of the single images to predict, on the CPU (default: 256 2048; nothing: leave it out)",
    )
    parser.add_argument(
        "--blas",
        nargs="+",
        default=["default", "Haswell"],
        metavar="KERNEL",
        help="kernels of OpenBLAS to run minunet under; default: what it chooses itself (default: default Haswell)",
    )
    parser.add_argument(
        "--frameworks",
        nargs="+",
        choices=sorted({*PEERS, *GPU_PEERS}),
        metavar="NAME",
        help=f"of {', '.join(PEERS)} (default: {', '.join(USUAL)}; on a GPU all)",
    )
    parser.add_argument("--size", type=int, default=256, help="height and width (default: 256)")
    cores = len(machine.cores())
    parser.add_argument("--threads", type=int, default=cores, help=f"default: all available cores, {cores}")
    parser.add_argument("--rounds", type=int, default=3, help="turns per framework (default: 3)")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="length of a turn, at least one step (default: 1.5; 0.3 on a GPU)"
    )
    parser.add_argument(
        "--warmup", type=int, default=3, help="untimed first steps, whose losses are compared (default: 3)"
    )
    options = parser.parse_args()
    if options.device != "cpu" and not options.torch and importlib.util.find_spec("torch"):
        options.torch = sys.executable
    on_cpu = options.device == "cpu"
    options.batch = options.batch or ([16, 4, 1] if on_cpu else [64])
    options.frameworks = {"minunet", *(options.frameworks or (USUAL if on_cpu else GPU_USUAL))}
    if options.blas[0] != "default":
        parser.error("--blas begins with default: what the others are compared with")
    if options.seconds is None:
        options.seconds = 1.5 if on_cpu else 0.3
    return options


def main():
    options = parse()
    if options.device == "cpu" and hasattr(os, "sched_setaffinity"):
        # a framework that ignores the number of threads gets no more cores either
        os.sched_setaffinity(0, machine.cores()[: options.threads])
    print(f"\n### {datetime.date.today()}: {machine.processor()}\n\n{machine.describe()}.")
    precision = ", float32" if options.device == "cpu" else ""
    print(
        f"{options.threads} threads{precision}, {options.device}. Medians, the lowest and the highest turn in brackets."
    )
    disturbance = machine.Disturbance()
    for batch in options.batch:
        if not training_and_inference(batch, options):
            return 1
    if options.predict and options.device == "cpu":
        single_images(options)
    print("\n" + disturbance.describe())
    return 0


if __name__ == "__main__":
    sys.exit(main())
