"""The claim of the experiment: an output pixel looks at its neighbors at first, and training spreads its view."""

import numpy as np
import pytest

from minunet.learn.experiments.receptive_field import (
    answer_to,
    area_share,
    draw,
    explain,
    measure,
    near_share,
)


@pytest.fixture(scope="module")
def seen():
    return measure([0], size=48, images=40, epochs=6, watched=4)


def test_training_spreads_the_field_of_an_output_pixel(seen):
    untrained, trained = seen["Conv_Out"].shares[0]
    assert untrained < 0.15 and trained > 2 * untrained
    assert near_share(seen["Conv_Out"].untrained) > 1.3 * near_share(seen["Conv_Out"].trained)
    assert answer_to(untrained, trained) == 2 and "listen" in explain(seen, 2)


def test_on_the_way_down_the_field_fills_much_of_its_box_and_stays_there(seen):
    for layer in ("Conv_Down_2_2", "Conv_Down_3_2"):
        untrained, trained = seen[layer].shares[0]
        assert 0.4 < untrained < 0.9 and 0.4 < trained < 0.9
        top, left, bottom, right = seen[layer].box
        outside = seen[layer].trained.copy()
        outside[top:bottom, left:right] = 0
        assert not outside.any()
    assert seen["Conv_Down_2_2"].box == (18, 18, 32, 32)  # r = 14, j = 2: it begins at 24 - (14 - 2) / 2


def test_shares_by_hand():
    field = np.zeros((20, 20))
    field[10, 10], field[10, 14], field[10, 15], field[5, 0] = 6, 2, 1, 1
    assert near_share(field) == 0.8  # columns 6 to 14
    assert area_share(field, (0, 0, 20, 20), mass=0.75) == 2 / 400
    assert area_share(field, (5, 5, 15, 15), mass=0.85) == 3 / 100


def test_the_answer_follows_from_the_numbers():
    shares = (0.7, 0.8), (0.1, 0.11), (0.1, 0.3), (0.9, 0.4)
    assert [answer_to(untrained, trained) for untrained, trained in shares] == [0, 1, 2, 3]


def test_the_picture_has_a_column_for_each_layer(seen):
    figure = draw(seen)
    assert len(figure.axes) == 2 * len(seen)
    assert [axes.get_title().split("\n")[0] for axes in figure.axes[: len(seen)]] == list(seen)
