"""Pooling: windows counted by hand, and the empty ones of a network trained for a few steps."""

import numpy as np
import pytest

from minunet.learn.experiments import pooling

MAP = [
    [0, 0, 3, 3, 0, 0],
    [0, 0, 1, 3, 0, 5],
    [7, 6, 0, 0, 0, 0],
    [6, 6, 0, 2, 0, 0],
]


def test_windows_by_hand():
    found = pooling.look_at(np.array(MAP, np.float32).reshape(1, 4, 6, 1), np.random.default_rng(0))
    assert found.zeros == pytest.approx(14 / 24)
    assert found.empty == pytest.approx(2 / 6)  # above left and below right
    assert found.independent == pytest.approx((14 / 24) ** 4)
    assert found.ties == pytest.approx(1 / 6)  # three times 3
    assert found.places.tolist() == [2 / 4, 0, 0, 2 / 4]  # 3 and 7 come first in theirs, 5 and 2 last
    assert found.unchanged == pytest.approx(2 / 3)  # of 3, 7 and 2: one column on there are 3, 6 and 2


def test_the_gradient_of_an_empty_window_is_lost():
    maps = np.array(MAP, np.float32).reshape(1, 4, 6, 1)
    gy = np.abs(np.random.default_rng(5).standard_normal((1, 2, 3, 1)))[0, :, :, 0]
    found = pooling.look_at(maps, np.random.default_rng(5))
    assert found.reached == pytest.approx(1 - (gy[0, 0] + gy[1, 2]) / gy.sum())


def test_maxima_at_random_places_lie_at_each_as_often():
    maps = np.random.default_rng(0).random((4, 32, 32, 8), np.float32)
    found = pooling.look_at(maps, np.random.default_rng(0))
    np.testing.assert_allclose(found.places, 0.25, atol=0.02)
    assert found.empty == 0 and found.reached == pytest.approx(1)
    # the same in both windows if the largest of six numbers is in the column that they share
    assert found.unchanged == pytest.approx(1 / 3, abs=0.03)


def test_many_windows_of_a_network_are_empty():
    untrained, trained, image, first_level = pooling.measure(images=16, tested=4, size=32, steps=10, seed=0)
    assert len(untrained) == len(trained) == 3
    assert image.shape == (32, 32, 3) and first_level.shape == (32, 32, 8)
    for found in (*untrained, *trained):
        assert found.empty > 1.5 / 16
        assert found.independent < 1.1 * found.empty
        assert found.reached == pytest.approx(1 - found.empty, abs=0.08)
    for layers in (untrained, trained):  # of an average map, zeros lie side by side
        assert np.mean([a.independent for a in layers]) < np.mean([a.empty for a in layers])
    assert any((a.places != b.places).any() for a, b in zip(untrained, trained))


def test_the_answer_follows_from_the_empty_windows(monkeypatch):
    for name, value in {"IMAGES": 8, "TESTED": 2, "SIZE": 32, "STEPS": 2, "SEEDS": 1}.items():
        monkeypatch.setattr(pooling, name, value)
    assert pooling.run(0).answer == 2
    before, after, image, maps = pooling.measure(8, 2, 32, 0, 0)
    for empty, answer in ((0.01, 0), (0.06, 1), (0.3, 2)):
        changed = [layer._replace(empty=empty) for layer in after]
        monkeypatch.setattr(pooling, "measure", lambda *_, changed=changed: (before, changed, image, maps))
        assert pooling.run(0).answer == answer
