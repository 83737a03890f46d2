"""A backward is broken, and what is printed says which gradient of which operation, where, and in few lines."""

import importlib

import numpy as np
import pytest

from minunet import ops
from minunet.autograd import GradientError, arithmetic
from minunet.checks import gradient_report
from minunet.checks.gradient_cases import Case, all_cases
from minunet.checks.gradient_report import Failure, run_case
from minunet.kernels import cpu
from minunet.kernels.cpu import normalization

conv2d, conv_transpose2d, max_pool2d = (
    importlib.import_module(f"minunet.ops.{name}") for name in ("conv2d", "conv_transpose2d", "max_pool2d")
)
ALL = all_cases()


def some(*operations, every=1):
    """Cases of these operations, small ones: every n-th."""
    found = []
    for operation in operations:
        found += [case for case in ALL if case.operation == operation and not case.options][::every]
    return found


def report(cases):
    failures = [result for result in map(run_case, cases) if isinstance(result, Failure)]
    return gradient_report.lines(failures, cases)


def changed(function, position, change):
    """The backward of a Function, with one of its gradients changed."""
    backward = function.backward

    def broken(self, gy):
        gradients = list(backward(self, gy))
        if gradients[position] is not None:
            gradients[position] = change(gradients[position])
        return tuple(gradients)

    return broken


@pytest.mark.parametrize("position, name, letter", [(0, "gx", "x"), (1, "gw", "w"), (2, "gb", "b")])
def test_a_sign_in_one_gradient_of_the_convolution(position, name, letter, monkeypatch):
    C = conv2d.Conv2DFunction
    monkeypatch.setattr(C, "backward", changed(C, position, lambda g: -g))
    cases = some("conv2d", every=30) + some("nn.Conv2D", "relu", "exp")
    lines = report(cases)
    assert lines[0] == f"conv2d: {len(some('conv2d', every=30))} of {len(some('conv2d', every=30))} cases WRONG"
    assert lines[1].startswith(f"  {name}[") and "the sign is wrong" in " ".join(lines)
    assert not any(f"  g{other}[" in line for line in lines for other in "xwb" if other != letter)
    assert "minunet/ops/conv2d.py, lines " in " ".join(lines)
    assert lines[-1] == "wrong, too, but made of what is named above: nn.Conv2D"
    assert len(lines) <= 9


def test_the_index_and_both_values(monkeypatch):
    """One number of gw is off by 1: the report points at it."""

    def off(gw):
        gw = gw.copy()
        gw[0, 1, 2, 1] += 1
        return gw

    C = conv2d.Conv2DFunction
    case = next(case for case in ALL if case.operation == "conv2d" and case.label == "(3, 3) stride (1, 1) same")
    monkeypatch.setattr(C, "backward", changed(C, 1, off))
    line = next(line for line in report([case]) if "backward says" in line)
    assert line.startswith("  gw[0, 1, 2, 1]: ")
    backward, differences = (
        float(part.split()[0].rstrip(",")) for part in line.split(" says ")[1:] + line.split(" say ")[1:]
    )
    assert backward - differences == pytest.approx(1, rel=1e-4)


def test_a_kernel_that_two_operations_share(monkeypatch):
    weight_gradient, convolve_backward = cpu.weight_gradient, cpu.convolve_backward

    def upside_down(*arguments):
        gx, gw, gb = convolve_backward(*arguments)
        return gx, gw if gw is None else gw[::-1], gb

    monkeypatch.setattr(cpu, "weight_gradient", lambda *arguments: weight_gradient(*arguments)[::-1])
    monkeypatch.setattr(cpu, "convolve_backward", upside_down)
    cases = some("conv2d", "conv_transpose2d", every=20) + some("nn.Conv2D", "nn.ConvTranspose2D")
    text = "\n".join(report(cases))
    assert "conv2d: " in text and "conv_transpose2d: " in text and text.count("it is reversed along axis 0") == 2
    assert text.endswith("made of what is named above: nn.Conv2D, nn.ConvTranspose2D")


