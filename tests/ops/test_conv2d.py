"""conv2d: numbers by hand, plain loops over the definition, sizes, types, and what it refuses."""

import hypothesis
import hypothesis.strategies as draw
import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy
from minunet.kernels.threads import set_num_threads

IMAGE = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], "float64").reshape(1, 3, 3, 1)
TAPS = np.array([[1, 10], [100, 1000]], "float64").reshape(2, 2, 1, 1)


def leaves(put, *arrays):
    return [Tensor(put(a), requires_grad=True) for a in arrays]


def plane(array):
    """The first channel of the first image, as a list of rows."""
    return to_numpy(array)[0, :, :, 0].tolist()


# ---- by hand -----------------------------------------------------------------------------------------------


def test_values_by_hand(xp_array):
    y = ops.conv2d(xp_array(IMAGE), xp_array(TAPS), padding="valid")
    assert plane(y.data) == [[5421, 6532], [8754, 9865]]  # 1 + 2·10 + 4·100 + 5·1000 = 5421
    y = ops.conv2d(xp_array(IMAGE), xp_array(TAPS), xp_array(np.array([0.5])), stride=2)
    # "same": one row and one column of zeros, at the end
    assert plane(y.data) == [[5421.5, 603.5], [87.5, 9.5]]
    y = ops.conv2d(xp_array(IMAGE), xp_array(TAPS), stride=3, padding=1)
    assert plane(y.data) == [[1000, 300], [70, 9]]


def test_gradients_by_hand(xp_array):
    x, w, b = leaves(xp_array, IMAGE, TAPS, np.array([0.5]))
    gy = np.array([[1.0, 2], [3, 4]]).reshape(1, 2, 2, 1)
    ops.conv2d(x, w, b, padding="valid").backward(xp_array(gy))
    assert to_numpy(b.grad).tolist() == [10]
    # Tap (0, 0) lies on 1 2 4 5, tap (0, 1) on 2 3 5 6, …, each weighed with gy.
    gw = [[1 + 4 + 12 + 20, 2 + 6 + 15 + 24], [4 + 10 + 21 + 32, 5 + 12 + 24 + 36]]
    assert to_numpy(w.grad)[:, :, 0, 0].tolist() == gw
    # Each gy paints the taps onto its window.
    assert plane(x.grad) == [[1, 10 + 2, 20], [100 + 3, 1000 + 200 + 30 + 4, 2000 + 40], [300, 3000 + 400, 4000]]


def test_channels_and_filters_by_hand():
    x = np.array([2.0, 3]).reshape(1, 1, 1, 2)
    w = np.array([[1.0, 10, 100], [5, 50, 500]]).reshape(1, 1, 2, 3)  # (C_in, C_out)
    assert ops.conv2d(x, w).data.ravel().tolist() == [2 + 15, 20 + 150, 200 + 1500]


def test_two_arrays_by_hand(xp_array):
    """The first rows of the kernel belong to x, the last ones to what is beside it."""
    x, beside = (np.array(numbers).reshape(1, 1, 2, -1) for numbers in ([1.0, 2], [[3.0, 4], [5, 6]]))
    w = np.array([[[1.0], [10], [100]], [[2], [20], [200]]])[None]  # (1, 2, 1 + 2, 1)
    x, w, b, beside = leaves(xp_array, x, w, np.array([0.5]), beside)
    y = ops.conv2d(x, w, b, beside=beside)
    # 1·1 + 2·2, 10·3 + 20·5 and 100·4 + 200·6; at the end there is padding
    assert to_numpy(y.data).ravel().tolist() == [5 + 130 + 1600 + 0.5, 2 + 50 + 600 + 0.5]
    y.backward(xp_array(np.array([1.0, 1000]).reshape(1, 1, 2, 1)))
    assert to_numpy(x.grad).ravel().tolist() == [1, 2 + 1000]
    assert to_numpy(beside.grad).reshape(2, 2).tolist() == [[10, 100], [20 + 10_000, 200 + 100_000]]
    assert to_numpy(w.grad)[0, :, :, 0].tolist() == [[1 + 2000, 3 + 5000, 4 + 6000], [2, 5, 6]]
    assert to_numpy(b.grad).tolist() == [1001]


