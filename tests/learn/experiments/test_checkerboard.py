"""Checkerboards: overlaps counted one by one, random weights, and a short training."""

import numpy as np
import pytest

from minunet.learn.experiments import checkerboard


@pytest.fixture(scope="module")
def painted():
    """What 2x2 and 3x3 windows paint, with a short training."""
    return [checkerboard.measure(k, images=16, size=16, steps=120, seeds=(0, 1), draws=400) for k in (2, 3)]


def test_equal_weights_paint_how_many_windows_lie_over_a_pixel(painted):
    for kernel, found in zip((2, 3), painted):
        counts = np.zeros((9, 9))
        for i, j in np.ndindex(4, 4):
            counts[2 * i : 2 * i + kernel, 2 * j : 2 * j + kernel] += 1
        np.testing.assert_array_equal(found.equal, counts[:8, :8])
    assert painted[1].equal[0].tolist() == [1, 1, 2, 1, 2, 1, 2, 1]
    assert np.unique(painted[1].equal).tolist() == [1, 2, 4]


def test_pattern_by_hand(painted):
    """1, 2, 2, 4: mean 9/4, mean square 25/4, so the variance is 25/4 - 81/16 = 19/16, a fraction of 0.19 of it."""
    assert checkerboard.pattern(painted[1].equal[None, :, :, None]).item() == pytest.approx(np.sqrt(0.19))
    assert checkerboard.pattern(painted[0].equal[None, :, :, None]).item() == 0


def test_random_weights_paint_patterns_with_both_and_overlap_decides_how_large(painted):
    two, three = painted
    assert np.median(two.draws) > 0.7 and np.median(three.draws) > 0.7
    np.testing.assert_allclose(two.sizes, np.ones((2, 2)), rtol=0.2)
    np.testing.assert_allclose(three.sizes, [[2, 2**0.5], [2**0.5, 1]], rtol=0.2)
    assert len(np.unique(two.random[2:4, 2:4])) == 4


def test_training_removes_the_patterns_of_both(painted):
    for found in painted:
        assert found.curves.shape == (2, 121)
        assert (found.curves[:, 0] > 0.4).all() and (found.curves[:, -1] < 0.1).all()
    np.testing.assert_allclose(painted[0].trained, painted[0].trained.mean(), rtol=0.1)  # all four equal
    w = painted[1].trained
    three_sums = [w[1, 0] + w[1, 2], w[0, 1] + w[2, 1], w[0, 0] + w[0, 2] + w[2, 0] + w[2, 2]]
    np.testing.assert_allclose(three_sums, w[1, 1], rtol=0.2)


def test_the_answer_follows_from_the_patterns(painted, monkeypatch):
    for name, value in {"IMAGES": 8, "SIZE": 16, "STEPS": 100, "SEEDS": 2, "DRAWS": 20}.items():
        monkeypatch.setattr(checkerboard, name, value)
    assert checkerboard.run(0).answer == 1
    constant, none = np.ones((8, 8)), np.zeros(400)
    two, three = painted
    for found, answer in (
        ((two._replace(draws=none), three), 0),
        ((two, three._replace(equal=constant)), 2),
    ):
        given = dict(zip((2, 3), found))
        monkeypatch.setattr(checkerboard, "measure", lambda kernel, *_, given=given: given[kernel])
        monkeypatch.setattr(checkerboard, "STEPS", 120)
        assert checkerboard.run(0).answer == answer
