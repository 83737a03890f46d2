"""A run that was stopped, in whatever way, ends with the very numbers of one that never was."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minunet import Tensor, UNet, optim
from minunet.data import DataError
from minunet.data.loader import Loader
from minunet.files import FolderInUse
from minunet.tasks import Binary
from minunet.training import run_folder as runs
from minunet.training.checkpoint import CheckpointError
from minunet.training.loop import Trainer
from minunet.training.progress import Diverged, Progress

WORKER = Path(__file__).with_name("killed_run.py")


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """They take most of the time, and decide nothing; the run that is killed draws them."""
    monkeypatch.setattr(runs.plots, "save_curves", lambda *arguments: None)


class Noise:
    """Seven small images of noise, with half of each as the mask."""

    names = [f"noise {i}" for i in range(7)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        mask = np.zeros((8, 8, 1), np.uint8)
        mask[:, : 1 + i] = 1
        return np.random.default_rng(i).integers(0, 256, (8, 8, 3)).astype(np.uint8), mask


class Stopped(Exception):
    """In place of a kill."""


def go(folder, epochs=3, stop_after=None, ask_to_stop_after=None, where=lambda array: array):
    """Starts the run in `folder` or goes on with it, up to the step so-and-so of this attempt. Returns the
    model and the run."""
    device = Tensor(where(np.ones(1))).device
    model = UNet(depth=2, width=2, seed=1).to(device)
    trainer, steps = Trainer(model, optim.RMSprop(model.parameters()), "bce"), []
    resume = model if (folder / "run.json").exists() else None
    with runs.RunFolder(folder, {}, trainer.parts(), save_minutes=1e-9, resume=resume) as run:

        def after_step():
            run.save_if_due(model)
            steps.append(1)
            if len(steps) == stop_after:
                raise Stopped

        training, validation = Loader(Noise(), 2, seed=1), Loader(Noise(), 3, shuffle=False)
        trainer.after_step = after_step
        trainer.stop = lambda: len(steps) == ask_to_stop_after
        for row in trainer.epochs(training, validation, epochs):
            run.add(row, model)
        run.finish("interrupted" if trainer.stop() else "finished", model)
    return model, run


def contents(folder):
    """All arrays of last.npz without the times, and the files that must be the same to the last bit."""
    with np.load(folder / "last.npz", allow_pickle=False) as file:
        state = {name: file[name] for name in file.files if name != "training/progress/seconds"}
    history = json.loads(str(state.pop("training/run/history")))
    for row in history:
        row.pop("seconds")
    return state, history, *((folder / name).read_bytes() for name in ("history.csv", "best.npz"))


def assert_same(folder, other):
    (state, *rest), (other_state, *other_rest) = contents(folder), contents(other)
    assert rest == other_rest and list(state) == list(other_state)
    for name, array in state.items():
        assert array.dtype == other_state[name].dtype and np.array_equal(array, other_state[name]), name


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    go(folder)  # and draws its curves
    assert {path.name for path in folder.iterdir()} >= {
        "last.npz",
        "previous.npz",
        "best.npz",
        "history.csv",
        "run.json",
    }
    return folder


@pytest.mark.parametrize("step", range(1, 13))
def test_stopped_after_each_step(undisturbed, tmp_path, step):
    with pytest.raises(Stopped):
        go(tmp_path, stop_after=step)
    go(tmp_path)
    assert_same(tmp_path, undisturbed)


def test_interrupted_between_steps_and_at_the_end_of_an_epoch(undisturbed, tmp_path):
    for step in (3, 1, 4, 2):  # the second ends in the last step of the first epoch: its validation is still to come
        _, run = go(tmp_path, ask_to_stop_after=step)
        assert json.loads((tmp_path / "run.json").read_text())["status"] == "interrupted"
    go(tmp_path)
    assert_same(tmp_path, undisturbed)
    assert json.loads((tmp_path / "run.json").read_text())["resumed"] == 4


def test_more_epochs_than_were_asked_for_at_first(undisturbed, tmp_path):
    for epochs in (1, 2, 3, 3, 1):  # the last two find nothing to do
        go(tmp_path, epochs)
    assert_same(tmp_path, undisturbed)


def test_on_another_device(xp_array, tmp_path):
    """Stopped and resumed on one device: the same numbers there."""
    go(tmp_path / "whole", where=xp_array)
    with pytest.raises(Stopped):
        go(tmp_path / "parts", stop_after=6, where=xp_array)
    go(tmp_path / "parts", where=xp_array)
    assert_same(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_killed_at_random_moments(tmp_path):
    def run(folder, seed):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "MINUNET_NUM_THREADS": "1"}
        command = [sys.executable, WORKER, folder, str(seed)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return [int(number) for number in done.stdout.split()]

    assert run(tmp_path / "undisturbed", 0) == [0, 0]
    kills, _ = run(tmp_path / "killed", 1)
    assert kills >= 3
    assert_same(tmp_path / "killed", tmp_path / "undisturbed")
    assert not list((tmp_path / "killed").glob(".*.part"))


# ---- folders to go on in, and others -----------------------------------------------------------------------


def test_two_runs_never_write_into_one_folder(tmp_path):
    with runs.RunFolder(tmp_path, {}):
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        for resume in (None, UNet(depth=1, width=1)):
            with pytest.raises((FolderInUse, FileExistsError)):
                runs.RunFolder(tmp_path, {}, resume=resume)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    runs.RunFolder(tmp_path, {}, resume=UNet(depth=1, width=1))


def test_two_runs_that_begin_at_once_in_an_empty_folder(tmp_path, monkeypatch):
    first = runs.FolderLock(tmp_path)
    with pytest.raises(FolderInUse):
        runs.RunFolder(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    first.release()
    runs.RunFolder(tmp_path, {})


def test_a_run_that_was_killed_before_its_first_epoch_starts_over(undisturbed, tmp_path):
    with runs.RunFolder(tmp_path, {}):
        pass
    go(tmp_path)
    assert_same(tmp_path, undisturbed)


@pytest.mark.parametrize("content", [None, "", "[]", '{"command": 3}', '{"command": [3]}', "\x00\xff"])
def test_a_folder_without_a_run(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_text(content, encoding="latin-1")
    with pytest.raises(CheckpointError, match="run.json"):
        runs.RunFolder(tmp_path, {}, resume=UNet(depth=1, width=1))


def test_a_state_that_diverged_is_not_saved(tmp_path):
    progress = Progress("cpu", Binary())
    for loss in (0.5, float("nan")):
        progress.losses.add(loss, images=2)
    with runs.RunFolder(tmp_path, {}, parts={"progress": progress}) as run:
        with pytest.raises(Diverged, match="epoch 1, step 2: the loss is nan"):
            run.save_checkpoint(UNet(depth=1, width=1))
    assert not (tmp_path / "last.npz").exists()


@pytest.mark.parametrize(("step", "images"), [(1, [3]), (5, [2, 2, 2, 1, 2]), (2, [2, 1]), (4, [2, 2, 2, 2])])
def test_a_place_in_an_epoch_that_no_training_comes_to(step, images):
    """There are 7 images in batches of 2."""
    model = UNet(depth=1, width=1)
    trainer = Trainer(model, optim.RMSprop(model.parameters()))
    counts = np.array([[1, 2, 3, 9, 9]] * sum(images))
    state = {"epoch": 1, "step": step, "seconds": 0.0, "losses": np.ones(step), "images": np.array(images)}
    trainer.progress.load_state_dict({**state, "counts": counts})
    with pytest.raises(DataError, match=f"the run has counted {sum(images)} images in {step} batches"):
        next(trainer.epochs(Loader(Noise(), 2), Loader(Noise(), 2), 1))


def test_images_that_were_not_counted_are_not_scored():
    model = UNet(depth=1, width=1)
    progress = Trainer(model, optim.RMSprop(model.parameters())).progress
    state = {"epoch": 1, "step": 1, "seconds": 0.0, "losses": np.ones(1), "images": np.array([2])}
    with pytest.raises(ValueError, match="1 scores of 2 images"):
        progress.load_state_dict({**state, "counts": np.array([[1, 2, 3, 9, 9]])})
    with pytest.raises(ValueError, match="no training has these"):
        progress.load_state_dict({**state, "images": np.array([0]), "counts": np.zeros((0, 5), int)})
