"""Patience: when it is exhausted, which way is up, and a state that is restored."""

import math

import numpy as np
import pytest

from minunet.training.early_stopping import Patience


def answers(patience, values):
    return [patience.update({patience.monitor: value}) for value in values]


def test_a_score_must_rise():
    patience = Patience("val_mean_iou", 2)
    assert answers(patience, [0.5, 0.4, 0.6, 0.6, 0.1]) == [False, False, False, False, True]
    assert (patience.best, patience.waited) == (0.6, 2)


def test_a_loss_must_fall():
    assert answers(Patience("val_loss", 1), [0.5, 0.4, 0.6, 0.3, 0.3]) == [False, False, True, False, True]


def test_nan_is_never_better():
    patience = Patience("val_loss", 2)
    assert answers(patience, [math.nan, 0.5, math.nan, 0.4]) == [False] * 4
    assert patience.best == 0.4


@pytest.mark.parametrize("seen", [[], [0.5], [0.5, 0.4]])
def test_a_state_is_restored(seen):
    one, other = Patience("val_iou", 3), Patience("val_iou", 3)
    answers(one, seen)
    state = {name: np.array(array.tolist()) for name, array in one.state_dict().items()}
    other.load_state_dict(state)
    assert (other.best, other.waited) == (one.best, one.waited)
    assert answers(one, [0.3, 0.2, 0.6]) == answers(other, [0.3, 0.2, 0.6])


def test_errors_name_what_was_given():
    with pytest.raises(ValueError, match="patience is 0: it must be an integer number of epochs"):
        Patience("val_loss", 0)
    with pytest.raises(ValueError, match="no score 'val_los' to monitor: choose one of epoch, val_loss"):
        Patience("val_los", 1).update({"epoch": 1, "val_loss": 0.5})
    with pytest.raises(ValueError, match="not the state of a Patience: it holds .'best'"):
        Patience("val_loss", 1).load_state_dict({"best": np.array(1)})


def test_without_a_number_of_epochs_patience_never_runs_out():
    patience = Patience("val_loss", None)
    assert answers(patience, [0.5] * 100) == [False] * 100
    assert (patience.best, patience.waited, patience.exhausted) == (0.5, 99, False)


@pytest.mark.parametrize("state", [{"best": np.inf, "waited": 0}, {"best": 1.0, "waited": -3}])
def test_a_state_that_no_training_comes_to(state):
    patience = Patience("val_loss", 1)
    with pytest.raises(ValueError, match="not the state of a Patience"):
        patience.load_state_dict({name: np.array(value) for name, value in state.items()})
    assert (patience.best, patience.waited) == (None, 0)
