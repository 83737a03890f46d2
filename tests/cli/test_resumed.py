"""What a resumed run says about what is different now, and above all about the learning rate."""

import argparse
import csv
import json
import math
import shutil

import pytest

from minunet.cli.train import command
from minunet.cli.train.arguments import parse_arguments
from minunet.cli.train.recipes import make_model
from minunet.cli.train.resumed import resumed_lines
from minunet.training import run_folder
from minunet.training.schedules import Cosine

TINY = ["--image-size", "64", "--limit", "4", "--batch-size", "2", "--device", "cpu", "--width", "1"]
COSINE = [*TINY, "--schedule", "cosine", "--lr", "0.001", "--epochs", "2"]


def run(*arguments):
    return command.main([str(argument) for argument in arguments])


def rates(folder):
    """The learning rate of the last step of each epoch."""
    return [float(row["lr"]) for row in csv.DictReader((folder / "history.csv").read_text().splitlines())]


def rate(t, steps):
    """The rate after t steps of a cosine from 1e-3 to 0."""
    return 1e-3 * (1 + math.cos(math.pi * t / steps)) / 2


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    """They take most of the time, and say nothing about what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_folder.plots, "save_curves", lambda *arguments: None)
        patch.setattr(run_folder.RunFolder, "draw_predictions", lambda *arguments: None)
        yield


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cosine") / "run"
    assert run(*COSINE, "--out", folder) == 0
    return folder


@pytest.fixture
def copy(two_epochs, tmp_path):
    shutil.copytree(two_epochs, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_stretched_cosine_says_from_where_to_where_the_learning_rate_jumps(copy, capsys):
    """Two steps in an epoch: the fourth of 4 had 1.5e-4, the fifth of 6 has 2.5e-4."""
    assert run("--resume", copy, "--epochs", "3") == 0
    before, _, epochs = capsys.readouterr().out.partition("scores of training")
    assert "changed     --epochs 3 (formerly 2)" in before and "epoch 3/3" in epochs
    assert "the cosine ends with epoch 3 now, not 2" in before and "--schedule-epochs 2 keeps" in before
    assert "learning rate of the last step was 1.5e-04, that of the next is 2.5e-04" in before
    assert rates(copy) == pytest.approx([rate(1, 4), rate(3, 4), rate(5, 6)], rel=1e-5)


def test_a_shortened_cosine_is_told_without_an_offer():
    """Two steps in an epoch: the second of 8 had 9.6e-4, the third of 4 has 5.0e-4."""
    before, now = (
        argparse.Namespace(epochs=epochs, schedule="cosine", schedule_epochs=None, resume=None) for epochs in (4, 2)
    )
    optimizer = argparse.Namespace(steps=2, lr=rate(1, 8))
    trainer = argparse.Namespace(
        optimizer=optimizer, schedule=Cosine(1e-3, 4), progress=argparse.Namespace(step=0), early_stopping=None
    )
    text = "\n".join(resumed_lines(before, now, trainer, 1, 2))
    assert "the cosine ends with epoch 2 now, not 4" in text and "9.6e-04, that of the next is 5.0e-04" in text
    assert "--schedule-epochs" not in text
    assert "cosine" not in "\n".join(resumed_lines(before, now, trainer, 2, 2))  # no step follows


def test_the_end_of_a_cosine_can_be_kept(copy, capsys):
    assert run("--resume", copy, "--epochs", "3", "--schedule-epochs", "2") == 0
    output = capsys.readouterr().out
    assert "--epochs 3 (formerly 2), --schedule-epochs 2 (formerly not given)" in output
    assert "the cosine ends" not in output
    assert run("--resume", copy, "--epochs", "4") == 0 and "the cosine ends" not in capsys.readouterr().out
    assert rates(copy) == pytest.approx([rate(1, 4)] + 3 * [rate(3, 4)], rel=1e-5)


def test_nothing_is_said_where_nothing_is_different(copy, capsys):
    assert run("--resume", copy) == 0
    output = capsys.readouterr().out
    assert "resumed     after 2 epochs" in output and "changed" not in output and "cosine ends" not in output


def test_a_new_run_may_end_its_cosine_early(tmp_path, capsys):
    assert run(*COSINE, "--schedule-epochs", "1", "--out", tmp_path / "run") == 0
    assert rates(tmp_path / "run") == pytest.approx(2 * [rate(1, 2)], rel=1e-5)
    with pytest.raises(SystemExit):
        run(*TINY, "--schedule-epochs", "1")
    assert "--schedule-epochs is for --schedule cosine, and this is constant" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, line",
    [
        (["--early-stop", "3"], "changed     --early-stop 3 (formerly not given)"),
        (["--threads", "1"], "another number of threads: the last digits may differ"),
        (["--save-minutes", "5"], "changed     --save-minutes 5.0 (formerly 10.0)"),
    ],
)
def test_whatever_may_change_is_said(copy, capsys, flags, line):
    assert run("--resume", copy, *flags) == 0
    assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags",
    [
        ["--warmup", "0.5"],
        ["--weight-decay", "0.1"],
        ["--accumulate", "2"],
        ["--batch-size", "4"],
        ["--augment", "light"],
        ["--schedule", "plateau"],
        ["--monitor", "val_loss"],
        ["--clip-norm", "1"],
        ["--dropout", "0.5"],
        ["--loss", "dice"],
        ["--optimizer", "adam"],
        ["--limit", "2"],
        ["--width", "2"],
        ["--batch-norm"],
    ],
)
def test_whatever_decides_the_numbers_is_refused(two_epochs, capsys, flags):
    with pytest.raises(SystemExit):
        parse_arguments(["--resume", str(two_epochs), *flags])
    assert f"{flags[0]} " in (error := capsys.readouterr().err) and "contradicts the run" in error


def test_defaults_that_another_version_had_are_told(copy, capsys):
    saved = json.loads((copy / "run.json").read_text())
    saved["arguments"] |= {"lr": 0.5, "no_longer_there": 1, "epochs": 7}
    (copy / "run.json").write_text(json.dumps(saved))
    assert run("--resume", copy) == 0
    error = capsys.readouterr().err
    assert error == "warning: --lr was 0.5 as the run began, and is 0.001 here: it counts now\n"
    for arguments in ("many", None, [], {"lr": [[[]]]}):
        (copy / "run.json").write_text(json.dumps({**saved, "arguments": arguments}))
        assert run("--resume", copy) == 0
        assert capsys.readouterr().err.count("\n") == isinstance(arguments, dict)


def test_a_first_epoch_that_scores_like_an_empty_answer_is_called_normal_once(tmp_path, monkeypatch, capsys):
    """A network that says background everywhere, and does not move."""

    def empty(*arguments):
        model = make_model(*arguments)
        next(p for name, p in model.named_parameters() if name == "Conv_Out/bias").data[...] = -5
        return model

    monkeypatch.setattr(command, "make_model", empty)
    assert run(*TINY, "--epochs", "2", "--lr", "1e-12", "--out", tmp_path / "run") == 0
    lines = capsys.readouterr().out.splitlines()
    (said,) = [i for i, line in enumerate(lines) if "normal in the first epochs, as long as the loss falls" in line]
    assert lines[said - 1].startswith("epoch 1/2") and lines[said].strip().startswith("as all background would")


def test_a_first_epoch_that_finds_something_is_not_explained():
    rows = {"all background": {"iou": 0.0, "mean_iou": 0.2}, "all pet": {"iou": 0.4, "mean_iou": 0.4}}

    class Two:
        score_names = ("iou", "mean_iou")

    def said(iou, mean_iou):
        return command._answers_like({"val_iou": iou, "val_mean_iou": mean_iou}, rows, Two())

    assert said(0.0, 0.2) == said(0.0004, 0.1996) == "all background" and said(0.4, 0.4) == "all pet"
    assert said(0.001, 0.2) is None and said(0.0, 0.21) is None and said(0.4, 0.2) is None
