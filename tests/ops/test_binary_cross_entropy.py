"""Binary cross entropy on probabilities and on logits: values by hand, clipping, extreme values, weights."""

import math

import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy

FORMS = pytest.mark.parametrize(
    "loss", [ops.binary_cross_entropy, ops.binary_cross_entropy_with_logits], ids=["p", "logits"]
)
CLIP = 1e-7


def logit(p):
    return math.log(p / (1 - p))


def value_and_gradient(put, loss, x, t, weights=None, dtype="float64"):
    x = Tensor(put(np.array(x, dtype)), requires_grad=True)
    weights = None if weights is None else put(np.array(weights, dtype))
    y = loss(x, put(np.array(t, dtype)), weights)
    y.backward()
    assert y.shape == () and y.dtype == x.grad.dtype == dtype
    return y.item(), to_numpy(x.grad)


def test_on_probabilities_by_hand(xp_array):
    value, gradient = value_and_gradient(xp_array, ops.binary_cross_entropy, [0.5, 0.8, 0.1], [1, 1, 0])
    assert value == pytest.approx((math.log(2) - math.log(0.8) - math.log(0.9)) / 3, rel=1e-14)
    np.testing.assert_allclose(gradient, [-2 / 3, -1.25 / 3, 1 / 0.9 / 3], rtol=1e-14)


def test_on_logits_by_hand(xp_array):
    value, gradient = value_and_gradient(
        xp_array, ops.binary_cross_entropy_with_logits, [0, logit(0.8), logit(0.1)], [1, 1, 0]
    )
    assert value == pytest.approx((math.log(2) - math.log(0.8) - math.log(0.9)) / 3, rel=1e-14)
    np.testing.assert_allclose(gradient, [-0.5 / 3, -0.2 / 3, 0.1 / 3], rtol=1e-13)


def test_targets_between_0_and_1(xp_array):
    expected = -0.3 * math.log(0.6) - 0.7 * math.log(0.4)
    value, gradient = value_and_gradient(xp_array, ops.binary_cross_entropy, [0.6], [0.3])
    assert value == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(gradient, [(0.6 - 0.3) / (0.6 * 0.4)], rtol=1e-13)
    value, gradient = value_and_gradient(xp_array, ops.binary_cross_entropy_with_logits, [logit(0.6)], [0.3])
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient, [0.3], rtol=1e-13)


def test_certain_predictions_right_or_wrong_are_clipped_as_in_keras(xp_array):
    """Warnings are errors in these tests: no logarithm of 0 is taken on the way."""
    value, gradient = value_and_gradient(xp_array, ops.binary_cross_entropy, [0, 1], [0, 1])
    assert value == pytest.approx(-math.log(1 - CLIP), rel=1e-6)
    assert gradient.tolist() == [0, 0]
    value, gradient = value_and_gradient(xp_array, ops.binary_cross_entropy, [0, 1], [1, 0])
    assert value == pytest.approx(-math.log(CLIP), rel=1e-8)  # 16.118
    assert gradient.tolist() == [0, 0]  # where p is clipped, the loss is constant
    value, _ = value_and_gradient(xp_array, ops.binary_cross_entropy, [0, 1], [1, 0], dtype="float32")
    # In float32, 1 - 1e-7 is 1 - 2⁻²³.
    assert value == pytest.approx((-math.log(CLIP) - math.log(2.0**-23)) / 2, rel=1e-6)


