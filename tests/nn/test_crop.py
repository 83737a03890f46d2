"""The layer Crop: as many pixels on each side, whatever the size."""

import numpy as np
import pytest

from minunet import Tensor, nn
from minunet.device import to_numpy


def test_what_is_left(xp_array):
    x = np.random.default_rng(0).standard_normal((2, 7, 6, 3))
    np.testing.assert_array_equal(to_numpy(nn.Crop(2)(xp_array(x)).data), x[:, 2:5, 2:4])
    np.testing.assert_array_equal(to_numpy(nn.Crop(0)(xp_array(x)).data), x)
    assert nn.Crop(1)(Tensor(xp_array(x))).shape == (2, 5, 4, 3)


def test_errors():
    with pytest.raises(ValueError, match="Crop: pixels is -1: it must be at least 0"):
        nn.Crop(-1)
    with pytest.raises(ValueError, match="Crop: 3 pixels on each side leave nothing of images of 7x6"):
        nn.Crop(3)(np.zeros((1, 7, 6, 1)))
