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


def test_few_digits_are_a_mistake_of_their_own():
    """In float32 the sums differ by more than is allowed; what is said is the dtype, not a wrong index."""

    def backward(gy, x, w, b, stride, pads):
        return None, None, (gy.astype("float32") * np.float32(1 + 3e-5)).sum(axis=(0, 1, 2))

    found = verdict("conv2d", "gb", backward)
    assert found.state == "wrong" and "float32" in found.problem and found.place == ()


def test_the_smallest_error_that_counts():
    assert verdict("relu", "gx", lambda gy, x: gy * (x > 0) * (1 + 1e-7)).state == "right"
    found = verdict("relu", "gx", lambda gy, x: gy * (x > 0) * (1 + 1e-5))
    assert found.state == "wrong" and found.error == pytest.approx(1e-5, rel=0.01)
    assert found.mistake == "it is 1.00001 times too large"
