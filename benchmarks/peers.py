"""The frameworks that compare.py measures, each in a process of its own (worker.py has the protocol)."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from gpu_modes import GPU_PEERS

HERE = Path(__file__).parent
PEERS = {  # framework: (worker, the option that has its interpreter, further arguments)
    "minunet": ("worker_minunet.py", "minunet", ()),
    "PyTorch channels-last": ("worker_torch.py", "torch", ("--channels-last",)),
    "PyTorch default": ("worker_torch.py", "torch", ()),
    "Keras": ("worker_keras.py", "keras", ()),
    "DeZero": ("worker_dezero.py", "dezero", ()),
}
REST = 0.5  # seconds between turns on the CPU: the last worker's threads may still be spinning


class Peer:
    """A worker process and what it has answered so far."""

    def __init__(self, python, script, further, batch, options, blas_kernel=None):
        self.gpu = options.device != "cpu"
        arguments = ["--batch", batch, "--size", options.size, "--threads", options.threads, "--device", options.device]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [python, HERE / script, *map(str, arguments), *further],
            text=True,
            env=_environment(options.threads, blas_kernel),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        self.milliseconds = {}  # command: a list of times for each turn
        self.losses, self.means, self.peak_mb = [], {}, 0

    def greet(self):
        """Waits until the framework is ready."""
        hello = self._answer()
        self.name, self.notes = hello["name"], hello["notes"]

    def warm_up(self, steps, commands):
        """Runs untimed: first `steps` training steps, whose losses prove that all frameworks do the same work."""
        if steps:
            self.losses = self._ask(f"train {steps}x")["losses"]
        for command in commands:
            # long enough for a GPU to raise its clock
            answer = self._ask(f"{command} 0.5" if self.gpu else f"{command} 1x")
            self.means[command] = answer.get("mean")

    def turn(self, command, seconds):
        time.sleep(0 if self.gpu else REST)
        self.milliseconds.setdefault(command, []).append(self._ask(f"{command} {seconds}")["ms"])

    def times(self, command, images=1):
        """Returns (median over all steps, lowest and highest median of a turn), in ms per image."""
        turns = self.milliseconds[command]
        medians = [median(times) / images for times in turns]
        return median(t / images for times in turns for t in times), min(medians), max(medians)

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


def _environment(threads, blas_kernel):
    """Returns this process's environment, with every library limited to the same number of threads.

    blas_kernel: the kernel that OpenBLAS is to use; None: the one that it chooses for the processor.
    """
    names = "MINUNET_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"
    environment = os.environ | {name: str(threads) for name in names}
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        environment.pop(name, None)
    return environment | ({"OPENBLAS_CORETYPE": blas_kernel} if blas_kernel else {})


def start(batch, options, steps, commands):
    """Returns {framework: Peer} for those whose interpreter is known and that start; says which are skipped.

    minunet is there once for each kernel of its BLAS that options.blas asks for and this processor has.
    """
    started, ready = {}, {}
    for framework, (script, option, further) in (PEERS if options.device == "cpu" else GPU_PEERS).items():
        if framework not in options.frameworks:
            continue
        python = getattr(options, option)
        kernels = options.blas if framework == "minunet" and options.device == "cpu" else ["default"]
        try:
            if not python:
                raise OSError(f"give its Python interpreter with --{option}")
            for kernel in kernels:
                name = framework if kernel == "default" else f"{framework} {kernel}"
                chosen = None if kernel == "default" else kernel
                started[name] = Peer(python, script, further, batch, options, chosen)
        except OSError as error:
            print(f"{framework}: skipped, {error}", file=sys.stderr)
    for framework, peer in started.items():
        try:
            peer.greet()
            if peer.notes in [other.notes for other in ready.values() if other.name == peer.name]:
                peer.close()  # the same kernel once more
                continue
            peer.warm_up(steps, commands)
            ready[framework] = peer
        except (RuntimeError, OSError) as error:
            print(f"{framework}: skipped, {error}", file=sys.stderr)
    return ready
