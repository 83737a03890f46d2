"""The folder of a run, file by file."""

import json
import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from minunet import UNet, load
from minunet.tasks import Binary
from minunet.training import run_folder as runs


def row(epoch, mean_iou):
    scores = {f"{part}_{name}": 0.5 for part in ("train", "val") for name in ("loss", *Binary.score_names)}
    return {"epoch": epoch, **scores, "val_mean_iou": mean_iou, "lr": 1e-3 / epoch, "seconds": 1.25}


def model_of(value):
    """A small model that can be told by the value of all its weights."""
    model = UNet(depth=1, width=2)
    for p in model.parameters():
        p.data[...] = value
    return model


def weight_in(path):
    return float(load(path, UNet(depth=1, width=2)).parameters()[0].data.max())


def test_the_best_weights_are_kept_and_the_last_ones_move_on(tmp_path):
    run = runs.RunFolder(tmp_path / "a" / "b", {"seed": 3, "path": Path("x")})
    for epoch, score in enumerate([0.2, 0.6, 0.6, 0.4], 1):
        run.add(row(epoch, score), model_of(epoch))
    run.finish("finished")
    assert weight_in(run.folder / "best.npz") == 2 and weight_in(run.folder / "last.npz") == 4
    about = json.loads((run.folder / "run.json").read_text())
    assert about["seed"] == 3 and about["path"] == "x" and about["best"]["epoch"] == 2
    assert about["seconds_per_epoch"] == [1.25] * 4 and about["status"] == "finished"
    assert "epoch 2" in run.summary() and "0.600" in run.summary() and str(run.folder) in run.summary()


def test_history_is_a_table_of_the_rows(tmp_path):
    run = runs.RunFolder(tmp_path, {})
    run.add(row(1, 0.25), model_of(1))
    header, line = (tmp_path / "history.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), line.split(",")))
    assert cells.pop("epoch") == "1" and cells.pop("val_mean_iou") == "0.250000" and cells.pop("lr") == "0.001"
    assert len(cells) == 9 and set(cells.values()) == {"0.500000"}
    assert "seconds" not in header  # the same seed, the same file


def test_what_was_learned_before_an_interrupt_is_saved(tmp_path):
    early = runs.RunFolder(tmp_path / "early", {})
    early.finish("interrupted", model_of(7))
    assert weight_in(early.folder / "best.npz") == weight_in(early.folder / "last.npz") == 7
    late = runs.RunFolder(tmp_path / "late", {})
    late.add(row(1, 0.5), model_of(1))
    late.finish("interrupted", model_of(7))
    assert weight_in(late.folder / "best.npz") == 1 and weight_in(late.folder / "last.npz") == 7


def test_without_a_name_the_folder_is_named_after_the_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs.time, "strftime", lambda form: "2024-05-01_13-20-45")
    folders = [runs.RunFolder(None, {}).folder for _ in range(3)]
    assert [f.as_posix() for f in folders] == [f"runs/2024-05-01_13-20-45{end}" for end in ("", "-2", "-3")]


def test_predictions_are_drawn_with_the_best_weights(tmp_path, monkeypatch):
    class Images:
        names = [f"image {i}" for i in range(5)]

        def __len__(self):
            return 5

        def __getitem__(self, i):
            return np.full((8, 8, 3), i, np.uint8), np.zeros((8, 8, 1), np.uint8)

    run = runs.RunFolder(tmp_path, {})
    run.draw_predictions(model_of(1), Binary(), Images(), 3)  # no weights yet: nothing is drawn
    assert not (tmp_path / "predictions.png").exists()
    run.add(row(1, 0.5), model_of(-1))
    drawn = []
    monkeypatch.setattr(runs.plots, "save_panels", lambda *arguments: drawn.append(arguments))
    run.draw_predictions(model_of(9), Binary(), Images(), 3)
    (path, rows, names, title) = drawn[0]
    assert path == tmp_path / "predictions.png" and names == ["image 0", "image 1", "image 3"]
    for number, (image, mask, probability, outline) in zip((0, 1, 3), rows, strict=True):
        assert (image.pixels == number).all() and (mask.pixels == 24).all() and image.pixels.shape == (8, 8, 3)
        assert probability.pixels.shape == (8, 8)
        assert np.allclose(probability.pixels, 1 / (1 + np.e))  # all weights -1: relu leaves 0, the last bias -1
        assert np.array_equal(outline.pixels, image.pixels) and outline.caption == "IoU 1.00"
    assert "epoch 1" in title


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder, error, message in [
        (tmp_path, FileExistsError, "not empty"),
        (tmp_path / "file", NotADirectoryError, "is not a folder"),
        (tmp_path / "file" / "below", NotADirectoryError, "file is not a folder"),
    ]:
        with pytest.raises(error, match=re.escape(message)):
            runs.RunFolder(folder, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("installed", ["cupy-cuda12x", "cupy-cuda13x", None])
def test_the_versions_name_the_cupy_that_is_installed(installed, monkeypatch):
    def version(name):
        if name.startswith("cupy") and name != installed:
            raise PackageNotFoundError(name)
        return "14.2.0"

    monkeypatch.setattr("minunet.version.packages.version", version)
    found = runs.versions()
    assert found["numpy"] == "14.2.0"
    assert [name for name in found if name.startswith("cupy")] == ([installed] if installed else [])
