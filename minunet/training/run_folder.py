"""The folder of a run: what training leaves behind, written after each epoch.

    last.npz          the weights after the last step, and all that a run needs to go on from there
    previous.npz      the last.npz before it
    best.npz          the weights of the epoch with the best validation mean IoU
    history.csv       a row of scores per epoch; no times, so the same seed gives the same file
    curves.png        loss and pixel IoU over the epochs
    predictions.png   some validation pictures under the best weights, drawn at the end
    run.json          how the run was started, what with, how far it came, its best scores

Each file is written beside and then moved into place, so that it is never found half written. last.npz
decides: a run that was killed between two files goes on from there, and writes the others anew. While a run
goes on, it holds a lock on its folder.
"""

import itertools
import json
import math
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from minunet import __version__
from minunet.files import FolderLock, atomic_write, remove_leftovers
from minunet.training import checkpoint as training_state
from minunet.training import plots
from minunet.training.loop import SCORES
from minunet.weights import io as checkpoint
from minunet.weights.io import CheckpointError

CUPY = "cupy-cuda12x", "cupy-cuda13x", "cupy"
COLUMNS = ["epoch", *(f"{part}_{name}" for name in SCORES for part in ("train", "val")), "lr"]


class Run:
    """A run that writes into its folder. In a `with` block it holds the folder, so that no other run writes
    there.

    folder: made if need be; None makes a new one in runs/ that is called after the date and the time.
    about: what run.json shall hold at its top, a dict; what JSON does not know is written as text.
    baseline: the pixel IoU to beat, a line in the curves.
    parts: {name: part} beside the model that last.npz shall hold, see training_state.py.
    weights_about: what the weights files shall say about themselves, see checkpoint.py.
    save_minutes: how long `save_in_time` waits, at least, after last.npz was written.
    resume: a model: the run in `folder` goes on, and it, the parts and the history take over what was saved
    there; `about` is what changes in run.json. A run that was killed before its first last.npz begins again.
    Raises OSError if the folder cannot be written, is in use, or holds files already: no run writes over
    another. CheckpointError for files that cannot be gone on from; it says what is left to do.

    history: the rows so far. best: the row with the best validation mean IoU, None before the first.
    """

    def __init__(
        self, folder, about, baseline=None, parts=None, weights_about=None, save_minutes=math.inf, resume=None
    ):
        before = {} if resume is None else read_run(folder)
        if resume is None:
            check_free(folder)
        self.folder = _new_folder() if folder is None else Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.folder)
        self.about, self.weights_about = {**before, **about, "versions": versions()}, weights_about or {}
        self.baseline, self.save_seconds, self._saved = baseline, 60 * save_minutes, time.monotonic()
        self.parts = {**(parts or {}), "run": self}
        self.history, self.best = [], None
        try:
            if resume is None:
                check_free(self.folder)  # another run may have been faster
            else:
                self._take_over(resume)
            self._write_scores("running")
        except BaseException:
            self._lock.release()
            raise

    def _take_over(self, model):
        """The history so far, and the state of the model and of all parts."""
        remove_leftovers(self.folder)
        self.about["resumed"] = self.about.get("resumed", 0) + 1
        if any((self.folder / name).exists() for name in (training_state.LAST, training_state.PREVIOUS)):
            training_state.load(self.folder, model, self.parts)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._lock.release()

    def state_dict(self):
        """The history, for last.npz."""
        return {"history": json.dumps(self.history)}

    def load_state_dict(self, state):
        """Takes over a state_dict."""
        self.history, self.best = json.loads(str(state["history"])), None
        for row in self.history:
            self._note_best(row)

    def add(self, row, model):
        """Keeps a finished epoch: its row (see `train.epochs`), the weights, the curves."""
        self.history.append(row)
        if self._note_best(row):  # first: last.npz says that this epoch is done, and with all that it left
            self._save_best(model)
        self.save_last(model)
        self._write_scores("running")

    def save_in_time(self, model):
        """Writes last.npz if it was not written for `save_minutes`."""
        if time.monotonic() - self._saved >= self.save_seconds:
            self.save_last(model)

    def save_last(self, model):
        """Writes last.npz: from here the run can go on. Raises OSError; what a part's state_dict raises."""
        training_state.save(self.folder, model, self.parts, self._about_weights())
        self._saved = time.monotonic()

    def finish(self, status, model=None):
        """Writes how the run ended: "finished", "interrupted", "diverged" or "out of memory".

        model: given if it was trained on after the last epoch that was added. Its weights become last.npz,
        and best.npz too if no epoch was finished.
        """
        if model is not None:
            self.save_last(model)
            if self.best is None:
                self._save_best(model)
        self._write_scores(status)

    def _note_best(self, row):
        """Makes the row the best one if it is; returns whether."""
        if self.best is not None and not row["val_mean_iou"] > self.best["val_mean_iou"]:
            return False
        self.best = row
        return True

    def _save_best(self, model):
        checkpoint.save(self.folder / "best.npz", model, self._about_weights())

    def _about_weights(self):
        return {**self.weights_about, "epochs": len(self.history)}

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
        about = {
            **self.about,
            "status": status,
            "epochs_done": len(self.history),
            "best": self.best,
            "seconds_per_epoch": [round(row["seconds"], 2) for row in self.history],
        }
        # first: without it, nobody could go on with a run that is killed here
        atomic_write(self.folder / "run.json", json.dumps(about, indent=2, default=str) + "\n")
        atomic_write(self.folder / "history.csv", history_csv(self.history))
        plots.save_curves(self.folder / "curves.png", self.history, self.baseline)


def history_csv(history):
    """The rows as text: a header, then a line per epoch; scores with six digits after the point, "lr" with
    six in all.

    >>> history_csv([]).split(",")[:5]
    ['epoch', 'train_loss', 'val_loss', 'train_iou', 'val_iou']
    """
    lines = [",".join(COLUMNS)]
    for row in history:
        scores = [f"{row[name]:.6f}" for name in COLUMNS[1:-1]]
        lines.append(",".join([str(row["epoch"]), *scores, f"{row['lr']:.6g}"]))
    return "\n".join(lines) + "\n"


def versions():
    """What the run stands on: {"python": "3.12.1", "numpy": ..., ...}; None for what is not installed.

    Of CuPy's packages, one for each version of CUDA, only what is there.
    """
    found = {"minunet": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in ("numpy", "pillow", "matplotlib", "threadpoolctl", *CUPY):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            if name not in CUPY:
                found[name] = None
    return found


def read_run(folder):
    """run.json of the run in `folder`, a dict; its "command" is the list of texts with which it was started,
    if any.

    Raises CheckpointError if there is none, or if it is damaged.
    """
    path = Path(folder) / "run.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} holds no run to go on with: {path.name} cannot be read ({error})") from error
    command = about.setdefault("command", []) if isinstance(about, dict) else None
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise CheckpointError(f"{path} was not written by a run: it does not say how that was started")
    return about


def check_free(folder):
    """Raises OSError unless `folder` is a writable folder without files, or can be made; None is always free.

    Hidden files do not count: a run that was killed at once may have left its lock.

    Nothing is made here, so this can be asked before the long work starts.
    """
    there = Path("runs" if folder is None else folder)
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is not a folder: choose another name for the results")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {there} cannot be written: choose another one for the results")
    if folder is not None and there == Path(folder) and any(not path.name.startswith(".") for path in there.iterdir()):
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
    return None
