"""Dropout for a given choice: what is kept, what it becomes, and what is refused."""

import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy


def test_by_hand(xp_array):
    x = Tensor(xp_array(np.arange(8.0).reshape(2, 2, 1, 2)), requires_grad=True)
    keep = np.array([[1, 0], [0, 1]], bool).reshape(2, 1, 1, 2)  # one map of each image is kept
    y = ops.dropout(x, xp_array(keep), 0.75)
    assert y.numpy().ravel().tolist() == [0, 0, 8, 0, 0, 20, 0, 28]
    y.backward(xp_array(np.arange(1.0, 9).reshape(2, 2, 1, 2)))
    assert to_numpy(x.grad).ravel().tolist() == [4, 0, 12, 0, 0, 24, 0, 32]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_are_kept(dtype, xp_array):
    x = Tensor(xp_array(np.ones((1, 2), dtype)), requires_grad=True)
    y = ops.dropout(x, xp_array(np.array([[True, False]])), np.float64(0.3))
    y.backward(y.data)
    assert y.dtype == x.grad.dtype == dtype


@pytest.mark.parametrize(
    "keep, rate, message",
    [
        (np.ones((1, 3)), 0.5, r"keep has shape \(1, 3\), x \(2, 2\)"),
        (np.ones(2), 0.5, r"keep has shape \(2,\)"),
        (np.ones((2, 2)), 1, "rate is 1: it must be at least 0 and below 1"),
        (np.ones((2, 2)), float("nan"), "rate is nan"),
    ],
)
def test_errors_name_what_was_given(keep, rate, message):
    with pytest.raises(ValueError, match=message):
        ops.dropout(Tensor(np.ones((2, 2))), keep, rate)


@pytest.mark.parametrize("keep_dtype", ["bool", "uint8", "float32"])
def test_in_float64_the_factor_has_all_its_digits(keep_dtype, xp_array):
    """1 / 0.7 in float32 would differ in the eighth digit."""
    x = Tensor(xp_array(np.array([3.0, 5.0])), requires_grad=True)
    y = ops.dropout(x, xp_array(np.array([1, 0], keep_dtype)), 0.3)
    y.backward(xp_array(np.array([7.0, 7.0])))
    np.testing.assert_allclose(y.numpy(), [3 / 0.7, 0], rtol=1e-15)
    np.testing.assert_allclose(to_numpy(x.grad), [7 / 0.7, 0], rtol=1e-15)


@pytest.mark.parametrize("keep, rate", [(np.ones((1, 2)), 0), (np.ones((2, 1)), 0.0), (np.ones((2, 2)), 0)])
def test_a_rate_of_0_and_axes_of_size_1_are_allowed(keep, rate):
    assert ops.dropout(Tensor(np.full((2, 2), 3.0)), keep, rate).data.tolist() == [[3, 3], [3, 3]]


def test_a_negative_rate_is_refused():
    with pytest.raises(ValueError, match="rate is -0.1: it must be at least 0"):
        ops.dropout(Tensor(np.ones((2, 2))), np.ones((2, 2)), -0.1)
