"""A large matrix product: how much arithmetic a device can do at all, and work to keep a card busy with."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from minunet import device
from minunet.checks import speed


class Products:
    """Products of two side x side matrices, float32: `gflops` per second, and work to fill a queue with."""

    def __init__(self, where, side=None):
        side = side or (3000 if where == "cpu" else 8192)
        flop_per_second = speed.arithmetic(where, side)
        self.where, self.gflops = where, flop_per_second / 1e9
        self.seconds = 2 * side**3 / flop_per_second
        self.matrix = device.to_device(np.ones((side, side), np.float32), where)

    def fill(self, seconds):
        """Gives a card work for so long and does not wait; does nothing on the CPU, where nothing queues."""
        if self.where != "cpu":
            for _ in range(1 + int(seconds / self.seconds)):
                self.matrix @ self.matrix
