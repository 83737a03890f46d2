"""The flags of image files, through the commands: prediction reads as training did, and masks cover their objects."""

import argparse

import numpy as np
import pytest
from PIL import Image

import minunet
from minunet import UNet
from minunet.cli.explain import main as explain
from minunet.cli.predict import main as predict
from minunet.cli.reading import reading_of, stretch_rule
from minunet.cli.train import main as train
from minunet.data.images import Reading, read_image
from minunet.weights import io

COMPUTE = ("--device", "cpu", "--threads", "1")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with images/ and masks/, in which an object is brighter: 16 bits, 800 to 3800."""
    monkeypatch.chdir(tmp_path)
    for folder in ("images", "masks", "out"):
        (tmp_path / folder).mkdir()
    rng = np.random.default_rng(0)
    for name in "abcd":
        mask = np.zeros((64, 64), np.uint8)
        mask[8:40, 8:30] = 255
        image = rng.integers(800, 1200, (64, 64)) + (mask > 0) * 2600
        Image.fromarray(image.astype(np.uint16)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    return tmp_path


def flat_model(path="model.npz", **metadata):
    """A network that answers with the brightness of the red channel, above a half."""
    model = UNet(depth=1, width=1)
    for parameter in model.parameters():
        parameter.data = np.zeros_like(parameter.data)
    skip = model.decoder[-1].convolutions.first.kernel.shape[2] - 1
    model.encoder[0].convolutions.first.kernel.data[1, 1, 0, 0] = 1
    model.encoder[0].convolutions.second.kernel.data[1, 1, 0, 0] = 1
    model.decoder[-1].convolutions.first.kernel.data[1, 1, skip, 0] = 1
    model.decoder[-1].convolutions.second.kernel.data[1, 1, 0, 0] = 1
    model.out.kernel.data[0, 0, 0, 0] = 100
    model.out.bias.data[0] = -50
    minunet.save(path, model, metadata={"image_size": 64, **metadata})


@pytest.mark.parametrize(
    "text, rule", [("percentiles", "percentiles"), ("full", "full"), ("0-4095", [0, 4095]), ("-1.5--0.5", [-1.5, -0.5])]
)
def test_rules_as_they_are_typed(text, rule):
    assert stretch_rule(text) == rule


@pytest.mark.parametrize("text", ["", "0", "5-5", "9-1", "1..2-3", "a-b", "0-1e999", "nan-1", "Full"])
def test_rules_that_are_none(text):
    with pytest.raises(argparse.ArgumentTypeError, match="must be percentiles, full, or LOW-HIGH"):
        stretch_rule(text)


@pytest.mark.parametrize(
    "given, trained, rule",
    [
        (None, None, "percentiles"),
        (None, "full", "full"),
        (None, [0, 4095], (0, 4095)),
        ("percentiles", "full", "percentiles"),
        ([0, 9], "full", (0, 9)),
        (None, "nonsense", "percentiles"),
        (None, [9, 0], "percentiles"),
        (None, ["a", {}], "percentiles"),
    ],
)
def test_the_flag_counts_before_the_model(given, trained, rule):
    args = argparse.Namespace(stretch=given, exif="stored", page=2, max_pixels=0.5)
    assert reading_of(args, {"stretch": trained}) == Reading(rule, "stored", 2, 500_000)


def test_the_rule_is_kept_with_the_model_and_said(place, capsys):
    options = [
        "--images",
        "images",
        "--masks",
        "masks",
        "--image-size",
        "64",
        "--epochs",
        "1",
        "--width",
        "1",
        *COMPUTE,
    ]
    assert train([*options, "--stretch", "0-4000", "--out", "run"]) == 0
    assert "; 4 images have more than 8 bits, stretched from 0 to 4000 (--stretch)" in capsys.readouterr().out
    assert io.read(place / "run" / "best.npz").metadata["stretch"] == [0, 4000]
    assert predict(["run/best.npz", "images", "--out", "out", *COMPUTE]) == 0
    assert "4 images have more than 8 bits, stretched from 0 to 4000 (--stretch)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "trained, flags, said, iou",
    [
        ("percentiles", (), "each from its 1st percentile to its 99.8th", "1.000"),
        ("percentiles", ("--stretch", "full"), "from 0 to 65535", "0.000"),
        ([0, 4095], (), "from 0 to 4095", "1.000"),
    ],
)
def test_prediction_stretches_as_training_did(place, capsys, trained, flags, said, iou):
    flat_model(stretch=trained)
    assert predict(["model.npz", "images", "--evaluate", "masks", "--out", "out", *flags, *COMPUTE]) == 0
    out = capsys.readouterr().out
    assert f"stretched {said} (--stretch)" in out and f"pixel IoU {iou}" in out


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_predicted_mask_scores_1_against_itself_and_the_objects_own(place, capsys, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    mask = np.zeros((64, 64), np.uint8)
    mask[4:20, 4:40] = mask[20:30, 4:10] = 255
    (place / "photos").mkdir()
    (place / "stored").mkdir()
    Image.fromarray(mask).convert("RGB").save(place / "photos" / "a.png", exif=tags)
    Image.fromarray(mask).save(place / "stored" / "a.png")
    flat_model()
    command = ["model.npz", "photos", "--out", "out", *COMPUTE]
    assert predict(command) == 0
    (place / "out" / "a.mask.png").rename(place / "out" / "a.png")
    capsys.readouterr()
    for known, flags in (("out", ()), ("out", ("--exif", "stored")), ("stored", ("--exif", "stored"))):
        assert predict([*command[:3], "again", *COMPUTE, "--evaluate", known, *flags]) == 0
        assert "pixel IoU 1.000" in capsys.readouterr().out
    code = predict([*command[:3], "again", *COMPUTE, "--evaluate", "stored"])
    said = capsys.readouterr()
    assert code == (0 if orientation == 1 else 1) and ("--exif stored or --exif upright" in said.err) == (code == 1)


def test_explain_reads_as_the_others_do(place, capsys):
    flat_model(stretch=[0, 4095])
    command = ["model.npz", "images/a.png", "--mask", "masks/a.png", "--out", "page.html", "--image-size", "16"]
    assert explain([*command, "--threads", "1"]) == 0
    assert "1 image has more than 8 bits, stretched from 0 to 4095" in capsys.readouterr().out
    assert explain([*command, "--max-pixels", "0.001"]) == 2
    assert "images/a.png: has 64 x 64 = 4,096 pixels" in capsys.readouterr().err


def test_the_limit_and_the_page_are_flags_of_prediction(place, capsys):
    flat_model()
    pages = [Image.new("RGB", (64, 64), color) for color in ("black", "white")]
    pages[0].save(place / "stack.tif", save_all=True, append_images=pages[1:])
    command = ["model.npz", "stack.tif", "--out", "out", *COMPUTE]
    assert predict(command) == 1 and "stack.tif: has 2 pages or frames: choose one" in capsys.readouterr().err
    for page, share in (("1", "0.0%"), ("2", "100.0%")):
        assert predict([*command, "--page", page]) == 0
        assert f"stack.tif: {share} pet" in " ".join(capsys.readouterr().out.split())
    assert predict([*command, "--page", "2", "--max-pixels", "0.004"]) == 1
    assert "at most 4,000 are read: --max-pixels 1" in capsys.readouterr().err


def test_training_names_what_it_passes_over(place, capsys, caplog):
    (place / "images" / "e.jp2").write_bytes(b"whatever")
    options = ["--images", "images", "--masks", "masks", "--image-size", "64", "--epochs", "1", *COMPUTE, "--strict"]
    assert train([*options, "--out", "run"]) == 2
    assert "images: 1 file is passed over, 1 .jp2 (such as e.jp2)" in capsys.readouterr().err


@pytest.mark.parametrize("flag", [("--stretch", "full"), ("--exif", "stored"), ("--page", "1"), ("--max-pixels", "1")])
def test_the_flags_are_for_images_of_ones_own(capsys, flag):
    with pytest.raises(SystemExit) as end:
        train(list(flag))
    assert end.value.code == 2 and f"{flag[0]} goes with --images" in capsys.readouterr().err


def test_tiles_take_images_beyond_pillows_own_limit(place, monkeypatch, capsys):
    flat_model()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # it would raise from twice as many on
    Image.new("RGB", (100, 80), "white").save(place / "large.png")
    command = ["model.npz", "large.png", "--out", "out", "--tile", "--tile-size", "64", *COMPUTE]
    for _ in range(2):  # the second time its own masks, which are as large, are known and replaced
        assert predict(command) == 0 and "100.0% pet, 100 x 80" in capsys.readouterr().out
    assert read_image(place / "out" / "large.mask.png").image.shape == (80, 100, 3)
    assert predict([*command, "--max-pixels", "0.005"]) == 1
    assert "100 x 80 = 8,000 pixels" in capsys.readouterr().err
