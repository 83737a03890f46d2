"""The folder of a run: what training leaves behind, written after each epoch.

    last.npz          the newest checkpoint: the weights, and all else that resuming needs
    previous.npz      the checkpoint before it
    best.npz          the weights of the epoch with the best validation mean IoU
    history.csv       a row of scores per epoch; no times, so the same seed gives the same file
    curves.png        loss and IoU over the epochs
    predictions.png   some validation images under the best weights, drawn at the end
    scores.json       what the answers under the last weights score, and class by class
    confusion.png     which class is taken for which
    run.json          how the run was started, with what, how far it came, its best scores

Each file is written under another name and then renamed, so that it is never found half written. last.npz decides: a
run that was killed between two files resumes from there, and rewrites the others. While a run is going on, it holds
a lock on its folder.
"""

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minunet.data.sample import Dataset, limited
from minunet.files import FolderLock, atomic_write, remove_leftovers
from minunet.inputs import LARGEST_TEXT, parse_json, read_file, user_path
from minunet.models import SegmentationModel
from minunet.tasks import Binary, Evaluation, Task
from minunet.training import checkpoint, plots
from minunet.training.checkpoint import CheckpointError
from minunet.training.history import history_csv, read_rows
from minunet.version import versions
from minunet.weights import io

# every file that a run writes; whatever else lies in its folder is not touched
FILES = (
    *(checkpoint.LAST, checkpoint.PREVIOUS, "best.npz", "history.csv", "curves.png", "predictions.png"),
    *("scores.json", "confusion.png", "run.json"),
)


