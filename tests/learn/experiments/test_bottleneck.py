"""The claim of the experiment, in a smaller form: without a bottleneck a pixel sees less far, and no training helps."""

import numpy as np
import pytest

from minunet.learn.experiments.bottleneck import (
    CHANNELS,
    FULL,
    Found,
    OtherBottleneck,
    answer_to,
    between,
    lamps,
    lost,
    measure,
    reach,
    report,
)
from minunet.models import UNet


@pytest.fixture(scope="module")
def found():
    kinds = {"as in the lecture": FULL, "none": 0}
    return measure([0], size=48, scenes=120, pets=8, epochs=5, kinds=kinds)


def test_what_lies_beyond_the_receptive_field_is_guessed(found):
    """By hand: the third pooling sees r = 36 pixels, (36 - 8) / 2 = 14 on each side of its own tile of 8x8. Two
    convolutions on each level of the way up add 2·(4 + 2 + 1) = 14, and two at the bottom would add 2·8.
    """
    assert found["none"].reach == 28 and found["as in the lecture"].reach == 28 + 2 * 8
    steps = between(found)
    assert (steps.start, steps.stop) == (8, 11)
    whole, none = found["as in the lecture"].by_distance, found["none"].by_distance
    assert whole[:6].mean() > 0.9 and whole[steps].mean() > 0.8
    assert none[:6].mean() > 0.9 and none[steps].mean() < 0.7
    assert lost(found)[0] > 0.15


def test_the_lectures_bottleneck_makes_the_lectures_network():
    plain, ours = UNet(depth=3, width=4, batch_norm=True), OtherBottleneck(FULL, seed=0)
    assert [p.shape for p in ours.parameters()] == [p.shape for p in plain.parameters()]
    parts = [layer for layer in plain.modules() if (layer.name or "").endswith(("Bottle_1", "Bottle_2"))]
    bottom = sum(p.size for layer in parts for p in layer.parameters())
    assert bottom == 9 * 16 * 32 + 9 * 32 * 32 + 2 * (32 + 32) > sum(p.size for p in plain.parameters()) / 2


def test_reach_grows_with_the_bottleneck():
    assert [reach(OtherBottleneck(channels, seed=0), 48) for channels in CHANNELS.values()] == [44, 44, 28]


def test_lamps():
    scenes = lamps(20, 32, np.random.default_rng(0))
    for x, t, distance in zip(*scenes):
        i, j = np.argwhere(distance[..., 0] == 0)[0]
        red, _, blue = x[i, j]
        assert (t == (blue > red)).all() and abs(blue - red) > 0.5
        assert distance[i, 0, 0] == j and distance[0, j, 0] == i and distance[0, 0, 0] == max(i, j)
    assert 0 < scenes.t.mean() < 1


def test_the_answer_follows_from_the_numbers(found):
    assert [answer_to(0, 0.2), answer_to(0.4, 0), answer_to(0.4, 0.2), answer_to(0, -0.1)] == [0, 1, 2, 3]
    whole = found["as in the lecture"]._replace(outlines=np.array([0.57, 0.64]))
    for outlines, expected in (([0.23, 0.61], 1), ([0.23, 0.40], 2)):  # a loss that not every seed has is none
        assert (
            report(
                {
                    **found,
                    "as in the lecture": whole,
                    "narrow": whole,
                    "none": found["none"]._replace(outlines=np.array(outlines)),
                }
            ).answer
            == expected
        )
    same = {"as in the lecture": whole, "narrow": whole, "none": whole._replace(reach=28)}
    result = report(same)
    assert result.answer == 3 and len(result.rows) == 3 and isinstance(same["none"], Found)
