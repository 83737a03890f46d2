"""The confusion matrix and its scores, against cases counted by hand."""

import numpy as np
import pytest

from minunet import device, metrics
from minunet.autograd import Tensor
from minunet.metrics import ConfusionScores, confusion_matrix

# The example in the text: sky, road, car
STREET = np.array([[50, 2, 0], [0, 30, 0], [0, 8, 10]])


def pixels_of(matrix, channels=None):
    """(outputs (1, 1, P, C), labels (1, 1, P, 1)) that have this confusion matrix, in random order."""
    true, predicted = np.nonzero(matrix)
    pairs = np.repeat(np.stack([true, predicted], axis=1), matrix[true, predicted], axis=0)
    rng = np.random.default_rng(0)
    pairs = rng.permutation(pairs)
    outputs = rng.uniform(0, 1, (1, 1, len(pairs), channels or len(matrix))).astype(np.float32)
    outputs[0, 0, np.arange(len(pairs)), pairs[:, 1]] = 2
    return outputs, pairs[None, None, :, :1].astype(np.uint8)


def scores_of(matrix, put=np.asarray):
    scores = ConfusionScores(len(matrix))
    scores.update(*map(put, pixels_of(matrix)))
    return scores


def test_the_example_in_the_text(xp_array):
    scores = scores_of(STREET, xp_array)
    np.testing.assert_array_equal(scores.matrix(), STREET)
    np.testing.assert_allclose(scores.class_iou(), [50 / 52, 30 / 40, 10 / 18], rtol=1e-15)
    assert scores.result() == {
        "mean_iou": pytest.approx((50 / 52 + 30 / 40 + 10 / 18) / 3, rel=1e-15),
        "accuracy": pytest.approx(0.9, rel=1e-15),
    }
    assert scores.class_iou().round(3).tolist() == [0.962, 0.75, 0.556]
    assert round(scores.result()["mean_iou"], 3) == 0.756


def test_it_is_counted_where_the_arrays_are_and_read_once(xp_array):
    scores = ConfusionScores(3)
    outputs, labels = map(xp_array, pixels_of(STREET))
    scores.update(outputs, labels)
    scores.update(outputs, labels[..., 0])
    assert device.device_of(scores._counts) == device.device_of(outputs)
    assert not scores._read.any()
    np.testing.assert_array_equal(scores.matrix(), 2 * STREET)
    scores.update(outputs, labels)
    np.testing.assert_array_equal(scores.matrix(), 3 * STREET)
    assert scores.matrix().dtype == np.int64


def test_batches_from_two_devices_add_up(array_on):
    scores = ConfusionScores(3)
    for put in (np.asarray, array_on("gpu"), np.asarray):
        scores.update(*map(put, pixels_of(STREET)))
    np.testing.assert_array_equal(scores.matrix(), 3 * STREET)


def test_more_channels_than_classes(xp_array):
    """A panoptic head has centers and offsets behind the classes, here larger than all of them."""
    outputs, labels = pixels_of(STREET, channels=6)
    outputs[..., 3:] = 100
    scores = ConfusionScores(3)
    scores.update(xp_array(outputs), xp_array(labels))
    np.testing.assert_array_equal(scores.matrix(), STREET)


def test_of_equals_the_first(xp_array):
    scores = ConfusionScores(3)
    scores.update(xp_array(np.array([[1.0, 1, 1], [0, 2, 2]])), xp_array(np.array([2, 2])))
    assert scores.matrix()[2].tolist() == [1, 1, 0]


def test_ignored_pixels_and_other_numbers_count_nowhere(xp_array):
    outputs, labels = pixels_of(STREET)
    other = np.where(np.arange(100) % 2, 255, 3).astype(np.uint8)[None, None, :, None]  # void, and one class too many
    scores = ConfusionScores(3)
    scores.update(xp_array(np.concatenate([outputs, outputs])), xp_array(np.concatenate([labels, other])))
    np.testing.assert_array_equal(scores.matrix(), STREET)


def test_classes_that_are_nowhere_are_left_out_of_the_mean(xp_array):
    """Class 1 is nowhere; class 3 is not in the labels, but predicted: 0."""
    matrix = np.array([[6, 0, 0, 1], [0, 0, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]])
    scores = scores_of(matrix, xp_array)
    np.testing.assert_allclose(scores.class_iou(), [6 / 8, np.nan, 2 / 3, 0])
    assert scores.result()["mean_iou"] == pytest.approx((6 / 8 + 2 / 3 + 0) / 3, rel=1e-14)
    assert scores.result()["accuracy"] == pytest.approx(8 / 10, rel=1e-14)


