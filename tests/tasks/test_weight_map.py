"""The weight map of the U-Net paper, against plain loops and numbers by hand."""

import math

import numpy as np
import pytest

from minunet.tasks.weight_map import weight_map


def slowly(segments, w0, sigma):
    """The formula, pixel by pixel and object by object, without windows."""
    height, width = segments.shape
    weights = np.ones((height, width))
    numbers = [n for n in np.unique(segments) if n not in (0, 65535)]
    for y, x in np.argwhere(segments == 0):
        distances = sorted(
            min(math.hypot(y - v, x - u) for v, u in np.argwhere(segments == number)) for number in numbers
        )
        if len(distances) > 1:
            weights[y, x] += w0 * math.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
    return weights


def test_the_formula_pixel_by_pixel():
    rng = np.random.default_rng(0)
    segments = np.zeros((13, 17), np.uint16)
    for number, (y, x) in enumerate(rng.integers(0, 12, (5, 2)), 1):
        segments[y : y + 3, x : x + 4] = 7 * number
    segments[12, 16] = 65535
    np.testing.assert_allclose(weight_map(segments, 10, 2), slowly(segments, 10, 2), atol=2e-4 * 10)
    np.testing.assert_allclose(weight_map(segments, 3, 5), slowly(segments, 3, 5), rtol=1e-6)


def test_the_middle_of_a_gap_by_hand():
    segments = np.zeros((1, 11), np.uint16)
    segments[0, :5], segments[0, 6:] = 1, 2
    assert weight_map(segments)[0, 5] == pytest.approx(1 + 10 * math.exp(-4 / 50))
    segments[0, 1:10] = 0  # a gap of 9
    assert weight_map(segments)[0, 5] == pytest.approx(1 + 10 * math.exp(-100 / 50))


@pytest.mark.parametrize("objects", [0, 1])
def test_without_a_second_object_all_pixels_weigh_one(objects):
    segments = np.zeros((6, 7), np.uint16)
    segments[2:4, 2:4] = objects
    assert weight_map(segments).tolist() == np.ones((6, 7)).tolist()


def test_far_apart_means_one():
    segments = np.zeros((4, 200), np.uint16)
    segments[:, 0], segments[:, -1] = 1, 2
    assert np.abs(weight_map(segments) - 1).max() < 1e-3


def test_large_objects_reach_beyond_their_edges_on_all_sides():
    """Four objects around a cross of background, each far longer than a weight reaches."""
    segments = np.ones((24, 24), np.uint16)
    segments[12:], segments[:, 12:] = 2, segments[:, 12:] + 2
    segments[:, 11:13] = segments[11:13] = 0
    segments[:4] = segments[:, :4] = 0
    segments[1:3, 1:20] = 9
    np.testing.assert_allclose(weight_map(segments, 10, 0.8), slowly(segments, 10, 0.8), atol=4e-3)
