"""sigmoid: known values, no overflow however far out."""

import math

import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy


def test_values_and_gradient_by_hand(xp_array):
    x = Tensor(xp_array(np.array([0, math.log(3), -math.log(3)])), requires_grad=True)
    y = ops.sigmoid(x)
    np.testing.assert_allclose(to_numpy(y.data), [1 / 2, 3 / 4, 1 / 4], rtol=1e-15)
    y.backward(xp_array(np.array([16.0, 16, 32])))
    np.testing.assert_allclose(to_numpy(x.grad), [4, 3, 6], rtol=1e-14)  # gy y (1 - y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_overflows_and_dtypes_are_kept(xp_array, dtype):
    """Warnings are errors in these tests, so an overflow would be noticed."""
    x = Tensor(xp_array(np.array([1e4, -1e4, 1e30, -1e30, np.inf, -np.inf], dtype)), requires_grad=True)
    y = ops.sigmoid(x)
    y.backward(xp_array(np.ones(6)))
    assert y.dtype == x.grad.dtype == dtype
    assert to_numpy(y.data).tolist() == [1, 0, 1, 0, 1, 0]
    assert to_numpy(x.grad).tolist() == [0] * 6


def test_against_the_textbook_formula_where_that_does_not_overflow():
    x = np.linspace(-30, 30, 121).reshape(11, 11)
    expected = [[1 / (1 + math.exp(-v)) for v in row] for row in x]
    np.testing.assert_allclose(ops.sigmoid(x).data, expected, rtol=1e-14)


def test_small_probabilities_keep_their_digits():
    assert ops.sigmoid(np.array(-700.0)).item() == pytest.approx(math.exp(-700), rel=1e-12)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 4, 5), (0,)])
def test_any_shape(shape):
    x = Tensor(np.zeros(shape), requires_grad=True)
    y = ops.sigmoid(x)
    y.backward(np.ones(shape))
    assert y.shape == shape and (y.data == 0.5).all() and (x.grad == 0.25).all()


def test_integers_are_accepted():
    expected = [1 / (1 + math.e), 1 / 2, math.e / (1 + math.e)]
    np.testing.assert_allclose(ops.sigmoid(np.array([-1, 0, 1])).data, expected, rtol=1e-14)


def test_nan_is_not_hidden():
    assert np.isnan(ops.sigmoid(np.array([np.nan])).data[0])
