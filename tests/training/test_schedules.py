"""Schedules: the rate of each step by hand, and a state that goes on."""

import math

import numpy as np
import pytest

from minunet.training import schedules


def test_constant():
    assert [schedules.Constant(0.1)(t) for t in (0, 1, 10**9)] == [0.1] * 3


def test_cosine_by_hand():
    rates = [schedules.Cosine(2.0, steps=10, warmup=4)(t) for t in range(12)]
    assert rates[:5] == [0.5, 1, 1.5, 2, 2]  # a fourth more in each step; then the cosine begins at its top
    assert rates[7] == pytest.approx(1)  # half way down
    assert rates[5] == pytest.approx(1 + math.cos(math.pi / 6)) and rates[9] == pytest.approx(
        1 + math.cos(5 * math.pi / 6)
    )
    assert rates[10] == rates[11] == 0 < rates[9]  # 0 only after the last step, t = 9


def test_cosine_without_warmup():
    assert [schedules.Cosine(1.0, steps=2)(t) for t in (0, 1)] == [1, pytest.approx(0.5)]


def test_plateau_by_hand():
    schedule, rates = schedules.Plateau(1.0, "val_mean_iou", factor=0.5, patience=2), []
    for score in (0.5, 0.4, 0.6, 0.6, 0.6, 0.5, 0.5, 0.7):
        schedule.epoch_done({"val_mean_iou": score})
        rates.append(schedule(0))
    assert rates == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25]  # two epochs without better, and again two


def test_a_plateau_continues_from_its_state():
    whole, first, second = (schedules.Plateau(lr, patience=2) for lr in (1.0, 1.0, 0.7))
    losses = [0.5, 0.6, 0.7, 0.4, 0.4, 0.4, 0.3]
    for i, loss in enumerate(losses):
        whole.epoch_done({"val_loss": loss})
        if i == 4:
            state = first.state_dict()
            assert all(type(array) is np.ndarray for array in state.values())
            second.load_state_dict(state)
        (first if i < 4 else second).epoch_done({"val_loss": loss})
    assert second(0) == whole(0) == pytest.approx(0.09) and second.state_dict() == whole.state_dict()


def test_the_other_schedules_have_no_state():
    schedule = schedules.Cosine(1.0, 10)
    assert schedule.state_dict() == {}
    schedule.load_state_dict({})


@pytest.mark.parametrize(
    "schedule, state, message",
    [
        (
            schedules.Constant(1.0),
            schedules.Plateau(1.0).state_dict(),
            "a Constant schedule has no state, but this one holds .*lr",
        ),
        (schedules.Plateau(1.0), {}, "not the state of a Plateau schedule: it holds nothing"),
        (schedules.Plateau(1.0), {"lr": np.array(0.5)}, "not the state of a Patience"),
        (
            schedules.Plateau(1.0),
            {**schedules.Plateau(0.5).state_dict(), "m": np.array(1)},
            "not the state of a Patience",
        ),
        (schedules.Plateau(1.0), {**schedules.Plateau(0.5).state_dict(), "lr": np.array(np.nan)}, "lr is nan"),
        (schedules.Plateau(1.0), {**schedules.Plateau(0.5).state_dict(), "lr": np.array(-1.0)}, "lr is -1.0"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(schedule, state, message):
    with pytest.raises(ValueError, match=message):
        schedule.load_state_dict(state)
    assert schedule(0) == 1


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: schedules.Constant(0), "lr is 0: it must be a positive number"),
        (lambda: schedules.Constant(math.nan), "lr is nan"),
        (lambda: schedules.Cosine(1.0, 10, 10), "warmup is 10: it must be at least 0 and below the total of 10 steps"),
        (lambda: schedules.Cosine(1.0, 0), "warmup is 0"),
        (lambda: schedules.Plateau(1.0, factor=1), "factor is 1: it must be above 0 and below 1"),
        (
            lambda: schedules.Plateau(1.0, patience=0),
            "patience is 0: it must be an integer number of epochs of at least 1",
        ),
    ],
)
def test_errors_name_what_was_given(make, message):
    with pytest.raises(ValueError, match=message):
        make()
