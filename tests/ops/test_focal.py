"""focal_loss_with_logits: values by hand, γ = 0, certain pixels, weights."""

import math

import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy


def value_and_gradient(put, z, classes, weights=None, class_weights=None, gamma=2.0, dtype="float64"):
    z = Tensor(put(np.array(z, dtype)), requires_grad=True)
    weights = None if weights is None else put(np.array(weights, dtype))
    y = ops.focal_loss_with_logits(z, put(np.array(classes)), weights, class_weights, gamma)
    y.backward()
    assert y.shape == () and y.dtype == z.grad.dtype == dtype
    return y.item(), to_numpy(z.grad)


def test_the_example_in_the_text(xp_array):
    value, gradient = value_and_gradient(xp_array, [[0, math.log(3)]], [1])
    assert value == pytest.approx(math.log(4 / 3) / 16, rel=1e-13)
    f = 1 / 16 + 2 * 3 / 4 * 1 / 4 * math.log(4 / 3)
    np.testing.assert_allclose(gradient, [[f / 4, -f / 4]], rtol=1e-13)
    assert (round(value, 4), round(f, 4), round(f / 4, 4)) == (0.0180, 0.1704, 0.0426)


def test_how_little_a_certain_pixel_counts(xp_array):
    """Of the cross entropy, (1 - q)² is left: 1/100 at q = 0.9, 0.81 at q = 0.1."""
    z, classes = np.log([[0.9, 0.1], [0.9, 0.1]]), [0, 1]
    for weights, q in (([1, 0], 0.9), ([0, 1], 0.1)):
        value, _ = value_and_gradient(xp_array, z, classes, weights)
        assert value == pytest.approx((1 - q) ** 2 * -math.log(q), rel=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 1, 2, 5])
def test_against_loops(xp_array, gamma):
    rng = np.random.default_rng(7)
    z, classes, weights = 2 * rng.standard_normal((3, 4, 5)), rng.integers(0, 5, (3, 4)), rng.uniform(0, 2, (3, 4))
    classes[0, :2], of_classes = 255, np.array([1, 2, 0.5, 3, 1])
    value, gradient = value_and_gradient(xp_array, z, classes.astype(np.uint8), weights, of_classes, gamma)
    loss = total = 0
    for index in np.ndindex(3, 4):
        t = classes[index]
        if t < 255:
            q = math.exp(z[index][t]) / sum(math.exp(v) for v in z[index])
            w = weights[index] * of_classes[t]
            loss, total = loss - w * (1 - q) ** gamma * math.log(q), total + w
    assert value == pytest.approx(loss / total, rel=1e-12)
    assert not gradient[0, :2].any() and np.abs(gradient.sum(axis=-1)).max() < 1e-15


def test_without_focus_it_is_the_cross_entropy(xp_array):
    rng = np.random.default_rng(1)
    z, classes, weights = rng.standard_normal((2, 3, 4)), rng.integers(0, 4, (2, 3)), rng.uniform(0, 2, (2, 3))
    value, gradient = value_and_gradient(xp_array, z, classes, weights, gamma=0)
    tensor = Tensor(xp_array(z), requires_grad=True)
    loss = ops.cross_entropy_with_logits(tensor, xp_array(classes), xp_array(weights))
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-14)
    np.testing.assert_allclose(gradient, to_numpy(tensor.grad), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gamma", [0.5, 1, 2])
def test_certain_pixels(xp_array, gamma, dtype):
    """No 0 · ∞ and no 0/0 where q is 1 or 0, or so near to 1 that only 1 - q tells them apart."""
    value, gradient = value_and_gradient(xp_array, [[1e4, 0]], [0], gamma=gamma, dtype=dtype)
    assert value == 0 and not gradient.any()
    value, gradient = value_and_gradient(xp_array, [[1e4, 0]], [1], gamma=gamma, dtype=dtype)
    assert value == 1e4 and gradient.tolist() == [[1, -1]]
    _, gradient = value_and_gradient(xp_array, [[25, 0]], [0], gamma=gamma, dtype=dtype)
    assert 0 <= gradient[0, 1] < 1e-10 and np.isfinite(gradient).all()


@pytest.mark.parametrize("gamma", [-1, float("nan")])
def test_errors(gamma):
    with pytest.raises(ValueError, match=f"focal_loss_with_logits: gamma is {gamma}: it must be at least 0"):
        ops.focal_loss_with_logits(np.ones((2, 3)), np.array([0, 1]), gamma=gamma)
    with pytest.raises(ValueError, match="focal_loss_with_logits: 1 pixel has class 3"):
        ops.focal_loss_with_logits(np.ones((2, 3)), np.array([0, 3]))


def test_gamma_is_2_unless_it_is_given():
    """One pixel with q = 1/2: (1 - q)² ln 2 = ln 2 / 4."""
    loss = ops.focal_loss_with_logits(np.zeros((1, 2)), np.array([0])).item()
    assert loss == pytest.approx(np.log(2) / 4)
