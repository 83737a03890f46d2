"""A small run that is killed and resumed until it is done, for test_resume.py:   python killed_run.py FOLDER SEED

Each attempt is a process of its own that SIGKILL ends at a random moment, drawn from SEED; SEED 0 kills
nobody. Processes are forked from this one, which has imported everything but started no thread, so that
hardly any time passes outside the run. Prints how often the run was killed, and how often of these in the
middle of writing a file.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from minunet import UNet, optim
from minunet.data.augment import PRESETS
from minunet.data.loader import Loader
from minunet.training import schedules
from minunet.training.loop import Trainer
from minunet.training.run_folder import RunFolder

EPOCHS = 8
LONGEST = 0.3  # seconds until the first kill, at most
MORE = 0.03  # how much later each further one may be: so the run comes to an end


class Squares:
    """Ten small images: a light square on a dark, noisy background."""

    names = [f"square {i}" for i in range(10)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        rng = np.random.default_rng(i)
        mask = np.zeros((16, 16, 1), np.uint8)
        y, x = rng.integers(0, 8, 2)
        mask[y : y + 8, x : x + 8] = 1
        return (rng.integers(0, 120, (16, 16, 3)) + 100 * mask).astype(np.uint8), mask


def attempt(folder):
    """Starts the run, or resumes it."""
    model = UNet(depth=3, width=4, seed=1, batch_norm=True, dropout=0.2)
    trainer = Trainer(
        model,
        optim.Adam(model.parameters()),
        "bce+dice",
        schedule=schedules.Plateau(1e-3, patience=1),
        clip_norm=0.1,
        accumulate=3,
    )
    resume = model if (folder / "run.json").exists() else None
    with RunFolder(folder, {}, trainer.parts(), save_minutes=1e-9, resume=resume) as run:
        batches = Loader(Squares(), 1, seed=1, augment=PRESETS["full"])
        trainer.after_step = lambda: run.save_if_due(model)
        for row in trainer.epochs(batches, batches, EPOCHS):
            run.add(row, model)
        run.finish("finished")


def main(folder, seed):
    rng = np.random.default_rng(seed)
    kills = in_a_save = 0
    while True:
        child = os.fork()
        if child == 0:
            attempt(folder)
            os._exit(0)
        if seed:
            time.sleep(rng.uniform(0, LONGEST + MORE * kills))
            os.kill(child, signal.SIGKILL)  # nothing happens to a child that has ended: it waits to be asked how
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
        kills += 1
        in_a_save += any(folder.glob(".*.part"))
    print(kills, in_a_save)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
