"""Panoptic quality, against cases counted by hand and against COCO's own evaluation."""

import numpy as np
import pytest

from minunet.metrics import PanopticScores, panoptic_quality

THINGS = (False, False, True, True)
# Of the scenes in conftest.py: pq_compute_single_core and pq_average of panopticapi, with arrays in place of files
# (github.com/cocodataset/panopticapi, evaluation.py, commit 1ad5afa).
PQ_OF_SEEDS = [0.19799689388661526, 0.3691751572841517, 0.37277198525017907, 0.056137555411736165]
OF_ALL = {
    "pq": 0.2494797851264794,
    "sq": 0.607638108972588,
    "rq": 0.4185823754789272,
    "pq_things": 0.1348283095198195,
    "sq_things": 0.6378921960830829,
    "rq_things": 0.21216475095785442,
    "pq_stuff": 0.3641312607331393,
    "sq_stuff": 0.5773840218620929,
    "rq_stuff": 0.625,
}
PER_CLASS = {
    "pq": [0.452635498812557, 0.27562702265372163, 0.1400265838313229, 0.12963003520831606],
    "sq": [0.6035139984167427, 0.5512540453074433, 0.6091156396662547, 0.6666687524999111],
    "rq": [0.75, 0.5, 0.22988505747126436, 0.19444444444444445],
    "tp": [3, 2, 10, 7],
    "fp": [1, 2, 37, 24],
    "fn": [1, 2, 30, 34],
}


def row(text):
    """Classes and segments of one row: `.` void, a and b stuff, `C` a crowd of class 2, digits its things."""
    classes = [{".": 255, "a": 0, "b": 1}.get(letter, 2) for letter in text]
    return np.array([classes]), np.array([[int(letter) if letter.isdigit() else 0 for letter in text]])


def counts(true, found):
    """TP, FP, FN of each of the four classes."""
    scores = PanopticScores(THINGS)
    scores.update(*row(true), *row(found))
    per_class = scores.per_class()
    return np.stack([per_class["tp"], per_class["fp"], per_class["fn"]], axis=1).tolist()


def test_what_cocos_evaluation_says(scene):
    scores = PanopticScores(THINGS)
    for seed, expected in enumerate(PQ_OF_SEEDS):
        assert panoptic_quality(*scene(seed), THINGS) == pytest.approx(expected, abs=1e-12)
        scores.update(*scene(seed))
    assert scores.result() == pytest.approx(OF_ALL | {"images": 4}, abs=1e-12)
    for name, expected in PER_CLASS.items():
        np.testing.assert_allclose(scores.per_class()[name], expected, atol=1e-12, err_msg=name)


def test_the_worked_example():
    scores = PanopticScores((False, True))
    true_classes, true_segments = (
        np.array([[0, 0, 0, 0, 1, 1, 1, 1, 255, 255]]),
        np.array([[0] * 4 + [1] * 4 + [0] * 2]),
    )
    classes, segments = np.array([[0] * 3 + [1] * 7]), np.array([[0] * 3 + [1] * 4 + [2] * 3])
    scores.update(true_classes, true_segments, classes, segments)
    assert scores.result()["pq"] == pytest.approx((3 / 4 + 3 / 5) / 2)
    assert scores.per_class()["fp"].tolist() == [0, 0]


