"""`minunet train`, on tiny sets of tiny images."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minunet
from minunet import UNet, device, optim
from minunet.cli.predict.arguments import parse_arguments as predict_arguments
from minunet.cli.train import command as train_command
from minunet.cli.train import datasets
from minunet.cli.train.arguments import DRAWN, parse_arguments
from minunet.cli.train.recipes import PRESETS, make_trainer
from minunet.cli.train.resumed import what_is_read
from minunet.data.download import DownloadError
from minunet.data.drawn_pets import DrawnPets
from minunet.data.loader import Loader
from minunet.files import FolderLock
from minunet.tasks import Binary
from minunet.training.loop import Trainer
from minunet.weights import io

PACKAGES = Path(minunet.__file__).parents[1]  # where Python finds minunet
COMMAND = [sys.executable, "-m", "minunet", "train"]
FILE = Path(__file__)  # a file where a folder is expected
TINY = ["--image-size", "64", "--limit", "5", "--epochs", "2", "--batch-size", "4", "--device", "cpu", "--width", "2"]
FILES = ["best.npz", "curves.png", "history.csv", "last.npz", "predictions.png", "previous.npz", "run.json"]


def run(*arguments):
    """The exit code of the command line, in this process."""
    try:
        return train_command.main([str(a) for a in arguments])
    except SystemExit as end:
        return end.code


def history(folder):
    """The rows of history.csv, as text."""
    return list(csv.DictReader((folder / "history.csv").read_text().splitlines()))


def run_json(folder):
    """What run.json says."""
    return json.loads((folder / "run.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a tiny run on drawn pets, and the process that made it, in another folder."""
    folder = tmp_path_factory.mktemp("with space ü")
    command = [*COMMAND, *TINY, "--out", "my run"]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return folder / "my run", done


def test_it_says_what_it_works_on_and_ends_with_the_best_epoch(finished):
    folder, done = finished
    assert done.stderr == ""  # and no bar where nobody watches
    lines = done.stdout.splitlines()
    first_epoch = next(i for i, line in enumerate(lines) if line.startswith("epoch 1/2"))
    before, last = "\n".join(lines[:first_epoch]), lines[-1]
    assert "cpu" in before and "drawn pets" in before and "--download" in before
    assert "5 to train, 5 to validate, 64 x 64" in before
    assert re.search(r"foreground +\d+\.\d% of the training", before)
    assert re.search(r"all pet: pixel IoU 0\.\d+, mean IoU 0\.\d+; all background: pixel IoU 0\.0", before)
    for name in ("loss", "pixel IoU", "mean IoU", "Dice", "accuracy"):
        assert re.search(rf"{name} \d\.\d{{3,4}} / \d\.\d{{3,4}}", lines[first_epoch]), name
    assert lines[first_epoch + 1].startswith("epoch 2/2") and lines[first_epoch + 2] == last
    assert re.search(r"best epoch [12]: validation mean IoU \d\.\d{3}.* my run$", last)


def test_it_leaves_weights_history_plots_and_how_it_was_run(finished):
    folder, _ = finished
    assert sorted(path.name for path in folder.iterdir()) == FILES
    for name in ("curves.png", "predictions.png"):
        with Image.open(folder / name) as image:
            assert min(image.size) > 400 and len(np.unique(np.asarray(image))) > 20
    saved = run_json(folder)
    assert saved["arguments"]["image_size"] == 64 and saved["arguments"]["lr"] == 2e-3 and saved["seed"] == 0
    assert saved["versions"]["numpy"] == np.__version__
    assert saved["versions"]["minunet"] == minunet.__version__
    assert saved["device"] == "cpu" and saved["status"] == "finished" and saved["epochs_done"] == 2
    rows = history(folder)
    best = max(rows, key=lambda row: float(row["val_mean_iou"]))
    assert [row["epoch"] for row in rows] == ["1", "2"] and saved["best"]["epoch"] == int(best["epoch"])


@pytest.mark.parametrize("name", ["best", "last"])
def test_the_weights_have_the_scores_of_their_epoch(finished, name):
    folder, _ = finished
    epoch = run_json(folder)["best"]["epoch"] if name == "best" else 2
    row = history(folder)[epoch - 1]
    model = minunet.load(folder / f"{name}.npz", UNet(width=2))
    held_out = Loader(DrawnPets(5, size=64, first=5), 4, shuffle=False)
    scores = Trainer(model, optim.SGD(model.parameters(), lr=1), "bce").evaluate(held_out)
    assert scores["loss"] == pytest.approx(float(row["val_loss"]), abs=2e-6)
    assert scores["mean_iou"] == pytest.approx(float(row["val_mean_iou"]), abs=2e-6)


