"""A large matrix product: how much arithmetic a device can do at best, and something to keep a GPU busy with."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from minunet import device
from minunet.checks import speed


class Products:
    """Products of two float32 side x side matrices: how fast they are (`gflops`), and work to fill a queue with."""

    def __init__(self, where, side=None):
        side = side or (3000 if where == "cpu" else 8192)
        flop_per_second = speed.arithmetic(where, side)
        self.where, self.gflops = where, flop_per_second / 1e9
        self.seconds = 2 * side**3 / flop_per_second
        self.matrix = device.to_device(np.ones((side, side), np.float32), where)

    def fill(self, seconds):
        """Queues so many seconds of work on a GPU without waiting for it. A CPU has no queue, so nothing is done."""
        if self.where != "cpu":
            for _ in range(1 + int(seconds / self.seconds)):
                self.matrix @ self.matrix
