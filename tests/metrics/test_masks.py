"""Scores of masks, against cases counted by hand."""

import numpy as np
import pytest

from minunet import device, metrics
from minunet.autograd import Tensor

# Two images of 2 x 3. First: |P| = 3, |T| = 2, common 1, so union 4.
# Second: |P| = 1, |T| = 4, common 1, union 4.
P = np.array([[[0.9, 0.8, 0.7], [0.1, 0.2, 0.5]], [[0.6, 0.0, 0.0], [0.0, 0.0, 0.0]]])[..., None]
T = np.array([[[1, 0, 0], [1, 0, 0]], [[1, 1, 1], [1, 0, 0]]], dtype=np.uint8)[..., None]


def test_scores_counted_by_hand():
    assert metrics.iou(P, T) == pytest.approx(2 / 8)
    assert metrics.mean_iou(P, T) == pytest.approx((1 / 4 + 1 / 4) / 2)
    assert metrics.dice(P, T) == pytest.approx(2 * 2 / (4 + 6))
    assert metrics.accuracy(P, T) == pytest.approx(6 / 12)  # 3 wrong in each image


def test_pixel_iou_weighs_areas_and_mean_iou_weighs_images():
    p, t = np.zeros((2, 4, 4)), np.zeros((2, 4, 4), np.uint8)
    t[0] = p[0] = 1  # a large pet, found: 16 of 16
    t[1, 0, 0] = 1  # a small one, missed: 0 of 1
    assert metrics.iou(p, t) == pytest.approx(16 / 17)
    assert metrics.mean_iou(p, t) == pytest.approx(1 / 2)


def test_one_half_is_not_above_the_threshold():
    assert metrics.iou([0.5], [1]) == 0
    assert metrics.iou([0.5], [1], threshold=0.4) == 1


def test_ignored_pixels_count_nowhere():
    t = T.copy()
    t[0, 0, 1] = t[0, 0, 2] = t[1, 0, 1] = 255  # two false alarms and one miss
    # First: |P| = 1, |T| = 2, common 1, union 2, 4 pixels.
    # Second: |P| = 1, |T| = 3, common 1, union 3, 5 pixels.
    assert metrics.iou(P, t) == pytest.approx(2 / 5)
    assert metrics.mean_iou(P, t) == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert metrics.dice(P, t) == pytest.approx(2 * 2 / (2 + 5))
    assert metrics.accuracy(P, t) == pytest.approx((3 + 3) / 9)


def test_images_without_a_pet_and_images_without_a_counted_pixel():
    p, t = np.zeros((3, 2, 2)), np.zeros((3, 2, 2), np.uint8)
    assert metrics.mean_iou(p, t) == metrics.iou(p, t) == metrics.dice(p, t) == 1  # no pet, none predicted
    t[1] = 1  # missed: 0
    t[2] = 255  # says nothing
    assert metrics.mean_iou(p, t) == pytest.approx((1 + 0) / 2)
    p[0, 0, 0] = 1  # a false alarm: 0
    assert metrics.mean_iou(p, t) == 0


def test_scores_add_up_over_batches_of_any_size():
    whole, parts = metrics.MaskScores(), metrics.MaskScores()
    rng = np.random.default_rng(0)
    p, t = rng.random((7, 5, 5, 1)), rng.choice(np.array([0, 1, 255], np.uint8), (7, 5, 5, 1))
    whole.update(p, t)
    for part in (slice(0, 3), slice(3, 4), slice(4, 7)):
        parts.update(p[part], t[part])
    assert parts.result() == pytest.approx(whole.result(), abs=1e-14)
    assert parts.result()["images"] == 7
    assert parts.result()["foreground"] == pytest.approx((t == 1).sum() / (t != 255).sum())


def test_logits_with_the_threshold_zero_are_scored_as_their_probabilities():
    z = np.random.default_rng(1).normal(size=(2, 6, 6, 1)).astype(np.float32)
    t = (np.random.default_rng(2).random(z.shape) < 0.4).astype(np.uint8)
    scores = metrics.MaskScores(threshold=0.0)
    scores.update(z, t)
    assert scores.result()["iou"] == metrics.iou(1 / (1 + np.exp(-z)), t)


def test_scores_are_counted_where_the_arrays_are(xp_array):
    p, t = xp_array(P.astype(np.float32)), xp_array(T)
    scores = metrics.MaskScores()
    scores.update(p, t)
    assert device.device_of(scores._counts[0]) == device.device_of(p)  # nothing is read before result()
    assert scores.result()["iou"] == metrics.iou(p, t) == pytest.approx(2 / 8)
    assert metrics.mean_iou(p, t) == pytest.approx(1 / 4)


def test_tensors_and_booleans_are_accepted():
    assert metrics.iou(Tensor(P), Tensor(T)) == metrics.iou(P, T)
    assert metrics.iou(P > 0.5, T.astype(bool)) == metrics.iou(P, T)


def test_invalid_input_is_refused():
    with pytest.raises(ValueError, match=r"\(2, 2, 3, 1\).*\(2, 2, 3\)"):
        metrics.iou(P, T[..., 0])
    with pytest.raises(ValueError, match="4 mask pixels hold a value other than 0"):
        metrics.iou(np.zeros(6), np.array([2, 2, 3, 1, 0, 7]))
    with pytest.raises(ValueError, match="every pixel is ignored"):
        metrics.iou(np.zeros(3), np.full(3, 255))
    with pytest.raises(ValueError, match="of one image, give"):
        metrics.mean_iou(P[0, ..., 0], T[0, ..., 0])
    with pytest.raises(ValueError, match="at least one pixel"):
        metrics.iou([], [])
    with pytest.raises(ValueError, match="call update"):
        metrics.MaskScores().result()


@pytest.mark.parametrize(
    "counts",
    [
        [[1, 2, 3, 9, 9.0]],  # no integers
        [[1, 2, 3, 9, np.nan]],
        [[3, 2, 4, 9, 9]],  # more in both than in one
        [[-1, 2, 3, 9, 9]],
        [[1, 2, 10, 9, 9]],  # more than there are
        [[1, 2, 3, 9, 8]],
        [[1, 2, 3, 2**62, 2**62]],
    ],
)
def test_counts_that_no_masks_have(counts):
    scores = metrics.MaskScores()
    with pytest.raises(ValueError, match="counts are"):
        scores.load_state_dict({"counts": np.array(counts)})
    scores.load_state_dict({"counts": np.array([[1, 2, 3, 9, 9], [0, 0, 0, 0, 0]])})
    assert scores.result()["iou"] == 1 / 4
