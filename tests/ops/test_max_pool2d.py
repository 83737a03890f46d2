"""max_pool2d: plain loops, and which pixel gets the gradient: ties, overlapping windows, padding."""

import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as draw
import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy


def image(rows):
    return np.array(rows, "float64")[None, :, :, None]


def gradient(put, rows, gy, **options):
    x = Tensor(put(image(rows)), requires_grad=True)
    y = ops.max_pool2d(x, **options)
    y.backward(put(image(gy)))
    return to_numpy(x.grad)[0, :, :, 0].tolist()


def test_values_and_gradient_by_hand(xp_array):
    rows = [[1, 5, 2, 0], [3, 4, 9, 7], [0, -1, -3, -4], [-2, -5, -2, -9]]
    assert to_numpy(ops.max_pool2d(xp_array(image(rows))).data)[0, :, :, 0].tolist() == [[5, 9], [0, -2]]
    gx = [[0, 1, 0, 0], [0, 0, 2, 0], [3, 0, 0, 0], [0, 0, 4, 0]]
    assert gradient(xp_array, rows, [[1, 2], [3, 4]]) == gx


def test_among_equals_the_first_in_row_major_order_gets_the_whole_gradient(xp_array):
    assert gradient(xp_array, [[7, 7], [7, 7]], [[5]]) == [[5, 0], [0, 0]]
    assert gradient(xp_array, [[1, 7], [7, 7]], [[5]]) == [[0, 5], [0, 0]]
    assert gradient(xp_array, [[1, 2], [7, 7]], [[5]]) == [[0, 0], [5, 0]]
    assert gradient(xp_array, [[0, 0, 0], [0, 0, 0], [0, 0, 0]], [[1, 10], [100, 1000]], size=2, stride=1) == [
        [1, 10, 0],
        [100, 1000, 0],
        [0, 0, 0],
    ]


def test_the_maximum_of_several_windows_gets_the_sum(xp_array):
    rows = [[1, 2, 3], [4, 9, 5], [6, 7, 8]]
    gx = gradient(xp_array, rows, [[1, 10], [100, 1000]], size=2, stride=1)
    assert gx == [[0, 0, 0], [0, 1111, 0], [0, 0, 0]]
    assert gradient(xp_array, [[1, 3, 2, 8]], [[1, 10, 100]], size=(1, 2), stride=1) == [[0, 11, 0, 100]]


def test_leftover_rows_and_columns_are_ignored(xp_array):
    rows = [[1, 2, 99], [3, 4, 99], [99, 99, 99]]
    assert gradient(xp_array, rows, [[5]]) == [[0, 0, 0], [0, 5, 0], [0, 0, 0]]


def test_padding_is_never_the_maximum(xp_array):
    rows = [[-5, -7, -9], [-6, -8, -3]]
    x = xp_array(image(rows))
    assert to_numpy(ops.max_pool2d(x, 3, 1, "same").data)[0, :, :, 0].tolist() == [[-5, -3, -3], [-5, -3, -3]]
    gx = gradient(xp_array, rows, [[1, 2, 3], [4, 5, 6]], size=3, stride=1, padding=1)
    assert gx == [[1 + 4, 0, 0], [0, 0, 2 + 3 + 5 + 6]]


def test_channels_and_images_are_pooled_separately():
    x = np.zeros((2, 2, 2, 2))
    x[0, 0, 1, 0], x[0, 1, 0, 1], x[1, 1, 1, 0] = 1, 2, 3
    assert ops.max_pool2d(x).data.reshape(2, 2).tolist() == [[1, 2], [3, 0]]


@pytest.mark.parametrize("place", list(np.ndindex(2, 2)))
def test_nan_is_not_hidden(xp_array, place):
    x = np.ones((1, 4, 4, 1))
    x[(0, *place)] = np.nan
    y = to_numpy(ops.max_pool2d(xp_array(x)).data)
    assert np.isnan(y[0, 0, 0, 0]) and np.isfinite(y[0, 1, 1, 0])


