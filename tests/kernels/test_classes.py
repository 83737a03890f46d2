"""The kernels of many classes against loops over pixels and classes, written here."""

import math

import numpy as np
import pytest

from minunet import get_num_threads, set_num_threads
from minunet.device import to_numpy
from minunet.kernels import cpu, gpu, reference

IMPLEMENTATIONS = {  # module, device, threads, numbers in a piece of the CPU kernels
    "reference": (reference, "cpu", 1, 1 << 16),
    "cpu": (cpu, "cpu", 1, 1 << 16),
    "cpu, 3 threads": (cpu, "cpu", 3, 1 << 16),
    "cpu, small pieces": (cpu, "cpu", 1, 40),
    "gpu": (gpu, "gpu", 1, 1 << 16),
}
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}
dtypes = pytest.mark.parametrize("dtype", TOLERANCE)
IGNORED = 255


@pytest.fixture(params=IMPLEMENTATIONS)
def call(request, array_on, monkeypatch):
    """call(kernel, *NumPy arrays) → NumPy arrays, by each of the kernel modules in turn."""
    module, device, threads, piece = IMPLEMENTATIONS[request.param]
    put = array_on(device)
    monkeypatch.setattr(cpu.pieces, "PIECE", piece)
    before = get_num_threads()
    set_num_threads(threads)

    def run(kernel, *arguments):
        result = getattr(module, kernel)(*(put(a) if isinstance(a, np.ndarray) else a for a in arguments))
        return tuple(map(to_numpy, result)) if isinstance(result, tuple) else to_numpy(result)

    yield run
    set_num_threads(before)


