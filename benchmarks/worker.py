"""What all workers share: their arguments, and the protocol between them and compare.py.

A worker is a process that holds one framework, with the network and the batch ready. It reads commands from standard
input and answers each with one line of JSON:

    (start)          {"name": "PyTorch 2.13.0", "notes": "..."}
    train SECONDS    {"ms": [of each step], "losses": [of each step], "peak_mb": memory of the process}
    infer SECONDS    {"ms": [of each forward pass], "peak_mb": ...}
    predict2048 SECONDS    {"ms": [of each image of 2048x2048], "mean": of its probabilities, "peak_mb": ...}

SECONDS is how long to keep going, for at least one step; "train 5x" asks for 5 steps. The worker exits when its input
ends. On a GPU, BLOCK steps are queued one after another, as in training, before it waits for them: their mean is one
entry of "ms".
"""

import argparse
import json
import os
import sys
import time

from gpu_modes import HOW, PRECISIONS

BLOCK = 5


def arguments():
    """Parses --batch, --size, --threads, --device and, see gpu_modes.py, --channels-last, --precision and --how."""
    parser = argparse.ArgumentParser(description="one framework's side of compare.py")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--channels-last", action="store_true", help="PyTorch only")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="on a GPU only")
    parser.add_argument("--how", choices=HOW, default="eager", help="on a GPU only")
    return parser.parse_args()


def serve(name, train_step, infer, notes="", wait=None, peak_memory=None, predictor=None):
    """Answers commands until the input ends. train_step() returns the loss, as anything that float() takes.

    predictor(size) returns a function that predicts one image of size x size, and returns an array with a mean().

    On a GPU, wait() returns once all queued work is done, and peak_memory() returns bytes.
    """
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # so that what a framework prints does not get mixed up with the answers
    print(json.dumps({"name": name, "notes": notes}), file=replies, flush=True)
    functions = {"train": train_step, "infer": infer}
    for line in sys.stdin:
        command, amount = line.split()
        if command.startswith("predict") and command not in functions:
            functions[command] = predictor(int(command.removeprefix("predict")))
        milliseconds, results = _repeat(functions[command], amount, wait)
        reply = {"ms": milliseconds, "peak_mb": (peak_memory or _peak_memory)() / 1e6}
        if command == "train":
            reply["losses"] = [float(loss) for loss in results]
        elif command != "infer":
            reply["mean"] = float(results[0].mean())
        print(json.dumps(reply), file=replies, flush=True)


def _repeat(function, amount, wait):
    """Returns the times of each call, or block of calls, and the results. "5x": 5 calls; "5": calls for 5 seconds."""
    milliseconds, results, end = [], [], time.perf_counter()
    count = int(amount[:-1]) if amount.endswith("x") else None
    stop = end + float("inf" if count else amount)
    while len(results) != count and (count or not results or end < stop):
        block = min(BLOCK if wait else 1, count - len(results) if count else BLOCK)
        start = time.perf_counter()
        results += [function() for _ in range(block)]
        if wait:
            wait()
        end = time.perf_counter()
        milliseconds.append(1000 * (end - start) / block)
    return milliseconds, results


def _peak_memory():
    """Returns the most memory that this process has ever held, in bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
