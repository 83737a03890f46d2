"""dice_loss: areas counted by hand, per image and over the batch, weights, empty masks."""

import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy

# Two images of 4 pixels. First: Σpt = 1, Σp = 2, Σt = 1. Second: Σpt = 0.5, Σp = 0.5, Σt = 3.
P = np.array([[1, 1, 0, 0], [0.5, 0, 0, 0]]).reshape(2, 2, 2, 1)
T = np.array([[1.0, 0, 0, 0], [1, 1, 1, 0]]).reshape(2, 2, 2, 1)
FIRST, SECOND = (2 * 1 + 1) / (2 + 1 + 1), (2 * 0.5 + 1) / (0.5 + 3 + 1)  # scores with s = 1
BOTH = (2 * 1.5 + 1) / (2.5 + 4 + 1)


def test_per_image_and_over_the_batch_by_hand(xp_array):
    p, t = xp_array(P), xp_array(T)
    assert ops.dice_loss(p, t).item() == pytest.approx(1 - (FIRST + SECOND) / 2, rel=1e-14)
    assert ops.dice_loss(p, t, per_image=False).item() == pytest.approx(1 - BOTH, rel=1e-14)


def test_gradients_by_hand(xp_array):
    p = Tensor(xp_array(P), requires_grad=True)
    ops.dice_loss(p, xp_array(T)).backward(xp_array(np.array(1.0)))
    # -(2 t D - (2 I + s)) / D², halved by the mean over two images; D = 4 and 4.5
    first = {1: -(2 * 4 - 3) / 16 / 2, 0: 3 / 16 / 2}
    second = {1: -(2 * 4.5 - 2) / 4.5**2 / 2, 0: 2 / 4.5**2 / 2}
    np.testing.assert_allclose(to_numpy(p.grad)[0].ravel(), [first[t] for t in (1, 0, 0, 0)], rtol=1e-14)
    np.testing.assert_allclose(to_numpy(p.grad)[1].ravel(), [second[t] for t in (1, 1, 1, 0)], rtol=1e-14)
    p.grad = None
    ops.dice_loss(p, xp_array(T), per_image=False).backward()
    np.testing.assert_allclose(to_numpy(p.grad), (4 - 2 * T * 7.5) / 7.5**2, rtol=1e-14)


def test_per_image_loss_does_not_depend_on_the_other_images():
    alone = [ops.dice_loss(P[n : n + 1], T[n : n + 1]).item() for n in (0, 1)]
    assert ops.dice_loss(P, T).item() == pytest.approx(sum(alone) / 2, rel=1e-14)
    assert ops.dice_loss(P, T, per_image=False).item() != pytest.approx(sum(alone) / 2, rel=1e-3)


def test_perfect_empty_and_missed_masks():
    assert ops.dice_loss(T, T).item() == 0
    assert ops.dice_loss(0 * T, 0 * T).item() == 0  # two empty masks agree
    ones = np.ones((1, 10, 10, 1))
    # "All background" scores almost nothing.
    assert ops.dice_loss(0 * ones, ones).item() == pytest.approx(1 - 1 / 101, rel=1e-14)


@pytest.mark.parametrize("smooth", [1e-7, 0.5, 10])
def test_smoothing(smooth):
    expected = 1 - (2 * 1 + smooth) / (3 + smooth)
    assert ops.dice_loss(P[:1], T[:1], smooth=smooth).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("per_image", [True, False])
def test_weights_of_zero_exclude_pixels(xp_array, per_image):
    weights = np.array([[1.0, 0, 1, 1], [1, 1, 0, 1]]).reshape(P.shape)
    p = Tensor(xp_array(P), requires_grad=True)
    loss = ops.dice_loss(p, xp_array(T), xp_array(weights), per_image=per_image)
    loss.backward()
    # First: Σpt = 1, Σp = 1, Σt = 1: perfect. Second: Σpt = 0.5, Σp = 0.5, Σt = 2.
    expected = (1 - 1 + 1 - 2 / 3.5) / 2 if per_image else 1 - 4 / 5.5
    assert loss.item() == pytest.approx(expected, rel=1e-14)
    gradient = to_numpy(p.grad)
    assert (gradient[weights == 0] == 0).all() and (gradient[weights == 1] != 0).all()


@pytest.mark.parametrize("per_image", [True, False])
def test_all_weights_zero(xp_array, per_image):
    p = Tensor(xp_array(P), requires_grad=True)
    loss = ops.dice_loss(p, xp_array(T), xp_array(0 * P), per_image=per_image)
    loss.backward()
    assert loss.item() == 0 and not to_numpy(p.grad).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weighted", [True, False])
def test_dtypes_are_kept(xp_array, dtype, weighted):
    p = Tensor(xp_array(P.astype(dtype)), requires_grad=True)
    weights = xp_array(np.ones(P.shape)) if weighted else None
    loss = ops.dice_loss(p, xp_array(T.astype("uint8")), weights, smooth=np.float64(1))
    loss.backward()
    assert loss.shape == () and loss.dtype == p.grad.dtype == dtype


@pytest.mark.parametrize(
    "change, message",
    [
        ({"t": T[..., 0]}, r"dice_loss: t has shape \(2, 2, 2\), the prediction \(2, 2, 2, 1\): they must be equal"),
        ({"weights": T[:1]}, r"dice_loss: weights has shape \(1, 2, 2, 1\), the prediction"),
        ({"smooth": 0}, r"dice_loss: smooth is 0: it must be positive"),
        ({"smooth": -1.0}, r"smooth is -1.0"),
        ({"smooth": float("nan")}, r"smooth is nan"),
    ],
)
def test_errors_name_the_values_and_the_fix(change, message):
    with pytest.raises(ValueError, match=message):
        ops.dice_loss(**({"p": P, "t": T} | change))


def test_a_mask_on_another_device_is_refused(elsewhere):
    with pytest.raises(ValueError, match="t.* gpu:7.*cpu"):
        ops.dice_loss(P, elsewhere(T))
