"""conv2d_max_pool2d against conv2d and max_pool2d, one after the other; and by hand."""

import numpy as np
import pytest

from minunet import Tensor, no_grad, ops
from minunet.device import to_numpy


def leaves(put, *shapes):
    rng = np.random.default_rng(0)
    return [Tensor(put(rng.standard_normal(shape)), requires_grad=True) for shape in shapes]


def gradients(put, compute, weights, shapes):
    """What the two outputs are, and the gradients of Σ u y + Σ v pooled; weights: whether u, and whether v is not 0."""
    inputs = leaves(put, *shapes)
    outputs = compute(*inputs)
    rng, total = np.random.default_rng(1), None
    for output, counts in zip(outputs, weights):
        u = put(rng.standard_normal(output.shape))
        if counts:
            part = (output * u).sum()
            total = part if total is None else total + part
    total.backward()
    return [to_numpy(y.data) for y in outputs], [to_numpy(x.grad) for x in inputs]


@pytest.mark.parametrize("weights", [(True, True), (True, False), (False, True)], ids=["both", "y", "pooled"])
@pytest.mark.parametrize(
    "shape, stride, padding", [((2, 6, 8, 3), 1, "same"), ((1, 7, 5, 3), 1, "valid"), ((2, 9, 9, 3), 2, "same")]
)
@pytest.mark.parametrize("activation", [None, "relu"])
def test_it_is_the_two_operations(xp_array, shape, stride, padding, activation, weights):
    options = {"stride": stride, "padding": padding, "activation": activation}

    def one_by_one(x, w, b):
        y = ops.conv2d(x, w, b, **options)
        return y, ops.max_pool2d(y)

    shapes = shape, (3, 3, 3, 2), (2,)
    found = gradients(xp_array, lambda x, w, b: ops.conv2d_max_pool2d(x, w, b, **options), weights, shapes)
    expected = gradients(xp_array, one_by_one, weights, shapes)
    for one, other in zip([*found[0], *found[1]], [*expected[0], *expected[1]], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def test_by_hand(xp_array):
    """x = y = [1 4 | 0 0 / 3 2 | 0 0]; 1 comes back to each y, 5 and 7 to the maxima, the first of equals."""
    x = Tensor(xp_array(np.array([[1.0, 4, 0, 0], [3, 2, 0, 0]]).reshape(1, 2, 4, 1)), requires_grad=True)
    y, pooled = ops.conv2d_max_pool2d(x, xp_array(np.ones((1, 1, 1, 1))))
    assert to_numpy(pooled.data).ravel().tolist() == [4, 0]
    (y.sum() + (pooled * xp_array(np.array([5.0, 7]).reshape(1, 1, 2, 1))).sum()).backward()
    assert to_numpy(x.grad)[0, :, :, 0].tolist() == [[1, 6, 8, 1], [1, 1, 1, 1]]


def test_without_a_graph():
    x, w = np.arange(32.0).reshape(1, 4, 8, 1), np.ones((1, 1, 1, 1))
    with no_grad():
        y, pooled = ops.conv2d_max_pool2d(x, Tensor(w, requires_grad=True))
    assert y.creator is pooled.creator is None and pooled.data.ravel().tolist() == [9, 11, 13, 15, 25, 27, 29, 31]


@pytest.mark.parametrize(
    "shape, options, message",
    [
        ((1, 1, 4, 2), {}, r"max_pool2d: a window of \(2, 2\) does not fit into an image of \(1, 4\)"),
        (
            (1, 3, 3, 2),
            {"padding": "valid"},
            r"max_pool2d: a window of \(2, 2\) does not fit into an image of \(1, 1\)",
        ),
        ((1, 2, 3, 2), {"padding": "valid"}, r"conv2d: a window of \(3, 3\) does not fit"),
        ((1, 4, 4, 3), {}, r"conv2d: x \(1, 4, 4, 3\) has 3 channels"),
        ((1, 4, 4, 2), {"activation": "sigmoid"}, r"conv2d: activation is 'sigmoid'"),
    ],
)
def test_what_does_not_fit_is_refused(shape, options, message):
    with pytest.raises(ValueError, match=message):
        ops.conv2d_max_pool2d(np.ones(shape), np.ones((3, 3, 2, 2)), **options)