def drawn(shape, K, dtype="float64", seed=0):
    """z, classes with ignored pixels, weights, weights of classes."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, K, shape).astype(np.uint8)
    classes[rng.random(shape) < 0.25] = IGNORED
    arrays = 3 * rng.standard_normal((*shape, K)), rng.uniform(0, 2, shape), rng.uniform(0.5, 2, K)
    z, weights, of_classes = (array.astype(dtype) for array in arrays)
    return z, classes, weights, of_classes


def probabilities(z):
    powers = np.exp(z.astype("float64"))
    return powers / powers.sum(axis=-1, keepdims=True)


def assert_close(found, expected, dtype):
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=10 * TOLERANCE[dtype], atol=TOLERANCE[dtype])


SIZES = [((2, 3, 5), 4), ((1, 1, 1), 2), ((7,), 3), ((3, 2, 3), 11), ((2, 2, 2), 80)]
sizes = pytest.mark.parametrize("shape, K", SIZES)


@dtypes
@pytest.mark.parametrize("shape, K", [*SIZES, ((2, 3), 1)])
def test_softmax_and_its_gradient(call, shape, K, dtype):
    z, *_ = drawn(shape, K, dtype)
    gp = np.random.default_rng(1).standard_normal(z.shape).astype(dtype)
    p = probabilities(z)
    assert_close(call("softmax", z), p, dtype)
    gz = [p[i] * (gp[i] - sum(p[i] * gp[i])) for i in np.ndindex(shape)]
    assert_close(call("softmax_gradient", gp, p.astype(dtype)), np.reshape(gz, z.shape), dtype)


@dtypes
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@sizes
def test_softmax_cross_entropy(call, shape, K, gamma, dtype):
    z, classes, w, c = drawn(shape, K, dtype)
    classes.reshape(-1)[0] = K - 1
    p = probabilities(z)
    for weights, of_classes in ((None, None), (w, None), (None, c), (w, c)):
        losses, total, errors = 0.0, 0.0, np.zeros(z.shape)
        for i in np.ndindex(shape):
            t = classes[i]
            if t == IGNORED:
                continue
            u = (1 if weights is None else w[i]) * (1 if of_classes is None else c[t])
            q, rest = p[i][t], sum(p[i][k] for k in range(K) if k != t)
            losses -= u * rest**gamma * math.log(q)
            total += u
            f = rest**gamma - gamma * q * rest ** (gamma - 1) * math.log(q)
            errors[i] = u * f * (p[i] - (np.arange(K) == t))
        loss, scale, error = call("softmax_cross_entropy", z, classes, weights, of_classes, gamma)
        np.testing.assert_allclose(loss, losses / total, rtol=1e-4 if dtype == "float32" else 1e-11)
        np.testing.assert_allclose(scale, 1 / total, rtol=1e-6)
        assert_close(error, errors, dtype)
        assert loss.dtype == scale.dtype == dtype and loss.shape == scale.shape == ()


@dtypes
def test_many_pixels(call, dtype):
    """Several pieces on the CPU, several blocks on a GPU; a sum in single precision would be off by more."""
    z, classes, w, c = drawn((70_000,), 3, dtype)
    p, valid = probabilities(z), classes != IGNORED
    u = np.where(valid, w.astype("float64") * c[np.minimum(classes, 2)], 0)
    q = p[np.arange(70_000), np.minimum(classes, 2)]
    loss, scale, error = call("softmax_cross_entropy", z, classes, w, c)
    np.testing.assert_allclose(loss, -(u * np.log(q)).sum() / u.sum(), rtol=1e-5)
    np.testing.assert_allclose(1 / scale, u.sum(), rtol=1e-5)
    assert_close(error, u[:, None] * (p - (classes[:, None] == np.arange(3))), dtype)
    counts = call("confusion", z, classes, 3)
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (classes[valid], z[valid].argmax(axis=1)), 1)
    np.testing.assert_array_equal(counts, expected)


def test_nothing_counts(call):
    z, _, w, _ = drawn((2, 3), 4)
    for classes, weights in ((np.full((2, 3), IGNORED, np.uint8), w), (np.zeros((2, 3), np.uint8), 0 * w)):
        loss, scale, error = call("softmax_cross_entropy", z, classes, weights)
        assert loss == scale == 0 and not error.any()
    loss, scale, error = call("softmax_cross_entropy", z[:0], np.zeros((0, 3), np.uint8), None)
    assert loss == scale == 0 and error.shape == (0, 3, 4)


@pytest.mark.parametrize("wrong, integer", [(4, "uint8"), (254, "uint8"), (-1, "int32"), (300, "int64"), (4, "uint16")])
def test_a_class_that_does_not_exist_is_nan(call, wrong, integer):
    z, classes, w, c = drawn((2, 3), 4)
    classes = classes.astype(integer)
    classes[1, 1] = wrong
    for arguments in ((None,), (w, c)):
        loss, scale, _ = call("softmax_cross_entropy", z, classes, *arguments)
        assert np.isnan(loss) and np.isnan(scale)
    assert np.isnan(call("class_overlap", probabilities(z), classes, None)[1]).any()


@dtypes
@pytest.mark.parametrize("shape, K", [((2, 3, 5), 4), ((3, 7), 2), ((1, 2, 2), 80), ((2,), 3)])
def test_class_overlap_and_its_gradient(call, shape, K, dtype):
    z, classes, w, _ = drawn(shape, K, dtype)
    p = probabilities(z).astype(dtype)
    ga, gb = np.random.default_rng(2).standard_normal((2, shape[0], K)).astype(dtype)
    for weights in (None, w):
        sums, gz = np.zeros((shape[0], K, 3)), np.zeros(p.shape)
        for i in np.ndindex(shape):
            t, n = classes[i], i[0]
            if t == IGNORED:
                continue
            u = 1 if weights is None else w[i]
            gp = u * (ga[n] + gb[n] * (np.arange(K) == t))
            gz[i] = p[i] * (gp - sum(p[i] * gp))
            sums[n, t] += u * p[i][t], 0, u
            sums[n, :, 1] += u * p[i]
        assert_close(call("class_overlap", p, classes, weights), sums, dtype)
        assert_close(call("class_overlap_gradient", p.copy(), classes, weights, ga, gb), gz, dtype)


@dtypes
@pytest.mark.parametrize("channels, K", [(3, 3), (7, 4), (2, 2), (130, 130), (5, 2)])
def test_confusion(call, channels, K, dtype):
    rng = np.random.default_rng(channels)
    values = rng.integers(0, 3, (2, 9, 7, channels)).astype(dtype)  # with many ties
    labels = rng.integers(0, K, (2, 9, 7))
    labels[0, :3], labels[1, 0, :2] = IGNORED, K
    expected = np.zeros((K, K), int)
    for i in np.ndindex(labels.shape):
        if labels[i] < K:
            answer = next(k for k in range(K) if values[i][k] == max(values[i][:K]))
            expected[labels[i], answer] += 1
    for integer in ("uint8", "uint16", "int64"):
        counts = call("confusion", values, labels.astype(integer), K)
        np.testing.assert_array_equal(counts, expected)
        assert counts.dtype == np.int64


def test_what_is_not_a_number_is_the_answer_as_in_argmax(call):
    """The first NaN, as numpy.argmax says; an infinite value is a number like any other."""
    nan, inf = np.nan, np.inf
    values = np.array([[0, nan, 5], [nan, 9, nan], [-inf, -inf, -inf], [0, inf, inf], [1, nan, nan]], "float32")
    counts = call("confusion", values, np.zeros(5, np.uint8), 3)
    assert counts[0].tolist() == [2, 3, 0]


def test_arrays_that_are_views(call):
    """Every second column, and axes in another order: whatever the kernels copy, they must see the same numbers."""
    z, classes, w, c = drawn((4, 6), 5)
    views = z[:, ::2], classes[:, ::2], w[:, ::2]
    for a, b in zip(call("softmax_cross_entropy", *views, c), call("softmax_cross_entropy", *map(np.copy, views), c)):
        np.testing.assert_array_equal(a, b)
    p = probabilities(z)
    overlap = call("class_overlap", p.swapaxes(0, 1), classes.T, w.T)
    np.testing.assert_allclose(overlap, call("class_overlap", np.ascontiguousarray(p.swapaxes(0, 1)), classes.T, w.T))
    np.testing.assert_array_equal(call("confusion", z[:, ::2], classes[:, ::2], 5).sum(), (classes[:, ::2] < 5).sum())
