"""Outlines, pixel by pixel."""

import numpy as np
import pytest

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
