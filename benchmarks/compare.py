"""minunet beside its peers: the lecture's U-Net with the same weights and batch, one process per framework.

    python benchmarks/compare.py --torch /path/to/python --keras /path/to/python --dezero /path/to/python
    python benchmarks/compare.py --device gpu --batch 64 16

A peer is measured if its interpreter is given, by its option or by MINUNET_BENCH_TORCH, MINUNET_BENCH_KERAS or
MINUNET_BENCH_DEZERO; on a GPU, PyTorch is also measured if this interpreter has it. All processes stay alive and take
turns, A B C A B C …, so that a machine that slows down or speeds up does so for all of them. Prints a table in Markdown
for each batch size.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import machine
from tqdm import tqdm

HERE = Path(__file__).parent
PEERS = {  # framework: (worker, the option that has its interpreter, further arguments)
    "minunet": ("worker_minunet.py", "minunet", ()),
    "PyTorch channels-last": ("worker_torch.py", "torch", ("--channels-last",)),
    "PyTorch default": ("worker_torch.py", "torch", ()),
    "Keras": ("worker_keras.py", "keras", ()),
    "DeZero": ("worker_dezero.py", "dezero", ()),
}
GPU_PEERS = {  # PyTorch with cuDNN, which multiplies float32 in TF32 unless told otherwise
    "minunet": ("worker_minunet.py", "minunet", ()),
    "PyTorch channels-last, TF32": ("worker_torch.py", "torch", ("--channels-last",)),
    "PyTorch channels-last": ("worker_torch.py", "torch", ("--channels-last", "--no-tf32")),
    "PyTorch default, TF32": ("worker_torch.py", "torch", ()),
    "PyTorch default": ("worker_torch.py", "torch", ("--no-tf32",)),
}
REST = 0.5  # seconds between turns on the CPU: the last worker's threads may still be spinning


class Peer:
    """A worker process (worker.py defines the protocol) and what it has answered so far."""

    def __init__(self, python, script, further, batch, options):
        self.batch, self.gpu = batch, options.device != "cpu"
        arguments = ["--batch", batch, "--size", options.size, "--threads", options.threads, "--device", options.device]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [python, HERE / script, *map(str, arguments), *further],
            text=True,
            env=_environment(options.threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        self.milliseconds = {"train": [], "infer": []}
        self.losses, self.peak_mb = [], 0

    def warm_up(self, steps):
        """Runs the first `steps` steps, untimed; their losses prove that all frameworks do the same work."""
        hello = self._answer()
        self.name, self.notes = hello["name"], hello["notes"]
        self.losses = self._ask(f"train {steps}x")["losses"]
        for command in ("train", "infer"):
            self._ask(f"{command} 0.5" if self.gpu else f"{command} 1x")  # long enough for a GPU to raise its clock

    def turn(self, command, seconds):
        time.sleep(0 if self.gpu else REST)
        self.milliseconds[command].append(self._ask(f"{command} {seconds}")["ms"])

    def per_image(self, command):
        """Returns (median over all steps, lowest and highest median of a round), in ms per image."""
        rounds = self.milliseconds[command]
        medians = [median(times) / self.batch for times in rounds]
        return median(t / self.batch for times in rounds for t in times), min(medians), max(medians)

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def _ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        self.peak_mb = answer["peak_mb"]
        return answer

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise RuntimeError("".join(self.errors.readlines()[-3:]).strip() or "the process ended without a message")
        return json.loads(line)


def _environment(threads):
    """Returns this process's environment, with every library limited to the same number of threads."""
    names = "MINUNET_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
    return os.environ | {name: str(threads) for name in names}


