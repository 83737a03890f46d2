"""Outlines, pixel by pixel."""

import numpy as np
import pytest

from minunet.tasks import outline as outline_file
from minunet.tasks.outline import outline, overlay


def test_the_outline_of_a_ring_has_two_sides():
    ring = np.ones((7, 7), bool)
    ring[3, 3] = ring[0] = ring[-1] = ring[:, 0] = ring[:, -1] = False
    expected = ring.copy()
    expected[[2, 2, 4, 4], [2, 4, 2, 4]] = False  # these touch the hole and the outside only by a corner
    expected[[1, 1, 5, 5], [1, 5, 1, 5]] = True
    assert np.array_equal(outline(ring), expected)


def test_an_outline_grows_inward_and_has_no_line_along_the_edge_of_the_image():
    mask = np.zeros((6, 6), bool)
    mask[:, 2:] = True  # leaves the image on three sides
    for thickness in (1, 2, 3):
        expected = np.zeros((6, 6), bool)
        expected[:, 2 : 2 + thickness] = True
        assert np.array_equal(outline(mask, thickness), expected)
    assert not outline(np.ones((4, 4))).any()
    assert not outline(np.zeros((4, 4))).any()


def test_an_overlay_changes_the_outline_and_nothing_else():
    image = np.full((5, 5, 3), 7, np.uint8)
    mask = np.zeros((5, 5, 1), np.uint8)
    mask[1:4, 1:4] = 1
    drawn = overlay(image, mask, color=(255, 0, 9), thickness=1)
    assert (image == 7).all() and drawn.dtype == np.uint8
    on_line = outline(mask[..., 0])
    assert (drawn[on_line] == (255, 0, 9)).all() and (drawn[~on_line] == 7).all()
    with pytest.raises(ValueError, match=r"\(5, 5, 3\).*\(4, 4\)"):
        overlay(image, np.zeros((4, 4)))


@pytest.mark.parametrize("thickness", [1, 2, 5, 40])
def test_the_outline_is_what_erosion_takes_away(monkeypatch, thickness):
    """Step by step, in an image of several bands of rows; and it does not matter where these end."""
    rng = np.random.default_rng(thickness)
    mask = rng.random((90, 31)) < 0.97
    mask[20:70] |= rng.random((50, 31)) < 0.9
    left = mask
    for _ in range(thickness):
        p = np.pad(left, 1, mode="edge")
        left = left & p[:-2, 1:-1] & p[2:, 1:-1] & p[1:-1, :-2] & p[1:-1, 2:]
    for rows in (7, 64, 256):
        monkeypatch.setattr(outline_file, "ROWS", rows)
        assert np.array_equal(outline(mask, thickness), mask & ~left)


@pytest.mark.parametrize("side, thickness", [(30, 1), (800, 10), (6000, 50)])
def test_the_line_grows_with_the_image_up_to_a_point(side, thickness):
    mask = np.ones((2, side), bool)
    mask[:, 0] = False
    drawn = overlay(np.zeros((2, side, 3), np.uint8), mask)
    assert (drawn[0] != 0).any(axis=1).sum() == thickness
