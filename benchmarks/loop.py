"""What the training loop costs on top of the bare step: reading, augmenting, bytes to floats, scores, the progress bar.

    python benchmarks/loop.py --batch 16 --augment light

An epoch of Trainer.epochs, without its validation, takes turns with as many bare steps on one batch that is ready on
the device. Prints the images per second of both, and their ratio.
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
from minunet.ops.losses import LOSSES
from minunet.tasks import Binary
from minunet.training.batches import Prefetcher, ready_batches
from minunet.training.loop import Trainer

LOSS = "bce"


class Noise:
    """A dataset of random images, already decoded, as those of the cache are."""

    def __init__(self, count, size):
        rng = np.random.default_rng(0)
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
    """Returns the seconds that `count` steps on one Batch take."""
    start = time.perf_counter()
    for _ in range(count):
        LOSSES[LOSS](model.logits(batch.x), batch.targets, batch.weights).backward()
        optimizer.step()
        optimizer.zero_grad()
    cuda.synchronize(where)
    return time.perf_counter() - start


def one_epoch(trainer, training, validation):
    """Returns the seconds that a Trainer takes to learn from the training set once."""
    start = time.perf_counter()
    next(trainer.epochs(training, validation, count=trainer.progress.epoch))
    middle = time.perf_counter()
    trainer.evaluate(validation)  # once more on its own: what the epoch's validation took
    end = time.perf_counter()
    return (middle - start) - (end - middle)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu, gpu, or gpu:1 (default: cpu)")
    parser.add_argument("--batch", type=int, default=16, help="images per step (default: 16)")
    parser.add_argument("--size", type=int, default=256, help="height and width (default: 256)")
    parser.add_argument("--steps", type=int, default=6, help="steps per epoch (default: 6)")
    parser.add_argument("--rounds", type=int, default=5, help="turns, of which the median is reported (default: 5)")
    parser.add_argument("--augment", choices=PRESETS, default="none", help="augmentation preset (default: none)")
    return parser.parse_args()


def main():
    options = parse()
    where = device.resolve_device(options.device)
    keep_freed_memory()

    dataset = Noise(options.batch * options.steps, options.size)
    training = Loader(dataset, options.batch, augment=PRESETS[options.augment], workers=2)
    validation = Loader(Noise(options.batch, options.size), options.batch)
    (batch,) = ready_batches(Binary(), Prefetcher(where), [next(training.batches(0))])
    bare_learner, trainer = learner(where), Trainer(*learner(where), LOSS)

    bare_steps(*bare_learner, batch, 2, where)
    one_epoch(trainer, training, validation)
    bare, loop = [], []
    for _ in range(options.rounds):
        bare.append(bare_steps(*bare_learner, batch, options.steps, where))
        loop.append(one_epoch(trainer, training, validation))
    images = len(dataset)
    print(machine.describe())
    print(f"batch {options.batch}, {options.size}x{options.size}, {where}, augmentation {options.augment}")
    print(
        f"bare steps: {images / median(bare):.1f} images per second; Trainer.epochs: {images / median(loop):.1f}, "
        f"{median(bare) / median(loop):.2f} of that"
    )


if __name__ == "__main__":
    main()
