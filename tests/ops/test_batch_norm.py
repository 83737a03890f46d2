"""Batch normalization: by hand, where numbers are large, on all kernels, and what it refuses."""

import numpy as np
import pytest

from minunet import Tensor, ops, set_num_threads
from minunet.device import to_numpy
from minunet.kernels import cpu, kernels_for, reference
from minunet.kernels.threads import get_num_threads

RNG = np.random.default_rng(0)


def test_by_hand(xp_array):
    """One channel with 1, 3, 5, 7: mean 4, variance 5; another with all pixels 2."""
    x = xp_array(np.array([[1.0, 2], [3, 2], [5, 2], [7, 2]]).reshape(2, 1, 2, 2))
    gamma, beta = xp_array(np.array([3.0, 5])), xp_array(np.array([10.0, -1]))
    y, (mean, variance) = ops.batch_norm(x, gamma, beta, epsilon=4.0)
    assert to_numpy(mean).tolist() == [4, 2] and to_numpy(variance).tolist() == [5, 0]
    np.testing.assert_allclose(y.numpy()[..., 0].ravel(), [7, 9, 11, 13], rtol=1e-15)  # 10 + 3 (x - 4) / √(5 + 4)
    assert (y.numpy()[..., 1] == -1).all()
    y, _ = ops.batch_norm(x, gamma, -gamma, epsilon=4.0, activation="relu")
    np.testing.assert_allclose(y.numpy()[..., 0].ravel(), [0, 0, 0, 0], atol=1e-15)  # -3 + (-3, -1, 1, 3)


def test_statistics_that_are_given(xp_array):
    x, one = xp_array(np.array([1.0, 3.0]).reshape(1, 1, 2, 1)), xp_array(np.ones(1))
    y, used = ops.batch_norm(x, one, one, (xp_array(np.array([-1.0])), xp_array(np.array([0.25]))), epsilon=0.75)
    assert y.numpy().ravel().tolist() == [3, 5] and to_numpy(used[0]).tolist() == [-1]


def test_a_given_variance_divides(xp_array):
    """γ (x - μ) / √(v + ε) + β = 6 (x - 1) / √(15 + 1) + 2, and gx = 6 gy / 4: nothing flows through μ and v."""
    x = Tensor(xp_array(np.array([1.0, 3.0]).reshape(1, 1, 2, 1)), requires_grad=True)
    gamma, beta = Tensor(xp_array(np.array([6.0]))), Tensor(xp_array(np.array([2.0])))
    y, _ = ops.batch_norm(x, gamma, beta, (xp_array(np.array([1.0])), xp_array(np.array([15.0]))), epsilon=1.0)
    assert y.numpy().ravel().tolist() == [2, 5]
    y.backward(xp_array(np.array([10.0, 1.0]).reshape(1, 1, 2, 1)))
    assert to_numpy(x.grad).ravel().tolist() == [15, 1.5] and gamma.grad is None and beta.grad is None


def test_where_the_relu_is_exactly_0_nothing_flows_back(threads):
    """x = μ and β = 0: the corner of the ReLU, on all kernels."""
    x, gy, one, zero = np.full((1, 2, 2, 1), 3.0), np.full((1, 2, 2, 1), 7.0), np.ones(1), np.zeros(1)
    for kernels in (reference, cpu):
        sums = kernels.normalize_sums(gy, x, 3 * one, one, one, zero, True)
        gx = kernels.normalize_gradient(gy, x, 3 * one, one, one, zero, True, zero, zero, 0.0)
        assert not np.any(sums) and not gx.any()


def test_the_result_has_the_requested_mean_and_scale(xp_array):
    x = xp_array((RNG.standard_normal((4, 9, 7, 5)) * 3 + 2).astype("float32"))
    gamma, beta = np.array([0.5, 1, 2, 3, 4], "float32"), np.array([-2, -1, 0, 1, 2], "float32")
    y = ops.batch_norm(x, xp_array(gamma), xp_array(beta), epsilon=1e-9)[0].numpy()
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), beta, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), gamma, rtol=1e-5)