@pytest.mark.usefixtures("no_pictures")
def test_the_same_seed_writes_the_same_history(finished, tmp_path):
    assert run(*TINY, "--out", tmp_path / "same") == 0
    assert run(*TINY, "--epochs", "1", "--seed", "1", "--out", tmp_path / "other") == 0
    folders = finished[0], tmp_path / "same", tmp_path / "other"
    first, same, other = ((folder / "history.csv").read_bytes() for folder in folders)
    assert same == first
    assert other.splitlines()[1] != first.splitlines()[1]


def test_another_run_is_never_overwritten(finished, capsys):
    folder, _ = finished
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run(*TINY, "--out", folder) == 2
    assert "not empty" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--image-size", "100"], "100 is not a multiple of 64; 64 and 128 are"),
        (["--image-size", "1"], "1 is not a multiple of 64; 64 is"),
        (["--image-size", "6400000"], "'6400000' must be at most 16384"),
        (["--image-size", "0"], "'0' must be an integer of at least 1 "),
        (["--batch-size", "-3"], "must be an integer of at least 1 "),
        (["--epochs", "2.5"], "must be an integer of at least 1 "),
        (["--limit", "0"], "must be an integer of at least 1 "),
        (["--limit", ""], "must be an integer of at least 1 "),
        (["--threads", "0"], "must be an integer of at least 1 "),
        (["--seed", "-1"], "must be an integer of at least 0 "),
        (["--seed", "9" * 30], "must be at most 10{18} "),
        (["--lr", "nan"], "number above 0"),
        (["--lr", "inf"], "number above 0"),
        (["--lr", "0"], "number above 0"),
        (["--lr", "fast"], "number above 0"),
        (["--weight-decay", "-0.1"], "must be a number of at least 0 "),
        (["--dropout", "1"], "must be a number of at least 0 and below 1"),
        (["--warmup", "nan"], "must be a number of at least 0 and below 1"),
        (["--clip-norm", "0"], "number above 0"),
        (["--accumulate", "0"], "must be an integer of at least 1 "),
        (["--early-stop", "0"], "must be an integer of at least 1 "),
        (["--schedule", "linear"], "invalid choice: 'linear'"),
        (["--monitor", "train_loss"], "invalid choice: 'train_loss'"),
        (["--preset", "worst"], "invalid choice: 'worst'"),
        (["--loss", "mse"], "invalid choice: 'mse'"),
        (["--optimizer", "lion"], "invalid choice: 'lion'"),
        (["--device", "tpu"], "auto, cpu, gpu"),
        (["--border", "maybe"], "invalid choice"),
        (["--epoch", "3"], "unrecognized"),
        (["--data-dir", "no/such/folder"], "no/such/folder.*images/"),
        (["--data-dir", "~nouser/x"], "no pet images in ~nouser/x"),
        (["--images", "~nouser/x", "--masks", "y"], "cannot open the folder .*~nouser/x"),
        (["--data-dir", FILE], "no pet images in .*test_train.py"),
        (["--augment", "some"], "invalid choice: 'some'"),
        (["--images", "."], "--images and --masks go together"),
        (["--pictures", "."], "--images and --masks go together"),
        (["--masks", "."], "--images and --masks go together"),
        (["--images", "a", "--masks", "b", "--data-dir", "c"], "give one or the other"),
        (["--images", "a", "--masks", "b", "--download"], "give one or the other"),
        (["--pictures", "a", "--masks", "b", "--download"], "give one or the other"),
        (["--images", "no/a", "--masks", "no/b"], "cannot open the folder .*no/a"),
        (["--pictures", "no/a", "--masks", "no/b"], "cannot open the folder .*no/a"),
        (["--mask-values", "0=background"], "--mask-values is about --masks"),
        (["--images", "a", "--masks", "b", "--mask-values", "0=cat"], "'0=cat' must give each value a meaning"),
        (["--images", "a", "--masks", "b", "--mask-values", ""], "must give each value a meaning"),
        (["--validation-fraction", "1"], "number above 0 and below 1"),
        (["--validation-fraction", "nan"], "number above 0 and below 1"),
        (["--validation-share", "1"], "number above 0 and below 1"),
        (["--out", FILE], "is not a folder"),
        (["--resume", "no/such/folder"], "no/such/folder holds no run"),
        (["--resume", FILE], "test_train.py holds no run"),
        (["--save-minutes", "0"], "number above 0"),
        (["--out", FILE / "below"], "is not a folder"),
    ],
)
def test_wrong_use_ends_with_one_line_and_code_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_writable(tmp_path, monkeypatch, capsys):
    # root can write everywhere
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path or not mode & os.W_OK)
    assert run(*TINY, "--out", tmp_path / "new") == 2
    error = capsys.readouterr().err
    assert "is not writable" in error and error.count("\n") == 1


