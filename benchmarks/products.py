"""A large matrix product: how much arithmetic a device can do at all, and work to keep a card busy with."""
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from minunet import device  # noqa: E402


class Products:
    """Products of two size x size matrices, float32: `seconds` for one, `gflops`, and work to fill a card's queue with."""

    def __init__(self, where, size=None):
        size = size or (3000 if where == "cpu" else 8192)
        self.where = where
        self.a, self.b = (device.move(np.random.default_rng(i).random((size, size), np.float32), where) for i in range(2))
        self.run(1)
        self.seconds = min(self.run(1) for _ in range(5))
        self.gflops = 2 * size**3 / self.seconds / 1e9

    def run(self, count):
        """Seconds that `count` products take."""
        start = device.mark(self.where)
        for _ in range(count):
            self.a @ self.b
        return device.seconds_between(start, device.mark(self.where))

    def fill(self, seconds):
        """Gives a card work for so long and does not wait; does nothing on the CPU, where nothing queues."""
        if self.where != "cpu":
            for _ in range(1 + int(seconds / self.seconds)):
                self.a @ self.b
