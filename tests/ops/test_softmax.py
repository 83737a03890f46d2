"""softmax and log_softmax: values by hand, extreme values, gradients, errors."""

import math

import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy


def value_and_gradient(put, f, z, gy, dtype="float64"):
    z = Tensor(put(np.array(z, dtype)), requires_grad=True)
    y = f(z)
    y.backward(put(np.array(gy, dtype)))
    assert y.dtype == z.grad.dtype == dtype and y.shape == z.grad.shape == z.shape
    return to_numpy(y.data), to_numpy(z.grad)


def test_by_hand(xp_array):
    # e^z = 1, 2, 5: S = 8
    z = np.log([1.0, 2.0, 5.0])
    p, gz = value_and_gradient(xp_array, ops.softmax, z, [1, 0, 4])
    np.testing.assert_allclose(p, [1 / 8, 2 / 8, 5 / 8], rtol=1e-14)
    mean = 1 / 8 + 4 * 5 / 8  # Σ p gp = 21/8
    np.testing.assert_allclose(gz, [(1 - mean) / 8, -mean * 2 / 8, (4 - mean) * 5 / 8], rtol=1e-13)
    y, gz = value_and_gradient(xp_array, ops.log_softmax, z, [1, 0, 4])
    np.testing.assert_allclose(y, [-math.log(8), -math.log(4), math.log(5 / 8)], rtol=1e-14)
    np.testing.assert_allclose(gz, [1 - 5 / 8, -5 * 2 / 8, 4 - 5 * 5 / 8], rtol=1e-13)


def test_the_example_in_the_text(xp_array):
    p, gz = value_and_gradient(xp_array, ops.softmax, [1, 2, 3], [1, 0, 0])
    np.testing.assert_allclose(p, [0.0900, 0.2447, 0.6652], atol=5e-5)
    np.testing.assert_allclose(gz, [0.0900 * 0.9100, -0.2447 * 0.0900, -0.6652 * 0.0900], atol=5e-5)


def test_two_classes_are_the_sigmoid(xp_array):
    d = np.linspace(-9, 9, 7)
    p = to_numpy(ops.softmax(xp_array(np.stack([0 * d + 3, d + 3], axis=1))).data)
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-d)), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits(xp_array, dtype):
    z = [[1e4, 0, -1e4], [1e4, 1e4, -1e4], [-1e4, -1e4, -1e4]]
    p, gz = value_and_gradient(xp_array, ops.softmax, z, np.ones((3, 3)), dtype)
    np.testing.assert_allclose(p, [[1, 0, 0], [0.5, 0.5, 0], [1 / 3] * 3], rtol=1e-6)
    np.testing.assert_allclose(gz, np.zeros((3, 3)), atol=1e-6)
    y, _ = value_and_gradient(xp_array, ops.log_softmax, z, np.ones((3, 3)), dtype)
    np.testing.assert_allclose(y[0], [0, -1e4, -2e4])
    np.testing.assert_allclose(y[1:], [[-math.log(2), -math.log(2), -2e4], [-math.log(3)] * 3], rtol=1e-3)


@pytest.mark.parametrize("shape", [(1,), (4, 1), (0, 3), (2, 3, 5, 7), (3, 11)])
def test_any_shape_against_loops(xp_array, shape):
    rng = np.random.default_rng(3)
    z, gy = 3 * rng.standard_normal(shape), rng.standard_normal(shape)
    p, gz = value_and_gradient(xp_array, ops.softmax, z, gy)
    for index in np.ndindex(shape[:-1]):
        q = [math.exp(v) / sum(map(math.exp, z[index])) for v in z[index]]
        np.testing.assert_allclose(p[index], q, rtol=1e-12)
        jacobian = np.diag(q) - np.outer(q, q)
        np.testing.assert_allclose(gz[index], jacobian @ gy[index], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("f", [ops.softmax, ops.log_softmax])
def test_errors(f):
    with pytest.raises(TypeError, match=f"{f.__name__}: z is int64: it must be floating-point"):
        f(np.arange(3))
    with pytest.raises(ValueError, match=r"z has shape \(\): it must be \(…, K\)"):
        f(np.array(1.0))
    with pytest.raises(ValueError, match=r"z has shape \(3, 0\)"):
        f(np.ones((3, 0)))