def test_a_full_disk_ends_the_run_with_one_line(tmp_path, monkeypatch, capsys):
    def full(path, content, keep):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("minunet.training.checkpoint.atomic_write", full)
    assert run(*TINY, "--out", tmp_path / "new") == 2
    error = capsys.readouterr().err
    assert "No space left on device" in error and error.count("\n") == 1
    assert f"--resume {tmp_path / 'new'} continues from there" in error


# ---- resuming a run ----


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory):
    """The folder of a run of one epoch, with the arguments of `finished` otherwise."""
    folder = tmp_path_factory.mktemp("resumed") / "run ü"
    assert run(*TINY, "--epochs", "1", "--out", folder) == 0
    return folder


def unchanged(folder, before):
    return {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_run_continues_with_its_own_arguments_to_the_same_numbers(finished, one_epoch, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(one_epoch, folder)
    assert run("--resume", folder, "--epochs", "2") == 0
    out, err = capsys.readouterr()
    assert err == "" and "resumed     after 1 epoch" in out and "epoch 2/2" in out and "epoch 1/" not in out
    for name in ("history.csv", "best.npz"):
        assert (folder / name).read_bytes() == (finished[0] / name).read_bytes()
    with np.load(folder / "last.npz") as ours, np.load(finished[0] / "last.npz") as theirs:
        same = [name for name in theirs.files if np.array_equal(ours[name], theirs[name])]
        assert set(theirs.files) - set(same) <= {"training/run/history", "training/progress/seconds"}
    saved = run_json(folder)
    assert saved["status"] == "finished" and saved["epochs_done"] == 2 and saved["resumed"] == 1
    assert run("--resume", folder) == 0
    output = capsys.readouterr().out
    assert "--epochs asks for more" in output and "scores of training" not in output
    assert (folder / "history.csv").read_bytes() == (finished[0] / "history.csv").read_bytes()
    assert saved["arguments"]["epochs"] == 2 and saved["arguments"]["image_size"] == 64


def test_the_best_weights_say_how_they_were_trained(one_epoch):
    metadata = io.read(one_epoch / "best.npz").metadata
    assert metadata["image_size"] == 64 and metadata["threshold"] == 0.5 and metadata["border"] == "pet"
    assert metadata["options"]["depth"] == 6 and metadata["epochs"] == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--lr", "0.5"], "--lr 0.5 contradicts the run in .*, which has 0.002: omit it"),
        (["--preset", "best"], "--preset best contradicts the run in .*, which has lecture"),
        (["--image-size", "128"], "--image-size 128 contradicts"),
        (["--seed", "1"], "--seed 1 contradicts"),
        (["--out", "elsewhere"], "--out elsewhere contradicts"),
        (["--data-dir", "no/such/folder"], "is on drawn images: omit no/such/folder "),
        (["--images", "i", "--masks", "m"], "is on drawn images: omit i "),
    ],
)
def test_what_contradicts_the_run_is_refused(one_epoch, arguments, message, capsys):
    before = {path.name: path.read_bytes() for path in one_epoch.iterdir()}
    assert run("--resume", one_epoch, *arguments) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1
    assert unchanged(one_epoch, before)


def test_a_run_that_stopped_early_is_done_until_it_is_given_more_patience(tmp_path, capsys):
    options = [*TINY, "--lr", "1e-9", "--limit", "2", "--epochs", "9", "--early-stop", "1"]
    assert run(*options, "--out", tmp_path / "run") == 0
    before = history(tmp_path / "run")
    assert len(before) < 9
    assert "stopped early: 1 epoch without an improvement of val_mean_iou" in capsys.readouterr().out
    assert run("--resume", tmp_path / "run") == 0
    assert history(tmp_path / "run") == before and "stopped early" in capsys.readouterr().out
    assert run("--resume", tmp_path / "run", "--early-stop", "2") == 0
    assert len(history(tmp_path / "run")) == len(before) + 1


