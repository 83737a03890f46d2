"""Scores of objects, against cases counted by hand and against numbers that other implementations have computed."""

import numpy as np
import pytest

from minunet import metrics
from minunet.metrics.instances import THRESHOLDS, InstanceScores, average_precision, match

# Of the scenes in conftest.py. ap50, ap75, ap, precision50 and recall50: stardist 0.9.2, stardist.matching.matching
# ("accuracy", "precision", "recall"), at thresholds raised by 1e-6 because it takes IoU >= threshold; cellseg-metrics
# 0.2.0 gives the same precision. dice: cellseg-metrics 0.2.0, dice_multiclass. aji: get_fast_aji of HoVer-Net's
# metrics/stats_utils.py (github.com/vqdang/hover_net, commit 5847ebf).
CONSTANTS = [
    {
        "ap50": 0.1891891891891892,
        "ap75": 0.047619047619047616,
        "ap": 0.07506290998633595,
        "precision50": 0.3181818181818182,
        "recall50": 0.3181818181818182,
        "aji": 0.4211324570273003,
        "dice": 0.71682728,
    },
    {
        "ap50": 0.28125,
        "ap75": 0.0,
        "ap": 0.08607790482790482,
        "precision50": 0.42857142857142855,
        "recall50": 0.45,
        "aji": 0.4889753566796368,
        "dice": 0.81456954,
    },
    {
        "ap50": 0.2571428571428571,
        "ap75": 0.07317073170731707,
        "ap": 0.07926735097466805,
        "precision50": 0.4090909090909091,
        "recall50": 0.4090909090909091,
        "aji": 0.40357306459001374,
        "dice": 0.65947404,
    },
    {
        "ap50": 0.15789473684210525,  # one pair has an IoU of exactly 1/2, which is not above it
        "ap75": 0.0,
        "ap": 0.03055137844611529,
        "precision50": 0.2727272727272727,
        "recall50": 0.2727272727272727,
        "aji": 0.32443204463929853,
        "dice": 0.72282813,
    },
]
TRUE = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 0, 3, 3, 0]])
FOUND = np.array([[4, 4, 4, 0, 0, 5, 5, 5, 5, 0, 0, 6]])


@pytest.mark.parametrize("seed", range(4))
def test_scores_that_others_have_computed(cells, seed):
    true, found = cells(seed)
    scores = InstanceScores()
    scores.update(true, found)
    result = scores.result()
    for name, value in CONSTANTS[seed].items():
        assert result[name] == pytest.approx(value, abs=1e-8), name
    assert average_precision(true, found) == pytest.approx(CONSTANTS[seed]["ap50"])
    assert average_precision(true, found, THRESHOLDS) == pytest.approx(CONSTANTS[seed]["ap"])
    assert metrics.aggregated_jaccard_index(true, found) == pytest.approx(CONSTANTS[seed]["aji"])


def test_each_image_weighs_the_same(cells):
    scores = InstanceScores()
    for seed in range(4):
        scores.update(*cells(seed))
    result = scores.result()
    for name in ("ap50", "ap75", "ap", "aji"):
        assert result[name] == pytest.approx(np.mean([constants[name] for constants in CONSTANTS])), name
    assert (result["objects"], result["found"], result["images"]) == (86, 87, 4)
    assert result["precision50"] == pytest.approx((7 + 9 + 9 + 6) / 87)
    assert result["recall50"] == pytest.approx((7 + 9 + 9 + 6) / 86)


def test_the_worked_example():
    scores = InstanceScores()
    scores.update(TRUE, FOUND)
    result = scores.result()
    assert result == pytest.approx(
        {
            "ap50": 2 / 4,
            "ap75": 0,  # an IoU of 0.75 is not above 0.75
            "ap": (2 * 2 / 4 + 3 * 1 / 5) / 10,
            "precision50": 2 / 3,
            "recall50": 2 / 3,
            "aji": 6 / 12,
            "dice": 12 / 18,
            "objects": 3,
            "found": 3,
            "images": 1,
        }
    )


def test_below_one_half_the_largest_iou_is_taken_first():
    # 1 and 7 share 3 of 9 pixels, 1 and 8 share 2 of 6, 2 and 7 share 3 of 7: 2 takes 7, then 8 is left for 1.
    true = np.array([[1, 1, 1, 1, 1, 1, 2, 2, 2, 2]])
    found = np.array([[8, 8, 0, 7, 7, 7, 7, 7, 7, 0]])
    m = match(true, found, 0.2)
    assert [*zip(m.true.tolist(), m.found.tolist())] == [(1, 8), (2, 7)]
    np.testing.assert_allclose(m.iou, [2 / 6, 3 / 7])
    assert len(match(true, found, 0.4).true) == 1
    # Equal: one true object cut in two halves, each with an IoU of 1/2. The lower number is taken, the other is wrong.
    m = match(np.array([[1, 1, 1, 1]]), np.array([[9, 9, 5, 5]]), 0.3)
    assert (m.found.tolist(), m.wrong.tolist()) == ([5], [9])
    assert not len(match(np.array([[1, 1, 1, 1]]), np.array([[9, 9, 5, 5]])).true)


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3, 0.5, 0.8])
def test_no_object_is_matched_twice(cells, threshold):
    true, found = cells(5)
    m = match(true, found, threshold)
    assert sorted([*m.true, *m.missed]) == np.unique(true[true > 0]).tolist()
    assert sorted([*m.found, *m.wrong]) == np.unique(found[found > 0]).tolist()
    for t, f, iou in zip(m.true, m.found, m.iou):
        expected = ((true == t) & (found == f)).sum() / ((true == t) | (found == f)).sum()
        assert iou == pytest.approx(expected) and iou > threshold


