"""`minunet predict`, with a network made by hand that takes red for a pet."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minunet
from minunet import UNet, device
from minunet.cli.predict import command as predict_command
from minunet.inference.coco_file import is_answers
from minunet.inference.outputs import is_output
from minunet.tasks import Binary

PACKAGES = Path(minunet.__file__).parents[1]  # where Python finds minunet


def run(*arguments):
    """The exit code of the command line, in this process."""
    try:
        return predict_command.main([str(a) for a in arguments])
    except SystemExit as end:
        return end.code


def red_is_pet(depth=1):
    """Every convolution passes the red channel on, so that the logit is 100 (red - 0.5)."""
    model = UNet(depth=depth, width=1)
    for parameter in model.parameters():
        parameter.data = np.zeros_like(parameter.data)
    skip = model.decoder[-1].convolutions.first.kernel.shape[2] - 1
    for layer, channel in [
        (model.encoder[0].convolutions.first, 0),
        (model.encoder[0].convolutions.second, 0),
        (model.decoder[-1].convolutions.first, skip),
        (model.decoder[-1].convolutions.second, 0),
    ]:
        layer.kernel.data[1, 1, channel, 0] = 1
    model.out.kernel.data[0, 0, 0, 0] = 100
    model.out.bias.data[0] = -50
    return model


def draw(box=None, size=(32, 48)):
    """Blue, with a red box of (top, bottom, left, right)."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[..., 2] = 255
    if box:
        pixels[box[0] : box[1], box[2] : box[3]] = 255, 0, 0
    return Image.fromarray(pixels)


