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


# ---- before anything is found ------------------------------------------------------------------------------


def counted(scores, losses, monitor="val_mean_iou"):
    """What `waited` is after each epoch."""
    patience, result = Patience(monitor, 99), []
    for score, loss in zip(scores, losses, strict=True):
        patience.update({monitor: score, "val_loss": loss})
        result.append(patience.waited)
    return result


@pytest.mark.parametrize(
    "scores, losses, expected",
    [
        ([0, 0, 0, 0], [0.7, 0.6, 0.5, 0.4], [0, 0, 0, 0]),  # nothing is found, and the loss falls
        ([0, 0, 0, 0], [0.7, 0.6, 0.61, 0.6], [0, 0, 1, 2]),  # it falls no longer: below its lowest is what counts
        ([0, 0, 0], [0.7, 0.6996, 0.6990], [0, 1, 2]),  # by less than a thousandth of 0.7, then of 0.6996
        ([0, 0, 0], [0.7, 0.6992, 0.6984], [0, 0, 0]),
        ([0.23, 0.23, 0.2296], [0.7, 0.6, 0.5], [0, 0, 0]),  # "all background" with several classes is above 0
        ([0, 0.1, 0.1, 0], [0.7, 0.6, 0.5, 0.4], [0, 0, 1, 2]),  # once something was found, all epochs count
        ([0.2, 0.1, 0.2], [0.7, 0.6, 0.5], [0, 1, 2]),  # a step back is one, too
        ([0, 0, 0], [-0.5, -0.6, -0.7], [0, 0, 0]),  # a loss of one's own may lie below 0
        ([0, 0], [1000.0, 999.0], [0, 0]),  # a thousandth exactly
        ([0, 0], [1000.0, 999.001], [0, 1]),
        ([math.nan, 0, 0], [0.7, 0.6, 0.5], [1, 0, 0]),
    ],
)
def test_while_the_score_has_not_moved_epochs_with_a_lower_loss_do_not_count(scores, losses, expected):
    assert counted(scores, losses) == expected


def test_patience_that_watches_the_loss_counts_as_ever():
    assert counted([0.7, 0.6996, 0.6996, 0.8], [0.7, 0.6996, 0.6996, 0.8], "val_loss") == [0, 0, 1, 2]


def test_what_was_seen_of_score_and_loss_is_saved():
    one, other = Patience("val_iou", 3), Patience("val_iou", 3)
    for loss in (0.7, 0.6):
        one.update({"val_iou": 0.0, "val_loss": loss})
    other.load_state_dict({name: np.array(array.tolist()) for name, array in one.state_dict().items()})
    for patience in (one, other):
        patience.update({"val_iou": 0.0, "val_loss": 0.65})
        patience.update({"val_iou": 0.0, "val_loss": 0.5})
        assert patience.waited == 1


def test_the_state_of_an_older_checkpoint_is_taken_and_all_epochs_count():
    patience = Patience("val_iou", 9)
    patience.load_state_dict({"best": np.array(0.0), "waited": np.array(2)})
    patience.update({"val_iou": 0.0, "val_loss": 0.1})
    assert (patience.best, patience.waited) == (0.0, 3)


@pytest.mark.parametrize("state", [{"best": np.inf, "waited": 0}, {"best": 1.0, "waited": -3}])
def test_a_state_that_no_training_comes_to(state):
    patience = Patience("val_loss", 1)
    with pytest.raises(ValueError, match="not the state of a Patience"):
        patience.load_state_dict({name: np.array(value) for name, value in state.items()})
    assert (patience.best, patience.waited) == (None, 0)
