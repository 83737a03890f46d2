"""concatenate: order, axes, and which slice of the gradient goes where."""

import numpy as np
import pytest

from minunet import Tensor, no_grad, ops
from minunet.device import to_numpy
from minunet.ops.concatenate import ConcatenateFunction, LazyConcatenation


def test_order_and_gradients_by_hand(xp_array):
    """The first input comes first: with [upsampled, skip] the first channels are the upsampled ones."""
    upsampled = Tensor(xp_array(np.array([[1.0, 2]])), requires_grad=True)
    skip = Tensor(xp_array(np.array([[3.0, 4, 5]])), requires_grad=True)
    y = ops.concatenate([upsampled, skip])
    assert to_numpy(y.data).tolist() == [[1, 2, 3, 4, 5]]
    y.backward(xp_array(np.array([[10.0, 20, 30, 40, 50]])))
    assert to_numpy(upsampled.grad).tolist() == [[10, 20]]
    assert to_numpy(skip.grad).tolist() == [[30, 40, 50]]


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2, -4])
@pytest.mark.parametrize("sizes", [[1], [2, 3], [1, 2, 3], [2, 0, 1], [1, 1, 1, 1]])
def test_any_axis_and_any_number_of_inputs(axis, sizes):
    rng = np.random.default_rng(0)
    shapes = [tuple(size if i == axis % 4 else 2 for i in range(4)) for size in sizes]
    tensors = [Tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]
    y = ops.concatenate(tensors, axis)
    gy = rng.standard_normal(y.shape)
    y.backward(gy)
    moved, start = np.moveaxis(y.data, axis, 0), 0
    for tensor, size in zip(tensors, sizes):
        lies = slice(start, start + size)
        np.testing.assert_array_equal(np.moveaxis(tensor.data, axis, 0), moved[lies])
        np.testing.assert_array_equal(np.moveaxis(tensor.grad, axis, 0), np.moveaxis(gy, axis, 0)[lies])
        start += size
    assert moved.shape[0] == start


def test_one_tensor_twice():
    x = Tensor([1.0, 2], requires_grad=True)
    ops.concatenate([x, x]).backward(np.array([1.0, 10, 100, 1000]))
    assert x.grad.tolist() == [101, 1010]


def test_inputs_that_need_no_gradient():
    x = Tensor([1.0], requires_grad=True)
    ops.concatenate([Tensor([2.0]), x, np.array([3.0])]).backward(np.array([1.0, 10, 100]))
    assert x.grad.tolist() == [10]


def test_a_slice_of_the_gradient_does_not_keep_all_of_it_alive():
    a, b = Tensor(np.ones((2, 1)), requires_grad=True), Tensor(np.ones((2, 1000)), requires_grad=True)
    ops.concatenate([a, b]).backward(np.ones((2, 1001)))
    assert a.grad.base is None and a.grad.flags.owndata


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_dtypes_are_kept(xp_array, dtype):
    a, b = (xp_array(np.ones((2, channels), dtype)) for channels in (1, 3))
    assert ops.concatenate([a, b]).dtype == dtype


def test_any_iterable_of_tensors():
    assert ops.concatenate(np.full(2, float(k)) for k in range(3)).data.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    "arrays, axis, error, message",
    [
        ([], -1, ValueError, "concatenate: give at least one tensor"),
        (
            [np.ones((2, 3)), np.ones((3, 3))],
            -1,
            ValueError,
            r"along axis -1: the shapes are \(2, 3\), \(3, 3\): they must be equal in all other axes; crop or pad",
        ),
        ([np.ones((2, 3)), np.ones((2, 4))], 0, ValueError, r"along axis 0: the shapes are \(2, 3\), \(2, 4\)"),
        ([np.ones((2, 3)), np.ones(3)], 0, ValueError, r"the shapes are \(2, 3\), \(3,\)"),
        ([np.ones((2, 3))], 2, ValueError, r"there is no axis 2 in an array of shape \(2, 3\)"),
        ([np.ones((2, 3))], -3, ValueError, r"there is no axis -3"),
        ([np.array(1.0)], 0, ValueError, r"there is no axis 0 in an array of shape \(\)"),
        (
            [np.ones(2), np.ones(2, "float32")],
            0,
            TypeError,
            "the dtypes are float64, float32: they must all be the same; convert with .astype",
        ),
    ],
)
def test_errors_name_the_values_and_the_fix(arrays, axis, error, message):
    with pytest.raises(error, match=message):
        ops.concatenate(arrays, axis)


def test_arrays_on_different_devices(elsewhere):
    with pytest.raises(ValueError, match=r"Concatenate: .*\(2,\) on cpu, \(3,\) on gpu:7"):
        ops.concatenate([np.ones(2), elsewhere(np.ones(3))])


@pytest.mark.parametrize("channels", [(0, 3), (3, 0), (0, 0)])
@pytest.mark.parametrize("axis", [-1, 3])
def test_an_input_without_channels(channels, axis, xp_array):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, 3, 4, count)) for count in channels]
    tensors = [Tensor(xp_array(array), requires_grad=True) for array in arrays]
    y = ops.concatenate(tensors, axis)
    gy = rng.standard_normal((2, 3, 4, sum(channels)))
    assert y.shape == gy.shape and to_numpy(y.data).tolist() == arrays[int(channels[0] == 0)].tolist()
    y.backward(xp_array(gy))
    for tensor, count in zip(tensors, channels):
        assert tensor.grad.shape == (2, 3, 4, count)
        assert count == 0 or to_numpy(tensor.grad).tolist() == gy.tolist()


