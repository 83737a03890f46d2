"""Which maps and pixels a page holds."""

import numpy as np
import pytest

from minunet.learn.explain.choice import choose_maps, choose_pixels, most_varied, spread


def maps_of_spread(*widths):
    """Maps (2, 1, C) of the numbers ±width."""
    return np.array([[widths], [[-w for w in widths]]], np.float32)


def test_the_maps_that_vary_most_in_rising_order():
    assert most_varied(maps_of_spread(1, 9, 5, 0), 2) == [1, 2]
    assert most_varied(maps_of_spread(2, 2, 2), 2) == [0, 1]  # of equals the first


def test_at_most_sixteen_maps():
    output = maps_of_spread(*range(40))
    assert choose_maps(output, [40]) == list(range(24, 40))
    assert choose_maps(output[..., :16], [16]) == list(range(16))


def test_a_concatenation_shows_maps_of_both_halves():
    output = maps_of_spread(*range(1, 31), *range(100, 200))
    chosen = choose_maps(output, [30, 100])
    assert chosen == [*range(22, 30), *range(122, 130)]
    few = choose_maps(maps_of_spread(1, 1, *range(2, 52)), [2, 50])
    assert few[:2] == [0, 1] and len(few) == 16  # what the small half does not need, the other gets


def test_fewer_maps_where_filters_are_large():
    output = maps_of_spread(*range(40))
    assert len(choose_maps(output, [40], bytes_per_map=25_000)) == 10
    assert len(choose_maps(output, [40], bytes_per_map=10**7)) == 4


@pytest.mark.parametrize("size", [(256, 256), (30, 200), (7, 5), (1, 1), (3, 1000)])
@pytest.mark.parametrize("each", [40, 700, 9000])
def test_a_grid_of_pixels_within_its_budget(size, each):
    rows, columns = choose_pixels(size, each, 72_000)
    for chosen, n in ((rows, size[0]), (columns, size[1])):
        assert chosen == sorted(set(chosen)) and chosen[0] == 0 and chosen[-1] == n - 1
    count = len(rows) * len(columns)
    assert count * each <= max(72_000, 4 * each) or count <= 4
    if size == (256, 256) and each == 40:
        assert count > 0.8 * 72_000 / each  # and it is used


def test_spread():
    assert spread(10, 4) == [0, 3, 6, 9] and spread(3, 9) == [0, 1, 2]
