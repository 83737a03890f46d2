"""What a wrong gradient looks like beside the right one."""

import numpy as np
import pytest

from minunet.checks.likeness import alike, factor_between, in_words, likeness

RIGHT = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, 0.0]])


@pytest.mark.parametrize(
    "wrong, words",
    [
        (-RIGHT, "the sign is wrong"),
        (0 * RIGHT, "it is 0 everywhere"),
        (RIGHT * 2, "it is 2 times too large"),
        (RIGHT / 60, "it is 60 times too small"),
        (RIGHT * -3, "the sign is wrong, and it is 3 times too large"),
        (RIGHT[::-1], "it is reversed along axis 0"),
        (RIGHT[:, ::-1], "it is reversed along axis 1"),
        (RIGHT.T, "it is transposed"),
        (RIGHT + 1, ""),
        (RIGHT * np.nan, ""),
        (RIGHT[:1], ""),
    ],
)
def test_likeness(wrong, words):
    assert likeness(wrong, RIGHT) == words


def test_a_factor_needs_numbers():
    assert factor_between(np.ones(3), np.zeros(3)) is None
    assert factor_between(np.array([1.0, np.inf]), np.ones(2)) is None


def test_alike_is_relative_to_the_largest_number():
    assert alike(np.array([1e6, 0.5]), np.array([1e6, 0.0]))
    assert not alike(np.array([1.0, 0.5]), np.array([1.0, 0.0]))
    assert not alike(np.array([np.nan]), np.array([np.nan]))


def test_a_factor_of_one_is_no_mistake():
    assert in_words(1.0) == ""
