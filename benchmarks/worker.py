"""What all workers share: their arguments, and the conversation with compare.py.

A worker is a process that holds one framework with the network and the batch ready. It reads commands from
standard input and answers each with one line of JSON:

    (start)          {"name": "PyTorch 2.13.0", "notes": "..."}
    train SECONDS    {"ms": [of each step], "losses": [of each step], "peak_mb": memory of the process}
    infer SECONDS    {"ms": [of each forward pass], "peak_mb": ...}

SECONDS is how long to go on, one step at least; "train 5x" is 5 steps. It ends when the input does. On a graphics
card BLOCK steps are given out one after the other, as in training, then waited for: their mean is one entry of "ms".
"""

import argparse
import json
import os
import sys
import time

BLOCK = 5


def arguments():
    """--batch, --size, --threads, --device, --channels-last and --no-tf32, as compare.py gives them."""
    parser = argparse.ArgumentParser(description="one framework's part of compare.py")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--channels-last", action="store_true", help="PyTorch only")
    parser.add_argument("--no-tf32", action="store_true", help="PyTorch on a GPU only")
    return parser.parse_args()


def serve(name, train_step, infer, notes="", wait=None, peak_memory=None):
    """Answers commands until the input ends. train_step() gives the loss, as anything that float() takes.

    On a graphics card, wait() returns when all that the steps asked for is done, and peak_memory() gives bytes.
    """
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints does not mix with the answers
    print(json.dumps({"name": name, "notes": notes}), file=replies, flush=True)
    for line in sys.stdin:
        command, amount = line.split()
        milliseconds, results = _repeat({"train": train_step, "infer": infer}[command], amount, wait)
        reply = {"ms": milliseconds, "peak_mb": (peak_memory or _peak_memory)() / 1e6}
        if command == "train":
            reply["losses"] = [float(loss) for loss in results]
        print(json.dumps(reply), file=replies, flush=True)


def _repeat(function, amount, wait):
    """Times of each call, or block of calls, and the results: "5x" is 5 calls, "5" is calls for 5 seconds."""
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
    """The most memory that this process has held, in bytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
