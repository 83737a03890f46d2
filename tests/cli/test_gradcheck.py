"""`minunet gradcheck`: a table, and an exit code that says whether all derivatives are right."""

import re
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
    monkeypatch.setattr(Exp, "backward", lambda self, gy: -gy * self.y)
    assert cli.main(["gradcheck"]) == 1
    out, err = capsys.readouterr()
    first, wrong, *_, last = out.splitlines()
    assert first == "exp: 1 of 1 case WRONG" and err == ""
    index, backward, differences = re.match(
        r"  gx\[(.*)\]: backward says (\S+), differences say (\S+);", wrong
    ).groups()
    (x,) = next(case.inputs for case in few_cases if case.operation == "exp")
    u = np.random.default_rng(0).standard_normal(x.shape)  # what gradcheck sends back
    true = (u * np.exp(x))[tuple(map(int, index.split(", ")))]
    assert float(differences) == pytest.approx(true, rel=1e-4) and float(backward) == pytest.approx(-true, rel=1e-4)
    assert "the sign is wrong" in " ".join(out.split()) and "forward minunet/autograd/arithmetic.py, lines " in out
    assert last.startswith("1 of 3 operations WRONG; the others are right, to ")
    assert "inf" not in out


def test_a_gradient_that_the_engine_refuses_is_a_wrong_derivative_too(few_cases, capsys, monkeypatch):
    """A wrong shape is found before any difference is taken; the report must still be printed."""
    monkeypatch.setattr(MatMul, "backward", lambda self, gy: (self.a, self.a))
    assert cli.main(["gradcheck"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("@: 5 of 5 cases WRONG") and "MatMul.backward returned a gradient of shape" in out


def test_a_backward_that_raises_is_a_wrong_derivative_too(few_cases, capsys, monkeypatch):
    monkeypatch.setattr(Exp, "backward", lambda self, gy: gy * self.no_such_thing)
    assert cli.main(["gradcheck"]) == 1
    out = capsys.readouterr().out
    assert "AttributeError" in out and "no_such_thing" in out and "Traceback" not in out


def test_one_case_that_is_wrong_among_several(capsys, monkeypatch):
    wrong = Case("mixed", "detached", lambda x: x * x.detach(), [np.array([1.0, 2])])
    right = Case("mixed", "square", lambda x: x * x, [np.array([1.0, 2])])
    monkeypatch.setattr(command, "all_cases", lambda: [right, wrong])
    assert cli.main(["gradcheck"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("mixed: 1 of 2 cases WRONG") and 'in "detached"; 1 case, relative error up to 5.0e-01' in out
    assert "1 of 1 operation WRONG; no other was checked" in out


def test_one_operation(capsys):
    assert cli.main(["gradcheck", "--operation", "exp", "log"]) == 0
    rows = table(capsys.readouterr().out)
    assert list(rows) == ["exp", "log", "all"] and rows["all"][0] == 2


def test_an_operation_that_is_not_there(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["gradcheck", "--operation", "conv3d"])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and "there is no operation 'conv3d': it must be one of +, -, " in error
    assert "conv2d" in error and error.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["gradchek"], ["gradcheck", "--fast"]])
def test_wrong_use(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2 and "--help)" in capsys.readouterr().err


def test_it_is_a_command():
    result = subprocess.run([sys.executable, "-m", "minunet", "--help"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and "gradcheck" in result.stdout and result.stderr == ""
