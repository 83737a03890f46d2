"""The binary task: from labels to targets, from outputs to an answer, its scores and images."""

import numpy as np
import pytest

from minunet.device import to_numpy
from minunet.tasks import Binary, Task

LABELS = np.array([[0, 1, 255], [1, 0, 1]], np.uint8)[None, :, :, None]


def test_it_offers_what_the_interface_asks_for():
    names = [name for name in vars(Task) if not name.startswith("_")]
    assert len(names) >= 10 and all(hasattr(Binary(), name) for name in names)


def test_targets_and_weights(xp_array):
    images = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    x, t, weights = map(to_numpy, Binary().targets(xp_array(images), xp_array(LABELS)))
    assert x.dtype == t.dtype == weights.dtype == np.float32
    np.testing.assert_allclose(x.ravel(), [0, 0.2, 1], rtol=1e-6)
    assert t.ravel().tolist() == [0, 1, 0, 1, 0, 1]
    assert weights.ravel().tolist() == [1, 1, 0, 1, 1, 1]


def test_a_logit_above_zero_is_a_probability_above_one_half():
    p = np.array([0.2, 0.6, 0.9, 0.4, 0.7, 0.8]).reshape(LABELS.shape)
    task = Binary()
    by_logits, by_answers = task.training_scores(), task.evaluation()
    by_logits.update(np.log(p / (1 - p)), LABELS)
    by_answers.update(task.answer(p[0]), LABELS[0])
    assert by_logits.result() == by_answers.result()
    # of five pixels, 0.6 and 0.8 are found rightly, 0.4 is missed, 0.7 is background
    assert by_logits.result()["iou"] == pytest.approx(2 / 4)


def test_the_threshold_decides_the_answer_and_the_scores():
    p = np.array([0.2, 0.6, 0.9, 0.4, 0.7, 0.8]).reshape(LABELS.shape)
    strict = Binary(threshold=0.75)
    assert strict.answer(p[0]).tolist() == [[False, False, True], [False, False, True]]
    assert strict.describe(strict.answer(p[0])) == "33.3% pet"
    scores = strict.evaluation()
    scores.update(strict.answer(p[0]), LABELS[0])
    assert scores.result()["iou"] == pytest.approx(1 / 3)  # 0.8 alone of three; 0.9 is ignored
    assert strict.panels(np.zeros((2, 3, 3), np.uint8), LABELS[0], p[0])[-1].caption == "IoU 0.33"


def test_the_baselines_are_the_same_answer_everywhere():
    baselines = Binary(object_name="cell").baselines([LABELS, np.zeros_like(LABELS)])
    assert list(baselines) == ["all cell", "all background"]
    assert baselines["all cell"]["iou"] == pytest.approx(3 / 11) == baselines["all cell"]["foreground"]
    assert baselines["all cell"]["mean_iou"] == pytest.approx((3 / 5 + 0) / 2)
    assert baselines["all background"]["mean_iou"] == pytest.approx((0 + 1) / 2)


def test_its_files_are_a_mask_and_an_overlay():
    image = np.full((9, 9, 3), 7, np.uint8)
    answer = np.zeros((9, 9), bool)
    answer[2:7, 2:7] = True
    images = Binary().files(image, answer)
    assert tuple(images) == Binary.suffixes
    mask, overlay = images.values()
    assert mask.dtype == np.uint8 and np.array_equal(mask, answer * 255)
    changed = (overlay != image).any(axis=2)
    assert changed.sum() == 16 and not changed[3:6, 3:6].any()  # the rim of 5 x 5 pixels


def test_a_row_of_panels():
    image, p = np.full((2, 3, 3), 9, np.uint8), np.full((2, 3, 1), 0.3)
    shown, mask, heat, outline = Binary().panels(image, LABELS[0], p)
    assert np.array_equal(shown.pixels, image) and np.array_equal(heat.pixels, p[..., 0])
    assert mask.pixels[..., 0].tolist() == [[24, 240, 128], [240, 24, 240]]  # dark, light, gray
    assert np.array_equal(outline.pixels, image) and outline.caption == "IoU 0.00"
    assert Binary().panels(image, np.full_like(LABELS[0], 255), p)[-1].caption == "all pixels ignored"


def test_ignored_pixels_count_in_no_baseline():
    """Of two images 3 and 1 pixels count; 2 and 0 of them are pet."""
    labels = np.array([[[1, 1], [0, 255]], [[255, 0], [255, 255]]], np.uint8)[..., None]
    rows = Binary().baselines([labels])
    everything, nothing = rows["all pet"], rows["all background"]
    assert nothing["accuracy"] == pytest.approx(2 / 4) and everything["accuracy"] == pytest.approx(2 / 4)
    assert nothing["iou"] == 0 and everything["iou"] == pytest.approx(2 / 4)
    assert nothing["mean_iou"] == pytest.approx((0 + 1) / 2) and everything["mean_iou"] == pytest.approx(
        (2 / 3 + 0) / 2
    )
    assert nothing["foreground"] == everything["foreground"] == pytest.approx(2 / 4)
