"""conv_transpose2d: numbers by hand, and that it is the transpose of conv2d."""

import hypothesis
import hypothesis.strategies as draw
import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy

X = np.array([[1.0, 2], [3, 4]]).reshape(1, 2, 2, 1)
TAPS = np.array([[1.0, 10], [100, 1000]]).reshape(2, 2, 1, 1)


def leaves(put, *arrays):
    return [Tensor(put(a), requires_grad=True) for a in arrays]


def plane(array):
    """The first channel of the first image, as a list of rows."""
    return to_numpy(array)[0, :, :, 0].tolist()


# ---- by hand -----------------------------------------------------------------------------------------------


def test_every_pixel_becomes_a_tile(xp_array):
    y = ops.conv_transpose2d(xp_array(X), xp_array(TAPS), xp_array(np.array([0.5])))
    assert plane(y.data) == [
        [1.5, 10.5, 2.5, 20.5],
        [100.5, 1000.5, 200.5, 2000.5],
        [3.5, 30.5, 4.5, 40.5],
        [300.5, 3000.5, 400.5, 4000.5],
    ]


def test_tiles_that_overlap_add_up(xp_array):
    y = ops.conv_transpose2d(xp_array(X), xp_array(TAPS), stride=1, padding="valid")
    assert plane(y.data) == [[1, 10 + 2, 20], [100 + 3, 1000 + 200 + 30 + 4, 2000 + 40], [300, 3400, 4000]]
    y = ops.conv_transpose2d(xp_array(X), xp_array(TAPS), stride=1, padding="same")
    assert plane(y.data) == [[1, 12], [103, 1234]]  # the padding at the end is cropped
    y = ops.conv_transpose2d(xp_array(X), xp_array(TAPS), stride=1, padding=1)
    assert plane(y.data) == [[1234]]


def test_tiles_that_leave_gaps():
    y = ops.conv_transpose2d(X, np.full((1, 1, 1, 1), 5.0), stride=2)
    assert plane(y.data) == [[5, 0, 10, 0], [0, 0, 0, 0], [15, 0, 20, 0], [0, 0, 0, 0]]


def test_gradients_by_hand(xp_array):
    x, w, b = leaves(xp_array, X, TAPS, np.array([0.5]))
    gy = np.arange(16.0).reshape(1, 4, 4, 1)
    ops.conv_transpose2d(x, w, b).backward(xp_array(gy))
    assert to_numpy(b.grad).tolist() == [120]
    # x[0, 0] painted the tile 0 1 / 4 5, so it collects 0·1 + 1·10 + 4·100 + 5·1000.
    assert plane(x.grad) == [[5410, 7632], [14298, 16520]]
    # Tap (0, 0) painted 0, 2, 8 and 10.
    gw = [[0 + 4 + 24 + 40, 1 + 6 + 27 + 44], [4 + 12 + 36 + 56, 5 + 14 + 39 + 60]]
    assert to_numpy(w.grad)[:, :, 0, 0].tolist() == gw


def test_output_channels_come_before_input_channels():
    x = np.array([2.0, 3]).reshape(1, 1, 1, 2)
    w = np.array([[1.0, 5], [10, 50], [100, 500]]).reshape(1, 1, 3, 2)
    assert ops.conv_transpose2d(x, w, stride=1).data.ravel().tolist() == [17, 170, 1700]


# ---- the transpose of conv2d -------------------------------------------------------------------------------

sides, few = draw.integers(1, 6), draw.integers(1, 3)


