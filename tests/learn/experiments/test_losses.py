"""The gradients of the losses, against their formulas written out for an object of 1 % of the image."""

import numpy as np
import pytest

from minunet import ops
from minunet.learn.experiments import losses


@pytest.fixture(scope="module")
def measured():
    """The true mask, what the network says, and the gradients."""
    return losses.measure(100, 10, (30, 40))


def test_the_object_is_one_percent(measured):
    t, answers, _ = measured
    assert t.sum() == 100 and t.size == 10_000 and t[30:40, 40:50].all()
    assert all(p.shape == t.shape and 0 < p.min() and p.max() < 1 for p in answers.values())


@pytest.mark.parametrize("p", [0.5, 0.01, 0.0001])
def test_gradients_by_hand(measured, p):
    name = f"{p} everywhere"
    bce, dice, both = (measured[2][name, loss] for loss in ("BCE", "Dice", "both"))
    assert bce.on_object == pytest.approx((p - 1) / 10_000)
    assert bce.off_object == pytest.approx(p / 10_000)
    D, numerator = 10_000 * p + 100 + 1, 2 * 100 * p + 1
    assert dice.on_object == pytest.approx((-2 / D + numerator / D**2) * p * (1 - p))
    assert dice.off_object == pytest.approx(numerator / D**2 * p * (1 - p))
    assert both.on_object == pytest.approx((bce.on_object + dice.on_object) / 2)
    for g in (bce, dice, both):
        assert g.total == pytest.approx(100 * g.on_object + 9900 * g.off_object, abs=1e-12)
        up, down = 100 * abs(g.on_object), 9900 * abs(g.off_object)
        assert g.share == pytest.approx(up / (up + down))


def test_the_claims(measured):
    gradients = measured[2]
    assert gradients["0.5 everywhere", "BCE"].share == pytest.approx(0.01)
    assert 0.5 < gradients["0.5 everywhere", "Dice"].share < 0.51
    assert gradients["0.01 everywhere", "BCE"].total == pytest.approx(0, abs=1e-12)
    sure = [gradients["0.0001 everywhere", loss].on_object for loss in ("BCE", "Dice")]
    assert sure[0] / sure[1] == pytest.approx(51, abs=0.5)
    loss = -0.01 * np.log(0.01) - 0.99 * np.log(0.99)  # at p = 0.01 everywhere
    assert round(loss, 3) == 0.056 and loss < np.log(2) / 10
    assert -2 / 5101 + 101 / 5101**2 == pytest.approx(-3.88e-4, rel=1e-3)
    assert 101 / 5101**2 == pytest.approx(3.88e-6, rel=1e-3)


def test_dice_fades_on_both_sides_of_an_edge(measured):
    t, answers, gradients = measured
    p, size = answers["a blurred blob beside it"], np.abs(gradients["a blurred blob beside it", "Dice"].pixels)
    on_edge, sure = (0.3 < p) & (p < 0.7), (p < 0.001) | (p > 0.999)
    for where in (t == 1, t == 0):
        assert (where & on_edge).any() and (where & (p > 0.999)).any() and (where & (p < 0.001)).any()
        assert size[where & on_edge].min() > 10 * size[where & sure].max()


def test_the_answer_follows_from_the_gradients(monkeypatch):
    assert losses.run(0).answer == 1
    bce = ops.binary_cross_entropy_with_logits
    monkeypatch.setitem(losses.LOSSES, "Dice", bce)
    assert losses.run(0).answer == 0
    monkeypatch.setitem(losses.LOSSES, "Dice", lambda z, t: bce(z, t, weights=np.where(t == 1, 1.0, 1e-4)))
    assert losses.run(0).answer == 2
    monkeypatch.setitem(losses.LOSSES, "BCE", lambda z, t: bce(z, t, weights=np.where(t == 1, 1.0, 0.05)))
    assert losses.run(0).answer == 3
