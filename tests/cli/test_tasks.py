"""`minunet train` and `minunet predict` for every kind of segmentation, from drawn scenes in files."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from minunet.data.drawn_scenes import CLASSES, write_scenes
from minunet.weights import io

TASKS = {
    "semantic": ["semantic"],
    "semantic, weighted": ["semantic", "--class-weights", "median", "--loss", "focal"],
    "instance": ["instance"],
    "instance, plain": ["instance", "--boundary", "0", "--no-weight-map", "--separate-by", "components"],
    "panoptic": ["panoptic", "--class-weights", "median"],
    "panoptic by boundaries": ["panoptic", "--separate-by", "boundaries", "--boundary", "2"],
}
TINY = ["--device", "cpu", "--image-size", "64", "--epochs", "2", "--batch-size", "3", "--width", "2"]


def files_of(scenes, task):
    """The flags for scenes in files."""
    kind = {"semantic": "classes", "instance": "instances", "panoptic": "panoptic"}[task]
    flags = ["--images", scenes / "images", "--masks", scenes / kind, "--names", scenes / "train.txt"]
    flags += ["--validation-names", scenes / "test.txt"]
    flags += ["--classes", scenes / "classes.txt"] if task == "semantic" else []
    return flags + (["--panoptic-json", scenes / "panoptic.json"] if task == "panoptic" else [])


def history(folder):
    return list(csv.DictReader((folder / "history.csv").read_text().splitlines()))


@pytest.mark.parametrize("name", TASKS)
def test_from_training_to_scored_predictions(name, scenes, run, tmp_path):
    task, *flags = TASKS[name]
    code, output, errors = run(
        "train", "--task", task, *flags, *files_of(scenes, task), *TINY, "--out", tmp_path / "run"
    )
    assert code == 0 and all("warning: no " in line for line in errors.splitlines()), errors  # classes that are rare
    assert "5 to train, 3 to validate, 64 x 64" in output and "to beat     all " in output
    assert set(history(tmp_path / "run")[0]) == {
        "epoch", "train_loss", "val_loss", "train_mean_iou", "val_mean_iou", "train_accuracy", "val_accuracy", "lr",
    }  # fmt: skip
    kept = json.loads((tmp_path / "run" / "scores.json").read_text())
    best = {"semantic": "mean_iou", "instance": "ap50", "panoptic": "pq"}[task]
    assert kept["epoch"] == 2 and 0 <= kept["scores"][best] <= 1
    assert f"{best} {kept['scores'][best]:.3f}" in output
    for row in kept["table"]:
        assert row[0] in output
    for file in ("curves.png", "predictions.png"):
        Image.open(tmp_path / "run" / file).verify()

    known = scenes / {"semantic": "classes", "instance": "instances", "panoptic": "panoptic"}[task]
    names = (scenes / "test.txt").read_text().split()
    (tmp_path / "few").mkdir()
    for image in (scenes / "images").iterdir():
        if image.stem in names:
            shutil.copy(image, tmp_path / "few")
    code, output, errors = run(
        "predict", tmp_path / "run" / "last.npz", tmp_path / "few", "--out", tmp_path / "out", "--evaluate", known,
        "--batch-size", "3",
    )  # fmt: skip
    assert (code, errors) == (0, ""), errors
    # images of the size that the network was trained with, in the same batch: the very answers of the last epoch
    summary = next(line for line in output.splitlines() if line.startswith("scores"))
    assert f" {kept['scores'][best]:.3f}" in summary and len(output.splitlines()) >= 6
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    suffixes = {
        "semantic": [".classes.png", ".overlay.png"],
        "instance": [".boxes.png", ".labels.png", ".objects.csv", ".overlay.png"],
        "panoptic": [".classes.png", ".overlay.png", ".panoptic.png", ".segments.json"],
    }[task]
    assert written == sorted(f"{name}{suffix}" for name in names for suffix in suffixes)
    # a second call replaces the results of the first, and a mask that somebody drew stays
    assert run("predict", tmp_path / "run" / "last.npz", tmp_path / "few", "--out", tmp_path / "out")[0] == 0
    Image.new("L", (64, 64)).save(tmp_path / "out" / (names[0] + suffixes[0].replace(".csv", ".png")))
    code, _, errors = run("predict", tmp_path / "run" / "last.npz", tmp_path / "few", "--out", tmp_path / "out")
    assert code == 1 and "was not written by a prediction" in errors


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("name", TASKS)
def test_resumed_it_ends_with_the_same_numbers(name, run, tmp_path):
    task, *flags = TASKS[name]
    words = ["train", "--task", task, *flags, *TINY, "--limit", "4", "--augment", "cells", "--preset", "best"]
    assert run(*words, "--epochs", "3", "--schedule", "constant", "--out", tmp_path / "whole")[0] == 0
    assert run(*words, "--epochs", "2", "--schedule", "constant", "--out", tmp_path / "parts")[0] == 0
    code, output, errors = run("train", "--resume", tmp_path / "parts", "--epochs", "3")
    assert code == 0 and "error" not in errors and "after 2 epochs" in output
    assert (tmp_path / "whole" / "history.csv").read_text() == (tmp_path / "parts" / "history.csv").read_text()
    whole, parts = (io.read(tmp_path / run_ / "last.npz").arrays for run_ in ("whole", "parts"))
    weights = [key for key in whole if "/" in key and not key.startswith("training")]
    assert len(weights) > 40
    for key in weights:
        np.testing.assert_array_equal(whole[key], parts[key])


def test_class_maps_keep_the_numbers_of_the_files(run, scenes, tmp_path):
    """Numbers 30, 31 … in files, 0, 1 … in the network, and 30, 31 … again in what it predicts, with its colors."""
    for path in (scenes / "classes").iterdir():
        moved = np.asarray(Image.open(path)) + 30
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(moved.astype(np.uint8)).save(tmp_path / "masks" / path.name)
    table = ",".join(f"{30 + k}={name}" for k, name in enumerate(CLASSES.names)) + ",255=ignore"
    words = ["--images", scenes / "images", "--masks", tmp_path / "masks", "--classes", table]
    assert run("train", "--task", "semantic", *words, *TINY, "--out", tmp_path / "run")[0] == 0
    code, output, errors = run(
        "predict", tmp_path / "run" / "best.npz", scenes / "images", "--out", tmp_path / "out", "--evaluate",
        tmp_path / "masks", "--flips",
    )  # fmt: skip
    assert code == 0 and "and flipped" in output
    with Image.open(next((tmp_path / "out").glob("*.classes.png"))) as image:
        assert image.mode == "P" and set(np.unique(np.asarray(image))) <= set(range(30, 38))


def test_an_unknown_number_is_named_with_its_file(run, scenes, tmp_path):
    words = ["--images", scenes / "images", "--masks", scenes / "classes", "--classes", "0=wall,1=floor,2=sky"]
    code, _, errors = run("train", "--task", "semantic", *words, *TINY, "--strict", "--out", tmp_path / "run")
    assert code == 2 and len(errors.splitlines()) == 1 and ".png: holds" in errors and "0, 1, 2" in errors


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--task", "sorting"], "invalid choice"),
        (["--classes", "0=a,1=b"], "--classes is for the task semantic"),
        (["--task", "semantic", "--boundary", "2"], "--boundary is for the task instance or panoptic"),
        (["--task", "instance", "--separate-by", "boundaries"], "choose distance or inside or components"),
        (["--separate-by", "centers"], "--separate-by is for the task instance or panoptic"),
        (["--task", "panoptic", "--separate-by", "boundaries", "--boundary", "0"], "at least 1"),
        (["--task", "instance", "--data-dir", "x"], "do not tell one pet from another"),
        (["--task", "semantic", "--loss", "bce"], "choose one of ce, dice, ce+dice, focal"),
        (["--loss", "ce"], "choose one of bce, dice, bce+dice"),
        (["--task", "semantic", "--monitor", "val_dice"], "val_accuracy"),
        (["--task", "semantic", "--images", "a", "--masks", "b"], "--classes is missing"),
        (["--task", "panoptic", "--images", "a", "--masks", "b"], "--panoptic-json is missing"),
        (["--task", "semantic", "--classes", "0=a,0=b"], "0"),
        (["--task", "semantic", "--classes", "no such file"], "no such file"),
        (["--names", "x"], "--names goes with --images"),
        (["--image-size", "64x128"], "only --images"),
        (["--momentum", "0.9"], "--momentum is for --optimizer sgd"),
    ],
)
def test_flags_that_do_not_fit(words, reason, run, tmp_path):
    code, output, errors = run("train", *words, "--out", tmp_path / "run")
    assert code == 2 and output == "" and len(errors.splitlines()) == 1 and reason in errors
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("size, shape", [("original", "64 x 64"), ("64x128", "64 x 128")])
def test_images_of_another_shape(size, shape, run, scenes, tmp_path):
    flags = [*files_of(scenes, "instance"), *TINY, "--image-size", size, "--epochs", "1"]
    code, output, errors = run("train", "--task", "instance", *flags, "--out", tmp_path / "run")
    assert code == 0 and f"to validate, {shape}" in output, errors
    code, output, _ = run("predict", tmp_path / "run" / "last.npz", scenes / "images", "--out", tmp_path / "out")
    assert code == 0 and ("at full resolution" in output) == (size == "original")


def test_images_of_their_own_to_validate_with(run, scenes, tmp_path):
    """They may be of another size."""
    write_scenes(tmp_path / "other", 0, 2, 128, seed=5)
    words = [*files_of(scenes, "instance")[:6], "--validation-images", tmp_path / "other" / "images"]
    words += ["--validation-masks", tmp_path / "other" / "instances", *TINY, "--image-size", "original"]
    code, output, errors = run("train", "--task", "instance", *words, "--epochs", "1", "--out", tmp_path / "run")
    assert code == 0 and "5 to train, 2 to validate" in output, errors
    with Image.open(tmp_path / "run" / "predictions.png") as picture:
        picture.verify()


def test_the_species_and_the_trimap_of_pets(run, pets_dir, tmp_path):
    words = ["--task", "semantic", "--data-dir", pets_dir, *TINY, "--epochs", "1", "--limit", "4"]
    code, output, errors = run("train", *words, "--out", tmp_path / "species")
    assert code == 0 and "cat" in output and "dog" in output, errors
    code, output, errors = run("train", *words, "--trimap", "--out", tmp_path / "trimap")
    assert code == 0 and "border" in output, errors


def test_the_network_of_the_paper(run, tmp_path):
    words = ["--task", "instance", "--preset", "paper", "--limit", "2", *TINY, "--epochs", "1"]
    code, output, errors = run("train", *words, "--batch-size", "1", "--out", tmp_path / "run")
    assert code == 0 and "UNet2015 with" in output and "sgd" in output, errors
    model = io.load_model(tmp_path / "run" / "last.npz")
    assert model.options["dropout"] == 0.5 and model.options["mirror"] is True


def test_the_tiles_of_the_network_of_the_paper(run, scenes, tmp_path):
    """In tiles it answers as on the whole image, and shows them."""
    words = ["--preset", "paper", "--limit", "2", *TINY, "--width", "1", "--epochs", "1", "--out", tmp_path / "run"]
    assert run("train", "--task", "instance", *words)[0] == 0
    model, image = tmp_path / "run" / "last.npz", next((scenes / "images").iterdir())
    large = tmp_path / "large.png"
    Image.open(image).resize((150, 110)).save(large)
    for name, flags in (("whole", ["--native"]), ("tiles", ["--tile", "--tile-size", "220"])):
        code, output, errors = run("predict", model, large, "--out", tmp_path / name, *flags)
        assert code == 0, errors
    whole, tiles = (np.asarray(Image.open(tmp_path / name / "large.labels.png")) for name in ("whole", "tiles"))
    # Sums in another order may decide a tie the other way; tests/inference compares the numbers themselves.
    assert whole.shape == tiles.shape == (110, 150) and ((whole > 0) == (tiles > 0)).mean() > 0.99
    picture = tmp_path / "tiles.png"
    code, _, errors = run("predict", model, large, "--out", tmp_path / "tiles", "--tile", "--show-tiles", picture)
    assert code == 0 and np.asarray(Image.open(picture)).shape[1] > 500, errors
    code, _, errors = run("predict", model, large, "--out", tmp_path / "tiles", "--show-tiles", picture)
    assert code == 2 and "--show-tiles is for --tile" in errors


def test_a_prediction_without_labels_to_compare_with(run, scenes, tmp_path):
    words = [*files_of(scenes, "panoptic"), *TINY, "--epochs", "1", "--out", tmp_path / "run"]
    assert run("train", "--task", "panoptic", *words)[0] == 0
    (tmp_path / "empty").mkdir()
    code, _, errors = run(
        "predict", tmp_path / "run" / "last.npz", scenes / "images", "--out", tmp_path / "out", "--evaluate",
        tmp_path / "empty",
    )  # fmt: skip
    assert code == 2 and "panoptic.json" in errors and len(errors.splitlines()) == 1


def test_answers_as_tiff_and_in_one_file(run, scenes, tmp_path):
    words = [*files_of(scenes, "instance"), *TINY, "--epochs", "1", "--out", tmp_path / "run"]
    assert run("train", "--task", "instance", *words)[0] == 0
    model = tmp_path / "run" / "last.npz"
    options = ["--out", tmp_path / "out", "--tiff", "--coco", tmp_path / "all.json", "--polygons"]
    code, output, errors = run("predict", model, scenes / "images", *options)
    assert code == 0, errors
    document = json.loads((tmp_path / "all.json").read_text())
    assert len(document["images"]) == 8
    for image in document["images"]:
        name = image["file_name"].removesuffix(".png")
        segments = np.asarray(Image.open(tmp_path / "out" / f"{name}.labels.tif"))
        found = [entry for entry in document["annotations"] if entry["image_id"] == image["id"]]
        assert segments.dtype == np.uint16 and segments.max() == len(found)
        rows = (tmp_path / "out" / f"{name}.objects.csv").read_text().splitlines()
        assert len(rows) == 1 + len(found)
    assert not list((tmp_path / "out").glob("*.labels.png"))
    assert (
        run("predict", model, tmp_path / "out", "--out", tmp_path / "again")[0] == 2
    )  # only results of the first call


def test_formats_that_a_task_does_not_have(run, tmp_path):
    assert run("train", *TINY, "--limit", "2", "--epochs", "1", "--out", tmp_path / "run")[0] == 0
    for words, reason in (
        (["--tiff"], "--tiff"),
        (["--coco", tmp_path / "x.json"], "--coco"),
        (["--polygons"], "--coco"),
    ):
        code, _, errors = run("predict", tmp_path / "run" / "last.npz", tmp_path, *words)
        assert code == 2 and reason in errors and len(errors.splitlines()) == 1