def contents(folder):
    """All files in a folder: names, times and bytes."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def mask_in(path):
    with Image.open(path) as mask:
        return np.asarray(mask) == 255


@pytest.fixture
def place(tmp_path, monkeypatch):
    """model.npz, and a folder "my pets ü" with a quarter of red, a half of red, and nothing red."""
    monkeypatch.chdir(tmp_path)
    minunet.save("model.npz", red_is_pet(), metadata={"image_size": 32, "border": "ignore"})
    folder = tmp_path / "my pets ü"
    folder.mkdir()
    draw((0, 16, 0, 24)).save(folder / "quarter.png")
    draw((0, 32, 0, 24)).save(folder / "half.bmp")
    draw(size=(10, 7)).save(folder / "none.tif")
    return folder


MODEL = ("model.npz", "--device", "cpu")


@pytest.mark.parametrize("manner", [[], ["--native"], ["--tile", "--tile-size", "32"], ["--batch-size", "1"]])
def test_masks_overlays_and_a_line_for_each_image(place, capsys, manner):
    before = contents(place)
    assert run(*MODEL, place, *manner) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == "" and lines[0] == "model       model.npz, on cpu (NumPy, threads: " + lines[0].rpartition(" ")[2]
    assert lines[1].startswith("images      3, ") and lines[1].endswith("pet where the probability is above 0.5")
    assert lines[2:] == [
        f"{place}/half.bmp: 50.0% pet, 48 x 32",
        f"{place}/none.tif: 0.0% pet, 7 x 10",
        f"{place}/quarter.png: 25.0% pet, 48 x 32",
        "done        3 of 3 images; masks and overlays are beside them",
    ]
    after = contents(place)
    assert {path: after[path] for path in before} == before and len(after) == 9
    expected = np.zeros((32, 48), bool)
    expected[:16, :24] = True
    assert (mask_in(place / "quarter.mask.png") == expected).all()
    assert not mask_in(place / "none.mask.png").any() and mask_in(place / "none.mask.png").shape == (10, 7)


@pytest.mark.parametrize(
    "manner, words",
    [
        ([], "each resized to 32 x 32 for the network"),
        (["--image-size", "8"], "resized to 8 x 8"),
        (["--native"], "at full resolution;"),
        (["--tile"], "in tiles of 2048 x 2048"),
    ],
)
def test_it_says_what_the_network_is_shown(place, capsys, manner, words):
    assert run(*MODEL, place / "none.tif", *manner) == 0
    assert words in capsys.readouterr().out


def test_a_model_that_does_not_say_its_size(place, capsys):
    minunet.save("model.npz", red_is_pet(), metadata={"image_size": "big"})
    assert run(*MODEL, place / "none.tif") == 0
    out, err = capsys.readouterr()
    assert "256 x 256 for the network" in out and err.count("\n") == 1 and "256 is assumed, or give --image-size" in err


def test_a_second_call_replaces_its_results_and_takes_none_for_an_image(place, capsys):
    run(*MODEL, place)
    first = contents(place)
    minunet.save("model.npz", UNet(depth=1, width=1), metadata={"image_size": 32})
    assert run(*MODEL, place, *place.glob("*.png")) == 0
    out, err = capsys.readouterr()
    assert "skipped     6 results of an earlier call" in out and "3 of 3" in out and err == ""
    second = contents(place)
    assert first.keys() == second.keys()
    assert all((first[path] == second[path]) == (not is_output(path, Binary.suffixes)) for path in first)
    assert run(*MODEL, *place.glob("*.mask.png")) == 2
    assert "all of these are results of an earlier call" in capsys.readouterr().err


def test_images_that_cannot_be_read_have_a_line_each_and_the_others_are_done(place, capsys):
    (place / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (place / "empty.png").touch()
    code = run(*MODEL, place, "none.jpg", "*.gif", place / "folder.png", "--out", "new/results", "--batch-size", "2")
    out, err = capsys.readouterr()
    assert code == 1
    reasons = [
        "*.gif: there is no such file",
        f"{place}/cut.jpg: ",
        f"{place}/empty.png: is empty",
        "none.jpg: is missing",
        f"{place}/folder.png: is missing",
    ]
    assert len(err.splitlines()) == 5
    for line, reason in zip(err.splitlines(), reasons):
        assert line.startswith(f"error: {reason}")
    assert "done        3 of 7 images; masks and overlays are in new/results" in out
    assert len(contents(Path("new/results"))) == 6 and len(contents(place)) == 5


def test_out_keeps_subfolders_and_refuses_a_second_image_of_the_same_name(place, capsys):
    (place / "a").mkdir()
    draw((0, 8, 0, 48)).save(place / "a" / "half.bmp")
    assert run(*MODEL, place, "--out", "masks") == 0
    assert mask_in("masks/a/half.mask.png").mean() == 0.25 and mask_in("masks/half.mask.png").mean() == 0.5
    assert run(*MODEL, place / "half.bmp", place / "a" / "half.bmp", "--out", "flat") == 1
    assert f"{place}/a/half.bmp: an image of the same name was given before" in capsys.readouterr().err
    assert mask_in("flat/half.bmp.mask.png").mean() == 0.5


def test_a_mask_drawn_by_hand_is_never_replaced(place, capsys):
    draw().save(place / "half.mask.png")
    before = contents(place)
    assert run(*MODEL, place / "half.bmp") == 1
    assert "half.mask.png exists already and was not written by a prediction" in capsys.readouterr().err
    assert contents(place) == before


def test_the_threshold(place):
    Image.new("RGB", (32, 32), (130, 0, 0)).save(place / "dark.png")  # 100 (130 / 255 - 0.5) = 0.98: probability 0.73
    for threshold, fraction in [("0.72", 1), ("0.74", 0)]:
        assert run(*MODEL, place / "dark.png", "--threshold", threshold) == 0
        assert mask_in(place / "dark.mask.png").mean() == fraction


def test_the_orientation_of_a_photograph_is_applied(place):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate to the right: what is stored on the left is at the top
    draw((0, 32, 0, 24)).save(place / "rotated.png", exif=exif)
    assert run(*MODEL, place / "rotated.png", "--evaluate", place) == 1
    mask = mask_in(place / "rotated.mask.png")
    assert mask.shape == (48, 32) and mask[:24].all() and not mask[24:].any()


def save_mask(folder, name, values):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(folder / f"{name}.png")


def test_scores_against_known_masks(place, capsys):
    """quarter: 384 of 1536 predicted; 192 of them right, 192 more are pet: IoU 192 / 576. half: right."""
    known = np.full((32, 48), 2)
    known[:16, 12:36] = 1
    save_mask(Path("set/annotations/trimaps"), "quarter", known)
    save_mask(Path("set/annotations/trimaps"), "half", np.where(np.arange(48) < 24, 255, 0) * np.ones((32, 1)))
    before = contents(Path("set"))
    assert run(*MODEL, place, "--evaluate", "set", "--native") == 1
    out, err = capsys.readouterr()
    assert (
        f"{place}/quarter.png: 25.0% pet, 48 x 32, IoU 0.333, box IoU 0.333\n" in out
        and "half.bmp: 50.0% pet, 48 x 32, IoU 1.000, box IoU 1.000\n" in out
    )
    assert "none.tif: 0.0% pet, 7 x 10\n" in out and err == "error: set/none.png: is missing\n"
    # pixel IoU (192 + 768) / (576 + 768); Dice 2 · 960 / (384 + 384 + 768 + 768); wrong: 384 of 3072 pixels
    assert out.endswith(
        "scores      mean IoU 0.667, pixel IoU 0.714, Dice 0.833, accuracy 0.875; "
        "2 images of their own size, boundary is ignore\n"
    )
    assert contents(Path("set")) == before


def test_the_iou_of_boxes_is_not_that_of_masks(place, capsys):
    """Predicted are 16 x 24 pixels in the corner; known is an L of 8 x 36 and 24 x 12 pixels in the same corner.

    masks   intersection 8 · 24 + 8 · 12 = 288, union 384 + 576 - 288 = 672: 0.429
    boxes   16 x 24 lies in 32 x 36: intersection 384, union 1152: 0.333
    """
    known = np.zeros((32, 48))
    known[:8, :36] = known[8:, :12] = 255
    save_mask(Path("masks"), "quarter", known)
    assert run(*MODEL, place / "quarter.png", "--evaluate", "masks", "--native") == 0
    assert "quarter.png: 25.0% pet, 48 x 32, IoU 0.429, box IoU 0.333\n" in capsys.readouterr().out


def test_no_box_holds_ignored_pixels(place, capsys):
    """Predicted are columns 0 to 24, known 8 to 32, and 0 to 8 are ignored: 16 of 24 columns; with them, 16 of 32."""
    known = np.full((32, 48), 2)
    known[:, :8], known[:, 8:32] = 3, 1
    save_mask(Path("masks"), "half", known)
    assert run(*MODEL, place / "half.bmp", "--evaluate", "masks", "--native") == 0
    assert ", IoU 0.667, box IoU 0.667\n" in capsys.readouterr().out


@pytest.mark.parametrize("name, shape, value", [("none.tif", (10, 7), 255), ("half.bmp", (32, 48), 0)])
def test_a_mask_without_a_pet_has_no_box(place, capsys, name, shape, value):
    save_mask(Path("masks"), Path(name).stem, np.full(shape, value))
    assert run(*MODEL, place / name, "--evaluate", "masks") == 0
    assert ", IoU 0.000\n" in capsys.readouterr().out


def test_the_boundary_counts_as_in_training_or_as_said(place, capsys):
    known = np.full((32, 48), 2)
    known[:, :24], known[:, 12:24] = 3, 1
    save_mask(Path("masks"), "half", known)
    for flags, iou in [([], "1.000"), (["--border", "pet"], "1.000"), (["--border", "background"], "0.500")]:
        assert run(*MODEL, place / "half.bmp", "--evaluate", "masks", *flags) == 0
        assert f", IoU {iou}, box IoU {iou}\n" in capsys.readouterr().out
    save_mask(Path("masks"), "half", np.full((32, 48), 3))
    assert run(*MODEL, place / "half.bmp", "--evaluate", "masks") == 1
    out, err = capsys.readouterr()
    assert "masks/half.png: every pixel is ignored" in err and "scores      none" in out


def test_a_mask_that_may_not_be_read(place, monkeypatch, capsys):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied", "masks/half.png")

    monkeypatch.setattr("minunet.cli.evaluation.read_mask", refuse)
    save_mask(Path("masks"), "half", np.zeros((32, 48)))
    assert run(*MODEL, place / "half.bmp", "--evaluate", "masks") == 1
    out, err = capsys.readouterr()
    assert err == "error: Permission denied: 'masks/half.png'\n"
    assert "half.bmp: 50.0% pet" in out and "1 of 1 images" in out and "scores      none" in out


def test_images_too_large_for_the_memory(place, monkeypatch, capsys):
    def full(model, image):
        raise MemoryError("cannot allocate 9 GiB")

    monkeypatch.setattr(UNet, "predict", full)
    assert run(*MODEL, place, "--native") == 1
    out, err = capsys.readouterr()
    assert err.count("\n") == 3 and "none.tif: not enough memory: try --tile" in err and "0 of 3" in out


def test_a_full_disk(place, monkeypatch, capsys):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("minunet.inference.outputs.atomic_write", full)
    before = contents(place)
    assert run(*MODEL, place / "half.bmp") == 1
    assert "half.bmp: No space left on device" in capsys.readouterr().err and contents(place) == before


def test_an_interrupt_ends_with_one_line(place, monkeypatch, capsys):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(predict_command, "write_outputs", interrupt)
    assert run(*MODEL, place) == 130
    assert capsys.readouterr().err == "error: stopped; the results written so far are complete\n"


def test_names_that_a_terminal_cannot_show(place):
    """Bytes that are not text, a line break, and an encoding without an ü."""
    name = os.fsdecode(b"my pets \xc3\xbc/bad \xff\nbyte.png")
    draw().save(name, "PNG")
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "minunet", "predict", *MODEL, name, name + "?", "--threads", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert r"my pets \xfc/bad \udcff\nbyte.png: 0.0% pet, 48 x 32" in done.stdout
    assert done.stderr.count("\n") == 1 and "there is no such file" in done.stderr


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda model: None, "there is no file model.npz: training leaves the model in runs/NAME/best.npz"),
        (lambda model: model.write_bytes(b""), "model.npz is damaged or not a weights file"),
        (lambda model: model.mkdir(), "model.npz is damaged or not a weights file"),
        (lambda model: np.savez(model, a=np.ones(3)), "no weights of a UNet"),
        (lambda model: minunet.save(model, UNet(depth=1, width=1, in_channels=1)), "from 1 to 1 channels"),
        (lambda model: minunet.save(model, UNet(depth=1, width=1, out_channels=2)), "from 3 to 2 channels"),
        (lambda model: minunet.save(model, nan()), "weights that are NaN or infinite"),
    ],
    ids=["missing", "empty", "folder", "foreign", "gray", "two masks", "nan"],
)
def test_models_that_cannot_be_used(place, capsys, damage, message):
    Path("model.npz").unlink()
    damage(Path("model.npz"))
    before = contents(place)
    assert run(*MODEL, place, "--out", "new") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not Path("new").exists()
    assert contents(place) == before


def nan():
    model = UNet(depth=1, width=1)
    model.out.bias.data[:] = np.nan
    return model


def test_a_network_that_answers_with_nan(place, capsys):
    model = red_is_pet()
    # Where it is red, both features are 3e38 + 3e38, infinite whatever is rounded when, and their difference is NaN.
    model.decoder[-1].convolutions.second.kernel.data[1, 1, 0] = 3e38
    model.decoder[-1].convolutions.second.bias.data[:] = 3e38
    model.out.kernel.data[0, 0, :, 0] = 1, -1
    minunet.save("model.npz", model, metadata={"image_size": 32})
    assert run(*MODEL, place / "half.bmp") == 1
    assert "half.bmp: the network answers with NaN" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "arguments are required: IMAGES"),
        (["x", "--threshold", "0"], "number above 0"),
        (["x", "--threshold", "1"], "number above 0 and below 1"),
        (["x", "--threshold", "nan"], "number above 0"),
        (["x", "--threshold", "-0.5"], "number above 0"),
        (["x", "--image-size", "0"], "must be an integer of at least 1"),
        (["x", "--image-size", "-64"], "must be an integer of at least 1"),
        (["x", "--batch-size", "0"], "must be an integer of at least 1"),
        (["x", "--threads", "1000000"], "must be at most 1024"),
        (["x", "--native", "--tile"], "not allowed with"),
        (
            ["pets", "--tile", "--tile-size", "15"],
            "--tile-size: the tile size is 15 pixels: at depth 1 it must be a multiple of 2, at least 28",
        ),
        (["pets", "--out", "model.npz"], "model.npz is not a folder"),
        (["pets", "--out", "model.npz/below"], "model.npz/below is not a folder"),
        (["pets", "--evaluate", "nowhere"], "nowhere is not a folder: --evaluate takes a folder"),
        (["pets", "--device", "tpu"], "auto, cpu, gpu"),
        (["pets", "--border", "maybe"], "invalid choice"),
        (["nothing*"], "nothing*: there is no such file"),
        (["empty"], "empty: contains no images"),
    ],
)
def test_wrong_use_ends_with_one_line_and_code_2(place, capsys, arguments, message):
    place.rename("pets")
    Path("empty").mkdir()
    before = contents(Path("."))
    assert run("model.npz", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and contents(Path(".")) == before


def test_a_folder_that_is_not_writable(place, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root can write everywhere
    assert run(*MODEL, place, "--out", "closed") == 2
    assert "the folder closed is not writable" in capsys.readouterr().err


def test_without_a_gpu_it_works_on_the_cpu_after_one_warning(place, monkeypatch, capsys):
    def find_no_gpu(name):
        if name.startswith("gpu"):
            raise device.GpuUnavailable("driver", "the driver is too old")
        return "cpu"

    monkeypatch.setattr(device, "resolve_device", find_no_gpu)
    assert run("model.npz", place / "half.bmp", "--device", "gpu") == 0
    out, err = capsys.readouterr()
    assert "on cpu" in out and err.count("\n") == 1 and "the driver is too old" in err


def test_help_has_a_line_for_each_flag(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out.partition("options:")[2]
    for flag in "out threshold image-size native tile tile-size batch-size evaluate border device threads".split():
        assert f"  --{flag}" in text, flag


def test_real_photographs(pets_dir, tmp_path, capsys):
    minunet.save(tmp_path / "model.npz", UNet(depth=3, width=2), metadata={"image_size": 64})
    names = [line.split()[0] for line in (pets_dir / "annotations" / "test.txt").read_text().splitlines()[:6]]
    paths = [pets_dir / "images" / f"{name}.jpg" for name in names]
    assert run(tmp_path / "model.npz", *paths, "--out", tmp_path, "--evaluate", pets_dir, "--device", "cpu") == 0
    out, err = capsys.readouterr()
    assert "done        6 of 6" in out and "6 images of their own size, boundary is pet" in out and err == ""


def test_a_model_that_unpacks_to_much_is_refused_until_it_is_allowed(place, capsys):
    model = red_is_pet()
    with open("packed.npz", "wb") as file:
        np.savez_compressed(file, **model.state_dict(), further=np.zeros(20 << 20, np.float32), about=np.array("{}"))
    assert run("packed.npz", place, "--out", "out") == 2
    error = capsys.readouterr().err
    allowed = re.search("--max-bytes ([0-9]+) on a command line", error)[1]
    assert int(allowed) > 80 << 20 and error.count("\n") == 1
    assert run("packed.npz", place, "--out", "out", "--max-bytes", str(int(allowed) - 1)) == 2
    assert "--max-bytes" in capsys.readouterr().err
    run("packed.npz", place, "--out", "out", "--max-bytes", allowed)
    assert "unpacks to" not in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_are_refused_at_once(place, tmp_path, capsys):
    (tmp_path / "known").mkdir()
    os.mkfifo(tmp_path / "known" / "a.json")
    os.mkfifo(tmp_path / "pipe.npz")
    os.mkfifo(tmp_path / "answers.json")
    assert not is_answers(tmp_path / "answers.json")
    assert run("pipe.npz", place, "--out", "out") == 2
    assert "pipe.npz is damaged or not a weights file" in capsys.readouterr().err
    assert run(*MODEL, place, "--out", "out", "--evaluate", "known") == 1  # no mask is there for any image
