"""`minunet gradcheck`: a table, and an exit code that says whether all derivatives are right."""

import subprocess
import sys

import numpy as np
import pytest

from minunet import cli
from minunet.autograd.arithmetic import Exp, MatMul
from minunet.checks.gradient_cases import Case, all_cases
from minunet.cli import gradcheck as command


@pytest.fixture
def few_cases(monkeypatch):
    cases = [case for case in all_cases() if case.operation in ("exp", "log", "@")]
    monkeypatch.setattr(command, "all_cases", lambda: cases)
    return cases


def table(text):
    """{operation: (cases, worst error, what follows)}"""
    rows = (line.split() for line in text.splitlines()[1:])
    return {name: (int(cases), float(worst), rest) for name, cases, worst, *rest in rows}


def test_the_table(few_cases, capsys):
    assert cli.main(["gradcheck"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == ["operation", "cases", "worst", "relative", "error"]
    rows = table(out)
    assert list(rows) == ["exp", "log", "@", "all"]
    assert [rows[name][0] for name in rows] == [1, 1, 5, 7]
    assert all(0 < rows[name][1] < 1e-6 for name in rows)
    assert rows["all"][1] == max(worst for _, worst, _ in rows.values())
    assert err == ""


def test_a_wrong_derivative_is_named_and_the_exit_code_is_1(few_cases, capsys, monkeypatch):
    monkeypatch.setattr(Exp, "backward", lambda self, gy: gy)
    assert cli.main(["gradcheck"]) == 1
    out, err = capsys.readouterr()
    rows = table(out)
    assert rows["exp"][1:] == (np.inf, ["WRONG"]) and rows["log"][2] == [] and rows["all"][1] == np.inf
    assert err.startswith(("exp : input 0: the worst gradient is at index", "exp: input 0"))
    assert len(err.splitlines()) == 1


def test_a_gradient_that_the_engine_refuses_is_a_wrong_derivative_too(few_cases, capsys, monkeypatch):
    """A wrong shape is found before any difference is taken; the table must still be printed."""
    monkeypatch.setattr(MatMul, "backward", lambda self, gy: (self.a, self.a))
    assert cli.main(["gradcheck"]) == 1
    out, err = capsys.readouterr()
    assert table(out)["@"][2] == ["WRONG"] and "MatMul.backward" in err


def test_one_case_that_is_wrong_among_several(capsys, monkeypatch):
    wrong = Case("mixed", "detached", lambda x: x * x.detach(), [np.array([1.0, 2])])
    right = Case("mixed", "square", lambda x: x * x, [np.array([1.0, 2])])
    monkeypatch.setattr(command, "all_cases", lambda: [right, wrong])
    assert cli.main(["gradcheck"]) == 1
    out, err = capsys.readouterr()
    assert table(out)["mixed"][0] == 2 and "mixed detached" in err


@pytest.mark.parametrize("arguments", [[], ["gradchek"], ["gradcheck", "--fast"]])
def test_wrong_use(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2 and "--help)" in capsys.readouterr().err


def test_it_is_a_command():
    result = subprocess.run([sys.executable, "-m", "minunet", "--help"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and "gradcheck" in result.stdout and result.stderr == ""
