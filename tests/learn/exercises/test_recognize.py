"""Mistakes that can happen in any exercise, and those that look like several."""

import numpy as np
import pytest

from minunet.learn.exercises import EXERCISES, child
from minunet.learn.exercises.check import check, trials_of


def verdict(name, gradient, function):
    """The Verdict on one gradient of a function written for the exercise."""
    exercise = EXERCISES[name]
    answers = [child.call(function, t.arguments, exercise.names, exercise.gradients) for t in trials_of(exercise)]
    return next(v for v in check(exercise, answers).verdicts if v.gradient == gradient)


@pytest.mark.parametrize(
    "name, gradient, function, words",
    [
        (
            "sigmoid",
            "gx",
            lambda gy, x: -gy / (1 + np.exp(-x)),
            "1 - y is missing: σ' = y (1 - y); and the sign is wrong",
        ),
        ("sigmoid", "gx", lambda gy, x: 0 * gy, "it is 0 everywhere"),
        ("sigmoid", "gx", lambda gy, x: np.exp(-x) / (1 + np.exp(-x)) ** 2 * gy * 3, "it is 3 times too large"),
        ("matmul", "ga", lambda gy, a, b: (a.T @ gy, gy @ b.T), "this is gb: the order is (ga, gb)"),
        ("matmul", "ga", lambda gy, a, b: (np.ones_like(gy) @ b.T, None), "gy is left out"),
        ("matmul", "gb", lambda gy, a, b: (gy @ b.T, (a.T @ gy)[::-1]), "it is reversed along axis 0"),
        ("matmul", "gb", lambda gy, a, b: (None, a[:, :, None] * gy[:, None]), "a sum is missing"),
        ("matmul", "gb", lambda gy, a, b: (None, (a.T @ gy)[None]), "the numbers are right, the shape is not"),
        ("batch_norm", "ggamma", lambda gy, x, *rest: (x, (gy * x).sum(axis=(0, 1, 2)), None), "x in place of x̂"),
    ],
)
def test_the_words(name, gradient, function, words):
    assert words in verdict(name, gradient, function).mistake


@pytest.mark.parametrize(
    "function",
    [
        lambda gy, x: gy * (x > 0) + 1e-3,
        lambda gy, x: gy * (x > 0) * np.linspace(1, 2, gy.size).reshape(gy.shape),
        lambda gy, x: np.full(gy.shape, np.nan),
        lambda gy, x: gy * np.where(x > 0, 1.01, 0.01),
    ],
)
def test_nothing_is_said_of_a_mistake_that_is_not_known(function):
    found = verdict("relu", "gx", function)
    assert found.state == "wrong" and found.mistake == ""


def test_a_mistake_must_show_in_every_check():
    """Right in all but one: that is not "not masked", although the numbers of that one check are the same."""
    found = verdict("relu", "gx", lambda gy, x: gy if gy.ndim == 4 else gy * (x > 0))
    assert found.wrong_in == ("random numbers",) and found.mistake == ""


def sum_in(dtype, factor):
    """The gradient of the bias, times a factor, in a dtype."""
    return lambda gy, *rest: (None, None, (gy.astype(dtype) * np.dtype(dtype).type(factor)).sum(axis=(0, 1, 2)))


def test_float32_is_right_to_as_many_digits_as_it_has():
    found = verdict("conv2d", "gb", sum_in("float32", 1 + 3e-5))
    assert found.state == "right" and found.remark == "it has dtype float32 where everything given is float64"
    found = verdict("conv2d", "gb", sum_in("float32", 1 + 1e-3))
    assert found.state == "wrong" and found.problem == "" and found.place == (0,)


def test_fewer_digits_are_a_mistake_of_their_own():
    """What is said is the dtype, not a wrong index."""
    found = verdict("relu", "gx", lambda gy, x: (gy * (x > 0)).astype("float16"))
    assert found.state == "wrong" and "float16" in found.problem and found.place == ()


def test_a_factor_that_is_another_one_in_each_check():
    """1/N: one image in the worked example, two in the others."""
    solution = "w @ gy[n, i, j] / len(x)"
    source = {"np": np}
    exec(
        "def backward(gy, x, w, b, stride, pads):\n"
        "    (top, bottom), (left, right) = pads\n"
        "    gx = np.zeros((len(x), x.shape[1] + top + bottom, x.shape[2] + left + right, x.shape[3]))\n"
        "    for n, i, j in np.ndindex(gy.shape[:3]):\n"
        "        p, q = i * stride[0], j * stride[1]\n"
        f"        gx[n, p : p + w.shape[0], q : q + w.shape[1]] += {solution}\n"
        "    return gx[:, top : top + x.shape[1], left : left + x.shape[2]], None, None\n",
        source,
    )
    words = verdict("conv2d", "gx", source["backward"]).mistake
    assert 'changes from check to check (1 in "the worked example", 0.5 in "no padding, stride 1")' in words


def only_the_worked_example(backward):
    """A backward that fails in all other checks, which have two images."""

    def fails(gy, x, *rest):
        if len(x) > 1:
            raise ValueError
        return backward(gy, x, *rest)

    return fails


def test_one_number_is_not_called_a_multiple_of_another():
    """gb of the worked example is 101 alone: any number is some factor times that."""
    found = verdict("conv2d", "gb", only_the_worked_example(lambda gy, *rest: (None, None, np.array([50.0]))))
    assert found.state == "wrong" and found.mistake == ""


def test_mistakes_that_cannot_be_told_apart_are_both_named():
    """With one image and one filter, these are the same numbers: the very last window's."""

    def backward(gy, x, w, b, stride, pads):
        return None, x[:, :, -2:].reshape(w.shape) * gy[0, 0, -1, 0], None

    words = verdict("conv2d", "gw", only_the_worked_example(backward)).mistake
    assert words.startswith("overwritten in place of added")

    def mean(gy, *rest):
        return None, None, gy.mean(axis=(0, 1, 2))

    assert ". Or: " not in verdict("conv2d", "gb", mean).mistake
    words = verdict("conv2d", "gb", only_the_worked_example(lambda gy, *rest: (None, None, gy.sum(axis=0)))).mistake
    assert words == "summed over the batch only, not over the pixels"


def test_the_smallest_error_that_counts():
    assert verdict("relu", "gx", lambda gy, x: gy * (x > 0) * (1 + 1e-7)).state == "right"
    found = verdict("relu", "gx", lambda gy, x: gy * (x > 0) * (1 + 1e-5))
    assert found.state == "wrong" and found.error == pytest.approx(1e-5, rel=0.01)
    assert found.mistake == "it is 1.00001 times too large"