def test_other_images_are_refused(one_epoch, monkeypatch, capsys):
    before = {path.name: path.read_bytes() for path in one_epoch.iterdir()}
    monkeypatch.setattr(train_command, "fingerprint", lambda *datasets: 7)
    assert run("--resume", one_epoch) == 2
    error = capsys.readouterr().err
    assert "not the images that the run began with" in error and error.count("\n") == 1
    assert unchanged(one_epoch, before)


def tampered(array):
    """A change of last.npz: {name: array} → the same with this entry."""

    def change(folder, name):
        with np.load(folder / "last.npz") as file:
            arrays = dict(file)
        np.savez(folder / "last.npz", **{**arrays, f"training/{name}": np.array(array)})

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("run/history", tampered("[" * 100_000)),
        ("run/history", tampered("null")),
        ("run/history", tampered('[{"epoch": 1}]')),
        ("run/history", tampered("[]")),
        ("progress/epoch", tampered(7)),
        ("progress/epoch", tampered("two")),
        ("progress/step", tampered(10**6)),
        ("progress/seconds", tampered(np.inf)),
        ("progress/losses", tampered([[1.0]])),
        ("progress/images", tampered([0])),
        ("progress/counts", tampered([[1, 2, 3, 9, 9]])),
        ("progress/counts", tampered([[3, 2, 1, 9, 9.5]])),
        ("optimizer/steps", tampered([1, 2])),
        ("optimizer/lr", tampered("fast")),
    ],
)
def test_a_state_that_no_run_comes_to_is_refused_before_anything_starts(one_epoch, tmp_path, name, change, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(one_epoch, folder)
    change(folder, name)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run("--resume", folder, "--epochs", "2") == 2
    output, error = capsys.readouterr()
    assert error.count("\n") == 1 and "last.npz" in error and "scores of training" not in output
    assert unchanged(folder, before)


@pytest.mark.parametrize(
    ("name", "value"),
    [("task", value) for value in (5, ["name"], "name", None)]
    + [("resumed", value) for value in ("many", None, [[[]]], -1, 1.5, True)],
)
def test_a_run_json_that_no_run_wrote_is_refused(one_epoch, tmp_path, name, value, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(one_epoch, folder)
    (folder / "run.json").write_text(json.dumps({**run_json(folder), name: value}))
    assert run("--resume", folder) == 2
    error = capsys.readouterr().err
    assert f'run.json was not written by a run: "{name}" is' in error and error.count("\n") == 1


def test_a_folder_starts_no_download(one_epoch, tmp_path, monkeypatch, capsys):
    """run.json may be a stranger's: what it says about the training is taken over, and not what it would fetch."""
    folder = tmp_path / "copy"
    shutil.copytree(one_epoch, folder)
    command = [*run_json(folder)["command"], "--download", "--data-dir", str(tmp_path / "pets")]
    (folder / "run.json").write_text(json.dumps({**run_json(folder), "command": command}))
    monkeypatch.setattr(datasets, "download", lambda folder: pytest.fail("a download was started"))
    assert run("--resume", folder) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "pets").exists()


@pytest.mark.parametrize("word", ["--help", "-h", "--out"])
def test_the_words_of_a_run_are_no_command_line(one_epoch, tmp_path, word, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(one_epoch, folder)
    (folder / "run.json").write_text(json.dumps({**run_json(folder), "command": [word]}))
    assert run("--resume", folder) == 2
    output, error = capsys.readouterr()
    assert "run.json" in error and error.count("\n") == 1 and output == ""


def test_what_is_taken_from_a_run_and_what_is_not(one_epoch, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(one_epoch, folder)
    words = [
        "--lr",
        "0.25",
        "--epochs",
        "7",
        "--out",
        "/elsewhere",
        "--resume",
        "/other",
        "--download",
        "--data-dir",
        "d",
    ]
    (folder / "run.json").write_text(json.dumps({**run_json(folder), "command": words}))
    args = parse_arguments(["--resume", str(folder), "--epochs", "9"])
    assert (args.lr, args.epochs, args.data_dir) == (0.25, 9, Path("d"))
    assert (args.out, args.download, args.resume) == (None, False, folder)
    assert what_is_read(args) == "--data-dir d"


def test_resuming_says_first_what_it_reads_and_writes(one_epoch, capsys):
    assert run("--resume", one_epoch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == (
        f"resume      reads no files (its images are drawn); writes into {one_epoch} alone, and into the cache"
    )


@pytest.mark.parametrize("name", ["run.json", "last.npz", "previous.npz", "best.npz", "history.csv", "curves.png"])
@pytest.mark.parametrize("kind", ["link", "dangling", "pipe"])
def test_a_folder_with_links_is_not_resumed(one_epoch, tmp_path, name, kind, capsys):
    folder, elsewhere = tmp_path / "copy", tmp_path / "elsewhere"
    shutil.copytree(one_epoch, folder)
    content = (folder / name).read_bytes() if (folder / name).exists() else b"years of work"
    (folder / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(elsewhere)
    if kind == "link":
        elsewhere.write_bytes(content)
    assert run("--resume", folder, "--epochs", "2") == 2
    error = capsys.readouterr().err
    assert name in error and ("is a symbolic link" in error or "is no file" in error) and error.count("\n") == 1
    assert elsewhere.exists() == (kind == "link") and (kind != "link" or elsewhere.read_bytes() == content)


def test_a_damaged_file_is_named_with_the_one_that_is_intact(finished, tmp_path, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    (folder / "last.npz").write_bytes(b"nothing")
    assert run("--resume", folder) == 2
    error = capsys.readouterr().err
    assert re.search(r"last\.npz is damaged.*previous\.npz is intact", error) and error.count("\n") == 1
    (folder / "last.npz").unlink()
    assert run("--resume", folder) == 0
    assert (folder / "history.csv").read_bytes() == (finished[0] / "history.csv").read_bytes()


def test_a_folder_that_another_run_is_writing_into(one_epoch, capsys):
    lock = FolderLock(one_epoch)
    assert run("--resume", one_epoch) == 2
    lock.release()
    error = capsys.readouterr().err
    assert f"the process {os.getpid()} is writing into" in error and error.count("\n") == 1


def test_without_a_gpu_it_trains_on_the_cpu_after_one_warning(tmp_path, monkeypatch, capsys):
    resolve_device = device.resolve_device

    def without_gpu(name):
        if name.startswith("gpu"):
            raise device.GpuUnavailable("driver", "the driver is too old:\ninstall a newer one")
        return resolve_device(name)

    monkeypatch.setattr(device, "resolve_device", without_gpu)
    arguments = ["--image-size", "64", "--limit", "1", "--epochs", "1", "--device", "gpu"]
    assert run(*arguments, "--out", tmp_path / "run") == 0
    out, err = capsys.readouterr()
    assert re.match("device +cpu", out) and err.count("\n") == 1
    assert "the driver is too old: install a newer one" in err and "--device gpu" in err
    # Here the other flags are the defaults: it is the lecture's network.
    assert "UNet with 6,667,639 parameters" in out
    minunet.load(tmp_path / "run" / "best.npz", UNet())


def test_a_loss_that_explodes_ends_with_what_to_try(tmp_path, capsys):
    arguments = ["--optimizer", "sgd", "--lr", "1e9", "--out", tmp_path / "run"]
    assert run(*TINY, *arguments) == 1
    error = capsys.readouterr().err
    assert re.search(r"epoch 1.* step \d: the loss is (nan|inf).*learning rate.*--lr 1e\+09", error)
    assert error.count("\n") == 1
    assert run_json(tmp_path / "run")["status"] == "diverged"
    assert not list((tmp_path / "run").glob("*.npz"))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("wait_for, epochs_done", [("scores of", 0), ("epoch   1/", 1)])
def test_an_interrupt_saves_everything(wait_for, epochs_done, tmp_path):
    command = [*COMMAND, *TINY, "--epochs", "500", "--out", "run"]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as process:
        for line in process.stdout:
            if line.startswith(wait_for):
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert {path.name for path in (tmp_path / "run").iterdir()} | {"previous.npz"} == set(FILES)
    saved = run_json(tmp_path / "run")
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()[1:]
    assert saved["status"] == "interrupted" and saved["epochs_done"] == len(rows) >= epochs_done
    assert out.splitlines()[-1].endswith(" run")
    for name in ("best", "last"):
        minunet.load(tmp_path / "run" / f"{name}.npz", UNet(width=2))


def test_masks_that_teach_nothing_are_pointed_out_before_training(tmp_path, monkeypatch, capsys):
    class Empty(DrawnPets):
        def __getitem__(self, i):
            image, mask = super().__getitem__(i)
            return image, np.zeros_like(mask)

    def no_training(*arguments):
        raise KeyboardInterrupt

    data = datasets.Data(Empty(2, 64), DrawnPets(2, 64, first=2), "drawn")
    monkeypatch.setattr(train_command, "load_data", lambda args: data)
    monkeypatch.setattr(train_command, "make_trainer", no_training)
    assert run(*TINY, "--out", tmp_path / "run") == 130
    out, err = capsys.readouterr()
    assert "0.0% of the training pixels" in out
    assert err.count("warning") == 1 and "0.0% of the training pixels are pet" in err


def test_a_download_goes_into_its_own_folder_and_its_failure_is_one_line(monkeypatch, tmp_path, capsys):
    def no_network(folder):
        raise DownloadError(f"no network:\ncannot fill {folder}")

    monkeypatch.setattr(datasets, "download", no_network)
    monkeypatch.chdir(tmp_path)
    assert run("--download") == 2
    assert capsys.readouterr().err == "error: no network: cannot fill data/oxford-iiit-pet\n"
    assert run("--download", "--data-dir", "here") == 2
    assert "cannot fill here" in capsys.readouterr().err


def test_defaults_are_those_of_the_data():
    drawn, real = parse_arguments([]), parse_arguments(["--data-dir", "x"])
    assert {name: getattr(drawn, name) for name in DRAWN} == DRAWN
    assert (real.image_size, real.batch_size, real.epochs, real.limit) == (256, 32, 25, None)
    assert parse_arguments(["--data-dir", "x", "--epochs", "3"]).epochs == 3
    assert (drawn.loss, drawn.optimizer, drawn.lr, drawn.device) == ("bce", "rmsprop", 2e-3, "auto")
    assert real.lr == parse_arguments(["--task", "semantic"]).lr == 1e-3
    assert parse_arguments(["--preset", "paper"]).lr == 1e-3 and parse_arguments(["--lr", "0.5"]).lr == 0.5


def test_a_preset_is_overruled_by_flags():
    best = parse_arguments(["--preset", "best", "--no-batch-norm", "--lr", "0.5", "--epochs", "4"])
    chosen = {name: getattr(best, name) for name in PRESETS["best"]}
    assert chosen == {**PRESETS["best"], "batch_norm": False, "lr": 0.5}
    assert best.epochs == 4 and PRESETS["best"].keys() - {"batch_size", "lr"} == PRESETS["lecture"].keys()
    lecture = parse_arguments(["--batch-norm", "--warmup", "0"])
    assert lecture.batch_norm is True
    assert (lecture.dropout, lecture.weight_decay, lecture.schedule) == (0, 0, "constant")


def trainer_of(flags, batches):
    """The Trainer that these flags make of a small network."""
    return make_trainer(parse_arguments(flags), UNet(depth=1, width=1), Binary(), batches)


@pytest.mark.parametrize(
    "flags, rates",
    [
        (["--schedule", "cosine"], [2e-3, (1 + 0.5**0.5) / 1e3, 1e-3, (1 - 0.5**0.5) / 1e3, 0]),
        (["--schedule", "cosine", "--accumulate", "3", "--warmup", "0.5"], [1e-3, 2e-3, 2e-3, 1e-3, 0]),
        (["--schedule", "constant"], [2e-3] * 5),
    ],
)
def test_the_schedule_has_the_length_of_the_run(flags, rates):
    """Four steps: 1 epoch of 4 batches, or 2 of 2 groups."""
    epochs, batches = ("2", 5) if "--accumulate" in flags else ("1", 4)
    schedule = trainer_of(["--epochs", epochs, *flags], batches).schedule
    assert [schedule(t) for t in range(5)] == pytest.approx(rates)


def test_a_plateau_looks_at_the_monitor():
    schedule = trainer_of(["--schedule", "plateau", "--monitor", "val_dice"], batches=4).schedule
    assert schedule.patience.monitor == "val_dice"


@pytest.mark.usefixtures("no_pictures")
def test_the_best_preset_runs_and_stops_early(tmp_path, capsys):
    """A learning rate so small that nothing gets better."""
    flags = ["--preset", "best", "--dropout", "0.1", "--lr", "1e-12", "--clip-norm", "1", "--accumulate", "2"]
    flags += ["--early-stop", "1", "--monitor", "val_accuracy", "--epochs", "30"]
    assert run(*TINY, *flags, "--out", tmp_path / "run") == 0
    out, err = capsys.readouterr()
    assert "stopped early: 1 epoch without an improvement of val_accuracy" in out and err == ""
    saved = run_json(tmp_path / "run")
    assert saved["status"] == "finished" and saved["epochs_done"] < 30 and saved["arguments"]["batch_norm"] is True
    assert 0 < float(history(tmp_path / "run")[-1]["lr"]) <= 1e-12
    minunet.load(tmp_path / "run" / "best.npz", UNet(width=2, dropout=0.1, batch_norm=True))


@pytest.mark.usefixtures("no_pictures")
def test_augmentation_is_stated_and_changes_the_training_alone(finished, tmp_path, capsys):
    folder, done = finished
    assert re.search("^augment +none: each image as it is$", done.stdout, re.MULTILINE)
    assert run_json(folder)["augmentation"] is None
    one_epoch = [*TINY, "--epochs", "1"]
    for name in ("full", "again"):
        assert run(*one_epoch, "--augment", "full", "--out", tmp_path / name) == 0
    assert re.search(r"augment +full: flip, rotate, .*tint$", capsys.readouterr().out, re.MULTILINE)
    saved = run_json(tmp_path / "full")
    assert saved["arguments"]["augment"] == "full" and saved["augmentation"].startswith("Augmentation(Flip(")
    assert history(tmp_path / "full") == history(tmp_path / "again")
    assert history(tmp_path / "full")[0]["train_loss"] != history(folder)[0]["train_loss"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Folders of eight images and seven masks, in which 7 is pet; and the name of the image without a mask."""
    monkeypatch.setenv("MINUNET_CACHE", str(tmp_path / "cache"))
    images, masks = tmp_path / "my images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    for (image, mask), name in zip(drawn := DrawnPets(8, size=40), drawn.names):
        Image.fromarray(image).save(images / f"{name}.jpg")
        Image.fromarray(7 * mask[:, :, 0]).save(masks / f"{name}.png")
    (masks / f"{drawn.names[0]}.png").unlink()
    return images, masks, drawn.names[0]


def test_images_of_ones_own(own, tmp_path, capsys):
    images, masks, alone = own
    flags = ["--images", images, "--masks", masks, "--validation-fraction", "0.3", "--augment", "light"]
    assert run(*TINY, *flags, "--out", tmp_path / "run") == 2
    assert "0 usable images" in (error := capsys.readouterr().err) and error.count("\n") == 1
    flags += ["--mask-values", "0=background,7=pet"]
    assert run(*TINY, *flags, "--epochs", "1", "--out", tmp_path / "run") == 0
    out = capsys.readouterr().out
    assert "5 to train, 2 to validate, 64 x 64" in out and "seed 0 holds out 30%; 1 skipped" in out
    assert {path.name for path in (tmp_path / "run").iterdir()} == set(FILES) - {"previous.npz"}
    assert run(*TINY, *flags, "--strict", "--out", tmp_path / "strict") == 2
    assert f"there is no mask {alone}.*" in capsys.readouterr().err


@pytest.mark.usefixtures("no_pictures")
def test_flags_keep_their_former_names(own, tmp_path, capsys):
    """A run that was started with them gives the same numbers, and is resumed with either."""
    images, masks, _ = own
    former = ["--pictures", images, "--masks", masks, "--validation-share", "0.3"]
    new = ["--images", images, "--masks", masks, "--validation-fraction", "0.3"]
    options = [*TINY, "--mask-values", "0=background,7=pet", "--epochs", "1"]
    for name, flags in (("former", former), ("new", new)):
        assert run(*options, *flags, "--out", tmp_path / name) == 0
    assert history(tmp_path / "former") == history(tmp_path / "new")
    assert "5 to train, 2 to validate" in capsys.readouterr().out
    for flags in ([], former, new):
        assert run("--resume", tmp_path / "former", *flags) == 0
    assert history(tmp_path / "former") == history(tmp_path / "new")
    assert run("--resume", tmp_path / "former", "--validation-share", "0.4") == 2
    assert "--validation-fraction 0.4 contradicts the run" in capsys.readouterr().err


def test_help_has_a_line_for_each_flag(capsys):
    assert run("--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    flags = """data-dir download images pictures masks mask-values validation-fraction validation-share augment
               device image-size batch-size epochs loss optimizer lr seed limit out strict
               border threads resume save-minutes preset dropout weight-decay schedule warmup clip-norm accumulate
               early-stop monitor batch-norm schedule-epochs"""
    for flag in flags.split():
        assert re.search(f"--{flag}[ ,]", text.partition("options:")[2]), flag
    assert "default: 256; drawn pets:" in text and "130 after Ctrl-C" in text


def test_real_photographs(pets_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MINUNET_CACHE", str(tmp_path / "cache"))
    options = ["--data-dir", pets_dir, "--border", "ignore", "--loss", "bce+dice", "--optimizer", "adam"]
    assert run(*TINY, *options, "--out", tmp_path / "run") == 0
    out = capsys.readouterr().out
    assert "Oxford-IIIT pets in" in out and "5 to train, 5 to validate" in out
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == FILES


def test_a_gpu_writes_the_history_of_the_cpu(pets_dir, array_on, tmp_path, monkeypatch):
    array_on("gpu")  # or skip
    monkeypatch.setenv("MINUNET_CACHE", str(tmp_path / "cache"))
    histories = []
    for where in ("cpu", "gpu"):
        options = ["--data-dir", pets_dir, "--limit", "12", "--device", where, "--out", tmp_path / where]
        assert run(*TINY, *options) == 0
        histories.append(history(tmp_path / where))
    saved = run_json(tmp_path / "gpu")
    assert saved["device"] == "gpu:0" and any(name.startswith("cupy") for name in saved["versions"])
    for cpu, gpu in zip(*histories, strict=True):
        assert {k: float(v) for k, v in gpu.items()} == pytest.approx({k: float(v) for k, v in cpu.items()}, abs=1e-3)


@pytest.mark.usefixtures("no_pictures")
def test_a_gpu_without_memory_ends_the_run_with_what_would_fit_and_keeps_the_last_weights(tmp_path, capsys):
    assert run(*TINY, "--epochs", "1", "--out", tmp_path / "run") == 0
    epochs = Trainer.epochs

    def without_memory_in_the_second_epoch(*arguments):
        yield next(epochs(*arguments))
        raise device.OutOfMemory("gpu:0: out of memory with batches of 4 images: a batch size of 2 would fit")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "epochs", without_memory_in_the_second_epoch)
        assert run(*TINY, "--out", tmp_path / "short") == 1
    error = capsys.readouterr().err
    assert error == "error: gpu:0: out of memory with batches of 4 images: a batch size of 2 would fit\n"
    assert run_json(tmp_path / "short")["status"] == "out of memory"
    first, kept = (np.load(tmp_path / name / "last.npz") for name in ("run", "short"))
    assert all(np.array_equal(first[key], kept[key]) for key in first.files if key.startswith("Conv"))


def test_the_home_folder_in_paths(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    args = parse_arguments(["--out=~/x", "--images", "~/i", "--masks=~/m", "--names=~/n", "--validation-images=~/v"])
    assert [args.out, args.images, args.masks, args.names, args.validation_images] == [
        tmp_path / name for name in ("x", "i", "m", "n", "v")
    ]
    assert parse_arguments(["--data-dir=~/d"]).data_dir == tmp_path / "d"
    model = UNet(depth=1, width=1)
    minunet.save("~/model.npz", model)
    assert (tmp_path / "model.npz").is_file() and minunet.load_model("~/model.npz").depth == 1
    minunet.load("~/model.npz", model)
    arguments = predict_arguments(["~/model.npz", "~/a*.jpg", "--out=~/o", "--evaluate=~/e", "--coco=~/c.json"])
    assert arguments.model == tmp_path / "model.npz" and arguments.images == [str(tmp_path / "a*.jpg")]
    assert (arguments.out, arguments.evaluate, arguments.coco) == (tmp_path / "o", tmp_path / "e", tmp_path / "c.json")


def test_every_path_on_every_command_line_knows_the_home_folder():
    """No other type makes a path of a word."""
    sources = list(Path(train_command.__file__).parents[1].rglob("*.py"))
    assert not [path.name for path in sources if "type=Path" in path.read_text(encoding="utf-8")]


def test_a_width_that_the_checkpoint_does_not_have_builds_no_network(one_epoch, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(one_epoch, folder)
    words = [*run_json(folder)["command"], "--width", "1024"]
    (folder / "run.json").write_text(json.dumps({**run_json(folder), "command": words}))
    monkeypatch.setattr(train_command, "make_model", lambda *arguments: pytest.fail("a network was built"))
    assert run("--resume", folder) == 2
    assert "last.npz is not of a network with 1024 filters" in capsys.readouterr().err
