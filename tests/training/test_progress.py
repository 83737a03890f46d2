"""What was counted of an epoch before a checkpoint counts after it."""

import numpy as np
import pytest

from minunet.data.classes import Classes
from minunet.tasks import Binary, Semantic
from minunet.training.progress import Losses, Progress


def restored(progress, task):
    """Another Progress with its state, which has gone through a file's arrays."""
    other = Progress("cpu", task)
    other.load_state_dict({name: np.asarray(value) for name, value in progress.state_dict().items()})
    return other


def test_scores_from_before_a_checkpoint_are_part_of_the_epochs_scores():
    """Two images before, one after. |P ∩ T| and |P ∪ T| of each: 2 of 3, 0 of 1, and 1 of 2."""
    logits = np.array([[1.0, 1, 1, -1], [1, -1, -1, -1], [1, 1, -1, -1]]).reshape(3, 2, 2, 1)
    masks = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], np.uint8).reshape(3, 2, 2, 1)
    progress = Progress("cpu", Binary())
    progress.add(np.float32(0.5), logits[:2], masks[:2])
    progress = restored(progress, Binary())
    progress.add(np.float32(0.8), logits[2:], masks[2:])
    scores = progress.scores.result()
    assert scores["iou"] == pytest.approx(3 / 6) and scores["mean_iou"] == pytest.approx((2 / 3 + 0 + 1 / 2) / 3)
    assert scores["accuracy"] == pytest.approx(9 / 12)
    assert progress.losses.mean() == pytest.approx((2 * 0.5 + 0.8) / 3)  # each loss weighs as many images as it is of
    assert (progress.epoch, progress.step, progress.losses.images) == (1, 2, [2, 1])


def test_so_are_those_of_several_classes():
    task = Semantic(Classes(["sky", "road", "tree"]))
    before, after = np.array([[0, 1], [1, 2]]), np.array([[0, 0], [2, 1]])
    right = np.array([[0, 1], [1, 1]], np.uint8), np.array([[0, 2], [2, 2]], np.uint8)
    progress = Progress("cpu", task)
    for answer, labels in zip((before, after), right):
        progress.add(np.float32(0.5), np.eye(3)[answer][None], labels[None, ..., None])
        progress = restored(progress, task)
    # sky: 2 of 3 pixels, road: 2 of 4, tree: 1 of 4
    assert progress.scores.result()["mean_iou"] == pytest.approx((2 / 3 + 2 / 4 + 1 / 4) / 3)
    assert progress.scores.result()["accuracy"] == pytest.approx(5 / 8)


def test_the_seconds_before_a_checkpoint_count():
    progress = Progress("cpu", Binary())
    state = {name: np.asarray(value) for name, value in progress.state_dict().items()}
    progress.load_state_dict({**state, "seconds": np.array(1000.0)})
    assert 1000 <= progress.state_dict()["seconds"] < 1060


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 0},
        {"step": 2},
        {"step": -1},
        {"losses": [0.5, 0.5]},
        {"images": [1, 1]},
        {"seconds": -1.0},
        {"seconds": np.nan},
        {"seconds": np.inf},
    ],
)
def test_numbers_that_no_training_comes_to(change):
    progress = Progress("cpu", Binary())
    progress.add(np.float32(0.5), np.ones((1, 2, 2, 1)), np.ones((1, 2, 2, 1), np.uint8))
    state = {name: np.asarray(value) for name, value in {**progress.state_dict(), **change}.items()}
    with pytest.raises(ValueError, match="no training is there|1 scores of 2 images"):
        Progress("cpu", Binary()).load_state_dict(state)


def test_there_is_room_for_any_number_of_losses():
    losses = Losses("epoch 1", "cpu")
    for step in range(200):
        losses.add(float(step), images=1 + step % 2)
    assert losses.values() == list(range(200)) and losses.newest() == 199
    assert losses.mean() == pytest.approx(sum(k * (1 + k % 2) for k in range(200)) / 300)


def test_on_a_gpu_the_loss_is_looked_at_in_one_step_of_twenty():
    losses, seen = Losses("epoch 1", "cpu"), []
    losses.add(0.0, images=1)
    losses.device = "gpu:0"  # from here on, each look would wait for it
    for step in range(1, 61):
        seen.append(losses.newest())
        losses.add(float(step), images=1)
    assert [value for value in seen if value is not None] == [19, 39, 59] and seen[19] == 19
