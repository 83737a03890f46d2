"""What the training loop costs beside the bare step: reading, augmenting, bytes to numbers, scores, the bar.

    python benchmarks/loop.py --batch 16 --augment light

An epoch of train.epochs (its validation taken off) and as many bare steps on one batch that is ready take turns. Prints
pictures per second of both, and their ratio.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

import machine
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from minunet import UNet, cuda, device, optim
from minunet.data.augment import PRESETS
from minunet.data.loader import Loader
from minunet.kernels.memory import keep_freed_memory
from minunet.training import loop as train


class Noise:
    """A dataset of random pictures, decoded already, as those of the cache are."""

    def __init__(self, count, size):
        rng = np.random.default_rng(0)
        self.names = [str(i) for i in range(count)]
        self.images = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        self.masks = rng.integers(0, 2, (count, size, size, 1), dtype=np.uint8)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i], self.masks[i]


def learner(where):
    model = UNet().to(where)
    return model, optim.RMSprop(model.parameters())


def bare_steps(model, optimizer, batch, count, where):
    """Seconds for `count` steps on one batch."""
    x, t, weights, _ = batch
    start = time.perf_counter()
    for _ in range(count):
        train.LOSSES["bce"](model.logits(x), t, weights).backward()
        optimizer.step()
        optimizer.zero_grad()
    cuda.synchronize(where)
    return time.perf_counter() - start


def one_epoch(model, optimizer, training, validation):
    """Seconds that train.epochs takes to learn from the training set once."""
    loss = train.LOSSES["bce"]
    row = next(train.epochs(model, optimizer, loss, training, validation, 1))
    start = time.perf_counter()
    train.evaluate(model, loss, validation)
    return row["seconds"] - (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=6, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--augment", choices=PRESETS, default="none")
    options = parser.parse_args()
    where = device.resolve_device(options.device)
    keep_freed_memory()

    dataset = Noise(options.batch * options.steps, options.size)
    training = Loader(dataset, options.batch, augment=PRESETS[options.augment], workers=2)
    validation = Loader(Noise(options.batch, options.size), options.batch)
    batch = train.to_device(*next(training.batches(0)), where)
    pairs = learner(where), learner(where)
    bare_steps(*pairs[0], batch, 2, where)
    one_epoch(*pairs[1], training, validation)
    bare, loop = [], []
    for _ in range(options.rounds):
        bare.append(bare_steps(*pairs[0], batch, options.steps, where))
        loop.append(one_epoch(*pairs[1], training, validation))
    pictures = len(dataset)
    print(machine.describe())
    print(f"batch {options.batch}, {options.size}x{options.size}, {where}, augmentation {options.augment}")
    print(
        f"bare steps {pictures / median(bare):.1f} pictures per second, train.epochs {pictures / median(loop):.1f}: "
        f"{median(bare) / median(loop):.2f} of it"
    )


if __name__ == "__main__":
    main()
