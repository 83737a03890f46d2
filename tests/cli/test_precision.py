"""`--precision` of `minunet train` and `minunet predict`: what is refused, said, kept, and computed."""

import json
from argparse import Namespace

import numpy as np
import pytest

from minunet import precision
from minunet.cli.train.resumed import choose_precision
from minunet.cuda import compute_capability
from minunet.data import DataError
from minunet.precision import half_dtype

TINY = ["--image-size", "64", "--limit", "3", "--epochs", "1", "--batch-size", "2", "--width", "2"]


def run_json(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.mark.parametrize("name", ["tf32", "mixed"])
def test_the_cpu_has_no_such_precision(run, tmp_path, name):
    code, output, errors = run("train", *TINY, "--device", "cpu", "--precision", name, "--out", tmp_path / "run")
    assert (code, output) == (2, "")
    assert errors == f"error: the precision {name} is for a GPU: on the CPU everything is float32, choose that\n"
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def on_the_cpu(tmp_path_factory):
    """The folder of a tiny run."""
    from minunet.cli import main

    folder = tmp_path_factory.mktemp("cpu") / "run"
    assert main(["train", *TINY, "--device", "cpu", "--out", str(folder)]) == 0
    return folder


def test_a_cpu_run_is_in_float32(on_the_cpu, run, tmp_path):
    assert run_json(on_the_cpu)["precision"] == "float32"
    words = ["--device", "cpu", "--precision", "tf32", "--out", tmp_path / "masks"]
    code, output, errors = run("predict", on_the_cpu / "best.npz", on_the_cpu / "predictions.png", *words)
    assert (code, output) == (2, "") and errors.startswith("error: the precision tf32 is for a GPU")
    assert errors.count("\n") == 1


@pytest.fixture
def card(monkeypatch):
    """card(75) pretends that gpu:0 is an sm_75."""

    def pretend(number):
        monkeypatch.setattr(precision, "compute_capability", lambda device: number)
        monkeypatch.setattr(precision, "describe_gpu", lambda device: f"a card, sm_{number}")
        monkeypatch.setattr(precision, "half_dtype", lambda device: None)

    return pretend


KEPT = [  # capability, what run.json has, the flag, what is in use then
    (80, "tf32", "auto", "tf32"),
    (80, "mixed", "auto", "mixed"),
    (80, "float32", "auto", "float32"),
    (80, None, "auto", "float32"),  # a run of a version that had nothing else
    (75, "mixed", "auto", "mixed"),
    (75, "tf32", "auto", "float32"),
    (80, "tf32", "float32", "float32"),
    (80, "float32", "mixed", "mixed"),
    (80, ["?"], "auto", "tf32"),
]


@pytest.mark.parametrize("capability, before, flag, expected", KEPT)
def test_a_resumed_run_keeps_its_precision_or_says_the_change(
    on_the_cpu, card, tmp_path, capsys, capability, before, flag, expected
):
    card(capability)
    saved = {name: value for name, value in run_json(on_the_cpu).items() if name != "precision"}
    (tmp_path / "run.json").write_text(json.dumps(saved if before is None else {**saved, "precision": before}))
    assert choose_precision(Namespace(resume=tmp_path, precision=flag), "gpu:0") == expected
    warned = capsys.readouterr().err
    if (before or "float32") == expected:
        assert warned == ""
    else:
        assert warned == (
            f"warning: the run was in the precision {before!r} and continues in {expected}: the last digits will "
            "differ\n"
        )


def test_a_new_run_takes_what_the_card_has(card, capsys):
    for capability, expected in ((75, "float32"), (80, "tf32")):
        card(capability)
        assert choose_precision(Namespace(resume=None, precision="auto"), "gpu:0") == expected
    card(75)
    with pytest.raises(DataError, match=r"^gpu:0 \(a card, sm_75\) has no TF32"):
        choose_precision(Namespace(resume=None, precision="tf32"), "gpu:0")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("where", ["gpu"])
def test_a_run_on_a_gpu_in_mixed_precision(array_on, where, run, tmp_path):
    array_on(where)
    folder, stored = tmp_path / "run", "bfloat16" if compute_capability("gpu") >= 80 else "float16"
    code, output, errors = run("train", *TINY, "--device", "gpu", "--precision", "mixed", "--out", folder)
    assert (code, errors) == (0, "")
    assert output.splitlines()[1] == f"precision   mixed: activations and their gradients are {stored}"
    assert run_json(folder)["precision"] == "mixed"
    with np.load(folder / "last.npz") as file:  # does not depend on the precision, but for the scale of the loss
        assert {file[key].dtype for key in file.files if key.startswith(("Conv", "training/optimizer/0"))} == {
            np.dtype("float32")
        }
        assert any("loss_scale" in key for key in file.files) == (half_dtype("gpu:0") == np.float16)
    code, output, errors = run("train", "--resume", folder, "--epochs", "2")
    assert (code, errors) == (0, "")
    assert run_json(folder)["precision"] == "mixed"

    words = ["--device", "gpu", "--precision", "mixed", "--out", tmp_path / "masks"]
    code, output, errors = run("predict", folder / "best.npz", folder / "predictions.png", *words)
    assert (code, errors) == (0, "") and "precision   mixed" in output
    words = ["--epochs", "3", "--device", "cpu", "--precision", "float32"]
    code, output, errors = run("train", "--resume", folder, *words)
    assert code == 0 and "continues in float32" in errors
