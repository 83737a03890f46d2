"""Instance segmentation: weights and answers by hand."""

import numpy as np
import pytest

from minunet.tasks.instance import Instance
from minunet.tasks.weight_map import weight_map

TWO = np.zeros((9, 14), np.uint16)
TWO[2:7, 1:6], TWO[2:7, 8:13] = 1, 2  # two columns apart


def test_the_weights_of_pixels_survive_16_bits():
    task = Instance()
    labels = task.prepare(TWO[..., None])
    assert labels.shape == (9, 14, 2) and np.array_equal(labels[..., 0], TWO)
    _, _, weights = task.targets(np.zeros((1, 9, 14, 3), np.uint8), labels[None])
    np.testing.assert_allclose(weights[0, ..., 0], weight_map(TWO), atol=1 / 2000)
    assert weights.dtype == np.float32 and weights[0, 4, 6, 0] == pytest.approx(1 + 10 * np.exp(-9 / 50), abs=1e-3)
    plain = Instance(weigh=False)
    assert plain.targets(np.zeros((1, 9, 14, 3), np.uint8), plain.prepare(TWO[..., None])[None])[2] is None


def test_what_is_used_where_nothing_is_said():
    assert Instance().metadata() == {
        "task": "instance",
        "boundary": 1,
        "weigh": True,
        "separate_by": "distance",
        "smallest": 20,
        "object_name": "object",
    }


@pytest.mark.parametrize("method", ["distance", "inside"])
def test_objects_reach_as_far_as_background_is_less_likely_than_all_else(method):
    """Background at 0.45 and inside at 0.4 is an object still; at 0.55 it is not."""
    outputs = np.zeros((9, 14, 3))
    outputs[...] = [0.9, 0.05, 0.05]
    outputs[TWO == 1] = [0.45, 0.4, 0.15]
    outputs[TWO == 2] = [0.55, 0.4, 0.05]
    outputs[3:6, 2:5] = [0.1, 0.8, 0.1]
    answer = Instance(separate_by=method).answer(outputs)
    assert np.array_equal(answer, TWO == 1)


def test_small_objects_are_dropped_and_counted_out():
    outputs = np.eye(3)[np.where(TWO > 0, 1, 0)]
    assert Instance(smallest=25).answer(outputs).max() == 2 and Instance(smallest=26).answer(outputs).max() == 0
    task = Instance(object_name="cell", smallest=1)
    assert task.describe(task.answer(outputs)) == "2 cells, 39.7% of the pixels"
    assert task.describe(np.zeros((2, 2), np.uint16)) == "0 cells, 0.0% of the pixels"
    assert task.describe(np.array([[1, 0]], np.uint16)) == "1 cell, 50.0% of the pixels"


def test_a_row_of_panels_by_hand():
    """Two objects with a gap of one pixel, found; in the gap d1 = d2 = 1, and the map shows e^(-(1 + 1)² / 50)."""
    labels = np.zeros((12, 13, 1), np.uint16)
    labels[2:10, 1:6], labels[2:10, 7:12] = 1, 2
    task = Instance(boundary=0, separate_by="components", smallest=1)
    outputs = np.zeros((12, 13, task.out_channels), np.float32)
    outputs[..., 0], outputs[..., 1] = labels[..., 0] == 0, labels[..., 0] > 0
    panels = task.panels(np.zeros((12, 13, 3), np.uint8), labels, outputs)
    assert panels[-1].caption == "AP at 0.5: 1.00"
    (weights,) = [panel.pixels for panel in panels if panel.title == "weight map"]
    assert weights[5, 6] == pytest.approx(np.exp(-4 / 50), rel=1e-5) and weights[5, 3] == 0
    missed = task.panels(np.zeros((12, 13, 3), np.uint8), labels, np.eye(2)[np.zeros((12, 13), int)])
    assert missed[-1].caption == "AP at 0.5: 0.00"