def test_the_aji_may_choose_an_object_twice():
    true, found = np.array([[1, 1, 2, 2, 2, 0]]), np.array([[7, 7, 7, 7, 7, 9]])
    # 1 and 7: 2 of 5; 2 and 7: 3 of 5; 9 is chosen by none.
    assert metrics.aggregated_jaccard_index(true, found) == pytest.approx((2 + 3) / (5 + 5 + 1))


def test_ignored_pixels_count_nowhere(cells):
    true, found = cells(2)
    true[10:30, 5:40] = 65535
    kept = np.ones(true.shape, bool)
    kept[10:30, 5:40] = False
    ignored, cut = InstanceScores(), InstanceScores()
    ignored.update(true.astype(np.uint16), found)
    cut.update(true[kept][None], found[kept][None])
    assert ignored.result() == cut.result()
    found[10:30, 5:40] = np.random.default_rng(0).integers(0, 9000, (20, 35))
    changed = InstanceScores()
    changed.update(true, found)
    assert changed.result() == cut.result()


NONE, WHOLE, PIXEL = np.zeros((4, 5), int), np.ones((4, 5), int), np.eye(4, 5, dtype=int) * np.array([[0, 3, 0, 0, 0]])


@pytest.mark.parametrize(
    "true, found, score",
    [(NONE, NONE, 1), (NONE, WHOLE, 0), (WHOLE, NONE, 0), (WHOLE, WHOLE, 1), (PIXEL, PIXEL, 1), (PIXEL, WHOLE, 0)]
    + [(np.array([[1]]), np.array([[5]]), 1), (np.array([[0]]), np.array([[5]]), 0)],
)
def test_images_with_hardly_anything(true, found, score):
    scores = InstanceScores()
    scores.update(true, found)
    result = scores.result()
    assert result["ap50"] == result["ap"] == average_precision(true, found) == score
    assert [result["aji"], result["dice"]] == pytest.approx([score, score], abs=0.1)  # a pixel of 20 is 1/20
    assert result["precision50"] == (1 if not found.any() else score)
    assert result["recall50"] == (1 if not true.any() else score)


def test_images_without_a_counted_pixel():
    scores = InstanceScores()
    with pytest.raises(ValueError, match="nothing to score"):
        scores.result()
    scores.update(np.full((2, 2), 65535), np.ones((2, 2), int))
    with pytest.raises(ValueError, match="nothing to score"):
        scores.result()
    scores.update(TRUE, FOUND)
    assert scores.result()["images"] == 1 and scores.result()["ap50"] == 0.5


def test_scores_are_kept_and_continued(cells):
    whole, first, second = InstanceScores(), InstanceScores(), InstanceScores()
    second.load_state_dict(first.state_dict())  # before any image
    first.update(*cells(0))
    second.load_state_dict(first.state_dict())
    second.update(*cells(1))
    for seed in (0, 1):
        whole.update(*cells(seed))
    assert second.result() == whole.result()
    assert first.result()["images"] == 1
    with pytest.raises(ValueError, match="counts"):
        first.load_state_dict({"counts": np.zeros((2, 5))})


def test_segments_of_every_device(xp_array):
    scores = InstanceScores()
    scores.update(xp_array(TRUE.astype(np.uint16)), xp_array(FOUND.astype(np.int32)))
    assert scores.result()["ap50"] == 0.5


@pytest.mark.parametrize(
    "true, found, error",
    [
        (TRUE, FOUND[:, 1:], "same size"),
        (TRUE[..., None], FOUND[..., None], r"\[..., 0\]"),
        (TRUE, FOUND * -1, "-6"),
        (TRUE, FOUND * 0 + 65535, "65534"),  # only the truth can ignore
        (TRUE, FOUND + 70000, "renumber"),
        (TRUE, FOUND / 2, "integers"),
    ],
)
def test_what_is_no_segments_is_refused(true, found, error):
    for score in (match, average_precision, metrics.aggregated_jaccard_index, InstanceScores().update):
        with pytest.raises((ValueError, TypeError), match=error):
            score(true, found)


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan")])
def test_invalid_thresholds_are_refused(threshold):
    with pytest.raises(ValueError, match="threshold"):
        match(TRUE, FOUND, threshold)


def test_as_many_objects_as_an_image_can_have():
    true = np.arange(1, 65537).reshape(256, 256)
    true[-1, -2:] = 0
    found = np.where(true % 2, true, 0)
    scores = InstanceScores()
    scores.update(true, found)
    assert scores.result()["objects"] == 65534
    assert scores.result()["ap50"] == 0.5
