"""What all workers share: their arguments, and the conversation with compare.py.

A worker is a process that holds one framework with the network and the batch ready. It reads commands from
standard input and answers each with one line of JSON:

    (start)          {"name": "PyTorch 2.13.0", "notes": "..."}
    train SECONDS    {"ms": [of each step], "losses": [of each step], "peak_mb": memory of the process}
    infer SECONDS    {"ms": [of each forward pass], "peak_mb": ...}

SECONDS is how long to go on, one step at least; "train 5x" is 5 steps. It ends when the input does.
"""
import argparse
import json
import os
import sys
import time


def arguments():
    """--batch, --size, --threads and --channels-last, as compare.py gives them."""
    parser = argparse.ArgumentParser(description="one framework's part of compare.py")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--channels-last", action="store_true", help="PyTorch only")
    return parser.parse_args()


def serve(name, train_step, infer, notes=""):
    """Answers commands until the input ends. train_step() gives the loss; both return when all is done."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)                                   # what a framework prints does not mix with the answers
    print(json.dumps({"name": name, "notes": notes}), file=replies, flush=True)
    for line in sys.stdin:
        command, amount = line.split()
        milliseconds, results = _repeat({"train": train_step, "infer": infer}[command], amount)
        reply = {"ms": milliseconds, "peak_mb": _peak_memory()}
        if command == "train":
            reply["losses"] = results
        print(json.dumps(reply), file=replies, flush=True)


def _repeat(function, amount):
    """Times of each call and their results: "5x" is 5 calls, "5" is calls for 5 seconds."""
    milliseconds, results, end = [], [], time.perf_counter()
    count = int(amount[:-1]) if amount.endswith("x") else None
    stop = end + float("inf" if count else amount)
    while len(results) != count and (count or not results or end < stop):
        start = time.perf_counter()
        results.append(function())
        end = time.perf_counter()
        milliseconds.append(1000 * (end - start))
    return milliseconds, results


def _peak_memory():
    """The most memory that this process has held, in MB (1e6 bytes)."""
    import resource
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