def test_the_edges_of_the_clipping():
    p = [CLIP, CLIP / 2, 1 - CLIP, 1 - CLIP / 2]
    _, gradient = value_and_gradient(np.asarray, ops.binary_cross_entropy, p, [1, 1, 0, 0])
    np.testing.assert_allclose(gradient, [-1 / CLIP / 4, 0, 1 / CLIP / 4, 0], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits(xp_array, dtype):
    loss = ops.binary_cross_entropy_with_logits
    value, gradient = value_and_gradient(xp_array, loss, [1e4, -1e4], [0, 1], dtype=dtype)
    assert value == 1e4 and gradient.tolist() == [0.5, -0.5]  # confidently wrong, and still a gradient
    value, gradient = value_and_gradient(xp_array, loss, [1e4, -1e4], [1, 0], dtype=dtype)
    assert value == 0 and gradient.tolist() == [0, 0]


def test_both_forms_agree():
    z = np.linspace(-12, 12, 25)
    t = (np.arange(25) % 2).astype(float)

    def through_the_sigmoid(z, t, weights):
        return ops.binary_cross_entropy(ops.sigmoid(z), t, weights)

    on_p = value_and_gradient(np.asarray, through_the_sigmoid, z, t)
    on_z = value_and_gradient(np.asarray, ops.binary_cross_entropy_with_logits, z, t)
    assert on_p[0] == pytest.approx(on_z[0], rel=1e-9)
    np.testing.assert_allclose(on_p[1], on_z[1], rtol=1e-7, atol=1e-12)


# ---- weights -----------------------------------------------------------------------------------------------


@FORMS
def test_weights_of_zero_exclude_pixels(xp_array, loss):
    x, t = [0.2, 0.7, 0.6], [0, 1, 1]
    kept, gradient = value_and_gradient(xp_array, loss, x[:2], t[:2])
    value, weighted = value_and_gradient(xp_array, loss, x, t, [1, 1, 0])
    assert value == pytest.approx(kept, rel=1e-14)
    np.testing.assert_allclose(weighted, [*gradient, 0], rtol=1e-14)


@FORMS
def test_a_weight_of_two_counts_as_two_pixels(loss):
    twice = value_and_gradient(np.asarray, loss, [0.2, 0.7, 0.7], [0, 1, 1])
    value, gradient = value_and_gradient(np.asarray, loss, [0.2, 0.7], [0, 1], [1, 2])
    assert value == pytest.approx(twice[0], rel=1e-14)
    np.testing.assert_allclose(gradient, [twice[1][0], 2 * twice[1][1]], rtol=1e-14)


@FORMS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_weights_zero(xp_array, loss, dtype):
    value, gradient = value_and_gradient(xp_array, loss, [0.2, 0.7], [0, 1], [0, 0], dtype)
    assert value == 0 and gradient.tolist() == [0, 0]


@FORMS
def test_equal_weights_change_nothing(loss):
    plain = value_and_gradient(np.asarray, loss, [0.2, 0.7], [0, 1])
    for weight in (1, 0.25, 100):
        value, gradient = value_and_gradient(np.asarray, loss, [0.2, 0.7], [0, 1], [weight] * 2)
        assert value == pytest.approx(plain[0], rel=1e-13)
        np.testing.assert_allclose(gradient, plain[1], rtol=1e-13)


# ---- types and errors --------------------------------------------------------------------------------------


@FORMS
def test_the_prediction_decides_the_dtype(loss):
    x = Tensor(np.full((2, 2), 0.3, "float32"), requires_grad=True)
    for t in (np.ones((2, 2), "uint8"), np.ones((2, 2), bool), np.ones((2, 2)), Tensor(np.ones((2, 2)))):
        y = loss(x, t, np.ones((2, 2)))
        y.backward()
        assert y.dtype == x.grad.dtype == np.float32


@FORMS
def test_the_upstream_gradient_scales_the_gradient(loss):
    x = Tensor([0.3, 0.6], requires_grad=True)
    loss(x, np.array([1.0, 0])).backward()
    once, x.grad = x.grad, None
    (loss(x, np.array([1.0, 0])) * 3).backward()
    np.testing.assert_allclose(x.grad, 3 * once, rtol=1e-14)


@FORMS
@pytest.mark.parametrize(
    "t, weights, message",
    [
        (
            np.ones((2, 3)),
            None,
            r"t has shape \(2, 3\), the prediction \(2, 3, 1\): they must be equal; masks are \(N,H,W,1\)",
        ),
        (np.ones((2, 1, 1)), None, r"t has shape \(2, 1, 1\)"),
        (np.ones((2, 3, 1)), np.ones((2, 3)), r"weights has shape \(2, 3\), the prediction \(2, 3, 1\)"),
    ],
)
def test_shapes_that_would_broadcast_are_refused(loss, t, weights, message):
    with pytest.raises(ValueError, match=f"{loss.__name__}: {message}"):
        loss(np.full((2, 3, 1), 0.5), t, weights)


@FORMS
@pytest.mark.parametrize("which", ["t", "weights"])
def test_a_mask_on_another_device_is_refused(loss, which, elsewhere):
    arrays = {"t": np.ones(2), "weights": np.ones(2)}
    arrays[which] = elsewhere(arrays[which])
    with pytest.raises(ValueError, match=f"{which}.* gpu:7.*cpu"):
        loss(np.full(2, 0.5), **arrays)


@FORMS
def test_lists_are_accepted(loss):
    assert loss(Tensor([0.5, 0.7]), [1, 0]).item() == loss(Tensor([0.5, 0.7]), np.array([1.0, 0])).item()
