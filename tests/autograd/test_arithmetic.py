"""The operators of Tensor: values against NumPy, gradients against numbers by hand and plain loops."""

import hypothesis
import hypothesis.extra.numpy as arrays
import numpy as np
import pytest

from minunet import Tensor, device


def leaf(values, dtype="float64"):
    return Tensor(np.array(values, dtype), requires_grad=True)


# ---- values ------------------------------------------------------------------------------------------------

A, B = np.array([[1.5, 2, 3], [4, 0.5, 6]]), np.array([[2.0, 3, 0.5], [1, 2, 4]])
COLUMN, ROW, STACK = np.array([[2.0], [3]]), np.array([1.0, 2, 4]), np.arange(1.0, 13).reshape(2, 3, 2)

BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}
UNARY = {
    "-x": lambda x: -x,
    "x + 2": lambda x: x + 2,
    "2 + x": lambda x: 2 + x,
    "x - 2": lambda x: x - 2,
    "2 - x": lambda x: 2 - x,
    "x * 2": lambda x: x * 2,
    "2 * x": lambda x: 2 * x,
    "x / 2": lambda x: x / 2,
    "2 / x": lambda x: 2 / x,
    "x ** 2": lambda x: x**2,
    "x ** 0.5": lambda x: x**0.5,
    "2 ** x": lambda x: 2**x,
    "x ** -1": lambda x: x**-1.0,
    "x - True": lambda x: x - True,
    "np.float64 * x": lambda x: np.float64(2.5) * x,
    "x * np.float32": lambda x: x * np.float32(2.5),
    "sum": lambda x: x.sum(),
    "sum 0": lambda x: x.sum(0),
    "sum -1": lambda x: x.sum(-1, keepdims=True),
    "sum (0, 1)": lambda x: x.sum((0, 1)),
    "sum ()": lambda x: x.sum(()),
    "mean": lambda x: x.mean(),
    "mean 1": lambda x: x.mean(1),
    "mean keepdims": lambda x: x.mean((0, -1), keepdims=True),
    "reshape": lambda x: x.reshape(3, -1),
    "reshape tuple": lambda x: x.reshape((1, 6)),
    "reshape -1": lambda x: x.reshape(-1),
    "T": lambda x: x.T,
    "transpose": lambda x: x.transpose(),
    "transpose 1 0": lambda x: x.transpose(1, 0),
    "transpose tuple": lambda x: x.transpose((-1, 0)),
    "x[1]": lambda x: x[1],
    "x[:, 1:]": lambda x: x[:, 1:],
    "x[..., -1]": lambda x: x[..., -1],
    "x[None]": lambda x: x[None],
    "x[::-1, ::2]": lambda x: x[::-1, ::2],
    "x[[1, 1, 0]]": lambda x: x[[1, 1, 0]],
    "x[rows, columns]": lambda x: x[[0, 1], [2, 0]],
    "x[np.int64]": lambda x: x[np.int64(1)],
    "x[1, 2]": lambda x: x[1, 2],
    "row - x": lambda x: np.array([1.0, 2, 3]) - x,
    "row / x": lambda x: np.array([1.0, 2, 3]) / x,
    "matrix @ x": lambda x: np.array([[1.0, 2], [3, 4], [5, 6]]) @ x,
    "x @ vector": lambda x: x @ np.array([1.0, 2, 3]),
}


@pytest.mark.parametrize("f", UNARY.values(), ids=UNARY)
def test_values_match_numpy(f):
    y, expected = f(Tensor(A)), f(A)
    assert isinstance(y, Tensor)
    assert y.shape == np.shape(expected)
    np.testing.assert_allclose(y.data, expected, rtol=1e-14)


@pytest.mark.parametrize("f", BINARY.values(), ids=BINARY)
@pytest.mark.parametrize("a, b", [(A, B), (A, ROW), (COLUMN, A), (A, np.array(3.0)), (COLUMN, ROW), (ROW, COLUMN)])
def test_values_of_two_arrays_that_broadcast(f, a, b):
    y = f(Tensor(a), Tensor(b))
    np.testing.assert_allclose(y.data, f(a, b), rtol=1e-14)


