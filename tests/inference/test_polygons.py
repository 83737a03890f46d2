"""Outlines as polygons, against figures drawn by hand, and against areas counted in pixels."""

import numpy as np
import pytest

from minunet.inference.polygons import area, fill, rings, to_polygons


def mask_of(*rows):
    return np.array([[letter == "#" for letter in row] for row in rows])


@pytest.mark.parametrize(
    "rows, expected",
    [
        (["#"], [[(0, 0), (1, 0), (1, 1), (0, 1)]]),
        ([".##", "..#"], [[(1, 0), (3, 0), (3, 2), (2, 2), (2, 1), (1, 1)]]),
        (["#.", ".#"], [[(0, 0), (1, 0), (1, 1), (0, 1)], [(1, 1), (2, 1), (2, 2), (1, 2)]]),  # only a corner touches
        ([".#", "#."], [[(1, 0), (2, 0), (2, 1), (1, 1)], [(0, 1), (1, 1), (1, 2), (0, 2)]]),
        (["###", "#.#", "###"], [[(0, 0), (3, 0), (3, 3), (0, 3)], [(1, 1), (1, 2), (2, 2), (2, 1)]]),
        (["..", ".."], []),
    ],
)
def test_outlines_drawn_by_hand(rows, expected):
    assert rings(mask_of(*rows)) == expected


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8, 1])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (9, 14)])
def test_areas_add_up_to_the_pixels(shape, density):
    mask = np.random.default_rng(1).random(shape) < density
    found = rings(mask)
    assert sum(map(area, found)) == mask.sum()  # those of holes are negative
    for ring in found:
        for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1]):
            assert (x0 == x1) != (y0 == y1)  # along the edges of pixels
    polygons, holes = to_polygons(mask)
    filled = fill(polygons, shape)
    assert (filled >= mask).all()
    assert (filled != mask).any() == holes


def test_a_hole_is_filled_and_said():
    polygons, holes = to_polygons(mask_of("#####", "#...#", "#.#.#", "#...#", "#####"), x=10, y=20)
    assert polygons == [[10, 20, 15, 20, 15, 25, 10, 25], [12, 22, 13, 22, 13, 23, 12, 23]] and holes
    assert fill(polygons, (30, 30)).sum() == 25


def test_centers_decide():
    np.testing.assert_array_equal(fill([[0.6, 0, 2.4, 0, 2.4, 3, 0.6, 3]], (2, 4)), mask_of(".#..", ".#.."))
    np.testing.assert_array_equal(fill([[0.5, 0.5, 1.5, 0.5, 1.5, 1.5, 0.5, 1.5]], (2, 3)), mask_of("#..", "..."))
    triangle = [0, 0, 4, 0, 0, 4]  # the centers with x + y < 4; those on the edge are to its right, outside
    y, x = np.mgrid[:5, :6] + 0.5
    np.testing.assert_array_equal(fill([triangle], (5, 6)), x + y < 4)
    np.testing.assert_array_equal(fill([[0, 4, 4, 0, 0, 0]], (5, 6)), x + y < 4)  # the other way round


def test_polygons_that_overlap_cross_themselves_or_leave_the_image():
    square = [0, 0, 2, 0, 2, 2, 0, 2]
    assert fill([square, square], (3, 3)).sum() == 4  # the union, not the parity
    assert fill([[0, 0, 3, 0, 3, 3, 0, 3, 0, 0, 2, 0, 2, 2, 0, 2]], (3, 3)).sum() == 5  # twice around is outside
    assert fill([[-5, -5, 50, -5, 50, 50, -5, 50]], (3, 4)).all()
    assert not fill([[5, 0, 9, 0, 9, 3, 5, 3], [-9, 0, -2, 0, -2, 3, -9, 3]], (3, 4)).any()
    assert not fill([[1, 1, 2, 1, 3, 1]], (3, 4)).any()  # no area
    assert not fill([], (3, 4)).any()


@pytest.mark.parametrize(
    "polygon", [[0, 0, 1, 1], [0, 0, 1, 1, 2], [], [0, 0, 1, 0, float("nan"), 1], [[0, 0], [1, 1]]]
)
def test_what_is_no_polygon_is_refused(polygon):
    with pytest.raises(ValueError, match="polygon"):
        fill([polygon], (3, 4))