few = draw.integers(1, 2)
images = arrays.arrays(
    "float64", draw.tuples(few, draw.integers(2, 7), draw.integers(2, 7), few), elements=draw.integers(-3, 3)
)


@hypothesis.given(
    images,
    draw.tuples(draw.integers(1, 3), draw.integers(1, 3)),
    draw.tuples(draw.integers(1, 4), draw.integers(1, 4)),
    draw.sampled_from(["valid", "same", 1, (0, 1)]),
)
@hypothesis.settings(max_examples=100)
def test_any_geometry_against_plain_loops_with_many_ties(x, size, stride, padding):
    N, H, W, C = x.shape
    widths = {"valid": (0, 0), 1: (1, 1), (0, 1): (0, 1)}
    if padding == "same":
        totals = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip((H, W), size, stride)]
        before, after = [t // 2 for t in totals], [t - t // 2 for t in totals]
    else:
        before = after = widths[padding]
    hypothesis.assume(all(p < k and n + p + q >= k for n, p, q, k in zip((H, W), before, after, size)))
    OH, OW = ((n + p + q - k) // s + 1 for n, p, q, k, s in zip((H, W), before, after, size, stride))
    leaf = Tensor(x, requires_grad=True)
    y = ops.max_pool2d(leaf, size, stride, padding)
    gy = np.random.default_rng(0).standard_normal((N, OH, OW, C))
    y.backward(gy)
    expected, gx = np.zeros((N, OH, OW, C)), np.zeros_like(x)
    for n, i, j, c in np.ndindex(N, OH, OW, C):
        top, left = i * stride[0] - before[0], j * stride[1] - before[1]
        window = [
            (n, p, q, c)
            for p in range(top, top + size[0])
            for q in range(left, left + size[1])
            if 0 <= p < H and 0 <= q < W
        ]
        best = max(window, key=lambda place: x[place])  # among equals the first
        expected[n, i, j, c] = x[best]
        gx[best] += gy[n, i, j, c]
    np.testing.assert_array_equal(y.data, expected)
    np.testing.assert_allclose(leaf.grad, gx, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_are_kept(xp_array, dtype):
    x = Tensor(xp_array(np.ones((1, 5, 5, 2), dtype)), requires_grad=True)
    y = ops.max_pool2d(x, 3, 2, "same")
    y.backward(xp_array(np.ones(y.shape)))
    assert y.shape == (1, 3, 3, 2) and y.dtype == x.grad.dtype == dtype


@pytest.mark.parametrize(
    "x, options, error, message",
    [
        (np.ones((4, 4, 1)), {}, ValueError, r"max_pool2d: x has shape \(4, 4, 1\): it must have 4 axes"),
        (np.ones((1, 4, 4, 1), int), {}, TypeError, r"max_pool2d: x is int64: it must be floating-point"),
        (
            np.ones((1, 1, 4, 1)),
            {},
            ValueError,
            r"max_pool2d: a window of \(2, 2\) does not fit into an image of \(1, 4\)",
        ),
        (np.ones((1, 4, 4, 1)), {"size": 0}, ValueError, r"max_pool2d: size is 0: it must be an integer of at least 1"),
        (np.ones((1, 4, 4, 1)), {"stride": 0}, ValueError, r"max_pool2d: stride is 0"),
        (np.ones((1, 4, 4, 1)), {"padding": "all"}, ValueError, r"max_pool2d: padding is 'all'"),
        (
            np.ones((1, 4, 4, 1)),
            {"padding": 2},
            ValueError,
            r"max_pool2d: padding 2 is not smaller than the window \(2, 2\).*padding",
        ),
    ],
)
def test_errors_name_the_values_and_the_fix(x, options, error, message):
    with pytest.raises(error, match=message):
        ops.max_pool2d(x, **options)
