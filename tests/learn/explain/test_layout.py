"""The drawing of the U."""

from itertools import pairwise

import numpy as np
import pytest

from minunet import UNet
from minunet.learn.explain.layout import SMALLEST, levels, place
from minunet.learn.explain.trace import as_batch, trace
from minunet.models import UNet2015


@pytest.fixture(params=["lecture", "paper"])
def records(request):
    if request.param == "lecture":
        model, size = UNet(depth=3, width=16, batch_norm=True), (64, 96)
    else:
        model, size = UNet2015(3, 2, depth=2, width=16, mirror=True), (40, 40)
    return trace(model, as_batch(model, np.zeros((*size, 3), np.uint8)))


def test_levels_and_sides():
    model = UNet(depth=1, width=4)
    found = levels(trace(model, as_batch(model, np.zeros((4, 4, 3), np.uint8))))
    assert found == [(1, "down")] * 3 + [(2, "bottom")] * 3 + [(1, "up")] * 5


def test_heights_and_widths_are_to_scale(records):
    blocks, _ = place(records)
    by_height = {b.height / r.output.shape[0] for b, r in zip(blocks, records) if b.height > SMALLEST}
    by_width = {b.width / r.output.shape[2] for b, r in zip(blocks, records) if b.width > SMALLEST}
    for scales in (by_height, by_width):
        assert max(scales) - min(scales) < 1e-9
    assert min(b.width for b in blocks) >= SMALLEST and min(b.height for b in blocks) >= SMALLEST


def test_blocks_stand_side_by_side_within_the_drawing(records):
    blocks, (width, height) = place(records)
    assert all(left.x + left.width < right.x for left, right in pairwise(blocks))
    assert all(b.x >= 0 and b.x + b.width <= width + 1e-9 and b.y >= 0 and b.y + b.height <= height for b in blocks)


def test_the_two_sides_of_a_level_face_each_other(records):
    blocks, _ = place(records)
    middles = {}
    for b in blocks:
        middles.setdefault(b.level, set()).add(round(b.y + b.height / 2, 6))
    assert all(len(found) == 1 for found in middles.values())
    heights = [middles[level].pop() for level in sorted(middles)]
    assert heights == sorted(heights)