def test_classes_must_agree():
    assert counts("aaaa", "bbbb") == [[0, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert counts("1111", "aaaa") == [[0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_an_iou_of_one_half_is_no_match():
    assert counts("aaaabb", "aabbbb")[0] == [0, 1, 1]  # 2 of 4
    assert counts("aaabbb", "aabbbb")[0] == [1, 0, 0]  # 2 of 3


def test_void():
    assert counts("11..", "1111")[2] == [1, 0, 0]  # void is not in the union: 2 of 2
    assert counts("aa..", "aa11")[2] == [0, 0, 0]  # all of it on void
    assert counts("aa..", "a111")[2] == [0, 0, 0]  # 2 of 3
    assert counts("aaa.a.", "aaaa11")[2] == [0, 1, 0]  # half of it: too little
    assert counts("1111", "11..")[2] == [0, 1, 1]  # pixels that the answer leaves void are in the union: 2 of 4
    assert counts("1111", "111.")[2] == [1, 0, 0]


def test_crowds():
    assert counts("aCCC", "aCCC")[2] == [0, 0, 0]  # a thing without a number is no segment, neither true nor found
    assert counts("aaaa", "aCCC")[2] == [0, 0, 0]
    assert counts("1111", "CCCC")[2] == [0, 0, 1]
    assert counts("aCCC", "a111")[2] == [0, 0, 0]  # on the crowd of its class
    assert counts("CCCC", "1122")[2] == [0, 0, 0]
    assert counts("aaCC", "a111")[2] == [0, 0, 0]  # 2 of 3
    assert counts("aaCa", "aa11")[2] == [0, 1, 0]  # half of it: too little
    assert counts("aC.a", "a111")[2] == [0, 0, 0]  # crowd and void together: 2 of 3
    assert counts("aCCC", "abbb")[1] == [0, 1, 0]  # a crowd excuses its own class only
    assert counts("11CCC", "11111")[2] == [0, 0, 1]  # a crowd stays in the union: 2 of 5; excused, as 3 of 5 are crowd


def test_a_number_on_two_classes_is_two_segments():
    classes, segments = np.array([[2, 2, 3, 3]]), np.array([[1, 1, 1, 1]])
    scores = PanopticScores(THINGS)
    scores.update(classes, segments, classes, segments)
    assert scores.per_class()["tp"].tolist() == [0, 0, 1, 1]


def test_numbers_on_stuff_and_void_mean_nothing():
    classes = np.array([[0, 0, 255, 255]])
    assert panoptic_quality(classes, np.array([[1, 2, 3, 65535]]), classes, np.array([[9, 9, 9, 9]]), THINGS) == 1


def test_classes_that_do_not_occur_are_left_out():
    scores = PanopticScores(THINGS)
    scores.update(*row("aaaa"), *row("aaab"))
    result = scores.result()
    assert result["pq"] == result["pq_stuff"] == pytest.approx((0.75 + 0) / 2)
    assert np.isnan(result["pq_things"])
    assert np.isnan(scores.per_class()["pq"]).tolist() == [False, False, True, True]
    assert scores.per_class()["sq"][:2].tolist() == [0.75, 0]  # nothing matches b


@pytest.mark.parametrize("shape", [(1, 1), (4, 5)])
def test_images_of_one_segment_or_none(shape):
    zero, void = np.zeros(shape, int), np.full(shape, 255)
    assert panoptic_quality(zero, zero, zero, zero, THINGS) == 1
    assert panoptic_quality(zero + 2, zero + 1, zero + 2, zero + 7, THINGS) == 1
    assert panoptic_quality(zero, zero, void, zero, THINGS) == 0
    for answer in (zero, void):  # nothing is known, so nothing is wrong
        scores = PanopticScores(THINGS)
        scores.update(void, zero, answer, zero)
        with pytest.raises(ValueError, match="nothing to score"):
            scores.result()
        scores.update(zero, zero, zero, zero)
        assert scores.result()["pq"] == 1


def test_scores_are_kept_and_continued(scene):
    whole, first, second = (PanopticScores(THINGS) for _ in range(3))
    first.update(*scene(0))
    second.load_state_dict(first.state_dict())
    second.update(*scene(1))
    for seed in (0, 1):
        whole.update(*scene(seed))
    assert second.result() == whole.result()
    assert first.result()["pq"] == pytest.approx(PQ_OF_SEEDS[0])
    with pytest.raises(ValueError, match="4 classes: there must be 2"):
        PanopticScores((True, False)).load_state_dict(first.state_dict())


def test_arrays_of_every_device(xp_array, scene):
    arrays = [xp_array(array.astype(dtype)) for array, dtype in zip(scene(0), ("uint8", "uint16") * 2)]
    assert panoptic_quality(*arrays, THINGS) == pytest.approx(PQ_OF_SEEDS[0])


@pytest.mark.parametrize(
    "place, change, message",
    [
        (0, lambda a: a + 4, "true_classes hold"),
        (2, lambda a: a * 0 - 1, "classes hold -1"),
        (2, lambda a: a[:, 1:], "same shape"),
        (0, lambda a: a * 0.5, "integers"),
        (1, lambda a: a + 65536, "65534"),
        (3, lambda a: a - 1000, "segments hold -9"),
        (3, lambda a: a[..., None], "same shape"),
    ],
)
def test_what_does_not_fit_is_refused(scene, place, change, message):
    arrays = list(scene(0))
    arrays[0] = np.where(arrays[0] == 255, 0, arrays[0])
    arrays[place] = change(arrays[place])
    with pytest.raises((ValueError, TypeError), match=message):
        PanopticScores(THINGS).update(*arrays)


def test_images_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="same size"):
        PanopticScores(THINGS).update(*row("aa"), *row("aaa"))


@pytest.mark.parametrize("things", [(), [[True]], [False] * 256])
def test_no_classes_and_too_many_are_refused(things):
    with pytest.raises(ValueError, match="things"):
        PanopticScores(things)
