"""The folder of a run: what training leaves behind, written after each epoch.

    last.npz          the weights after the last step
    best.npz          the weights of the epoch with the best validation mean IoU
    history.csv       a row of scores per epoch; no times, so the same seed gives the same file
    curves.png        loss and pixel IoU over the epochs
    predictions.png   some validation pictures under the best weights, drawn at the end
    run.json          how the run was started, what with, how far it came, its best scores

Each file is written beside and then moved into place, so that it is never found half written.
"""

import itertools
import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from minunet import __version__, checkpoint, plots
from minunet.files import write_whole
from minunet.train import SCORES

COLUMNS = ["epoch", *(f"{part}_{name}" for name in SCORES for part in ("train", "val")), "lr"]


class Run:
    """A run that writes into its folder.

    folder: made if need be; None makes a new one in runs/ that is called after the date and the time.
    about: what run.json shall hold at its top, a dict; what JSON does not know is written as text.
    baseline: the pixel IoU to beat, a line in the curves.
    Raises OSError if the folder cannot be written, or holds files already: no run writes over another.

    history: the rows so far. best: the row with the best validation mean IoU, None before the first.
    """

    def __init__(self, folder, about, baseline=None):
        check_free(folder)
        self.folder = _new_folder() if folder is None else Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.about, self.baseline = {**about, "versions": versions()}, baseline
        self.history, self.best = [], None
        self._write_scores("running")

    def add(self, row, model):
        """Keeps a finished epoch: its row (see `train.epochs`), the weights, the curves."""
        self.history.append(row)
        checkpoint.save(self.folder / "last.npz", model)
        if self.best is None or row["val_mean_iou"] > self.best["val_mean_iou"]:
            self.best = row
            checkpoint.save(self.folder / "best.npz", model)
        self._write_scores("running")

    def finish(self, status, model=None):
        """Writes how the run ended: "finished", "interrupted" or "diverged".

        model: given if it was trained on after the last epoch that was added. Its weights become last.npz,
        and best.npz too if no epoch was finished.
        """
        if model is not None:
            checkpoint.save(self.folder / "last.npz", model)
            if self.best is None:
                checkpoint.save(self.folder / "best.npz", model)
        self._write_scores(status)

    def draw_predictions(self, model, dataset, count):
        """Draws predictions.png: `count` pictures spread over the dataset, under the best weights.

        The model is left with these. Nothing is drawn if there are none, since the first epoch diverged.
        """
        best = self.folder / "best.npz"
        if not best.exists():
            return
        checkpoint.load(best, model)
        count = min(count, len(dataset))
        chosen = [i * len(dataset) // count for i in range(count)]
        images, masks = (np.stack(arrays) for arrays in zip(*(dataset[i] for i in chosen)))
        title = f"Validation pictures, epoch {self.best['epoch']}" if self.best else "Validation pictures"
        names = [dataset.names[i] for i in chosen]
        path = self.folder / "predictions.png"
        plots.save_predictions(path, images, masks, model.predict(images), names, title)

    def summary(self):
        """One line: the best epoch with its scores, and where everything lies."""
        if self.best is None:
            return f"no epoch was finished; what there is lies in {self.folder}"
        return (
            f"best epoch {self.best['epoch']}: validation mean IoU {self.best['val_mean_iou']:.3f}, "
            f"pixel IoU {self.best['val_iou']:.3f}; weights, curves and pictures lie in {self.folder}"
        )

    def _write_scores(self, status):
        write_whole(self.folder / "history.csv", history_csv(self.history))
        plots.save_curves(self.folder / "curves.png", self.history, self.baseline)
        about = {
            **self.about,
            "status": status,
            "epochs_done": len(self.history),
            "best": self.best,
            "seconds_per_epoch": [round(row["seconds"], 2) for row in self.history],
        }
        write_whole(self.folder / "run.json", json.dumps(about, indent=2, default=str) + "\n")


def history_csv(history):
    """The rows as text: a header, then a line per epoch; scores with six digits after the point, "lr" with six in all.

    >>> history_csv([]).split(",")[:5]
    ['epoch', 'train_loss', 'val_loss', 'train_iou', 'val_iou']
    """
    lines = [",".join(COLUMNS)]
    for row in history:
        scores = [f"{row[name]:.6f}" for name in COLUMNS[1:-1]]
        lines.append(",".join([str(row["epoch"]), *scores, f"{row['lr']:.6g}"]))
    return "\n".join(lines) + "\n"


def versions():
    """What the run stands on: {"python": "3.12.1", "numpy": ..., ...}; None for what is not installed."""
    found = {"minunet": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in ("numpy", "pillow", "matplotlib", "threadpoolctl", "cupy-cuda12x"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def check_free(folder):
    """Raises OSError unless `folder` is a writable, empty folder, or can be made; None is always free.

    Nothing is made here, so this can be asked before the long work starts.
    """
    there = Path("runs" if folder is None else folder)
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is not a folder: choose another name for the results")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {there} cannot be written: choose another one for the results")
    if folder is not None and there == Path(folder) and any(there.iterdir()):
        raise FileExistsError(f"the folder {folder} is not empty, and no run is overwritten: choose another")


def _new_folder():
    """runs/2024-05-01_13-20-45, with -2, -3, ... behind it if there is one already."""
    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    for attempt in itertools.count(1):
        folder = Path("runs") / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
