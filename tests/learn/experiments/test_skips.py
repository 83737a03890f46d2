"""The claims of the experiment, in a smaller form: outlines need a skip, and which one is measured."""

import numpy as np
import pytest

from minunet import Tensor, UNet
from minunet.learn.experiments.skips import Scores, SomeSkips, brought_back, measure, near_outlines, report


def test_without_skips_the_outlines_are_lost():
    found = measure([0], images=80, others=20, epochs=8, choices=((1, 2, 3, 4), ()), width=4, lr=5e-3)
    assert found[1, 2, 3, 4].outlines[0] > found[()].outlines[0] + 0.05
    assert found[1, 2, 3, 4].iou[0] > found[()].iou[0] + 0.05
    assert found[()].shown.shape == (64, 64)


def test_with_all_levels_it_is_the_lectures_network():
    images = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    plain = UNet(depth=2, width=3, seed=4, batch_norm=True)(Tensor(images)).numpy()
    np.testing.assert_array_equal(SomeSkips((1, 2), 2, 3, seed=4)(Tensor(images)).numpy(), plain)


@pytest.mark.parametrize("levels", [(), (1,), (2,)])
def test_only_the_chosen_skips_carry_anything(levels):
    """With the way up from the bottleneck cut, answers to two images can differ only by what the skips carry."""
    model = SomeSkips(levels, 2, 3, seed=0).eval()
    model.decoder[0].upsample.kernel.data[:] = 0
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    answers = model(Tensor(images)).numpy()
    assert (answers[0] != answers[1]).any() == bool(levels)


def test_near_outlines_by_hand():
    mask = np.zeros((1, 7, 7, 1))
    mask[0, 2:5, 2:5] = 1
    near = near_outlines(mask, pixels=1)[0, ..., 0]
    assert near[3, 3] == 255 and near[2, 2] == 1 and near[1, 2] == 0 and near[1, 1] == 255 and near[0, 3] == 255
    assert (near == 1).sum() == 8 and (near == 0).sum() == 12


def test_the_answer_is_the_level_that_brings_back_most():
    def scores(outlines):
        return Scores(np.array([0.8, 0.9]), np.array([outlines, outlines]), np.zeros((4, 4)))

    found = {(1, 2, 3): scores(0.7), (): scores(0.5), (1,): scores(0.6), (2,): scores(0.55), (3,): scores(0.65)}
    assert brought_back(found) == pytest.approx({1: 0.5, 2: 0.25, 3: 0.75})
    result = report(found)
    assert result.answer == 2 and "level 3 alone brings back 75%" in result.measured
    assert result.rows[0] == ("all", "0.850 ± 0.050", "0.700 ± 0.000")