def test_however_much_is_wrong_it_fits_on_a_screen(monkeypatch):
    monkeypatch.setattr(arithmetic, "sum_to", lambda g, shape: np.zeros(shape))
    cases = some("+", "-", "*", "/", "**", "@", "sum", "relu")
    lines = report(cases)
    assert 10 < len(lines) <= 23 and all(len(line) <= 110 for line in lines)
    named = {case.operation for case in cases if isinstance(run_case(case), Failure)}
    assert len(named) >= 4
    assert all(any(line.startswith(f"{name}: ") for line in lines) or name in lines[-1] for name in named)
    assert "it is 0 everywhere" in "\n".join(lines)


def test_gradients_that_do_not_add_up_are_sought_where_they_meet(monkeypatch):
    function = importlib.import_module("minunet.autograd.function")
    monkeypatch.setattr(function, "_add", lambda a, a_is_ours, b, b_is_ours: (b, False))
    network = next(case for case in ALL if case.operation == "UNet" and case.label == "2 levels, batch norm")
    lines = report([*some("relu", "sigmoid", "concatenate"), network])
    text = " ".join(line.strip() for line in lines)
    assert lines[0] == "UNet: 1 of 1 case WRONG" and "along a random direction: backward says" in text
    assert "Then gradients are added up wrongly: minunet/autograd/function.py, lines " in text


@pytest.mark.parametrize(
    "name, broken",
    [
        ("_add", lambda a, a_is_ours, b, b_is_ours: (a + b if a_is_ours or b_is_ours else a, True)),
        ("_is_ours", lambda gradients, i, gy: gradients[i] is not None),
    ],
)
def test_an_array_that_somebody_else_holds(name, broken, monkeypatch):
    """What the engine may add into: both mistakes show in the small graph, and are sought in the engine."""
    monkeypatch.setattr(importlib.import_module("minunet.autograd.function"), name, broken)
    text = " ".join(line.strip() for line in report(some("graph", "+", "exp")))
    assert text.startswith("graph: 1 of 2 cases WRONG") and "Then gradients are added up wrongly" in text


def test_the_kernels_are_named_with_their_lines(monkeypatch):
    backward = max_pool2d.MaxPool2DFunction.backward
    assert gradient_report.kernels_of(backward) == [cpu.max_pool_gradient]
    assert gradient_report.kernels_of(arithmetic.Exp.backward) == []
    names = {kernel.__name__ for kernel in gradient_report.kernels_of(conv2d.Conv2DFunction.backward)}
    assert names == {"convolve_backward"}
    monkeypatch.setattr(max_pool2d.MaxPool2DFunction, "backward", lambda self, gy: 2 * backward(self, gy))
    text = " ".join(line.strip() for line in report(some("max_pool2d", every=8)))
    assert "max_pool2d: 4 of 4 cases WRONG" in text and "it is 2 times too large" in text


def test_a_kernel_that_is_broken(monkeypatch):
    """The kernel's own file is named, besides that of the operation."""
    monkeypatch.setattr(normalization, "_deviations_and_gz", lambda gy, x, *rest: (x.copy(), gy))
    lines = [line.strip() for line in report(some("batch_norm"))]
    assert "with the kernels normalize_sums (minunet/kernels/cpu/normalization.py, lines " in " ".join(lines)
    assert any(line.startswith("BatchNormFunction: forward minunet/ops/batch_norm.py, lines ") for line in lines)


def test_what_a_backward_raises(monkeypatch):
    def backward(self, gy):
        return gy.no_such_thing

    monkeypatch.setattr(arithmetic.Exp, "backward", backward)
    result = run_case(some("exp")[0])
    assert result.error == np.inf and result.wrong == ()
    assert result.raised.startswith("AttributeError: ") and "\n" not in result.raised


def test_the_worst_error_is_the_one_that_was_found():
    case = Case("half", "", lambda x: x * x.detach(), [np.array([1.0, 2.0])])  # its gradient is half of the true one
    result = run_case(case)
    assert result.error == pytest.approx(0.5, rel=1e-6)
    with pytest.raises(GradientError):
        case.run()


def test_a_case_that_passes():
    assert 0 < run_case(some("exp")[0]) < 1e-6


def test_nothing_wrong_says_nothing():
    assert report(some("exp", "log")) == []


def test_a_case_at_a_kink_is_told_from_a_wrong_one():
    case = Case("corner", "", lambda x: ops.relu(x * 2), [np.array([1.0, 0.0])])
    text = " ".join(line.strip() for line in report([case]))
    assert "corner: 1 of 1 case WRONG" in text and "ReLU, which reads 0 and returns 0, has a kink there" in text