@hypothesis.given(
    draw.tuples(few, sides, sides, few),
    draw.tuples(draw.integers(1, 4), draw.integers(1, 4), few),
    draw.tuples(few, few),
    draw.sampled_from(["same", "valid", 0, 1, (1, 0)]),
    draw.integers(0, 99),
)
@hypothesis.settings(max_examples=120)
def test_it_is_the_adjoint_of_conv2d(x_shape, w_shape, stride, padding, seed):
    """⟨conv_transpose2d(x), y⟩ = ⟨x, conv2d(y)⟩, and the gradients of one are the products of the other."""
    rng = np.random.default_rng(seed)
    KH, KW, F = w_shape
    if not isinstance(padding, str):
        pads = padding if isinstance(padding, tuple) else (padding, padding)
        sizes = zip(x_shape[1:3], stride, (KH, KW), pads)
        hypothesis.assume(all((n - 1) * s + k > 2 * p for n, s, k, p in sizes))
    x, w = leaves(np.asarray, rng.standard_normal(x_shape), rng.standard_normal((KH, KW, F, x_shape[3])))
    painted = ops.conv_transpose2d(x, w, None, stride, padding)
    image = Tensor(rng.standard_normal(painted.shape), requires_grad=True)
    seen = ops.conv2d(image, w.detach(), None, stride, padding)
    assert seen.shape == x_shape
    product = np.vdot(x.data, seen.data)
    assert np.vdot(painted.data, image.data) == pytest.approx(product, rel=1e-9, abs=1e-9)
    painted.backward(image.data)
    np.testing.assert_allclose(x.grad, seen.data, rtol=1e-10, atol=1e-10)
    seen.backward(x.data)
    np.testing.assert_allclose(image.grad, painted.data, rtol=1e-10, atol=1e-10)
    kernel = Tensor(w.data, requires_grad=True)
    ops.conv2d(image.detach(), kernel, None, stride, padding).backward(x.data)
    np.testing.assert_allclose(w.grad, kernel.grad, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "kernel, stride, padding",
    [((3, 3), (2, 2), "same"), ((3, 2), (2, 1), "valid"), ((2, 2), (3, 3), "same"), ((4, 4), (2, 2), 1)],
)
def test_against_plain_loops(kernel, stride, padding):
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((2, 3, 4, 3)), rng.standard_normal((*kernel, 2, 3)), rng.standard_normal(2)
    y = ops.conv_transpose2d(x, w, b, stride, padding).data
    whole = np.zeros((2, *((n - 1) * s + k for n, s, k in zip((3, 4), stride, kernel)), 2))
    for i, j, k, l in np.ndindex(3, 4, *kernel):
        whole[:, i * stride[0] + k, j * stride[1] + l] += x[:, i, j] @ w[k, l].T
    if padding == "same" and kernel < stride:  # gaps: what no pixel paints is added at the end
        whole = np.pad(whole, ((0, 0), (0, stride[0] - kernel[0]), (0, stride[1] - kernel[1]), (0, 0)))
    same = [max(k - s, 0) // 2 for k, s in zip(kernel, stride)]
    top, left = {"same": same, "valid": [0, 0]}.get(padding, [padding, padding])
    np.testing.assert_allclose(y, whole[:, top : top + y.shape[1], left : left + y.shape[2]] + b, rtol=1e-12)


# ---- what must hold ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size, kernel, stride, padding, expected",
    [
        ((4, 5), 2, 2, "same", (8, 10)),
        ((4, 5), 3, 2, "same", (8, 10)),
        ((4, 5), 3, 2, "valid", (9, 11)),
        ((4, 5), 2, 3, "valid", (12, 15)),
        ((4, 5), 3, 1, "same", (4, 5)),
        ((4, 5), 3, 1, "valid", (6, 7)),
        ((4, 5), (4, 2), (2, 1), 1, (8, 4)),
        ((1, 1), 5, 2, "valid", (5, 5)),
        ((3, 3), 3, 2, (1, 0), (5, 7)),
    ],
)
def test_output_sizes(size, kernel, stride, padding, expected):
    KH, KW = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    y = ops.conv_transpose2d(np.ones((2, *size, 3)), np.ones((KH, KW, 4, 3)), None, stride, padding)
    assert y.shape == (2, *expected, 4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_are_kept(xp_array, dtype):
    x, w, b = leaves(xp_array, *(a.astype(dtype) for a in (X, TAPS, np.ones(1))))
    y = ops.conv_transpose2d(x, w, b)
    y.backward(xp_array(np.ones(y.shape)))
    assert y.dtype == x.grad.dtype == w.grad.dtype == b.grad.dtype == dtype


def test_only_the_requested_gradients_are_computed():
    for asked in np.ndindex(2, 2, 2):
        tensors = [Tensor(a, requires_grad=bool(ask)) for a, ask in zip((X, TAPS, np.ones(1)), asked)]
        y = ops.conv_transpose2d(*tensors)
        if any(asked):
            y.backward(np.ones(y.shape))
        assert [t.grad is not None for t in tensors] == [bool(ask) for ask in asked]


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"x": np.ones((2, 2, 1))}, ValueError, r"conv_transpose2d: x has shape \(2, 2, 1\): it must have 4 axes"),
        (
            {"x": np.ones((1, 2, 2, 3))},
            ValueError,
            r"conv_transpose2d: x \(1, 2, 2, 3\) has 3 channels.*takes 1.*C_out comes before C_in",
        ),
        ({"w": np.ones((2, 2, 5, 3))}, ValueError, r"x \(1, 2, 2, 1\) has 1 channels, w \(2, 2, 5, 3\)"),
        ({"b": np.ones(2)}, ValueError, r"conv_transpose2d: b has 2 entries, w \(2, 2, 1, 1\) makes 1 channels"),
        (
            {"w": TAPS.astype("float32")},
            TypeError,
            r"conv_transpose2d: the dtypes are x float64, w float32: they must all be the same",
        ),
        ({"x": X.astype(int)}, TypeError, r"conv_transpose2d: x is int64: it must be floating-point"),
        ({"stride": -2}, ValueError, r"conv_transpose2d: stride is -2: it must be an integer of at least 1"),
        ({"padding": "full"}, ValueError, r"conv_transpose2d: padding is 'full'"),
        ({"padding": (1,)}, ValueError, r"conv_transpose2d: padding is \(1,\)"),
        (
            {"padding": 2},
            ValueError,
            r"conv_transpose2d: padding 2 leaves nothing: \(2, 2\) would become \(0, 0\); give less",
        ),
    ],
)
def test_errors_name_the_values_and_the_fix(change, error, message):
    with pytest.raises(error, match=message):
        ops.conv_transpose2d(**({"x": X, "w": TAPS} | change))
