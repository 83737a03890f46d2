"""Four optimizers on two surfaces: their first steps by hand, and what a turn of the surface changes."""

import numpy as np
import pytest

from minunet.autograd import Tensor
from minunet.learn.experiments import optimizers
from minunet.learn.experiments.optimizers import (
    EXPERIMENT,
    OPTIMIZERS,
    fewest_steps,
    measure,
    ravine,
    saddle_surface,
    steps_until,
    walk,
)

START = np.array([-10.0, 1.0])


def first_steps(name, lr, steps, surface=None):
    return walk(surface or ravine(50.0), START, OPTIMIZERS[name], lr, steps)[0]


def test_sgd_by_hand():
    # g = (x, 50 y): x = -10 + 0.01·10, then -9.9 + 0.01·9.9; y = 1 - 0.01·50, then 0.5 - 0.01·25
    np.testing.assert_allclose(first_steps("SGD", 0.01, 2), [(-10, 1), (-9.9, 0.5), (-9.801, 0.25)])


def test_momentum_by_hand():
    # The second step is 0.9 of the first, (0.1, -0.5), and that of the gradient, 0.01·(9.9, -25)
    np.testing.assert_allclose(first_steps("momentum", 0.01, 2), [(-10, 1), (-9.9, 0.5), (-9.711, -0.2)])


@pytest.mark.parametrize(("name", "step"), [("RMSprop", 0.1 / 0.1**0.5), ("Adam", 0.1)])
def test_the_first_step_does_not_depend_on_the_slope(name, step):
    np.testing.assert_allclose(first_steps(name, 0.1, 1)[1], START + (step, -step), rtol=1e-6)


def test_the_ravine():
    point = Tensor(np.array([3.0, 2.0]))
    assert ravine(50.0)(point).item() == pytest.approx((3**2 + 50 * 2**2) / 2)
    # Turned by 90 degrees, x is across it and y along; by 45, (1, 1) is along and (-1, 1) across
    assert ravine(50.0, 90.0)(point).item() == pytest.approx((2**2 + 50 * 3**2) / 2)
    assert ravine(50.0, 45.0)(Tensor(np.array([1.0, 1.0]))).item() == pytest.approx(2 / 2)
    assert ravine(50.0, 45.0)(Tensor(np.array([-1.0, 1.0]))).item() == pytest.approx(50 * 2 / 2)


def test_the_saddle():
    assert saddle_surface(Tensor(np.array([3.0, 2.0]))).item() == pytest.approx(9 / 2 - 4 / 2 + 16 / 4)
    w = Tensor(np.array([3.0, 2.0]), requires_grad=True)
    saddle_surface(w).backward()
    np.testing.assert_allclose(w.grad, [3, -2 + 8])


def test_the_limit_of_sgd_is_two_over_the_steepness():
    below, above = (walk(ravine(50.0), START, OPTIMIZERS["SGD"], 0.04 * factor, 200)[1] for factor in (0.99, 1.01))
    assert below[-1] < 0.1 * below[0]
    assert above[-1] > 10 * above[0]


def test_a_walk_that_leaves_the_map_ends():
    path, heights = walk(ravine(50.0), START, OPTIMIZERS["SGD"], 1.0, 100)
    assert len(path) == len(heights) < 10


def test_steps_until_it_is_down_to_stay():
    assert steps_until([9, 1, 3, 1, 0], 2) == 3
    assert steps_until([1, 1], 2) == 0
    assert steps_until([9, 1, 3], 2) is None
    assert steps_until([9, 1, np.nan], 2) is None


def test_the_best_rate_is_the_fastest(monkeypatch):
    # A step multiplies x by 1 - lr, 0.99 or 0.97, and y by 1 - 50 lr: with a rate of 1, it flies off
    monkeypatch.setattr(optimizers, "RATES", (0.01, 0.03, 1.0))
    lr, path, steps = fewest_steps(ravine(50.0), START, OPTIMIZERS["SGD"], 200)
    # ½ 100·0.97^(2n) falls below a hundredth of ½ (100 + 50) after ln 0.015 / (2 ln 0.97) = 68.9 steps
    assert (lr, steps, len(path)) == (0.03, 69, 70)


@pytest.fixture(scope="module")
def walks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimizers, "RATES", (0.02, 0.2))
        yield measure(tuple(START), steepness=80.0, most=120)


def test_who_notices_the_turn(walks):
    for name in ("SGD", "momentum"):
        assert walks[name].deviation < 1e-9
        assert walks[name].steps == walks[name].turned_steps
    for name in ("RMSprop", "Adam"):
        assert walks[name].deviation > 0.1


def test_who_leaves_the_saddle_first(walks):
    steps = {name: w.saddle_steps for name, w in walks.items()}
    assert steps["RMSprop"] < 10
    assert steps["Adam"] < 10
    assert steps["SGD"] > steps["momentum"] > 10


@pytest.mark.parametrize(
    ("changed", "answer"),
    [((), 0), (("SGD", "momentum"), 1), (("RMSprop", "Adam"), 2), (("SGD", "momentum", "RMSprop", "Adam"), 3)],
)
def test_the_answer_follows_from_the_paths(walks, changed, answer, monkeypatch):
    told = {name: w._replace(deviation=1.0 if name in changed else 0.0) for name, w in walks.items()}
    monkeypatch.setattr(optimizers, "measure", lambda start: told)
    result = EXPERIMENT.run(0)
    assert result.answer == answer
    assert all(len(row) == len(result.header) for row in result.rows)


def test_the_table_has_the_steps_and_the_seed_draws_the_start(walks, monkeypatch):
    starts = []
    monkeypatch.setattr(optimizers, "measure", lambda start: starts.append(start) or walks)
    rows = EXPERIMENT.run(1).rows
    EXPERIMENT.run(1)
    EXPERIMENT.run(2)
    assert starts[0] == starts[1] != starts[2]
    # momentum's best rate is 0.02: the first step of it is that of SGD
    assert rows[1][:3] == ("momentum", "0.02", "-9.800, -0.600")
