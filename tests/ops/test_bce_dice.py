"""bce_dice_loss: the weighted sum of two losses that are tested on their own."""

import math

import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy

Z = np.array([[0.0, math.log(3)], [math.log(3), -1e4]])  # σ: 1/2, 3/4, 3/4, 0
T = np.array([[1.0, 1], [0, 0]])
BCE = (math.log(2) - math.log(0.75) - math.log(0.25)) / 4
DICE = (1 - (2 * 1.25 + 1) / (1.25 + 2 + 1) + 1 - 1 / (0.75 + 1)) / 2


def test_values_by_hand(xp_array):
    z, t = xp_array(Z), xp_array(T)
    assert ops.bce_dice_loss(z, t).item() == pytest.approx((BCE + DICE) / 2, rel=1e-13)
    loss = ops.bce_dice_loss(z, t, bce_weight=0.2, dice_weight=3)
    assert loss.item() == pytest.approx(0.2 * BCE + 3 * DICE, rel=1e-13)
    loss = ops.bce_dice_loss(z, t, None, 0, 1, smooth=0.5, per_image=False)
    assert loss.item() == pytest.approx(1 - (2 * 1.25 + 0.5) / (2 + 2 + 0.5), rel=1e-13)


def test_the_gradients_add_up():
    def gradient(loss):
        z = Tensor(Z, requires_grad=True)
        loss(z).backward()
        return z.grad

    bce = gradient(lambda z: ops.binary_cross_entropy_with_logits(z, T))
    dice = gradient(lambda z: ops.dice_loss(ops.sigmoid(z), T))
    both = gradient(lambda z: ops.bce_dice_loss(z, T, None, 0.2, 3))
    np.testing.assert_allclose(both, 0.2 * bce + 3 * dice, rtol=1e-13)


def test_weights_of_zero_exclude_pixels_from_both(xp_array):
    z = Tensor(xp_array(Z), requires_grad=True)
    weights = np.array([[1.0, 0], [1, 1]])
    loss = ops.bce_dice_loss(z, xp_array(T), xp_array(weights))
    loss.backward()
    bce = (math.log(2) - math.log(0.25)) / 3
    dice = (1 - 2 / (0.5 + 1 + 1) + 1 - 1 / 1.75) / 2
    assert loss.item() == pytest.approx((bce + dice) / 2, rel=1e-13)
    assert to_numpy(z.grad)[0, 1] == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight", [0.3, np.float64(0.3), 1])
def test_dtypes_are_kept(xp_array, dtype, weight):
    z = Tensor(xp_array(Z.astype(dtype)), requires_grad=True)
    loss = ops.bce_dice_loss(z, xp_array(T.astype(dtype)), None, weight, weight)
    loss.backward()
    assert loss.shape == () and loss.dtype == z.grad.dtype == dtype
