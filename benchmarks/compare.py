"""minunet beside its peers: the lecture's U-Net, the same weights and batch, a process for each framework.

    python benchmarks/compare.py --torch /path/to/python --keras /path/to/python --dezero /path/to/python

A peer is measured if its interpreter is given, by the option or by MINUNET_BENCH_TORCH, MINUNET_BENCH_KERAS,
MINUNET_BENCH_DEZERO. All processes stay alive and take turns, A B C A B C …, so that a machine that gets
slower or faster in between does so for all of them. Prints a table in Markdown.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tqdm import tqdm

import machine

HERE = Path(__file__).parent
PEERS = {                           # column "framework": (worker, its option, further arguments)
    "minunet": ("worker_minunet.py", "minunet", ()),
    "PyTorch channels-last": ("worker_torch.py", "torch", ("--channels-last",)),
    "PyTorch default": ("worker_torch.py", "torch", ()),
    "Keras": ("worker_keras.py", "keras", ()),
    "DeZero": ("worker_dezero.py", "dezero", ()),
}
REST = 0.5                          # seconds between turns: threads of the last one may still spin


class Peer:
    """A worker process (worker.py has the conversation) and what it has answered so far."""

    def __init__(self, python, script, further, options):
        arguments = ["--batch", options.batch, "--size", options.size, "--threads", options.threads]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([python, HERE / script, *map(str, arguments), *further], text=True,
                                        env=_environment(options.threads), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors)
        hello = self._answer()
        self.name, self.notes = hello["name"], hello["notes"]
        self.milliseconds = {"train": [], "infer": []}
        self.losses, self.peak_mb = [], 0

    def warm_up(self, steps):
        """The first `steps` steps, not timed; their losses are the proof that all did the same."""
        self.losses = self._ask(f"train {steps}x")["losses"]
        self._ask("infer 1x")

    def turn(self, command, seconds):
        time.sleep(REST)
        self.milliseconds[command].append(self._ask(f"{command} {seconds}")["ms"])

    def per_image(self, command, batch):
        """(median of all, lowest and highest median of a round), in ms per image."""
        rounds = self.milliseconds[command]
        medians = [median(times) / batch for times in rounds]
        return median(t / batch for times in rounds for t in times), min(medians), max(medians)

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
            raise RuntimeError("".join(self.errors.readlines()[-3:]).strip() or "it ended without a word")
        return json.loads(line)


def _environment(threads):
    """This process' environment, with every library held to the same number of threads."""
    names = "MINUNET_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
    return os.environ | {name: str(threads) for name in names}


def start(options):
    """{framework: Peer} of those whose interpreter is known and that start; says which are left out."""
    peers = {}
    for framework, (script, option, further) in PEERS.items():
        python = getattr(options, option)
        if not python:
            print(f"{framework}: left out, --{option} gives its Python interpreter", file=sys.stderr)
            continue
        try:
            peers[framework] = Peer(python, script, further, options)
            peers[framework].warm_up(options.warmup)
        except (RuntimeError, OSError) as error:
            peers.pop(framework, None)
            print(f"{framework}: left out, {error}", file=sys.stderr)
    return peers


def measure(peers, options):
    """Rounds of turns, training and inference."""
    one_round = [(command, peer) for command in ("train", "infer") for peer in peers.values()]
    for command, peer in tqdm(options.rounds * one_round, desc="turns", disable=None):
        peer.turn(command, options.seconds)


def table(peers, options):
    """The lines of the table: medians in ms per image, in brackets the lowest and highest of a round."""
    yield ("| framework | training, ms per image | minunet takes | inference, ms per image | minunet takes "
           f"| peak memory, MB | loss at step {options.warmup} |")
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    ours = peers["minunet"]
    for peer in peers.values():
        cells = [peer.name]
        for command in ("train", "infer"):
            middle, low, high = peer.per_image(command, options.batch)
            ratio = ours.per_image(command, options.batch)[0] / middle
            cells += [f"{middle:.1f} ({low:.1f} to {high:.1f})", "" if peer is ours else f"{ratio:.2f} of it"]
        yield "| " + " | ".join([*cells, f"{peer.peak_mb:.0f}", f"{peer.losses[-1]:.6f}"]) + " |"


def report(peers, options):
    """Prints the machine, the settings, the table, and a warning where losses differ."""
    print(f"\n{machine.describe()}")
    print(f"{options.size}x{options.size}, batch {options.batch}, {options.threads} threads, float32; "
          "a training step is forward, binary cross entropy, backward, RMSprop")
    for peer in peers.values():
        print(f"- {peer.name}: {peer.notes}")
    print("\n" + "\n".join(table(peers, options)) + "\n")
    expected = peers["minunet"].losses[-1]
    for peer in peers.values():
        if abs(peer.losses[-1] / expected - 1) > 1e-3:
            print(f"{peer.name} did NOT do the same work: its losses are {peer.losses}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minunet", metavar="PYTHON", default=sys.executable,
                        help="interpreter for minunet (default: this one)")
    for name in ("torch", "keras", "dezero"):
        default = os.environ.get(f"MINUNET_BENCH_{name.upper()}")
        parser.add_argument(f"--{name}", metavar="PYTHON", default=default, help=f"one that has {name}")
    parser.add_argument("--batch", type=int, default=16, help="pictures per step (default: 16)")
    parser.add_argument("--size", type=int, default=256, help="height and width (default: 256)")
    cores = len(machine.cores())
    parser.add_argument("--threads", type=int, default=cores, help=f"default: the cores there are, {cores}")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each framework (default: 5)")
    parser.add_argument("--seconds", type=float, default=5, help="of a turn, one step at least (default: 5)")
    parser.add_argument("--warmup", type=int, default=5, help="first steps, losses compared (default: 5)")
    return parser.parse_args()


def main():
    options = parse()
    if hasattr(os, "sched_setaffinity"):    # who ignores the number of threads has no more cores either
        os.sched_setaffinity(0, machine.cores()[:options.threads])
    if machine.slowed():
        print(machine.slowed(), file=sys.stderr)
    peers = start(options)
    if "minunet" not in peers:
        return 1
    measure(peers, options)
    report(peers, options)
    for peer in peers.values():
        peer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
