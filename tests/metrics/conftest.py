"""Scenes of overlapping discs whose scores other implementations have computed: see the tests that use them."""

import numpy as np
import pytest

H, W = 60, 75


def discs(random, count, low, high):
    """Discs (y, x, radius) with integers."""
    return [(random.randint(0, H), random.randint(0, W), random.randint(low, high)) for _ in range(count)]


def paint(circles):
    """Segments int64 (H, W): disc k has the number k, and the later ones cover the earlier ones."""
    y, x = np.mgrid[:H, :W]
    segments = np.zeros((H, W), np.int64)
    for number, (cy, cx, radius) in enumerate(circles, 1):
        segments[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = number
    return segments


def cells_of_seed(seed):
    """(true, found), int64 (H, W): most discs found, a little displaced; some missed, joined, or invented."""
    random = np.random.RandomState(seed)  # its numbers stay the same in all versions of NumPy
    true = discs(random, 22, 3, 9)
    found = [(y + random.randint(-2, 3), x + random.randint(-2, 3), r + random.randint(-2, 2)) for y, x, r in true[3:]]
    segments = paint(found + discs(random, 4, 2, 5))
    segments[segments == 7] = 8  # two objects found as one
    segments[segments > 0] = 300 + 13 * segments[segments > 0]  # numbers with gaps
    return paint(true), segments


def scene_of_seed(seed):
    """(true_classes, true_segments, classes, segments): classes 0 and 1 are stuff, 2 and 3 things; void and a crowd."""
    random = np.random.RandomState(100 + seed)
    true, found = cells_of_seed(seed)
    found[found > 0] = (found[found > 0] - 300) // 13
    kinds = random.randint(2, 4, 400)
    mistaken = kinds.copy()
    mistaken[random.randint(0, 400, 60)] = 2  # some things are taken for those of class 2
    horizon, seen_horizon = random.randint(20, 40, 2)
    rows = np.arange(H)[:, None] + np.zeros((1, W), np.int64)
    true_classes = np.where(true > 0, kinds[true], (rows >= horizon).astype(int))
    classes = np.where(found > 0, mistaken[found + 3], (rows >= seen_horizon).astype(int))
    true_classes[:, 60:66] = 255
    true[:, 60:66] = 0
    crowd = (rows > 35) & (np.arange(W) < 22)
    true_classes[crowd], true[crowd] = 2, 0
    classes[:8, :8] = 255
    found[:8, :8] = 0
    return true_classes, true, classes, found


@pytest.fixture
def cells():
    return cells_of_seed


@pytest.fixture
def scene():
    return scene_of_seed