def start(batch, options):
    """Returns {framework: Peer} for those whose interpreter is known and that start; says which are skipped."""
    started, ready = {}, {}
    for framework, (script, option, further) in (PEERS if options.device == "cpu" else GPU_PEERS).items():
        python = getattr(options, option)
        try:
            if not python:
                raise OSError(f"give its Python interpreter with --{option}")
            started[framework] = Peer(python, script, further, batch, options)
        except OSError as error:
            print(f"{framework}: skipped, {error}", file=sys.stderr)
    for framework, peer in started.items():
        try:
            peer.warm_up(options.warmup)
            ready[framework] = peer
        except (RuntimeError, OSError) as error:
            print(f"{framework}: skipped, {error}", file=sys.stderr)
    return ready


def measure(peers, options):
    """Runs the rounds; in each, every peer has one turn at training and one at inference."""
    one_round = [(command, peer) for command in ("train", "infer") for peer in peers.values()]
    for command, peer in tqdm(options.rounds * one_round, desc="turns", disable=None):
        peer.turn(command, options.seconds)


def table(peers, options):
    """Yields the lines of the table: medians in ms per image, with the lowest and highest of a round in brackets."""
    memory, digits = ("peak memory", 1) if options.device == "cpu" else ("memory kept on the GPU", 4)
    yield (
        "| framework | training, ms per image | minunet takes | inference, ms per image | minunet takes "
        f"| {memory}, MB | loss at step {options.warmup} |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    ours = peers["minunet"]
    for peer in peers.values():
        cells = [peer.name]
        for command in ("train", "infer"):
            middle, low, high = (f"{ms:.{digits}f}" for ms in peer.per_image(command))
            ratio = ours.per_image(command)[0] / peer.per_image(command)[0]
            cells += [f"{middle} ({low} to {high})", "" if peer is ours else f"{ratio:.2f}×"]
        yield "| " + " | ".join([*cells, f"{peer.peak_mb:.0f}", f"{peer.losses[-1]:.6f}"]) + " |"


def report(peers, batch, options):
    """Prints the machine, the settings, the table, and a warning for each peer whose loss differs."""
    print(f"\n{machine.describe()}")
    print(
        f"{options.size}x{options.size}, batch {batch}, {options.device}, {options.threads} threads, float32; "
        "a training step is forward, binary cross entropy, backward, RMSprop"
    )
    for peer in peers.values():
        print(f"- {peer.name}: {peer.notes}")
    print("\n" + "\n".join(table(peers, options)) + "\n")
    expected = peers["minunet"].losses[-1]
    for peer in peers.values():
        if abs(peer.losses[-1] / expected - 1) > 1e-3:
            print(f"{peer.name} did NOT do the same work: its losses are {peer.losses}")


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
        default=[16],
        metavar="N",
        help="images per step; one table for each number (default: 16)",
    )
    parser.add_argument("--size", type=int, default=256, help="height and width (default: 256)")
    cores = len(machine.cores())
    parser.add_argument("--threads", type=int, default=cores, help=f"default: all available cores, {cores}")
    parser.add_argument("--rounds", type=int, default=5, help="turns per framework (default: 5)")
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="length of a turn, at least one step (default: 5; 0.3 on a GPU)"
    )
    parser.add_argument(
        "--warmup", type=int, default=5, help="untimed first steps, whose losses are compared (default: 5)"
    )
    options = parser.parse_args()
    if options.device != "cpu" and not options.torch and importlib.util.find_spec("torch"):
        options.torch = sys.executable
    if options.seconds is None:
        options.seconds = 5 if options.device == "cpu" else 0.3
    return options


def main():
    options = parse()
    if options.device == "cpu" and hasattr(os, "sched_setaffinity"):
        # a framework that ignores the number of threads gets no more cores either
        os.sched_setaffinity(0, machine.cores()[: options.threads])
    if machine.slowed():
        print(machine.slowed(), file=sys.stderr)
    for batch in options.batch:
        peers = start(batch, options)
        if "minunet" not in peers:
            return 1
        measure(peers, options)
        report(peers, batch, options)
        for peer in peers.values():
            peer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
