"""Statistics of batches: 1/√m, against images made by hand; and a network in train and in eval mode."""

import numpy as np
import pytest

from minunet.learn.experiments import batch_norm
from minunet.learn.experiments.batch_norm import (
    EXPERIMENT,
    SIZES,
    Scatter,
    Trained,
    drawn,
    evaluate,
    first_maps,
    measure_scatter,
    measure_training,
)
from minunet.models import UNet


def test_images_that_differ_as_a_whole():
    # Half of them are 3 everywhere, half are 7: μ = 5, √v = 2, and each image is one standard deviation away
    x = np.full((16, 4, 4, 2), 3.0)
    x[::2] = 7
    one, four = measure_scatter(x, sizes=(1, 4), draws=4000)
    assert (one.mean, one.mean_theory) == (pytest.approx(1), pytest.approx(1))
    assert four.mean_theory == pytest.approx(0.5)
    assert four.mean == pytest.approx(0.5, abs=0.04)
    assert one.naive == 1 / 4
    assert one.variance == pytest.approx(0, abs=1e-9)  # within an image nothing varies
    assert four.variance_theory == pytest.approx(0.75)
    assert four.variance == pytest.approx(0.75, abs=0.04)
    assert four.variance_scatter_theory == pytest.approx(0, abs=1e-9)  # all (x - μ)² are equal


def test_independent_pixels_count_one_by_one():
    (one,) = measure_scatter(np.random.default_rng(0).random((100, 16, 16, 4)), sizes=(1,))
    assert one.naive == 1 / 16
    assert one.mean == pytest.approx(1 / 16, rel=0.2)
    assert one.variance == pytest.approx(1, abs=0.02)


def test_pixels_of_a_drawing_are_alike():
    one, four, many = measure_scatter(first_maps(drawn(100, 32, 0, 0)[0]), draws=1000)
    assert one.mean > 6 * one.naive
    assert one.mean / four.mean == pytest.approx(2, rel=0.2)
    assert four.mean / many.mean == pytest.approx(8**0.5, rel=0.2)
    for s in (one, four, many):
        assert s.mean == pytest.approx(s.mean_theory, rel=0.15)
        assert s.variance == pytest.approx(s.variance_theory, abs=0.03)
    assert one.variance < 0.95 < many.variance
    assert many.variance_scatter == pytest.approx(many.variance_scatter_theory, rel=0.2)


@pytest.fixture(scope="module")
def held_out():
    return drawn(12, 32, 1000, 0)


def test_company_matters_in_train_mode_only(held_out):
    model = UNet(depth=2, width=4, batch_norm=True)
    alone, together = (evaluate(model, *held_out, m, batches=3) for m in (1, 4))
    assert alone.company < 1e-6  # the same batch each time
    assert together.company > 1e-3
    assert together.maps.shape == (3, 32, 32, 1)
    assert abs(together.maps[1] - together.maps[2]).max() > 1e-3
    assert abs(alone.maps[1] - alone.maps[2]).max() < 1e-6
    assert abs(alone.maps[0] - alone.maps[1]).max() > 1e-3  # but the modes differ


def test_groups_share_statistics_not_gradients(held_out, monkeypatch):
    # Without steps, the network is the same whatever m; with some, the groups make a difference
    monkeypatch.setattr(batch_norm, "STEP", 8)
    monkeypatch.setattr(batch_norm, "REACH", 16)
    before = [measure_training(held_out, held_out, m, 0, steps=0).lagging for m in (1, 8)]
    after = [measure_training(held_out, held_out, m, 0, steps=2).maps[0] for m in (1, 8)]
    assert before[0] == before[1]
    assert abs(after[0] - after[1]).max() > 1e-4


@pytest.mark.parametrize(("distance", "answer"), [(0.016, 0), (0.1, 1), (0.45, 2)])
def test_the_answer_follows_from_the_scatter(distance, answer, monkeypatch):
    maps = np.zeros((3, 32, 32, 1))
    monkeypatch.setattr(batch_norm, "measure_scatter", lambda *_, **__: [Scatter(distance, 1, 1, 1, 1, 1, 1)] * 3)
    monkeypatch.setattr(batch_norm, "measure_training", lambda *_: Trained(0.6, 0.5, 0.4, 0.1, maps))
    monkeypatch.setattr(batch_norm, "drawn", lambda *_: (np.zeros((1, 8, 8, 3), np.float32),) * 2)
    monkeypatch.setattr(batch_norm, "draw", lambda *_: None)
    result = EXPERIMENT.run(0)
    assert result.answer == answer
    assert all(len(row) == len(result.header) == 1 + len(SIZES) for row in result.rows)
