"""Where the time goes: each layer of the lecture's U-Net on its own, against a large matrix product.

    python benchmarks/layers.py
    python benchmarks/layers.py --device gpu --batch 64

Prints a table in Markdown with, for each layer, the arithmetic of its forward pass, and its times and GFLOP/s forward
and backward. Backward needs twice the arithmetic, for the gradients of the weights and of the input; the first layer's
input needs no gradient. On a GPU the times are read from its own clock, and it is kept busy with other work until all
repeats of a layer have been queued; so they say how long the GPU works, not how long Python takes to queue the work
(step.py reports both).
"""

import argparse
import sys
from pathlib import Path
from statistics import median

import lecture
import machine
from products import Products
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))
import minunet
from minunet import Tensor, cuda, device, nn
from minunet.device import array_module
from minunet.kernels.memory import keep_freed_memory


class Stopwatch:
    """Runs each layer of lecture.forward a few times, forward and backward, and records a row of the table for it."""

    def __init__(self, repeats, where, products):
        self.rows, self.repeats, self.where, self.products = [], repeats, where, products
        self.shapes = dict(lecture.unet_kernels())
        self.bar = tqdm(total=len(self.shapes) + 6, desc="layers", disable=None)

    def conv(self, x, name):
        kh, kw, channels, filters = self.shapes[name]
        activation = None if name == "Conv_Out" else "relu"
        layer = nn.Conv2D(channels, filters, (kh, kw), padding="same", activation=activation)
        arrays = x if isinstance(x, tuple) else (x,)  # of a concatenation, the convolution reads both parts
        flop = 2 * arrays[0][..., 0].size * kh * kw * channels * filters
        return self.time(name, layer, flop, *arrays, passes_back=1 if name == "Conv_Down_1_1" else 2)

    def transpose(self, x, name):
        kh, kw, filters, channels = self.shapes[name]
        layer = nn.ConvTranspose2D(channels, filters, (kh, kw), stride=2)
        return self.time(name, layer, 2 * x.size * kh * kw * filters, x)

    def pool(self, x):
        return self.time("MaxPool", nn.MaxPool2D(2), 0, x)

    def time(self, name, layer, flop, *arrays, passes_back=2):
        """Records (name, output shape, GFLOP forward and backward, seconds likewise), and returns the output."""
        layer.to(self.where)
        marks = []
        for repeat in range(self.repeats + (self.where != "cpu")):
            if repeat == 1:
                self.products.fill(0.1)  # on a GPU, after a first pass that compiles the kernels
            tensors = [Tensor(a, requires_grad=passes_back == 2) for a in arrays]
            start = cuda.mark(self.where)
            y = layer(nn.Concatenate()(*tensors) if len(tensors) > 1 else tensors[0])
            middle, gy = cuda.mark(self.where), array_module(y.data).ones_like(y.data)
            again = cuda.mark(self.where)
            y.backward(gy)
            marks.append((start, middle, again, cuda.mark(self.where)))
            for p in layer.parameters():
                p.grad = None
        seconds = (
            median(cuda.seconds_between(*pair) for pair in pairs)
            for pairs in zip(*((m[:2], m[2:]) for m in marks[-self.repeats :]))
        )
        self.rows.append((name, y.shape, flop / 1e9, passes_back * flop / 1e9, *seconds))
        self.bar.update()
        return y.data


def table(rows, top, batch, digits):
    """Yields the rows in Markdown, and their sum. Speeds are in GFLOP/s and in percent of the matrix product's."""

    def speed(gflop, seconds):
        return f"{gflop / seconds:.0f} ({100 * gflop / seconds / top:.0f}%)" if gflop else ""

    yield "| layer | output | GFLOP | forward, ms | GFLOP/s | backward, ms | GFLOP/s |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, shape, gflop, gflop_back, forward, backward in rows:
        output = "x".join(map(str, shape[1:]))
        yield (
            f"| {name} | {output} | {gflop:.2f} | {1e3 * forward:.{digits}f} | {speed(gflop, forward)} "
            f"| {1e3 * backward:.{digits}f} | {speed(gflop_back, backward)} |"
        )
    gflop, gflop_back, forward, backward = (sum(column) for column in list(zip(*rows))[2:])
    yield (
        f"| all | | {gflop:.2f} | {1e3 * forward:.{digits}f} | {speed(gflop, forward)} "
        f"| {1e3 * backward:.{digits}f} | {speed(gflop_back, backward)} |"
    )
    yield (
        f"| per image | | {gflop / batch:.2f} | {1e3 * forward / batch:.{digits}f} | "
        f"| {1e3 * backward / batch:.{digits}f} | |"
    )


def main():
    keep_freed_memory()  # as the training loop does
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu, gpu, or gpu:1 (default: cpu)")
    parser.add_argument("--batch", type=int, default=16, help="images per step (default: 16)")
    parser.add_argument("--size", type=int, default=256, help="height and width (default: 256)")
    parser.add_argument(
        "--repeats", type=int, default=5, help="runs of each layer, of which the median is reported (default: 5)"
    )
    parser.add_argument("--product", type=int, help="side of the matrices multiplied (default: 3000; 8192 on a GPU)")
    options = parser.parse_args()
    if machine.slowed():
        print(machine.slowed(), file=sys.stderr)

    where = device.resolve_device(options.device)
    products = Products(where, options.product)
    watch = Stopwatch(options.repeats, where, products)
    images, _ = lecture.unet_batch(options.batch, options.size, "float32")
    lecture.forward(device.to_device(images, where), watch.conv, watch.transpose, watch.pool, lambda *both: both)
    watch.bar.close()
    on = f"{machine.blas()}\n{minunet.get_num_threads()} threads" if where == "cpu" else cuda.describe_gpu(where)
    print(
        f"{machine.describe()}\n{on}, batch {options.batch}; "
        f"a large float32 matrix product reaches {products.gflops:.0f} GFLOP/s\n"
    )
    print("\n".join(table(watch.rows, products.gflops, options.batch, 1 if where == "cpu" else 3)))


if __name__ == "__main__":
    main()