@pytest.mark.parametrize("needed", [(0,), (1,), (3,), (2, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_of_two_arrays_the_requested_gradients_are_computed(xp_array, needed, bias):
    rng = np.random.default_rng(0)
    shapes = (2, 4, 5, 3), (3, 3, 5, 4), (4,), (2, 4, 5, 2)
    arrays = [xp_array(rng.standard_normal(shape)) for shape in shapes]
    tensors = [Tensor(a, requires_grad=i in needed) for i, a in enumerate(arrays)]
    if not bias:
        tensors[2] = None
    if not any(tensors[i] is not None for i in needed):
        return
    gy = xp_array(rng.standard_normal((2, 4, 5, 4)))
    x, w, b, beside = tensors
    ops.conv2d(x, w, b, beside=beside, activation="relu").backward(gy)
    whole = [Tensor(a, requires_grad=True) for a in arrays]
    joined = ops.concatenate([whole[0], whole[3]])
    ops.conv2d(joined, whole[1], whole[2] if bias else None, activation="relu").backward(gy)
    for i, (tensor, expected) in enumerate(zip(tensors, whole)):
        if tensor is not None and i in needed:
            np.testing.assert_allclose(to_numpy(tensor.grad), to_numpy(expected.grad), rtol=1e-12, atol=1e-12)
        else:
            assert tensor is None or tensor.grad is None


def test_one_array_beside_itself():
    x = Tensor(np.array([1.0, 2, 3]).reshape(1, 1, 3, 1), requires_grad=True)
    y = ops.conv2d(x, np.array([5.0, 100]).reshape(1, 1, 2, 1), beside=x)
    y.backward(np.array([1.0, 10, 1000]).reshape(y.shape))
    assert y.data.ravel().tolist() == [105, 210, 315] and x.grad.ravel().tolist() == [105, 1050, 105_000]


@pytest.mark.parametrize(
    ("shape", "dtype", "error", "message"),
    [
        ((1, 4, 4, 2), "float32", TypeError, "beside is float32, x float64: they must be the same"),
        (
            (1, 4, 5, 2),
            "float64",
            ValueError,
            r"beside has shape \(1, 4, 5, 2\), x \(1, 4, 4, 3\): they must",
        ),
        ((4, 4, 2), "float64", ValueError, r"beside has shape \(4, 4, 2\)"),
        ((1, 4, 4, 1), "float64", ValueError, r"have 3 \+ 1 channels, w \(3, 3, 5, 2\) .* takes 5"),
        ((1, 4, 4, 0), "float64", ValueError, "has no channels: give the other one alone"),
    ],
)
def test_arrays_that_do_not_fit_beside_each_other(shape, dtype, error, message):
    with pytest.raises(error, match=message):
        ops.conv2d(np.ones((1, 4, 4, 3)), np.ones((3, 3, 5, 2)), beside=np.ones(shape, dtype))


def test_the_kernel_is_not_flipped():
    x = np.zeros((1, 3, 3, 1))
    x[0, 1, 1] = 1
    w = np.arange(9.0).reshape(3, 3, 1, 1)
    # As in Keras, a cross-correlation: the response to an impulse is the kernel flipped.
    np.testing.assert_array_equal(ops.conv2d(x, w).data[0, :, :, 0], w[::-1, ::-1, 0, 0])


# ---- plain loops -------------------------------------------------------------------------------------------


def same_padding(n, k, s):
    """Rows of zeros before and after, as TensorFlow adds them."""
    total = max((-(-n // s) - 1) * s + k - n, 0)
    return total // 2, total - total // 2


def loops(x, w, b, gy, stride, pads):
    """y, gx, gw by the sums at the top of conv2d.py."""
    (top, bottom), (left, right) = pads
    N, H, W, C = x.shape
    KH, KW, _, F = w.shape
    OH, OW = (H + top + bottom - KH) // stride[0] + 1, (W + left + right - KW) // stride[1] + 1
    y, gx, gw = np.zeros((N, OH, OW, F)) + b, np.zeros_like(x), np.zeros_like(w)
    for i, j, k, l in np.ndindex(OH, OW, KH, KW):
        p, q = i * stride[0] + k - top, j * stride[1] + l - left
        if 0 <= p < H and 0 <= q < W:
            y[:, i, j] += x[:, p, q] @ w[k, l]
            gx[:, p, q] += gy[:, i, j] @ w[k, l].T
            gw[k, l] += x[:, p, q].T @ gy[:, i, j]
    return y, gx, gw


sides, few = draw.integers(1, 8), draw.integers(1, 3)


@hypothesis.given(
    draw.tuples(few, sides, sides, few),
    draw.tuples(draw.integers(1, 4), draw.integers(1, 4), few),
    draw.tuples(few, few),
    draw.sampled_from(["same", "valid", 0, 1, 2, (1, 0), (0, 3)]),
    draw.integers(0, 99),
)
@hypothesis.settings(max_examples=120)
def test_any_geometry_against_plain_loops(x_shape, w_shape, stride, padding, seed):
    rng = np.random.default_rng(seed)
    KH, KW, F = w_shape
    x, w, b = (rng.standard_normal(shape) for shape in (x_shape, (KH, KW, x_shape[3], F), (F,)))
    if padding == "same":
        pads = [same_padding(n, k, s) for n, k, s in zip(x_shape[1:3], (KH, KW), stride)]
    else:
        both = 0 if padding == "valid" else padding
        pads = [(p, p) for p in (both if isinstance(both, tuple) else (both, both))]
    hypothesis.assume(all(n + sum(p) >= k for n, p, k in zip(x_shape[1:3], pads, (KH, KW))))
    tensors = leaves(np.asarray, x, w, b)
    y = ops.conv2d(*tensors, stride, padding)
    gy = rng.standard_normal(y.shape)
    y.backward(gy)
    expected = [*loops(x, w, b, gy, stride, pads), gy.sum((0, 1, 2))]
    if padding == "same":
        assert y.shape[1:3] == tuple(-(-n // s) for n, s in zip(x_shape[1:3], stride))
    for found, right in zip([y.data, *(t.grad for t in tensors)], expected, strict=True):
        assert found.shape == right.shape
        np.testing.assert_allclose(found, right, rtol=1e-10, atol=1e-10)


# ---- what must hold ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "H, W, kernel, stride, padding, expected",
    [
        (7, 8, 3, 1, "same", (7, 8)),
        (7, 8, 3, 2, "same", (4, 4)),
        (7, 8, 3, 1, "valid", (5, 6)),
        (7, 8, 3, 2, "valid", (3, 3)),
        (7, 8, (1, 5), (2, 3), "same", (4, 3)),
        (7, 8, 3, 1, 2, (9, 10)),
        (7, 8, 3, 2, (0, 1), (3, 4)),
        (1, 1, 5, 1, "same", (1, 1)),
        (3, 3, 3, 1, "valid", (1, 1)),
        (6, 6, 1, 2, "same", (3, 3)),
    ],
)
def test_output_sizes(H, W, kernel, stride, padding, expected):
    KH, KW = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    y = ops.conv2d(np.ones((2, H, W, 3)), np.ones((KH, KW, 3, 4)), None, stride, padding)
    assert y.shape == (2, *expected, 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_dtypes_are_kept(xp_array, dtype, activation):
    x, w, b = leaves(xp_array, *(a.astype(dtype) for a in (IMAGE, TAPS, np.ones(1))))
    y = ops.conv2d(x, w, b, activation=activation)
    y.backward(xp_array(np.ones(y.shape)))
    assert y.dtype == x.grad.dtype == w.grad.dtype == b.grad.dtype == dtype


@pytest.mark.parametrize("bias", [True, False])
def test_fused_relu_equals_a_relu_afterwards(xp_array, bias):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in ((2, 5, 6, 3), (3, 3, 3, 4), (4,))][: 3 if bias else 2]
    gy = xp_array(rng.standard_normal((2, 5, 6, 4)))
    inside, after = leaves(xp_array, *arrays), leaves(xp_array, *arrays)
    y, z = ops.conv2d(*inside, activation="relu"), ops.relu(ops.conv2d(*after))
    y.backward(gy)
    z.backward(gy)
    np.testing.assert_allclose(y.numpy(), z.numpy(), rtol=1e-13)
    assert (y.numpy() == 0).any()
    for a, b in zip(inside, after):
        np.testing.assert_allclose(to_numpy(a.grad), to_numpy(b.grad), rtol=1e-12, atol=1e-12)


def test_only_the_requested_gradients_are_computed():
    for asked in np.ndindex(2, 2, 2):
        tensors = [Tensor(a, requires_grad=bool(ask)) for a, ask in zip((IMAGE, TAPS, np.ones(1)), asked)]
        y = ops.conv2d(*tensors)
        assert y.requires_grad == any(asked)
        if any(asked):
            y.backward(np.ones(y.shape))
        assert [t.grad is not None for t in tensors] == [bool(ask) for ask in asked]


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"x": np.ones((3, 3, 1))}, ValueError, r"conv2d: x has shape \(3, 3, 1\): it must have 4 axes.*\(N,H,W,C\)"),
        (
            {"x": np.ones((1, 3, 3, 2))},
            ValueError,
            r"conv2d: x \(1, 3, 3, 2\) has 2 channels, w \(2, 2, 1, 1\).*takes 1.*channels-last",
        ),
        ({"w": np.ones((2, 2, 1))}, ValueError, r"conv2d: w has shape \(2, 2, 1\): it must have 4 axes"),
        ({"b": np.ones((1, 1))}, ValueError, r"conv2d: b has shape \(1, 1\): it must have 1 axis"),
        ({"b": np.ones(3)}, ValueError, r"conv2d: b has 3 entries, w \(2, 2, 1, 1\) has 1 filters"),
        (
            {"x": IMAGE.astype("uint8")},
            TypeError,
            r'conv2d: x is uint8: it must be floating-point.*astype\("float32"\)',
        ),
        (
            {"w": TAPS.astype("float32")},
            TypeError,
            r"conv2d: the dtypes are x float64, w float32: they must all be the same; convert with .astype",
        ),
        ({"stride": 0}, ValueError, r"conv2d: stride is 0: it must be an integer of at least 1"),
        ({"stride": (1, 2, 3)}, ValueError, r"conv2d: stride is \(1, 2, 3\)"),
        ({"stride": 1.5}, ValueError, r"conv2d: stride is 1.5"),
        ({"stride": True}, ValueError, r"conv2d: stride is True"),
        ({"padding": "full"}, ValueError, r'conv2d: padding is \'full\': it must be "same", "valid"'),
        ({"padding": -1}, ValueError, r"conv2d: padding is -1: it must be an integer of at least 0"),
        ({"padding": None}, ValueError, r"conv2d: padding is None"),
        (
            {"w": np.ones((5, 5, 1, 1)), "padding": "valid"},
            ValueError,
            r"window of \(5, 5\) does not fit.*\(3, 3\).*padding=\"same\"",
        ),
        ({"activation": "tanh"}, ValueError, r"conv2d: activation is 'tanh': it must be None or \"relu\""),
    ],
)
def test_errors_name_the_values_and_the_fix(change, error, message):
    arguments = {"x": IMAGE, "w": TAPS} | change
    with pytest.raises(error, match=message):
        ops.conv2d(**arguments)


def test_arrays_on_different_devices(elsewhere):
    with pytest.raises(ValueError, match=r"Conv2D: .*\(1, 3, 3, 1\) on gpu:7, \(2, 2, 1, 1\) on cpu"):
        ops.conv2d(elsewhere(IMAGE), TAPS)


# ---- windows that lie wholly outside of the image ----------------------------------------------------------


def slow_convolution(x, w, pads):
    """y by loops, for a stride of 1; `pads`: rows above and below, columns left and right."""
    (top, bottom), (left, right) = pads
    N, H, W, C = x.shape
    KH, KW, _, F = w.shape
    y = np.zeros((N, H + top + bottom - KH + 1, W + left + right - KW + 1, F))
    for n, i, j, k, l in np.ndindex(*y.shape[:3], KH, KW):
        p, q = i + k - top, j + l - left
        if 0 <= p < H and 0 <= q < W:
            y[n, i, j] += x[n, p, q] @ w[k, l]
    return y


@pytest.mark.parametrize("threads", [1, 3, 8])
@pytest.mark.parametrize(
    "size, padding, kernel", [(4, 6, 3), (4, (6, 0), 3), (2, 7, 2), (1, (0, 5), 1), (3, 9, (5, 3))]
)
def test_blocks_of_rows_below_and_above_the_image(size, padding, kernel, threads):
    """On 8 threads each row of the output is a block; with a padding of 6 some see no row of the image."""
    set_num_threads(threads)
    rng = np.random.default_rng(0)
    KH, KW = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    x, w = rng.standard_normal((1, size, size, 2)), rng.standard_normal((KH, KW, 2, 3))
    rows, columns = padding if isinstance(padding, tuple) else (padding, padding)
    expected = slow_convolution(x, w, ((rows, rows), (columns, columns)))
    tensors = Tensor(x, requires_grad=True), Tensor(w, requires_grad=True)
    y = ops.conv2d(*tensors, padding=padding)
    np.testing.assert_allclose(y.data, expected, atol=1e-12)
    gy = rng.standard_normal(y.shape)
    y.backward(gy)
    # y is linear in w: <gy, y(w')> = <gw, w'> for any w'
    other = rng.standard_normal(w.shape)
    product = (gy * slow_convolution(x, other, ((rows, rows), (columns, columns)))).sum()
    assert (tensors[1].grad * other).sum() == pytest.approx(product, rel=1e-10)
    assert (tensors[0].grad * x).sum() == pytest.approx((gy * expected).sum(), rel=1e-10)  # and in x