# ---- not written before somebody asks for it ---------------------------------------------------------------


def two_images(put=lambda array: array, requires_grad=True):
    rng = np.random.default_rng(0)
    shapes = (2, 3, 4, 2), (2, 3, 4, 5)
    return [Tensor(put(rng.standard_normal(shape)), requires_grad=requires_grad) for shape in shapes]


KERNEL = np.random.default_rng(1).standard_normal((3, 3, 7, 4))


def test_a_convolution_does_not_write_it(xp_array, monkeypatch):
    a, b = two_images(xp_array)
    expected = ops.conv2d(ops.concatenate([a, b]), xp_array(KERNEL))
    monkeypatch.setattr(ConcatenateFunction, "forward", lambda *_: pytest.fail("it was written"))
    joined = ops.concatenate([a, b], lazy=True)
    assert (joined.shape, joined.ndim, joined.size, len(joined)) == ((2, 3, 4, 7), 4, 2 * 3 * 4 * 7, 2)
    assert (joined.dtype, joined.device, joined.requires_grad) == (a.dtype, a.device, True)
    found = ops.conv2d(joined, xp_array(KERNEL))
    np.testing.assert_allclose(to_numpy(found.data), to_numpy(expected.data), rtol=1e-12, atol=1e-12)


def test_whoever_asks_gets_the_numbers_and_the_gradients(xp_array):
    a, b = two_images(xp_array)
    joined = ops.concatenate([a, b], lazy=True)
    np.testing.assert_array_equal(joined.numpy(), ops.concatenate([a, b]).numpy())
    gy = np.random.default_rng(2).standard_normal(joined.shape)
    (joined * 3).backward(xp_array(gy))
    np.testing.assert_array_equal(to_numpy(a.grad), 3 * gy[..., :2])
    np.testing.assert_array_equal(to_numpy(b.grad), 3 * gy[..., 2:])


def test_used_by_a_convolution_and_by_something_else():
    def gradients(lazy):
        a, b = two_images()
        joined = ops.concatenate([a, b], lazy=lazy)
        y = ops.conv2d(joined, KERNEL)
        (y.sum() + (joined * joined).sum() + ops.conv2d(joined, KERNEL, activation="relu").sum()).backward()
        return a.grad, b.grad

    for found, expected in zip(gradients(True), gradients(False)):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_what_was_written_into_its_data_counts():
    """As when a forward hook sets the skip to 0."""
    a, b = two_images()
    joined = ops.concatenate([a, b], lazy=True)
    joined.data[..., 2:] = 0
    alone = ops.conv2d(a, KERNEL[:, :, :2])
    np.testing.assert_allclose(ops.conv2d(joined, KERNEL).data, alone.data, rtol=1e-12, atol=1e-12)
    joined = ops.concatenate([a, b], lazy=True)
    joined.data = np.zeros(joined.shape)
    assert not ops.conv2d(joined, KERNEL).data.any()


def test_gradients_are_recorded_where_it_was_called_not_where_it_is_written():
    a, b = two_images()
    joined = ops.concatenate([a, b], lazy=True)
    with no_grad():
        assert joined.numpy().shape == (2, 3, 4, 7)
        silent = ops.concatenate([a, b], lazy=True)
    joined.sum().backward()
    assert a.grad.tolist() == np.ones(a.shape).tolist() and b.grad.tolist() == np.ones(b.shape).tolist()
    assert not silent.requires_grad and not (silent * 2).requires_grad and not ops.conv2d(silent, KERNEL).requires_grad


@pytest.mark.parametrize("change", ["in place", "another array"])
def test_an_input_that_was_changed_before_it_was_written(change):
    a, b = two_images(requires_grad=False)
    joined = ops.concatenate([a, b], lazy=True)
    b.data = b.data if change == "in place" else 2 * b.data
    for read in (lambda: joined.data, lambda: ops.conv2d(joined, KERNEL)):
        with pytest.raises(
            RuntimeError, match=r"an input \(2, 3, 4, 5\) was changed before the concatenation was written"
        ):
            read()


def test_what_a_convolution_cannot_read_is_written_at_once():
    a, b = two_images()
    ints = np.ones((2, 3, 4, 2), int)
    for arrays, axis in [
        ([a, b, a], -1),
        ([a], -1),
        ([a.data, b.data], -1),
        ([a, a], 0),
        ([a.reshape(6, 4, 2), b.reshape(6, 4, 5)], -1),
        ([a, np.ones((2, 3, 4, 0))], -1),
        ([Tensor(ints), Tensor(ints)], -1),
    ]:
        assert type(ops.concatenate(arrays, axis, lazy=True)) is Tensor
    with pytest.raises(ValueError, match="they must be equal"):
        ops.concatenate([a, Tensor(np.ones((2, 3, 5, 2)))], lazy=True)
    with pytest.raises(TypeError, match="the dtypes are float64, float32"):
        ops.concatenate([a, Tensor(np.ones((2, 3, 4, 2), "float32"))], lazy=True)
    assert isinstance(ops.concatenate([a, b], 3, lazy=True), LazyConcatenation)
