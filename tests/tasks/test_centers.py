"""Centers and offsets: targets by hand, and back from them to the objects."""

import numpy as np
import pytest

from minunet.device import to_numpy
from minunet.tasks.centers import center_targets, find_centers, group


def random_objects(rng, size=(40, 50), count=6):
    segments = np.zeros(size, np.uint16)
    for number in range(1, count + 1):
        y, x = rng.integers(0, size[0] - 8), rng.integers(0, size[1] - 8)
        segments[y : y + 7, x : x + 8] = number
    return segments


def test_three_pixels_in_a_row_by_hand():
    segments = np.array([[0, 0, 9, 9, 9, 0]])
    heat, offsets = center_targets(segments, sigma=1)
    np.testing.assert_allclose(heat[0, 1:], np.exp([-2, -0.5, 0, -0.5, -2]), rtol=1e-6)
    assert offsets[0, :, 1].tolist() == [0, 0, 1, 0, -1, 0] and not offsets[..., 0].any()


def test_the_larger_of_two_gaussians_counts():
    segments = random_objects(np.random.default_rng(1))
    heat, offsets = center_targets(segments, sigma=3)
    y, x = np.mgrid[:40, :50]
    means = [np.argwhere(segments == n).mean(axis=0) for n in np.unique(segments)[1:]]
    expected = np.max([np.exp(-((y - a) ** 2 + (x - b) ** 2) / 18) for a, b in means], axis=0)
    np.testing.assert_allclose(heat, expected, atol=4e-4)
    for number, mean in zip(np.unique(segments)[1:], means):
        aim = np.argwhere(segments == number) + offsets[segments == number]
        np.testing.assert_allclose(aim, np.broadcast_to(mean, aim.shape), atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_from_objects_to_targets_and_back(seed, xp_array):
    segments = np.zeros((48, 64), np.uint16)
    rng = np.random.default_rng(seed)
    for number, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 2)], 1):
        y, x = 24 * row + rng.integers(0, 4), 21 * column + rng.integers(0, 4)
        segments[y : y + rng.integers(9, 19), x : x + rng.integers(9, 17)] = number
    heat, offsets = center_targets(segments)
    centers = find_centers(xp_array(heat), threshold=0.5)
    found = to_numpy(group(xp_array(offsets), centers, xp_array(segments > 0)))
    assert np.array_equal(found > 0, segments > 0)
    pairs = {(int(a), int(b)) for a, b in zip(segments.ravel(), found.ravel()) if a}
    assert len(pairs) == 4 == len({b for _, b in pairs})


def test_at_most_so_many_centers_the_highest():
    heat = np.zeros((9, 40))
    heat[4, 4::8] = [0.3, 0.9, 0.2, 0.8, 0.05]
    assert find_centers(heat, most=2).tolist() == [[4, 12], [4, 28]]
    assert len(find_centers(heat)) == 4  # 0.05 is below the threshold


def test_nothing_to_find():
    heat, offsets = center_targets(np.zeros((5, 6), np.uint16))
    assert not heat.any() and not offsets.any()
    centers = find_centers(heat)
    assert centers.shape == (0, 2)
    assert not group(offsets, centers, np.ones((5, 6), bool)).any()
    assert not group(offsets, np.array([[2, 2]]), np.zeros((5, 6), bool)).any()


def test_many_pixels_are_grouped_in_blocks(monkeypatch):
    from minunet.tasks import centers as module

    rng = np.random.default_rng(3)
    offsets, places = rng.normal(0, 3, (30, 31, 2)), rng.integers(0, 30, (7, 2))
    things = rng.random((30, 31)) < 0.7
    whole = group(offsets, places, things)
    monkeypatch.setattr(module, "BLOCK", 50)
    assert np.array_equal(group(offsets, places, things), whole)
    y, x = 11, 12
    things[y, x] = True
    nearest = ((np.array([y, x]) + offsets[y, x] - places) ** 2).sum(axis=1).argmin()
    assert group(offsets, places, things)[y, x] == nearest + 1


@pytest.mark.parametrize("sigma", [1.1, 0.6])
def test_heat_reaches_at_least_four_sigma(sigma):
    """Up to a whole number of pixels: at σ = 1.1 the fifth pixel is 4.5 σ away, and is the last."""
    segments = np.zeros((1, 31), np.uint16)
    segments[0, 15] = 1
    heat, _ = center_targets(segments, sigma)
    reach = int(-(-4 * sigma // 1))
    distances = np.abs(np.arange(31) - 15)
    expected = np.where(distances <= reach, np.exp(-(distances**2) / (2 * sigma**2)), 0)
    np.testing.assert_allclose(heat[0], expected, rtol=1e-5)
