"""How minunet's time grows with the size of the images and of the batch, and shrinks with the number of threads.

    python benchmarks/scaling.py

Prints three tables in Markdown. The settings of a table take turns, so that a machine that slows down or speeds up does
so for all of them.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

import lecture
import machine
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))
import minunet
from minunet import Tensor, UNet, no_grad, ops, optim
from minunet.kernels.memory import keep_freed_memory

SIZES = (64, 128, 256, 512, 1024)
BATCHES = (1, 2, 4, 8, 16, 32)


class Bench:
    """One model and optimizer, whose training steps and forward passes are timed on different batches."""

    def __init__(self):
        self.model = UNet()
        self.optimizer = optim.RMSprop(self.model.parameters(), lr=1e-4)

    def train(self, images, targets):
        loss = ops.binary_cross_entropy_with_logits(self.model.logits(Tensor(images)), targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def infer(self, images, targets):
        with no_grad():
            self.model(Tensor(images))

    def times(self, settings, rounds):
        """Returns {(batch, size, threads): (seconds of a training step, of a forward pass)}, medians over rounds."""
        batches = {setting: lecture.unet_batch(setting[0], setting[1], "float32") for setting in settings}
        found = {setting: ([], []) for setting in settings}
        for round_ in tqdm(range(rounds + 1), desc="rounds", disable=None):
            for setting in settings:
                minunet.set_num_threads(setting[2])
                for function, times in zip((self.train, self.infer), found[setting]):
                    start = time.perf_counter()
                    function(*batches[setting])
                    if round_ > 0:  # the first round is the warm-up
                        times.append(time.perf_counter() - start)
        return {setting: tuple(map(median, times)) for setting, times in found.items()}


def sizes_table(bench, pixels, threads, rounds):
    """Yields a table of nanoseconds per pixel over the image size; every batch has the same number of pixels."""
    settings = [(max(1, pixels // size**2), size, threads) for size in SIZES]
    yield "| image | batch | training, ns per pixel | of 256x256 | inference, ns per pixel | of 256x256 |"
    yield "| --- | --- | --- | --- | --- | --- |"
    per_pixel = {
        size: [1e9 * t / (batch * size**2) for t in times]
        for (batch, size, _), times in bench.times(settings, rounds).items()
    }
    for batch, size, _ in settings:
        cells = [f"{ns:.0f} | {ns / middle:.2f}" for ns, middle in zip(per_pixel[size], per_pixel[256])]
        yield f"| {size}x{size} | {batch} | {cells[0]} | {cells[1]} |"


def batches_table(bench, threads, rounds):
    """Yields a table of milliseconds per 256x256 image over the batch size."""
    yield "| batch | training, ms per image | inference, ms per image |"
    yield "| --- | --- | --- |"
    for (batch, *_), times in bench.times([(batch, 256, threads) for batch in BATCHES], rounds).items():
        yield f"| {batch} | {1e3 * times[0] / batch:.1f} | {1e3 * times[1] / batch:.1f} |"


def threads_table(bench, threads, rounds):
    """Yields a table of milliseconds per 256x256 image, in batches of 16, with 1, 2, 4 … threads."""
    counts = sorted({2**k for k in range(threads.bit_length()) if 2**k <= threads} | {threads})
    found = bench.times([(16, 256, count) for count in counts], rounds)
    one = found[16, 256, 1]
    yield "| threads | training, ms per image | speed-up | inference, ms per image | speed-up |"
    yield "| --- | --- | --- | --- | --- |"
    for (_, _, count), times in found.items():
        cells = [f"{1e3 * t / 16:.1f} | {t1 / t:.2f}" for t, t1 in zip(times, one)]
        yield f"| {count} | {cells[0]} | {cells[1]} |"


def main():
    keep_freed_memory()  # as the training loop does
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=5, help="turns per setting, of which the median is reported (default: 5)"
    )
    parser.add_argument(
        "--pixels", type=int, default=1024**2, help="pixels per batch in the first table (default: 1024²)"
    )
    options = parser.parse_args()
    if machine.slowed():
        print(machine.slowed(), file=sys.stderr)

    threads = minunet.get_num_threads()
    print(f"{machine.describe()}\n{machine.blas()}\nminunet with {threads} threads\n")
    bench = Bench()
    print("\n".join(sizes_table(bench, options.pixels, threads, options.rounds)) + "\n")
    print("\n".join(batches_table(bench, threads, options.rounds)) + "\n")
    print("\n".join(threads_table(bench, threads, options.rounds)))


if __name__ == "__main__":
    main()
