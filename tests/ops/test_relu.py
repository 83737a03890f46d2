"""relu: values, the corner at 0, any shape and layout."""

import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy


def test_values_and_gradient_by_hand(xp_array):
    x = Tensor(xp_array(np.array([-2.0, -0.0, 0.0, 1e-300, 3])), requires_grad=True)
    y = ops.relu(x)
    assert to_numpy(y.data).tolist() == [0, 0, 0, 1e-300, 3]
    y.backward(xp_array(np.array([5.0, 6, 7, 8, 9])))
    assert to_numpy(x.grad).tolist() == [0, 0, 0, 8, 9]  # at 0 the derivative is taken to be 0


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 4), (2, 3, 4, 5), (0, 2)])
def test_any_shape(xp_array, shape):
    rng = np.random.default_rng(0)
    values, gy = rng.standard_normal(shape), rng.standard_normal(shape)
    x = Tensor(xp_array(values), requires_grad=True)
    y = ops.relu(x)
    y.backward(xp_array(gy))
    assert y.shape == x.grad.shape == shape
    np.testing.assert_array_equal(to_numpy(y.data), np.where(values > 0, values, 0))
    np.testing.assert_array_equal(to_numpy(x.grad), np.where(values > 0, gy, 0))


def test_a_transposed_input_and_a_broadcast_gradient(xp_array):
    values = np.array([[1.0, -2, 3], [-4, 5, -6]])
    x = Tensor(xp_array(values), requires_grad=True)
    (ops.relu(x.T).sum() * 2).backward()
    np.testing.assert_array_equal(to_numpy(x.grad), [[2, 0, 2], [0, 2, 0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_are_kept(xp_array, dtype):
    x = Tensor(xp_array(np.array([1, -1], dtype)), requires_grad=True)
    y = ops.relu(x)
    y.backward(xp_array(np.ones(2)))
    assert y.dtype == x.grad.dtype == dtype


def test_nan_is_not_hidden():
    y = ops.relu(np.array([np.nan, np.inf, -np.inf])).data
    assert np.isnan(y[0]) and y[1] == np.inf and y[2] == 0


def test_the_input_is_not_changed():
    array = np.array([-1.0, 2])
    y = ops.relu(Tensor(array, requires_grad=True))
    y.backward(np.ones(2))
    assert array.tolist() == [-1, 2] and not np.shares_memory(y.data, array)