@pytest.mark.parametrize(
    "a, b",
    [
        (A, A.T),
        (A, ROW),
        (ROW, A.T),
        (ROW, ROW),
        (STACK, A[:, :2].T @ A),
        (A, STACK),
        (STACK, A),
        (STACK, ROW[:2]),
        (ROW, STACK),
    ],
)
def test_matrix_products_match_numpy(a, b):
    np.testing.assert_allclose((Tensor(a) @ Tensor(b)).data, np.matmul(a, b), rtol=1e-14)


def test_exp_and_log():
    e, half = 2.718281828459045, 0.6931471805599453
    np.testing.assert_allclose(Tensor([0.0, 1.0, -2.0]).exp().data, [1, e, 0.1353352832366127], rtol=1e-14)
    np.testing.assert_allclose(Tensor([1.0, e, 0.5]).log().data, [0, 1, -half], rtol=1e-14)


# ---- gradients by hand -------------------------------------------------------------------------------------

BY_HAND = {  # f, inputs, upstream gradient, the gradient of each input
    "a + b": (lambda a, b: a + b, [[1, 2], [3, 4]], [5, 7], [[5, 7], [5, 7]]),
    "a - b": (lambda a, b: a - b, [[1, 2], [3, 4]], [5, 7], [[5, 7], [-5, -7]]),
    "a * b": (lambda a, b: a * b, [[1, 2], [3, 4]], [5, 7], [[15, 28], [5, 14]]),
    "a / b": (lambda a, b: a / b, [[1, 6], [2, 4]], [8, 16], [[4, 4], [-2, -6]]),
    "2 / a": (lambda a: 2 / a, [[1, 2]], [1, 1], [[-2, -0.5]]),
    "2 - a": (lambda a: 2 - a, [[1, 2]], [1, 3], [[-1, -3]]),
    "a ** 3": (lambda a: a**3, [[2, -1]], [1, 10], [[12, 30]]),
    "a ** b": (lambda a, b: a**b, [[1, 2], [3, 2]], [5, 1], [[15, 4], [0, 4 * np.log(2)]]),
    "2 ** a": (lambda a: 2**a, [[0, 3]], [1, 1], [[np.log(2), 8 * np.log(2)]]),
    "-a": (lambda a: -a, [[1, 2]], [5, 7], [[-5, -7]]),
    "exp": (lambda a: a.exp(), [[0, np.log(3)]], [5, 7], [[5, 21]]),
    "log": (lambda a: a.log(), [[1, 4]], [5, 8], [[5, 2]]),
    "column + row": (
        lambda a, b: a + b,
        [[[1], [2]], [[3, 4]]],
        [[1, 10], [100, 1000]],
        [[[11], [1100]], [[101, 1010]]],
    ),
    "column * row": (
        lambda a, b: a * b,
        [[[1], [2]], [[3, 4]]],
        [[1, 10], [100, 1000]],
        [[[43], [4300]], [[201, 2010]]],
    ),
    "row - number": (lambda a, b: a - b, [[1, 2], 3], [5, 7], [[5, 7], -12]),
    "matrices": (lambda a, b: a @ b, [[[1, 2]], [[3], [4]]], [[10]], [[[30, 40]], [[10], [20]]]),
    "vectors": (lambda a, b: a @ b, [[1, 2], [3, 4]], 10, [[30, 40], [10, 20]]),
    "matrix, vector": (lambda a, b: a @ b, [[[1, 2], [3, 4]], [5, 6]], [1, 10], [[[5, 6], [50, 60]], [31, 42]]),
    "vector, matrix": (lambda a, b: a @ b, [[1, 2], [[3, 4], [5, 6]]], [1, 10], [[43, 65], [[1, 10], [2, 20]]]),
    "sum": (lambda a: a.sum(), [[[1, 2], [3, 4]]], 5, [[[5, 5], [5, 5]]]),
    "sum 0": (lambda a: a.sum(0), [[[1, 2], [3, 4]]], [5, 7], [[[5, 7], [5, 7]]]),
    "sum -1": (lambda a: a.sum(-1), [[[1, 2], [3, 4]]], [5, 7], [[[5, 5], [7, 7]]]),
    "mean": (lambda a: a.mean(), [[[1, 2], [3, 4]]], 8, [[[2, 2], [2, 2]]]),
    "mean 1": (lambda a: a.mean(1, keepdims=True), [[[1, 2], [3, 4]]], [[8], [6]], [[[4, 4], [3, 3]]]),
    "reshape": (lambda a: a.reshape(4), [[[1, 2], [3, 4]]], [5, 6, 7, 8], [[[5, 6], [7, 8]]]),
    "T": (lambda a: a.T, [[[1, 2], [3, 4]]], [[5, 6], [7, 8]], [[[5, 7], [6, 8]]]),
    "rolled axes": (lambda a: a.transpose(2, 0, 1), [[[[1, 2, 3]]]], [[[5]], [[6]], [[7]]], [[[[5, 6, 7]]]]),
    "a slice": (lambda a: a[1:, 0], [[[1, 2], [3, 4]]], [5], [[[0, 0], [5, 0]]]),
    "one element": (lambda a: a[1, 0], [[[1, 2], [3, 4]]], 5, [[[0, 0], [5, 0]]]),
    "picked twice": (lambda a: a[[1, 0, 1]], [[1, 2]], [5, 7, 11], [[7, 16]]),
    "pairs": (lambda a: a[[0, 1, 0], [1, 1, 1]], [[[1, 2], [3, 4]]], [5, 7, 11], [[[0, 16], [0, 7]]]),
    "a mask": (lambda a: a[np.array([True, False, True])], [[1, 2, 3]], [5, 7], [[5, 0, 7]]),
    "a Tensor as index": (lambda a: a[Tensor([1, 1])], [[1, 2]], [5, 7], [[0, 12]]),
    "a new axis": (lambda a: a[:, None], [[1, 2]], [[5], [7]], [[5, 7]]),
    "backwards": (lambda a: a[::-1], [[1, 2]], [5, 7], [[7, 5]]),
}


