"""Bad input at random: damaged images, masks, lists and weights, odd paths and arguments, from fixed seeds.

Whatever the input: no traceback, no hang, no input file changed. A command ends with exit code 2 and one line that says
what is wrong, or with code 0 or 1 and a line for each thing that it could not use.
"""

import itertools
import json
import os
import random
import shutil
import signal
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minunet
from minunet import UNet
from minunet.cli.predict import command as predict_command
from minunet.cli.train import command as train_command
from minunet.cli.train import recipes
from minunet.data import DataError
from minunet.data.drawn_scenes import write_scenes
from minunet.data.pets import Pets
from minunet.tasks.panoptic import METHODS
from minunet.training import plots
from minunet.weights.io import WeightsError

CASES = {"reader": 80, "weights": 150, "descriptions": 100, "predict": 100, "train": 80, "tasks": 60, "arguments": 500}
NAMES = ["Bengal_1", "Bengal 2", "pug_ü_3", "pug_4"]


# ---- intact input, and ways to damage it ----


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working folder: "a set ü" of four images, laid out as the pets are, and a small network, model.npz."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINUNET_CACHE", str(tmp_path / "cache"))
    root, noise = tmp_path / "a set ü", np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "annotations" / "trimaps").mkdir(parents=True)
    for name, format in zip(NAMES, ["JPEG", "PNG", "GIF", "TIFF"]):
        image = Image.fromarray(noise.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        image.save(root / "images" / f"{name}.jpg", format)
        trimap = Image.fromarray(noise.integers(1, 4, (24, 32), dtype=np.uint8))
        trimap.save(root / "annotations" / "trimaps" / f"{name}.png")
    for split, names in (("trainval", NAMES[:3]), ("test", NAMES[2:]), ("list", NAMES)):
        text = "#Image CLASS-ID SPECIES BREED-ID\n" + "".join(f"{name} 1 {1 + (name[0] == 'p')} 1\n" for name in names)
        (root / "annotations" / f"{split}.txt").write_text(text, "utf-8")
    minunet.save("model.npz", UNet(depth=2, width=1), metadata={"image_size": 16})
    return tmp_path


def damage(path, chance):
    """Damages one file in one of many ways; returns what was done."""
    content = bytearray(path.read_bytes())
    hows = "cut, cut early, bits, bits, head, insert, empty, noise, folder, gone, other, pixel"
    how = chance.choice(hows.split(", "))
    if how == "cut":
        del content[chance.randrange(len(content)) :]
    elif how == "cut early":
        del content[chance.randrange(min(len(content), 64)) :]
    elif how == "bits":
        for _ in range(chance.randrange(1, 30)):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif how == "head":
        for _ in range(chance.randrange(1, 6)):
            content[chance.randrange(min(len(content), 100))] = chance.randrange(256)
    elif how == "insert":
        at = chance.randrange(len(content))
        content[at:at] = chance.randbytes(chance.randrange(1, 50))
    elif how == "noise":
        content = chance.randbytes(chance.randrange(1, 3000))
    elif how in ("other", "pixel"):
        size = (1, 1) if how == "pixel" else (chance.randrange(1, 70), chance.randrange(1, 70))
        mode = chance.choice("1 L LA P RGB RGBA CMYK I I;16 F YCbCr LAB".split())
        file = BytesIO()
        Image.new(mode, size).save(file, "TIFF")
        content = file.getvalue()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "gone":
        path.write_bytes(b"" if how == "empty" else content)
    return f"{path.name}: {how}"


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def contents(folder):
    """Everything below a folder but the cache: names, times and bytes."""
    paths = [path for path in folder.rglob("*") if "cache" not in path.relative_to(folder).parts]
    return {path: path.is_file() and (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


@pytest.fixture(autouse=True)
def no_hang():
    """A case that hangs fails the test after a minute, where signals can do that."""

    def stop(number, frame):
        raise TimeoutError("the fuzz test takes more than a minute: a case hangs")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def run(program, arguments, capsys, case):
    """The exit code of a command line, whose messages are lines; code 2 has exactly one."""
    try:
        code = program.main([str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    except Exception as error:
        raise AssertionError(f"{case}: {program.__name__} {arguments} ends in a traceback") from error
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert code in (0, 1, 2), case
    assert "Traceback" not in err and (len(lines) == 1 or code != 2), (case, err)
    assert all(line.startswith("error: ") for line in lines), (case, err)
    return code


# ---- the cases ----


def test_the_pets_reader(place, caplog):
    """Each image and each line is used or counted as skipped; or all is refused with a DataError."""
    chance, used, refused = random.Random(1), 0, 0
    for number in range(CASES["reader"]):
        root = place / f"case {number}"
        shutil.copytree(place / "a set ü", root)
        case = [damage(path, chance) for path in chance.sample(files(root), chance.randrange(1, 5))]
        before = contents(root)
        try:
            split, size = chance.choice(["trainval", "test", "all"]), chance.choice([1, 8])
            pets = Pets(root, split, size=size, cache=chance.random() < 0.3)
            assert len(pets) == len(pets.names) > 0, case
            for image, mask in pets:
                assert image.dtype == mask.dtype == np.uint8 and set(np.unique(mask)) <= {0, 1}, case
            used += 1
        except DataError as error:
            assert str(error) and str(root) in str(error), case
            refused += 1
        assert contents(root) == before, case
    assert used > 20 and refused > 5


def test_weights_files(place):
    """A damaged file is refused, or holds the same weights, where only other bytes than theirs were hit."""
    chance, refused = random.Random(2), 0
    intact = minunet.load_model("model.npz").state_dict()
    for number in range(CASES["weights"]):
        path = place / f"case {number}.npz"
        shutil.copy("model.npz", path)
        case = damage(path, chance)
        before = contents(place)
        model = UNet(depth=2, width=1, seed=7)
        try:
            minunet.load(path, model)
            assert all(np.array_equal(a, intact[name]) for name, a in model.state_dict().items()), case
        except (ValueError, FileNotFoundError):
            refused += 1
            untouched = UNet(depth=2, width=1, seed=7).state_dict()
            assert all(np.array_equal(a, untouched[name]) for name, a in model.state_dict().items()), case
        try:
            assert minunet.load_model(path).depth == 2, case
        except (WeightsError, FileNotFoundError):
            pass
        assert contents(place) == before, case
    assert refused > 100


def test_intact_weights_files_that_hold_nonsense(place, capsys):
    """Intact zip files of arrays of other types, shapes and names, and metadata that is wrong."""
    chance = random.Random(3)
    intact = UNet(depth=2, width=1).state_dict()
    values = [None, -1, 0, 2.5, "2", [2], {}, True, 10**30, float("nan")]
    for number in range(CASES["descriptions"]):
        arrays, metadata = dict(intact), {"image_size": 16}
        name = chance.choice(list(arrays))
        how = chance.choice("text complex nan integer scalar larger gone new options metadata empty".split())
        changed = {
            "text": np.full(arrays[name].shape, "cat"),
            "complex": arrays[name] * 1j,
            "nan": arrays[name] * np.nan,
            "integer": np.ones(arrays[name].shape, int),
            "scalar": np.float32(1),
            "larger": np.ones((2, *arrays[name].shape)),
            "new": arrays[name],
            "empty": np.ones((0,) * arrays[name].ndim),
        }
        if how in changed:
            arrays[name + "x" * (how == "new")] = changed[how]
        elif how == "gone":
            del arrays[name]
        elif how == "options":
            option = chance.choice(["depth", "width", "in_channels", "seed", "cat"])
            metadata["options"] = {option: chance.choice(values)}
        else:
            size, border = chance.choice(values), chance.choice(values)
            metadata = chance.choice([{"image_size": size}, {"border": border}, *values])
        np.savez("case.npz", **arrays, about=np.array(json.dumps(metadata)))
        case = (number, how, name, metadata)
        arguments = ["case.npz", place / "a set ü" / "images" / "Bengal 2.jpg", "--out", "out"]
        code = run(predict_command, arguments, capsys, case)
        if how not in ("options", "metadata"):  # these two may be fine
            assert code == (0 if how == "integer" else 2), case


def test_predicting(place, capsys):
    chance, codes = random.Random(4), []
    for number in range(CASES["predict"]):
        root = place / f"case {number}"
        shutil.copytree(place / "a set ü", root)
        case = [damage(path, chance) for path in chance.sample(files(root), chance.randrange(1, 5))]
        images = chance.choice([[root / "images"], [root], sorted((root / "images").iterdir()), [f"{root}/images/*"]])
        options = chance.choice([[], ["--native"], ["--tile", "--tile-size", "56"], ["--image-size", "1"]])
        options = options + chance.choice([[], ["--out", root / "out ü"]])
        options = options + chance.choice([[], ["--evaluate", root], ["--evaluate", root / "annotations" / "trimaps"]])
        before = contents(root)
        codes.append(run(predict_command, ["model.npz", *images, *options], capsys, case))
        after = contents(root)
        assert {path: after.get(path) for path in before} == before, case
        made = [path.name for path in after.keys() - before.keys() if path.is_file()]
        assert all(name.endswith((".mask.png", ".overlay.png")) for name in made), case
    assert codes.count(0) > 5 and codes.count(1) > 50


@pytest.fixture
def small_network_without_plots(monkeypatch):
    """Training with a small network, and without its plots, which take most of the time."""
    monkeypatch.setattr(recipes, "UNet", lambda **options: UNet(**{**options, "depth": 1, "width": 1}))
    for name in ("save_curves", "save_panels"):
        monkeypatch.setattr(plots, name, lambda path, *arguments: None)


def test_training(place, small_network_without_plots, capsys, caplog):
    chance, codes = random.Random(5), []
    for number in range(CASES["train"]):
        root = place / f"case {number}"
        shutil.copytree(place / "a set ü", root)
        case = [damage(path, chance) for path in chance.sample(files(root), chance.randrange(1, 6))]
        if chance.random() < 0.2:  # all background
            for path in (root / "annotations" / "trimaps").glob("*.png"):
                path.is_file() and Image.new("L", (32, 24), 2).save(path)
        before = contents(root)
        options = ["--data-dir", root, "--image-size", "64", "--epochs", "1", "--device", "cpu"]
        options += ["--out", f"run {number}"]
        options += chance.choice([[], ["--strict"], ["--limit", "1"], ["--border", "ignore"], ["--loss", "dice"]])
        codes.append(run(train_command, options, capsys, case))
        assert contents(root) == before, case
        assert codes[-1] == 0 or not (place / f"run {number}" / "best.npz").exists(), case
    assert codes.count(0) > 10 and codes.count(2) > 10


def test_training_for_other_tasks(place, small_network_without_plots, capsys, caplog):
    """Damaged images, class maps, object numbers, panoptic PNGs, their JSON file and lists of names."""
    chance, codes = random.Random(7), []
    write_scenes(place / "scenes", 3, 1, 32)
    kinds = {"semantic": "classes", "instance": "instances", "panoptic": "panoptic"}
    for number in range(CASES["tasks"]):
        root, task = place / f"scenes {number}", chance.choice(list(kinds))
        shutil.copytree(place / "scenes", root)
        chosen = [path for path in files(root) if path.parent.name in ("images", kinds[task]) or path.parent == root]
        case = [task, *(damage(path, chance) for path in chance.sample(chosen, chance.randrange(1, 5)))]
        before = contents(root)
        options = ["--task", task, "--images", root / "images", "--masks", root / kinds[task], "--image-size", "64"]
        options += ["--epochs", "1", "--device", "cpu", "--out", f"run {number}"]
        options += {
            "semantic": ["--classes", root / "classes.txt"],
            "instance": ["--boundary", chance.choice("012")],
            "panoptic": ["--panoptic-json", root / "panoptic.json", "--separate-by", chance.choice(METHODS)],
        }[task]
        options += chance.choice([[], ["--names", root / "train.txt"], ["--strict"], ["--class-weights", "median"]])
        codes.append(run(train_command, options, capsys, case))
        assert contents(root) == before, case
    assert codes.count(0) > 10 and codes.count(2) > 10


WORDS = "nan NaN inf -inf -1 0 1 1.5 1e309 1e-400 0x10 ½ ١٢ None /dev/null .. . / * [ ** ~nouser/x".split()
WORDS += ["9" * 30, "-" + "9" * 30, "x" * 5000, "", " ", "é ü", "no\nsuch", "\udcff"]


def test_arguments(place, small_network_without_plots, capsys):
    """One or two flags of a command line get a word that may be nonsense."""
    chance, codes = random.Random(6), []
    folder = place / "a set ü"
    valid = {
        predict_command: ["model.npz", folder / "images" / "Bengal_1.jpg", "--out", "out", "--device", "cpu"],
        train_command: "--limit 1 --epochs 1 --image-size 64 --device cpu --out out".split(),
    }
    flags = {
        predict_command: """--threshold --image-size --tile-size --batch-size --evaluate --border --out --device
                            --threads --flips --""",
        train_command: """--lr --image-size --batch-size --limit --seed --loss --optimizer --border --device
                          --threads --data-dir --out --preset --augment --dropout --weight-decay --schedule --warmup
                          --clip-norm --early-stop --monitor --accumulate --images --pictures --masks --mask-values
                          --validation-fraction --validation-share --task --classes --class-weights --trimap
                          --boundary --weight-map --no-watershed --separate-by --panoptic-json --names
                          --validation-images --validation-masks --validation-names --network --width --momentum
                          --""",
    }
    flags = {program: [*names.split(), ""] for program, names in flags.items()}
    before = contents(folder)
    for _ in range(CASES["arguments"]):
        program = chance.choice(list(flags))
        extra = [
            part
            for _ in range(chance.randrange(1, 3))
            for part in (chance.choice(flags[program]), chance.choice(WORDS))
            if part
        ]
        if any(flag == "--out" and Path(word) in (Path(".."), Path("/")) for flag, word in itertools.pairwise(extra)):
            extra = ["--out", "/dev/null"]  # those are folders that exist and are writable
        codes.append(run(program, [*valid[program], *extra], capsys, extra))
        shutil.rmtree("out", ignore_errors=True)
        assert contents(folder) == before, extra
    assert codes.count(2) > 200 and codes.count(0) > 10


def test_files_that_are_not_weights(place, capsys):
    odd = ["a set ü", "a set ü/annotations/list.txt", "a set ü/images/Bengal_1.jpg", "", "model.npz/x"]
    for path in [*odd, os.devnull]:
        assert run(predict_command, [path, place / "a set ü" / "images"], capsys, path) == 2
