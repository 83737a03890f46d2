"""Where the time goes: each layer of the lecture's U-Net on its own, against a large matrix product.

    python benchmarks/layers.py

Prints a table in Markdown: per layer the arithmetic of its forward pass, and times and GFLOP/s both ways.
Backward is twice the arithmetic, for the gradients of weights and input; the first layer's input needs none.
"""
import argparse
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
from tqdm import tqdm

import lecture
import machine

sys.path.insert(0, str(Path(__file__).parents[1]))
import minunet  # noqa: E402
from minunet import Tensor, nn  # noqa: E402
from minunet.kernels.memory import keep_freed_memory  # noqa: E402


def peak(size=3000, repeats=5):
    """GFLOP/s of the best of `repeats` float32 products of two size x size matrices, all BLAS threads."""
    a, b = (np.random.default_rng(i).random((size, size), np.float32) for i in range(2))
    out = np.empty_like(a)
    return 2 * size**3 / min(_timed(lambda: np.matmul(a, b, out=out)) for _ in range(repeats)) / 1e9


class Stopwatch:
    """Runs each layer of lecture.forward a few times, forward and backward, and notes a row of the table."""

    def __init__(self, repeats):
        self.rows, self.repeats = [], repeats
        self.shapes = dict(lecture.unet_kernels())
        self.bar = tqdm(total=len(self.shapes) + 12, desc="layers", disable=None)

    def conv(self, x, name):
        kh, kw, channels, filters = self.shapes[name]
        activation = None if name == "Conv_Out" else "relu"
        layer = nn.Conv2D(channels, filters, (kh, kw), padding="same", activation=activation)
        flop = 2 * x.size // channels * kh * kw * channels * filters
        return self.time(name, layer, flop, x, passes_back=1 if name == "Conv_Down_1_1" else 2)

    def transpose(self, x, name):
        kh, kw, filters, channels = self.shapes[name]
        layer = nn.ConvTranspose2D(channels, filters, (kh, kw), stride=2)
        return self.time(name, layer, 2 * x.size * kh * kw * filters, x)

    def pool(self, x):
        return self.time("MaxPool", nn.MaxPool2D(2), 0, x)

    def concatenate(self, a, b):
        return self.time("Concatenate", nn.Concatenate(), 0, a, b)

    def time(self, name, layer, flop, *arrays, passes_back=2):
        """Notes (name, output shape, GFLOP forward and backward, seconds likewise); returns the output."""
        forward, backward = [], []
        for _ in range(self.repeats):
            tensors = [Tensor(a, requires_grad=passes_back == 2) for a in arrays]
            start = time.perf_counter()
            y = layer(*tensors)
            forward.append(time.perf_counter() - start)
            gy = np.ones_like(y.data)
            backward.append(_timed(lambda: y.backward(gy)))
            for p in layer.parameters():
                p.grad = None
        seconds = median(forward), median(backward)
        self.rows.append((name, y.shape, flop / 1e9, passes_back * flop / 1e9, *seconds))
        self.bar.update()
        return y.data


def _timed(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def table(rows, top, batch):
    """The rows in Markdown, and their sum. Speeds in GFLOP/s and in percent of the matrix product's."""
    def speed(gflop, seconds):
        return f"{gflop / seconds:.0f} ({100 * gflop / seconds / top:.0f}%)" if gflop else ""

    yield "| layer | output | GFLOP | forward, ms | GFLOP/s | backward, ms | GFLOP/s |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, shape, gflop, gflop_back, forward, backward in rows:
        output = "x".join(map(str, shape[1:]))
        yield (f"| {name} | {output} | {gflop:.2f} | {1e3 * forward:.1f} | {speed(gflop, forward)} "
               f"| {1e3 * backward:.1f} | {speed(gflop_back, backward)} |")
    gflop, gflop_back, forward, backward = (sum(column) for column in list(zip(*rows))[2:])
    yield (f"| all | | {gflop:.2f} | {1e3 * forward:.1f} | {speed(gflop, forward)} "
           f"| {1e3 * backward:.1f} | {speed(gflop_back, backward)} |")
    yield (f"| per image | | {gflop / batch:.2f} | {1e3 * forward / batch:.1f} | "
           f"| {1e3 * backward / batch:.1f} | |")


def main():
    keep_freed_memory()     # as the training loop does
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16, help="pictures per step (default: 16)")
    parser.add_argument("--size", type=int, default=256, help="height and width (default: 256)")
    parser.add_argument("--repeats", type=int, default=5, help="of a layer, the median counts (default: 5)")
    options = parser.parse_args()
    if machine.slowed():
        print(machine.slowed(), file=sys.stderr)

    top = peak()
    watch = Stopwatch(options.repeats)
    pictures, _ = lecture.unet_batch(options.batch, options.size, "float32")
    lecture.forward(pictures, watch.conv, watch.transpose, watch.pool, watch.concatenate)
    watch.bar.close()
    print(f"{machine.describe()}\n{machine.blas()}\n"
          f"batch {options.batch}, {minunet.get_num_threads()} threads; "
          f"a 3000x3000 matrix product reaches {top:.0f} GFLOP/s\n")
    print("\n".join(table(watch.rows, top, options.batch)))


if __name__ == "__main__":
    main()
