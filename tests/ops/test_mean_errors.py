"""mean_squared_error and mean_absolute_error: values by hand, weights, the corner at 0."""

import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy

BOTH = pytest.mark.parametrize("loss", [ops.mean_squared_error, ops.mean_absolute_error], ids=["squared", "absolute"])
Y, T = np.array([[1.0, 2.0], [5.0, -1.0]]), np.array([[0.0, 4.0], [5.0, 2.0]])


def value_and_gradient(put, loss, y, t, weights=None, dtype="float64"):
    y = Tensor(put(np.array(y, dtype)), requires_grad=True)
    weights = None if weights is None else put(np.array(weights, dtype))
    L = loss(y, put(np.array(t, dtype)), weights)
    L.backward()
    assert L.shape == () and L.dtype == y.grad.dtype == dtype
    return L.item(), to_numpy(y.grad)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_squared_by_hand(xp_array, dtype):
    value, gradient = value_and_gradient(xp_array, ops.mean_squared_error, Y, T, dtype=dtype)
    assert value == (1 + 4 + 0 + 9) / 4
    assert gradient.tolist() == [[2 / 4, -4 / 4], [0, -6 / 4]]
    value, gradient = value_and_gradient(xp_array, ops.mean_squared_error, Y, T, [[2, 1], [1, 0]], dtype=dtype)
    assert value == (2 * 1 + 4 + 0) / 4
    assert gradient.tolist() == [[2 * 2 / 4, -4 / 4], [0, 0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_absolute_by_hand(xp_array, dtype):
    value, gradient = value_and_gradient(xp_array, ops.mean_absolute_error, Y, T, dtype=dtype)
    assert value == (1 + 2 + 0 + 3) / 4
    assert gradient.tolist() == [[1 / 4, -1 / 4], [0, -1 / 4]]  # 0 where y = t
    value, gradient = value_and_gradient(xp_array, ops.mean_absolute_error, Y, T, [[2, 1], [1, 0]], dtype=dtype)
    assert value == (2 * 1 + 2 + 0) / 4
    assert gradient.tolist() == [[2 / 4, -1 / 4], [0, 0]]


@BOTH
def test_one_weight_for_all_numbers_of_a_pixel(xp_array, loss):
    once = value_and_gradient(xp_array, loss, Y, T, [[3], [1]])
    each = value_and_gradient(xp_array, loss, Y, T, [[3, 3], [1, 1]])
    assert once[0] == each[0]
    np.testing.assert_array_equal(once[1], each[1])


@BOTH
def test_all_weights_zero(xp_array, loss):
    value, gradient = value_and_gradient(xp_array, loss, Y, T, 0 * Y)
    assert value == 0 and not gradient.any()


@BOTH
def test_the_prediction_decides_the_dtype(xp_array, loss):
    y = Tensor(xp_array(Y.astype("float32")), requires_grad=True)
    L = loss(y, xp_array(T.astype("int32")), xp_array(np.ones((2, 1))))
    L.backward()
    assert L.dtype == y.grad.dtype == np.float32


@BOTH
@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"t": T[0]}, ValueError, r"t has shape \(2,\), the prediction \(2, 2\): they must be equal"),
        ({"t": T[:, :1]}, ValueError, r"t has shape \(2, 1\)"),
        ({"weights": T[:1]}, ValueError, r"weights has shape \(1, 2\)"),
        ({"y": Y.astype(int)}, TypeError, "y is int64: it must be floating-point"),
    ],
)
def test_errors_name_the_values_and_the_fix(loss, change, error, message):
    with pytest.raises(error, match=f"{loss.__name__}: {message}"):
        loss(**({"y": Y, "t": T} | change))


@BOTH
def test_a_target_on_another_device_is_refused(loss, elsewhere):
    with pytest.raises(ValueError, match="t is on gpu:7, the prediction on cpu"):
        loss(Y, elsewhere(T))