@pytest.mark.parametrize("f, inputs, gy, expected", BY_HAND.values(), ids=BY_HAND)
def test_gradients_by_hand(xp_array, f, inputs, gy, expected):
    tensors = [Tensor(xp_array(np.array(x, "float64")), requires_grad=True) for x in inputs]
    f(*tensors).backward(xp_array(np.array(gy, "float64")))
    for x, gradient in zip(tensors, expected, strict=True):
        assert x.grad.shape == x.shape and x.grad.dtype == np.float64
        np.testing.assert_allclose(device.to_numpy(x.grad), gradient, rtol=1e-14)


def test_powers_at_zero():
    x = leaf([0, 0, 2])
    (x**2).backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, [0, 0, 4])
    x.grad = None
    (x**0).backward(np.ones(3))  # x⁰ = 1, also at 0
    np.testing.assert_array_equal(x.grad, [0, 0, 0])
    x.grad = None
    (x**1).backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, [1, 1, 1])
    exponent = leaf([2, 1, 3])
    (Tensor([0.0, 0.0, 1.0]) ** exponent).backward(np.ones(3))
    np.testing.assert_array_equal(exponent.grad, [0, 0, 0])  # aᵇ ln a → 0


@hypothesis.given(
    arrays.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4), hypothesis.strategies.integers(0, 99)
)
@hypothesis.settings(max_examples=60)
def test_broadcast_products_against_plain_loops(shapes, seed):
    (a_shape, b_shape), y_shape = shapes
    rng = np.random.default_rng(seed)
    a, b, gy = rng.standard_normal(a_shape), rng.standard_normal(b_shape), rng.standard_normal(y_shape)
    y, ga, gb = np.zeros(y_shape), np.zeros(a_shape), np.zeros(b_shape)
    for index in np.ndindex(y_shape):
        i, j = place(index, a_shape), place(index, b_shape)
        y[index] = a[i] * b[j]
        ga[i] += gy[index] * b[j]
        gb[j] += gy[index] * a[i]
    x, w = leaf(a), leaf(b)
    product = x * w
    product.backward(gy)
    for found, expected in [(product.data, y), (x.grad, ga), (w.grad, gb)]:
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def place(index, shape):
    """Which element of an array of `shape` is at `index` of the array that it is broadcast to."""
    index = index[len(index) - len(shape) :]
    return tuple(0 if size == 1 else i for i, size in zip(index, shape))