def test_the_state_continues_the_count():
    first, second = scores_of(STREET), ConfusionScores(3)
    state = first.state_dict()
    assert set(state) == {"confusion"} and state["confusion"].dtype == np.int64
    second.update(*pixels_of(np.eye(3, dtype=int)))  # forgotten when a state is loaded
    second.load_state_dict(state)
    second.update(*pixels_of(STREET))
    np.testing.assert_array_equal(second.matrix(), 2 * STREET)
    np.testing.assert_array_equal(first.matrix(), STREET)
    state["confusion"][:] = 0  # a copy
    np.testing.assert_array_equal(first.matrix(), STREET)
    with pytest.raises(ValueError, match=r"confusion has shape \(3, 3\): it must be \(4, 4\)"):
        ConfusionScores(4).load_state_dict(state)


def test_a_map_of_classes_is_scored_as_its_outputs_are(xp_array):
    outputs, labels = pixels_of(STREET)
    predicted = outputs.argmax(axis=-1)
    for found in (predicted, predicted[..., None], predicted.astype(np.uint8)):
        for true in (labels, labels[..., 0]):
            np.testing.assert_array_equal(confusion_matrix(xp_array(found), xp_array(true), 3), STREET)
    assert confusion_matrix([0, 1], [1, 255], 2).tolist() == [[0, 0], [1, 0]]


def test_tensors_and_integers_are_accepted():
    outputs, labels = pixels_of(STREET)
    scores = ConfusionScores(3)
    scores.update(Tensor(outputs), Tensor(labels))
    scores.update((outputs * 100).astype(np.int32), labels.astype(np.int64))
    np.testing.assert_array_equal(scores.matrix(), 2 * STREET)
    np.testing.assert_allclose(metrics.class_iou(STREET), [50 / 52, 30 / 40, 10 / 18])


def test_nothing_to_score():
    for scores in (ConfusionScores(3), ConfusionScores(3)):
        with pytest.raises(
            ValueError, match=r"no pixel so far has a label of 0 to 2; every pixel is ignored \(255\), or"
        ):
            scores.result()
        scores.update(np.ones((1, 2, 2, 3)), np.full((1, 2, 2, 1), 255))
        with pytest.raises(ValueError, match="every pixel is ignored"):
            scores.result()
        assert np.isnan(scores.class_iou()).all()


@pytest.mark.parametrize(
    "outputs, labels, error, message",
    [
        (np.ones((1, 2, 2, 2)), np.ones((1, 2, 2, 1), int), ValueError, r"have shape \(1, 2, 2, 2\).* C ≥ 3"),
        (np.ones((0, 2, 2, 3)), np.ones((0, 2, 2, 1), int), ValueError, "at least one pixel"),
        (np.ones(3), np.ones(1, int), ValueError, r"outputs have shape \(3,\)"),
        (np.ones((1, 2, 2, 3)), np.ones((1, 4, 1), int), ValueError, r"labels have shape \(1, 4, 1\).*\(1, 2, 2\) or"),
        (np.ones((1, 2, 2, 3)), np.ones((1, 2, 2, 1)), TypeError, "labels are float64: they must be integers"),
    ],
)
def test_invalid_batches_are_refused(outputs, labels, error, message):
    with pytest.raises(error, match=message):
        ConfusionScores(3).update(outputs, labels)


def test_other_invalid_input_is_refused(elsewhere):
    for classes in (0, 1, 256):
        with pytest.raises(ValueError, match=f"classes is {classes}: it must be the number of classes, from 2 to 255"):
            ConfusionScores(classes)
    with pytest.raises(ValueError, match="labels are on gpu:7, outputs on cpu: move one"):
        ConfusionScores(2).update(np.ones((3, 2)), elsewhere(np.ones(3, int)))
    with pytest.raises(ValueError, match="a predicted class is 2: with 2 classes it must be 0 to 1"):
        confusion_matrix([0, 2], [0, 1], 2)
    with pytest.raises(TypeError, match="predictions are float64: they must be integers"):
        confusion_matrix([0.5, 2], [0, 1], 2)
    with pytest.raises(ValueError, match=r"labels have shape \(3,\), predictions \(2,\)"):
        confusion_matrix([0, 1], [0, 1, 1], 2)


@pytest.mark.parametrize("wrong", [-1, 0.5, np.nan, 2**60])
def test_counts_that_no_pixels_have(wrong):
    with pytest.raises(ValueError, match="it must hold counts"):
        ConfusionScores(2).load_state_dict({"confusion": np.array([[1, 2], [3, wrong]])})
