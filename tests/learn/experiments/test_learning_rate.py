"""Learning rates: the limit of a quadratic, found twice, and what is too slow, right and too large for a U-Net."""

import numpy as np
import pytest

from minunet.learn.experiments import learning_rate
from minunet.learn.experiments.learning_rate import (
    EXPERIMENT,
    OPTIMIZERS,
    RATES,
    Quadratic,
    Sweep,
    best_and_broken,
    drawn,
    final,
    measure_quadratic,
    measure_sweep,
    train,
)


def patches(images):
    """The 3x3 patch around each pixel, 0 outside, and a 1 for the bias: (pixels, 28)."""
    N, H, W, _ = images.shape
    rows = []
    for n in range(N):
        for i in range(H):
            for j in range(W):
                patch = np.zeros((3, 3, 3))
                for a in range(3):
                    for b in range(3):
                        y, x = i + a - 1, j + b - 1
                        if 0 <= y < H and 0 <= x < W:
                            patch[a, b] = images[n, y, x]
                rows.append(np.append(patch, 1))
    return np.array(rows)


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    return rng.random((2, 6, 5, 3)), (rng.random((2, 6, 5, 1)) < 0.5).astype(float)


@pytest.fixture(scope="module")
def quadratic(scene):
    return measure_quadratic(*scene, steps=150)


def test_the_limit_is_that_of_the_patch_matrix(scene, quadratic):
    # L = |P w - t|² / n has the Hessian 2 PᵀP / n
    P = patches(scene[0])
    largest = np.linalg.eigvalsh(2 / len(P) * P.T @ P)[-1]
    assert quadratic.largest == pytest.approx(largest)
    assert quadratic.limit == pytest.approx(2 / largest)


def test_losses_are_above_those_of_least_squares(scene, quadratic):
    P, t = patches(scene[0]), scene[1].ravel()
    least = ((P @ np.linalg.lstsq(P, t, rcond=None)[0] - t) ** 2).mean()
    for losses in quadratic.losses.values():
        assert losses[0] == pytest.approx((t**2).mean() - least)  # w = 0 answers 0 everywhere


def test_the_limit_is_met(quadratic):
    below, above = quadratic.losses[0.95], quadratic.losses[1.05]
    assert (np.diff(below) < 0).all()
    assert above[-1] / above[-2] == pytest.approx((1 - 2 * 1.05) ** 2, rel=1e-3)
    assert above[-1] > 1e6 * above[0]


def test_a_smaller_rate_is_slower(quadratic):
    assert quadratic.losses[0.1][-1] > 1.2 * quadratic.losses[0.95][-1]


def test_a_rate_that_is_far_too_large_diverges_without_a_warning():
    losses = train(*drawn(8, 32), OPTIMIZERS["momentum"], 1e6, 0, 20)
    assert len(losses) == 20
    assert np.isfinite(losses[0])
    assert np.isnan(losses[-1])


def test_a_unet_learns_between_too_slow_and_too_large(monkeypatch):
    monkeypatch.setattr(learning_rate, "OPTIMIZERS", {"RMSprop": OPTIMIZERS["RMSprop"]})
    slow, right, large = 1e-5, 10**-2.5, 10.0
    sweep = measure_sweep(*drawn(24, 32), rates=(slow, right, large), seeds=(1,), steps=70)
    ends = {rate: final(losses) for rate, losses in sweep.losses["RMSprop"].items()}
    assert ends[right] < 0.9 * ends[slow]
    assert ends[right] < 0.9 * sweep.constant
    assert abs(ends[slow] - np.log(2)) < 0.05  # almost untrained: every pixel is about as likely as not
    assert not ends[large] < sweep.constant


def test_the_constant_answer():
    images, masks = np.zeros((8, 8, 8, 3), np.float32), np.zeros((8, 8, 8, 1), np.float32)
    masks[:2] = 1
    sweep = measure_sweep(images, masks, rates=(), seeds=())
    assert sweep.constant == pytest.approx(-(0.25 * np.log(0.25) + 0.75 * np.log(0.75)))


def test_final_is_a_median_over_seeds():
    assert final(np.array([[9, 9, 1, 3], [9, 9, 4, 4], [9, 9, 9, 9]]), last=2) == 4
    assert final(np.array([[9, 1], [9, np.nan], [9, np.nan]]), last=1) == np.inf


def constant_losses(finals):
    return {rate: np.full((3, 20), loss) for rate, loss in finals.items()}


def test_best_and_broken():
    losses = constant_losses({1e-4: 0.69, 1e-3: 0.6, 1e-2: 0.5, 1e-1: 0.6, 1.0: 0.69, 10.0: 0.5001, 100.0: np.nan})
    assert best_and_broken(losses, 0.69) == (1e-2, 1.0)
    assert best_and_broken(constant_losses({1e-3: 0.6, 1e-2: 0.5}), 0.69) == (1e-2, None)
    assert best_and_broken(constant_losses({1e-3: 0.6, 1e-2: np.nan}), 0.69) == (1e-3, 1e-2)


@pytest.mark.parametrize(("best", "broken", "answer"), [(6, 7, 0), (6, 9, 0), (6, 10, 1), (6, 11, 1), (6, 12, 2)])
def test_the_answer_follows_from_the_factor(best, broken, answer):
    assert learning_rate._answer(RATES[best], RATES[broken]) == answer


def test_nothing_broken_is_very_far():
    assert learning_rate._answer(RATES[6], None) == 2


def test_the_table(monkeypatch):
    finals = {rate: 0.69 if i >= 10 else 0.5 if i == 6 else 0.6 for i, rate in enumerate(RATES)}
    sweep = Sweep(0.69, {name: constant_losses(finals) for name in OPTIMIZERS})
    falling, rising = [1.0, 0.5], [1.0, 1.21]
    quadratic = Quadratic(20.0, 0.1, {0.1: falling, 0.5: falling, 0.95: falling, 1.05: rising})
    monkeypatch.setattr(learning_rate, "measure_quadratic", lambda *_: quadratic)
    monkeypatch.setattr(learning_rate, "measure_sweep", lambda *_, **__: sweep)
    result = EXPERIMENT.run(0)
    assert result.answer == 1  # 10 is two decades above 6
    assert [row[0] for row in result.rows][:3] == ["1e-5", "3.2e-5", "1e-4"]
    assert [row[2] for row in result.rows][5:11:2] == ["0.600", "0.600", "0.600"]
    assert [row[2] for row in result.rows][6:11:4] == ["0.500 best", "0.690 nothing learned"]