def test_the_variance_is_accurate_when_the_mean_is_large(xp_array):
    """At a mean of 10,000, Σ x² / M - μ² in float32 would be off by more than the variance itself."""
    x = (10_000 + RNG.choice([-0.25, 0.25], (2, 16, 16, 3))).astype("float32")  # exact in float32
    _, (mean, variance) = ops.batch_norm(xp_array(x), xp_array(np.ones(3, "float32")), xp_array(np.zeros(3, "float32")))
    exact = x.astype("float64")
    np.testing.assert_allclose(to_numpy(variance), exact.var(axis=(0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(to_numpy(mean), exact.mean(axis=(0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_fused_relu_equals_a_relu_afterwards(activation, xp_array):
    arrays = [xp_array(a) for a in (RNG.standard_normal((2, 5, 6, 3)), RNG.uniform(1, 2, 3), RNG.standard_normal(3))]
    gy = xp_array(RNG.standard_normal((2, 5, 6, 3)))
    results = []
    for fused in (True, False):
        tensors = [Tensor(a, requires_grad=True) for a in arrays]
        y, _ = ops.batch_norm(*tensors, activation=activation if fused else None)
        y = ops.relu(y) if activation and not fused else y
        y.backward(gy)
        results.append([y.numpy(), *(to_numpy(t.grad) for t in tensors)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def test_nan_is_not_hidden_by_the_relu(xp_array):
    x = np.ones((1, 2, 2, 1))
    x[0, 0, 0] = np.nan
    assert np.isnan(
        ops.batch_norm(xp_array(x), xp_array(np.ones(1)), xp_array(np.ones(1)), activation="relu")[0].numpy()
    ).all()


@pytest.fixture
def threads():
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)


def results_of(kernels, gy, x, vectors, put=np.asarray):
    """Everything that the kernels compute, as a list of NumPy arrays."""
    gy, x, *vectors = map(put, (gy, x, *vectors))
    constants, sums = vectors[:4], vectors[4:]
    found = [*kernels.moments(x, 0.25)]
    for relu in (True, False):
        found.append(kernels.normalize(x, *constants, relu))
        found.extend(kernels.normalize_sums(gy, x, *constants, relu))
        found.append(kernels.normalize_gradient(gy, x, *constants, relu, *sums, 0.5))
    return [to_numpy(array) for array in found]


SHAPES = pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 1, 5, 2), (2, 40, 33, 80), (5, 7, 1, 3), (2, 2, 3, 300)])


@SHAPES
@pytest.mark.parametrize("count", [1, 3])
def test_all_kernels_agree(shape, count, threads):
    """The largest shape is cut into several pieces of rows."""
    threads(count)
    gy, x, vectors = RNG.standard_normal(shape), RNG.standard_normal(shape), RNG.standard_normal((6, shape[3]))
    for one, other in zip(results_of(reference, gy, x, vectors), results_of(cpu, gy, x, vectors), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


@SHAPES
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-11), ("float32", 1e-4)])
def test_the_gpu_agrees(shape, dtype, tolerance, array_on):
    put = array_on("gpu")
    kernels = kernels_for(put(np.zeros(1)))
    gy, x, vectors = (RNG.standard_normal(s).astype(dtype) for s in (shape, shape, (6, shape[3])))
    found, expected = results_of(kernels, gy, x, vectors, put), results_of(reference, gy, x, vectors)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * abs(other).max())


def test_arrays_that_are_views():
    x = RNG.standard_normal((3, 6, 5, 2))
    one, zero = np.ones(3), np.zeros(3)
    y, _ = ops.batch_norm(x.transpose(3, 1, 2, 0), one, zero)
    np.testing.assert_array_equal(y.data, ops.batch_norm(x.transpose(3, 1, 2, 0).copy(), one, zero)[0].data)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"gamma": np.ones(2)}, ValueError, r"gamma has shape \(2,\), x \(1, 2, 2, 3\) has 3 channels"),
        ({"beta": np.ones((1, 3))}, ValueError, r"beta has shape \(1, 3\): it must have 1 axis"),
        ({"gamma": np.ones(3, "float32")}, TypeError, "the dtypes are .*: they must all be the same"),
        ({"x": np.ones((2, 3))}, ValueError, r"x has shape \(2, 3\): it must have 4 axes"),
        ({"x": np.ones((0, 2, 2, 3))}, ValueError, "there are no pixels"),
        ({"statistics": (np.ones(3), np.ones(1))}, ValueError, r"variance has shape \(1,\)"),
        ({"activation": "tanh"}, ValueError, "activation is 'tanh'"),
        ({"epsilon": 0}, ValueError, "epsilon is 0: it must be positive"),
    ],
)
def test_errors_name_what_was_given(options, error, message):
    with pytest.raises(error, match=message):
        ops.batch_norm(**({"x": np.ones((1, 2, 2, 3)), "gamma": np.ones(3), "beta": np.ones(3)} | options))