class RunFolder:
    """A run that writes into its folder. In a `with` block it holds the folder, so that no other run writes there.

    folder            created if need be; None creates one in runs/, named after the date and time.
    metadata          what run.json begins with, a dict; what JSON cannot hold is written as text.
    parts             {name: part}: what a checkpoint holds besides the model, see `Trainer.parts`.
    task              decides which scores a row holds; by default binary.
    baseline          (answer, score) to beat without a network, a line in the curves; see plots.save_curves.
    weights_metadata  what the weights files say about themselves, see weights/io.py.
    save_minutes      `save_if_due` saves once the newest checkpoint is this old.
    resume            a model: the run in `folder` is resumed, and the model, the parts and the history take over what
                      was saved there; `metadata` updates run.json. A run that was killed before its first checkpoint
                      starts over.

    history: the rows so far. best: the row with the best validation mean IoU, None before the first.
    Raises OSError if the folder cannot be written, is in use, or holds files already: no run overwrites another.
    CheckpointError if there is nothing to resume from; it says what can be done.
    """

    def __init__(
        self,
        folder: str | Path | None,
        metadata: Mapping[str, Any],
        parts: Mapping[str, Any] | None = None,
        *,
        task: Task | None = None,
        baseline: tuple[str, float] | None = None,
        weights_metadata: Mapping[str, Any] | None = None,
        save_minutes: float = math.inf,
        resume: SegmentationModel | None = None,
    ) -> None:
        folder = None if folder is None else user_path(folder)
        before = {} if resume is None or folder is None else read_run(folder)
        if resume is None:
            check_free(folder)
        self.folder = folder or _new_folder()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.folder)
        self.metadata = {**before, **metadata, "versions": versions()}
        self.weights_metadata = dict(weights_metadata or {})
        self.score_names = (Binary() if task is None else task).score_names
        self.baseline = baseline
        self.save_seconds = 60 * save_minutes
        self._saved = time.monotonic()
        self._epochs_drawn: int | None = None  # by this process, in curves.png
        self.parts = {**(parts or {}), "run": self}
        self.history: list[dict[str, float]] = []
        self.best: dict[str, float] | None = None
        try:
            if resume is None:
                check_free(self.folder)  # another run may have been faster
            else:
                self._restore(resume)
            self._write_scores("running")
        except BaseException:
            self._lock.release()
            raise

    def _restore(self, model):
        """The history so far, and the state of the model and of all parts."""
        for name in FILES:
            remove_leftovers(self.folder, name)
        self.metadata["resumed"] = self.metadata.get("resumed", 0) + 1
        if any((self.folder / name).exists() for name in (checkpoint.LAST, checkpoint.PREVIOUS)):
            path = checkpoint.load(self.folder, model, self.parts)
            begun = getattr(self.parts.get("progress"), "epoch", len(self.history) + 1)
            if begun != len(self.history) + 1:
                raise CheckpointError(
                    f"{path} contradicts itself: {len(self.history)} rows of scores, in epoch {begun}"
                )

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def state_dict(self) -> dict[str, str]:
        """Returns the history, for the checkpoint."""
        return {"history": json.dumps(self.history)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state_dict. Raises ValueError for a history that `add` has not written."""
        self.history = read_rows(str(state["history"]), self.score_names)
        self.best = None
        for row in self.history:
            self._note_best(row)

    def add(self, row: dict[str, float], model: SegmentationModel) -> None:
        """Keeps a finished epoch: its row (see `Trainer.epochs`), the weights, the curves."""
        self.history.append(row)
        if self._note_best(row):  # first: last.npz claims that this epoch is done, and with it all that it leaves
            self._save_best(model)
        self.save_checkpoint(model)
        self._write_scores("running")
        self._draw_curves()

    def save_if_due(self, model: SegmentationModel) -> None:
        """Writes a checkpoint if the newest one is `save_minutes` old."""
        if time.monotonic() - self._saved >= self.save_seconds:
            self.save_checkpoint(model)

    def save_checkpoint(self, model: SegmentationModel) -> None:
        """Writes last.npz, from which the run can be resumed. Raises OSError, and what a part's state_dict raises."""
        checkpoint.save(self.folder, model, self.parts, self._weights_metadata())
        self._saved = time.monotonic()

    def finish(self, status: str, model: SegmentationModel | None = None) -> None:
        """Writes how the run ended: "finished", "interrupted", "diverged" or "out of memory".

        model: given if it was trained further after the last epoch that was added. Its weights become last.npz, and
        best.npz too if no epoch was finished.
        """
        if model is not None:
            self.save_checkpoint(model)
            if self.best is None:
                self._save_best(model)
        self._write_scores(status)
        if self._epochs_drawn != len(self.history):
            self._draw_curves()

    def _note_best(self, row):
        """Makes the row the best one if it is; returns whether."""
        if self.best is not None and not row["val_mean_iou"] > self.best["val_mean_iou"]:
            return False
        self.best = row
        return True

    def _save_best(self, model):
        io.save(self.folder / "best.npz", model, self._weights_metadata())

    def _weights_metadata(self):
        return {**self.weights_metadata, "epochs": len(self.history)}

    def draw_predictions(self, model: SegmentationModel, task: Task, dataset: Dataset, count: int) -> None:
        """Draws predictions.png: `count` images spread over the dataset, under the best weights.

        The model keeps these weights. Nothing is drawn if there are none because the first epoch diverged.
        """
        best = self.folder / "best.npz"
        if not best.exists():
            return
        io.load(best, model)
        chosen = limited(range(len(dataset)), count)
        images, labels = (np.stack(arrays) for arrays in zip(*(dataset[i] for i in chosen)))
        outputs = model.predict(images)
        rows = [task.panels(*triple) for triple in zip(images, labels, outputs)]
        title = f"Validation images, epoch {self.best['epoch']}" if self.best else "Validation images"
        plots.save_panels(self.folder / "predictions.png", rows, [dataset.names[i] for i in chosen], title)

    def save_evaluation(self, evaluation: Evaluation) -> None:
        """Writes what the answers under the last weights score on the validation images: scores.json, confusion.png."""
        table = [list(row) for row in evaluation.table()]
        content = {"epoch": len(self.history), "scores": evaluation.result(), "table": table}
        atomic_write(self.folder / "scores.json", json.dumps(content, indent=2) + "\n")
        confusion = evaluation.confusion()
        if confusion is not None:
            plots.save_confusion(self.folder / "confusion.png", *confusion)

    def summary(self) -> str:
        """Returns one line: the best epoch with its scores, and where everything is."""
        if self.best is None:
            return f"no epoch was finished; what was saved is in {self.folder}"
        second = ("iou", "pixel IoU") if "iou" in self.score_names else ("accuracy", "accuracy")
        return (
            f"best epoch {self.best['epoch']}: validation mean IoU {self.best['val_mean_iou']:.3f}, "
            f"{second[1]} {self.best['val_' + second[0]]:.3f}; weights, curves and predictions are in {self.folder}"
        )

    def _write_scores(self, status):
        content = {
            **self.metadata,
            "status": status,
            "epochs_done": len(self.history),
            "best": self.best,
            "seconds_per_epoch": [round(row["seconds"], 2) for row in self.history],
        }
        # run.json first: without it, nobody could resume a run that is killed here
        atomic_write(self.folder / "run.json", json.dumps(content, indent=2, default=str) + "\n")
        atomic_write(self.folder / "history.csv", history_csv(self.history, self.score_names))

    def _draw_curves(self):
        self._epochs_drawn = len(self.history)
        plots.save_curves(self.folder / "curves.png", self.history, self.baseline, self.score_names[0])


def read_run(folder: str | Path) -> dict[str, Any]:
    """Returns run.json of the run in `folder`.

    Its "command" is the list of arguments with which the run was started, or empty.
    Raises CheckpointError if there is none, or if it is damaged.
    """
    path = Path(folder) / "run.json"
    _check_files(Path(folder))
    try:
        content = parse_json(read_file(path, LARGEST_TEXT, links=False).decode("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} holds no run to resume: {path.name} cannot be read ({error})") from error
    command = content.setdefault("command", []) if isinstance(content, dict) else None
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise CheckpointError(f"{path} was not written by a run: it does not say how the run was started")
    resumed = content.get("resumed", 0)
    if type(resumed) is not int or resumed < 0:
        raise CheckpointError(f'{path} was not written by a run: "resumed" is {resumed!r:.40}, no number of times')
    if not isinstance(content.get("task", {}), dict):
        raise CheckpointError(f'{path} was not written by a run: "task" is {content["task"]!r:.40}')
    return content


def _check_files(folder: Path) -> None:
    """Raises CheckpointError if a file of a run is none: a folder that came from elsewhere may hold links and pipes."""
    for name in FILES:
        path = folder / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            what = "a symbolic link" if path.is_symlink() else "no file"
            raise CheckpointError(
                f"{path} is {what}, and nothing is read or written through it: put the file itself there"
            )


def check_free(folder: str | Path | None) -> None:
    """Raises OSError unless `folder` is a writable folder without files, or can be created; None is always free.

    Hidden files do not count: a run that was killed at once may have left its lock. Nothing is created here, so this
    can be asked before the long work starts.
    """
    there = Path("runs" if folder is None else folder)
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is not a folder: choose another name for the results")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"the folder {there} is not writable: choose another one for the results")
    if folder is not None and there == Path(folder) and any(not path.name.startswith(".") for path in there.iterdir()):
        raise FileExistsError(f"the folder {folder} is not empty, and no run is overwritten: choose another one")


def _new_folder():
    """runs/2024-05-01_13-20-45, with -2, -3, ... appended if that exists already."""
    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    folder, attempt = Path("runs") / name, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            attempt += 1
            folder = Path("runs") / f"{name}-{attempt}"
