"""Drawings of objects: what is colored, what stays as it was, and that neighbors can be told apart."""

import numpy as np
import pytest

from minunet.metrics.objects import measure
from minunet.tasks import instance_drawing
from minunet.tasks.instance_drawing import boxes_and_outlines, color_instances, instance_overlay

GRAY = np.full((40, 50, 3), 90, np.uint8)


def two_objects():
    """A ring around nothing, and a block that touches it."""
    segments = np.zeros((40, 50), np.uint16)
    segments[5:30, 5:25] = 9
    segments[10:25, 10:20] = 0
    segments[5:30, 25:45] = 22  # 13 numbers later: nearly the same hue, if it were not a neighbor
    return segments


def test_each_object_has_one_color():
    segments = two_objects()
    segments[35:] = 65535
    colors = color_instances(segments)
    assert colors.shape == (40, 50, 3) and colors.dtype == np.uint8
    found = {number: np.unique(colors[segments == number], axis=0) for number in (0, 9, 22, 65535)}
    assert all(len(color) == 1 for color in found.values())
    assert found[0].tolist() == [[0, 0, 0]] and found[65535].tolist() == [[128, 128, 128]]


@pytest.mark.parametrize("seed", range(3))
def test_neighbors_can_be_told_apart(seed):
    segments = np.random.default_rng(seed).permutation(np.arange(1, 151)).reshape(10, 15).repeat(6, 0).repeat(6, 1)
    colors = color_instances(segments).astype(int)
    for a, b in ((colors[:-1], colors[1:]), (colors[:, :-1], colors[:, 1:])):
        differences = np.abs(a - b).sum(axis=-1)
        assert differences[differences > 0].min() >= 90
    assert (np.abs(colors[5] - colors[6]).sum(axis=-1) > 0).all()  # an edge between two rows of objects
    assert (colors.sum(axis=-1) > 200).all()  # none is nearly black


def test_outlines_lie_inside_and_the_rest_stays():
    segments = two_objects()
    drawn = instance_overlay(GRAY, segments)
    colors = color_instances(segments)
    assert (drawn[31:] == 90).all() and (drawn[:, 46:] == 90).all()
    for y, x in ((5, 15), (29, 5), (9, 11), (25, 11), (29, 24), (29, 25), (29, 44)):  # ring, its hole, block
        np.testing.assert_array_equal(drawn[y, x], colors[y, x])
    assert (drawn[27, 11] == 90).all() and (drawn[20, 12] == 90).all()  # inside the ring, and in its hole
    assert (drawn[10:25, 28:42].min(axis=-1) == 255).any()  # the block's number, in white, at its centroid


def test_the_number_of_a_ring_stands_on_the_ring():
    segments = np.zeros((90, 90), int)
    segments[5:85, 5:85] = 1
    segments[20:70, 20:70] = 0
    drawn = instance_overlay(np.full((90, 90, 3), 90, np.uint8), segments)
    white = drawn.min(axis=-1) == 255
    assert white.any() and not white[28:62, 28:62].any()


def test_the_edge_of_the_image_is_no_outline():
    segments = np.ones((40, 50), int)
    drawn = instance_overlay(GRAY, segments)
    assert (drawn[[0, -1]] == 90).all() and (drawn[:, [0, -1]] == 90).all()


def test_boxes():
    segments = two_objects()
    drawn, colors = instance_overlay(GRAY, segments, boxes=True), color_instances(segments)
    assert (drawn[5, 5:25] == colors[5, 5]).all() and (drawn[5:30, 44] == colors[5, 44]).all()
    one = np.zeros((40, 50), int)
    one[10, 20:30] = one[20:31, 20] = 4  # the lower right corner of the box lies outside the object
    assert (instance_overlay(GRAY, one)[30, 29] == 90).all()
    assert (instance_overlay(GRAY, one, boxes=True)[30, 29] == color_instances(one)[10, 20]).all()


def test_boxes_beside_outlines():
    segments = two_objects()
    both = boxes_and_outlines(GRAY, segments)
    assert both.shape == (40, 104, 3)
    np.testing.assert_array_equal(both[:, 54:], instance_overlay(GRAY, segments))
    assert (both[9, 12] == 90).all() and (both[5, 12] != 90).any()  # a box has the ring's outer edge, not its inner one
    assert (both[:, 50:54] == 255).all()


def test_enlarged():
    segments = two_objects()
    drawn = instance_overlay(GRAY, segments, scale=3)
    assert drawn.shape == (120, 150, 3)
    assert (drawn[15, 15:75] == color_instances(segments)[5, 5]).all()
    assert boxes_and_outlines(GRAY, segments, scale=3).shape == (120, 304, 3)
    with pytest.raises(ValueError, match="scale is 0"):
        instance_overlay(GRAY, segments, scale=0)


@pytest.mark.parametrize("number", [0, 1, 65534, 65535])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (8, 1), (30, 40)])
def test_images_with_hardly_anything(shape, number):
    image, segments = np.zeros((*shape, 3), np.uint8), np.full(shape, number, np.uint16)
    assert instance_overlay(image, segments, boxes=True).shape == image.shape
    assert boxes_and_outlines(image, segments).shape == (shape[0], 2 * shape[1] + 4, 3)
    assert len(np.unique(color_instances(segments).reshape(-1, 3), axis=0)) == 1
    if number in (0, 65535):
        np.testing.assert_array_equal(instance_overlay(image, segments, boxes=True), image)


def test_inputs_stay_as_they_were_and_sizes_must_agree():
    image, segments = GRAY.copy(), two_objects()
    boxes_and_outlines(image, segments)
    np.testing.assert_array_equal(image, GRAY)
    np.testing.assert_array_equal(segments, two_objects())
    for wrong in (segments[1:], segments[..., None]):
        with pytest.raises(ValueError, match=r"\(H, W\)"):
            instance_overlay(GRAY, wrong)


def test_many_objects_are_drawn():
    segments = np.arange(1, 2501).reshape(50, 50)
    drawn = instance_overlay(np.zeros((50, 50, 3), np.uint8), segments)  # without numbers
    inner = drawn[1:-1, 1:-1]
    np.testing.assert_array_equal(inner, color_instances(segments)[1:-1, 1:-1])
    with pytest.raises(ValueError, match="65536"):
        color_instances(np.arange(1, 65537).reshape(256, 256))


@pytest.mark.parametrize("thickness, left", [(1, 5), (2, 3), (3, 1), (4, 0)])
def test_thick_outlines_by_hand(thickness, left):
    """An object of 7 x 7 pixels: a line takes as many from each side."""
    segments = np.zeros((11, 11), np.uint16)
    segments[2:9, 2:9] = 5
    lines = instance_drawing._outlines(segments, thickness)
    assert int((segments > 0).sum() - lines.sum()) == left**2 and not lines[segments == 0].any()


def test_a_number_stands_on_the_pixel_nearest_to_the_centroid():
    """An L of 5 + 3 pixels: the centroid lies at (2.75, 0.75), off it; a bar of three has it on its middle."""
    segments = np.zeros((8, 12), np.uint16)
    segments[0:5, 0], segments[4, 1:4] = 7, 7
    segments[6, 8:11] = 9
    objects = measure(segments)
    assert objects.centroids.tolist() == [[22 / 8, 6 / 8], [6, 9]]
    assert instance_drawing._places(segments, objects).tolist() == [[3, 0], [6, 9]]