# ---- types -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", [2, 2.5, np.float64(2.5), np.float32(2.5), np.int64(2), True], ids=lambda n: type(n).__name__
)
@pytest.mark.parametrize("f", BINARY.values(), ids=BINARY)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_takes_on_the_dtype_of_the_tensor(dtype, f, number):
    for x in (leaf([[1, 2]], dtype), leaf(3, dtype)):
        for y in (f(x, number), f(number, x)):
            assert y.dtype == dtype
            y.backward(np.ones(x.shape, dtype))
        assert x.grad.dtype == dtype


@pytest.mark.parametrize("name", ["sum", "mean", "exp", "log"])
def test_float32_stays_float32(name):
    x = leaf([[1, 2]], "float32")
    y = getattr(x, name)()
    y.backward(np.ones(y.shape))
    assert y.dtype == x.grad.dtype == np.float32


def test_mixed_dtypes_follow_numpy_and_each_gradient_has_the_dtype_of_its_input():
    a, b = leaf([1, 2], "float32"), leaf([[3], [4]], "float64")
    for f in (*BINARY.values(), lambda a, b: a @ b.reshape(2)):
        a.grad = b.grad = None
        y = f(a, b)
        assert y.dtype == np.float64
        y.backward(np.ones(y.shape))
        assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)


def test_integers():
    n = Tensor([1, 2, 3])
    assert (n + 1).dtype == (n * 2).dtype == (-n).dtype == n.sum().dtype == np.int64
    assert (n / 2).dtype == (n + 0.5).dtype == n.mean().dtype == np.float64
    np.testing.assert_array_equal((n + 0.5).data, [1.5, 2.5, 3.5])
    np.testing.assert_array_equal((2**n).data, [2, 4, 8])
    x = leaf([0.5, 1, 2])
    (x * n).backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, [1, 2, 3])


def test_arrays_on_the_left():
    x = leaf([1, 2])
    y = np.array([10.0, 20.0]) * x
    assert isinstance(y, Tensor)
    y.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad, [10, 20])
    assert isinstance(np.ones((2, 2)) @ x, Tensor)
    assert isinstance(np.float64(3) / x, Tensor)


def test_iterating_over_the_rows_of_a_tensor():
    rows = list(leaf([[1, 2], [3, 4]]))
    assert [row.data.tolist() for row in rows] == [[1, 2], [3, 4]]


# ---- what cannot be computed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f, error, message",
    [
        (
            lambda x: x + Tensor(np.ones((4, 2))),
            ValueError,
            r"Add: shapes \(2, 3\) and \(4, 2\) do not broadcast.*reshape",
        ),
        (lambda x: x / np.ones(2), ValueError, r"Divide: shapes \(2, 3\) and \(2,\)"),
        (lambda x: x @ x, ValueError, r"MatMul: shapes \(2, 3\) and \(2, 3\).*transpose"),
        (lambda x: x @ np.ones(2), ValueError, r"MatMul: shapes \(2, 3\) and \(2,\)"),
        (lambda x: x @ 2, ValueError, r"MatMul: shapes \(2, 3\) and \(\)"),
        (lambda x: x + "1", TypeError, "unsupported operand"),
        (lambda x: x * None, TypeError, "unsupported operand"),
        (lambda x: x.reshape(4), ValueError, "reshape"),
        (lambda x: x.transpose(0), ValueError, "axes"),
        (lambda x: x.sum(2), ValueError, "axis 2"),
        (lambda x: x[2], IndexError, "out of bounds"),
    ],
)
def test_errors(f, error, message):
    with pytest.raises(error, match=message):
        f(leaf(A))
