"""crop: which window, and where the gradient goes."""

import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy


def test_five_pixels_to_two_by_hand(xp_array):
    """The smaller half of an odd rest is cut off before the window, along both axes."""
    for axis in (1, 2):
        shape = [1, 1, 1, 1]
        shape[axis] = 5
        x = Tensor(xp_array(np.array([1.0, 2, 3, 4, 5]).reshape(shape)), requires_grad=True)
        y = ops.crop(x, tuple(2 if a == axis else 1 for a in (1, 2)))
        assert to_numpy(y.data).ravel().tolist() == [2, 3]
        y.backward(xp_array(np.array([7.0, 8]).reshape(y.shape)))
        assert to_numpy(x.grad).ravel().tolist() == [0, 7, 8, 0, 0]


@pytest.mark.parametrize("H, W, h, w", [(64, 64, 56, 56), (6, 9, 3, 4), (5, 4, 5, 1), (7, 7, 7, 7), (3, 8, 1, 8)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_against_plain_loops(xp_array, H, W, h, w, dtype):
    rng = np.random.default_rng(0)
    x, gy = rng.standard_normal((2, H, W, 3)).astype(dtype), rng.standard_normal((2, h, w, 3)).astype(dtype)
    expected, expected_gradient = np.empty((2, h, w, 3), dtype), np.zeros((2, H, W, 3), dtype)
    for i in range(h):
        for j in range(w):
            p, q = i + (H - h) // 2, j + (W - w) // 2
            expected[:, i, j] = x[:, p, q]
            expected_gradient[:, p, q] = gy[:, i, j]
    leaf = Tensor(xp_array(x), requires_grad=True)
    y = ops.crop(leaf, (h, w))
    y.backward(xp_array(gy))
    assert y.dtype == leaf.grad.dtype == dtype
    np.testing.assert_array_equal(to_numpy(y.data), expected)
    np.testing.assert_array_equal(to_numpy(leaf.grad), expected_gradient)


def test_the_adjoint_of_cropping_is_padding_with_zeros():
    """⟨gy, crop(x)⟩ = ⟨pad(gy), x⟩ for any gy and x, and padding is NumPy's."""
    rng = np.random.default_rng(1)
    x, gy = rng.standard_normal((1, 9, 8, 2)), rng.standard_normal((1, 4, 6, 2))
    leaf = Tensor(x, requires_grad=True)
    y = ops.crop(leaf, (4, 6))
    y.backward(gy)
    assert (gy * y.data).sum() == pytest.approx((leaf.grad * x).sum())
    np.testing.assert_array_equal(leaf.grad, np.pad(gy, ((0, 0), (2, 3), (1, 1), (0, 0))))


def test_an_int_stands_for_a_square():
    assert ops.crop(np.zeros((1, 5, 7, 2)), 3).shape == (1, 3, 3, 2)


def test_the_input_is_neither_changed_nor_copied():
    """A skip connection is in memory anyway: the window is a view of it. Its gradient is an array of its own."""
    x = Tensor(np.ones((1, 4, 4, 1)), requires_grad=True)
    y = ops.crop(x, 2)
    assert np.shares_memory(y.data, x.data)
    y.backward(np.full(y.shape, 5.0))
    assert (x.data == 1).all() and x.grad.base is None


def test_used_twice():
    x = Tensor(np.zeros((1, 3, 3, 1)), requires_grad=True)
    (ops.crop(x, 1) + ops.crop(x, 3)).backward(np.ones((1, 3, 3, 1)))
    assert x.grad.ravel().tolist() == [1, 1, 1, 1, 10, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "shape, size, message",
    [
        ((1, 4, 5, 1), (5, 5), "crop: the images are 4x5, too small for 5x5: pad them, or give a smaller size"),
        ((1, 4, 5, 1), (4, 6), "the images are 4x5, too small for 4x6"),
        ((4, 5, 1), (2, 2), r"crop: x has shape \(4, 5, 1\): it must have 4 axes"),
        ((1, 4, 5, 1), 0, "crop: the size is 0: it must be an integer of at least 1"),
        ((1, 4, 5, 1), (2, -1), r"crop: the size is \(2, -1\)"),
        ((1, 4, 5, 1), 1.5, "crop: the size is 1.5"),
    ],
)
def test_errors_name_the_values_and_the_fix(shape, size, message):
    with pytest.raises(ValueError, match=message):
        ops.crop(np.zeros(shape), size)
