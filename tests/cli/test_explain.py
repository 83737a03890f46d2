"""`minunet explain`: a page is written, or one line says why not."""

import json
import os
import re

import numpy as np
import pytest
from PIL import Image

from minunet import UNet
from minunet.data.classes import Classes
from minunet.tasks import Binary, Instance, Panoptic, Semantic
from minunet.weights import io

CLASSES = Classes(("grass", "cat"), values=(10, 20), things=(False, True))


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (30, 20, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def model_file(folder, task=None, size=16, **options):
    task = task or Binary()
    model = UNet(**{"depth": 1, "width": 4, "out_channels": task.out_channels, "activation": task.activation} | options)
    io.save(folder / "model.npz", model, {**task.metadata(), "image_size": size})
    return folder / "model.npz"


def data_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.S)[1])


def test_a_page(run, tmp_path, image):
    out = tmp_path / "page.html"
    code, output, errors = run("explain", model_file(tmp_path), image, "--out", out)
    assert (code, errors) == (0, "")
    assert f"written     {out}" in output and "cat.png, resized to 16 x 16 (" in output
    data = data_of(out)
    assert data["title"] == "model.npz on cat.png" and (data["image"]["height"], data["image"]["width"]) == (16, 16)
    first = out.read_bytes()
    assert run("explain", tmp_path / "model.npz", image, "--out", out)[0] == 0  # its own page may be replaced
    assert out.read_bytes() == first


def test_the_size_that_was_asked_for_and_the_images_own(run, tmp_path, image):
    out = tmp_path / "page.html"
    run("explain", model_file(tmp_path), image, "--out", out, "--image-size", "8x12")
    assert (data_of(out)["image"]["height"], data_of(out)["image"]["width"]) == (8, 12)
    _, output, _ = run("explain", model_file(tmp_path, size="original"), image, "--out", out)
    assert "cat.png, 20 x 30 (" in output
    assert (data_of(out)["image"]["height"], data_of(out)["image"]["width"]) == (30, 20)


@pytest.mark.parametrize(
    "task, values",
    [(Binary(), (0, 255)), (Semantic(CLASSES), (10, 20)), (Instance(), (0, 7))],
    ids=["binary", "semantic", "instance"],
)
def test_a_mask_becomes_the_target(run, tmp_path, image, task, values):
    pytest.importorskip("skimage")
    mask = np.full((30, 20), values[0], np.uint8)
    mask[5:25, 4:12] = values[1]
    Image.fromarray(mask).save(tmp_path / "mask.png")
    out = tmp_path / "page.html"
    code, _, errors = run("explain", model_file(tmp_path, task), image, "--mask", tmp_path / "mask.png", "--out", out)
    assert (code, errors) == (0, "") and data_of(out)["loss"]["own"] is False


def test_a_panoptic_mask(run, tmp_path, scenes):
    document = json.loads((scenes / "panoptic.json").read_text())
    classes = Classes(
        tuple(entry["name"] for entry in document["categories"]),
        values=tuple(entry["id"] for entry in document["categories"]),
        things=tuple(bool(entry["isthing"]) for entry in document["categories"]),
    )
    name = document["annotations"][0]["file_name"]
    photograph = next((scenes / "images").glob(f"{name.removesuffix('.png')}.*"))
    model = model_file(tmp_path, Panoptic(classes))
    words = ("explain", model, photograph, "--mask", scenes / "panoptic" / name, "--out", tmp_path / "page.html")
    assert run(*words)[::2] == (0, "") and data_of(tmp_path / "page.html")["loss"]["own"] is False


WRONG = {
    "no model": (["missing.npz", "cat.png"], "there is no file"),
    "not a model": (["cat.txt", "cat.png"], "not named like a weights file"),
    "no image": (["model.npz", "dog.png"], "dog.png: is missing"),
    "not an image": (["model.npz", "cat.txt"], "cat.txt: is not an image"),
    "a loss of another task": (["model.npz", "cat.png", "--loss", "focal"], "bce, dice, bce+dice"),
    "too large": (["model.npz", "cat.png", "--image-size", "2048"], "give a smaller --image-size"),
    "no mask": (["model.npz", "cat.png", "--mask", "mask.png"], "mask.png: is missing"),
    "a mask of another size": (["model.npz", "cat.png", "--mask", "small.png"], "small.png: is 4 x 4"),
    "a name of another kind": (["model.npz", "cat.png", "--out", "page.pdf"], "must end with .html"),
    "no folder": (["model.npz", "cat.png", "--out", "nowhere/page.html"], "there is no folder"),
    "a folder": (["model.npz", "cat.png", "--out", "folder.html"], "is a folder"),
    "somebody's page": (["model.npz", "cat.png", "--out", "mine.html"], "was not written by this command"),
    "no such flag": (["model.npz", "cat.png", "--native"], "--help"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_use_is_one_line(run, tmp_path, image, what, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model_file(tmp_path)
    (tmp_path / "cat.txt").write_text("no image")
    (tmp_path / "mine.html").write_text("<h1>mine</h1>")
    (tmp_path / "folder.html").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "small.png")
    before = {path.name for path in tmp_path.iterdir()}
    words, said = WRONG[what]
    code, output, errors = run("explain", *words)
    assert code == 2 and said in errors and len(errors.splitlines()) == 1 and output == ""
    assert {path.name for path in tmp_path.iterdir()} == before
    assert (tmp_path / "mine.html").read_text() == "<h1>mine</h1>"


def test_any_name_of_an_image(run, tmp_path, image):
    name = os.fsdecode(b"a\xff\n<b>.png")
    image.rename(tmp_path / name)
    out = tmp_path / "page.html"
    assert run("explain", model_file(tmp_path), tmp_path / name, "--out", out)[::2] == (0, "")
    assert data_of(out)["title"] == "model.npz on a\\udcff\\n<b>.png"


def test_weights_too_large_to_compute_with(run, tmp_path, image):
    model = UNet(depth=1, width=4)
    for parameter in model.parameters():
        parameter.data = parameter.data * np.float32(1e18)
    io.save(tmp_path / "model.npz", model, {**Binary().metadata(), "image_size": 16})
    code, output, errors = run("explain", tmp_path / "model.npz", image, "--out", tmp_path / "page.html")
    assert code == 2 and output == "" and len(errors.splitlines()) == 1 and "NaN or infinity" in errors


def test_channels_that_do_not_fit(run, tmp_path, image):
    model = model_file(tmp_path, in_channels=1)
    code, _, errors = run("explain", model, image, "--out", tmp_path / "page.html")
    assert code == 2 and "from 1 to 1 channels" in errors
