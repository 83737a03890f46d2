"""Products by cuBLAS: of matrices and of their transposed views, also while a stream is captured."""

import numpy as np
import pytest

from minunet import cublas
from minunet.cuda_graph import RecordedStep
from minunet.device import array_module, to_numpy
from minunet.kernels.gpu.products import product
from minunet.precision import use_precision


@pytest.fixture(params=["gpu"])
def on_gpu(request, array_on):
    return array_on(request.param)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n, k, m", [(3, 5, 7), (1, 4, 6), (6, 1, 5), (4, 6, 1), (1, 1, 1)])
def test_products_by_hand(on_gpu, transpose_a, transpose_b, dtype, n, k, m):
    rng = np.random.default_rng(0)
    a, b = rng.integers(-9, 10, (n, k)).astype(dtype), rng.integers(-9, 10, (k, m)).astype(dtype)
    expected = [[sum(int(a[i, j]) * int(b[j, c]) for j in range(k)) for c in range(m)] for i in range(n)]
    on_a = on_gpu(np.ascontiguousarray(a.T)).T if transpose_a else on_gpu(a)
    on_b = on_gpu(np.ascontiguousarray(b.T)).T if transpose_b else on_gpu(b)
    found = product(on_a, on_b)
    assert found.dtype == dtype
    np.testing.assert_array_equal(to_numpy(found), expected)  # of small integers, so exact
    out = on_gpu(np.full((n, m), np.nan, dtype))
    assert product(on_a, on_b, out) is out
    np.testing.assert_array_equal(to_numpy(out), expected)


def rounded_to(bits, array):
    """float32 numbers rounded to so many significant bits, ties to even, by arithmetic on their bit patterns."""
    pattern, drop = array.view(np.uint32).astype(np.int64), 24 - bits
    pattern += (1 << (drop - 1)) - 1 + (pattern >> drop & 1)
    return (pattern >> drop << drop).astype(np.uint32).view(np.float32)


def sums_by_hand(a, b):
    """The product, each sum taken in float64."""
    return [
        [sum(float(a[i, j]) * float(b[j, c]) for j in range(len(b))) for c in range(b.shape[1])] for i in range(len(a))
    ]


@pytest.mark.parametrize("transpose", [False, True])
def test_half_factors_are_summed_in_float32(on_gpu, half, transpose):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype("f").astype(half) for shape in ((9, 300), (300, 7)))
    expected = sums_by_hand(a, b)
    on_a = on_gpu(np.ascontiguousarray(a.T)).T if transpose else on_gpu(a)
    found = product(on_a, on_gpu(b))
    assert found.dtype == np.float32
    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-4, atol=1e-4)  # sums in 16 bits: off by 1e-1
    out = on_gpu(np.zeros((9, 7), half))
    product(on_a, on_gpu(b), out)
    tolerance = 2.0**-11 if half == np.float16 else 2.0**-8  # one rounding, at the end
    np.testing.assert_allclose(to_numpy(out).astype("f"), expected, rtol=1.01 * tolerance, atol=1e-3)


def test_tf32_rounds_the_factors_to_11_bits_and_nothing_else(on_gpu, sm_80):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype("f") for shape in ((6, 80), (80, 5)))
    exact, of_rounded = np.array(sums_by_hand(a, b)), np.array(sums_by_hand(rounded_to(11, a), rounded_to(11, b)))
    assert np.abs(exact - of_rounded).max() > 1e-4
    with use_precision("tf32"):
        found = to_numpy(product(on_gpu(a), on_gpu(b)))
    assert np.linalg.norm(found - of_rounded) < 0.3 * np.linalg.norm(exact - of_rounded)
    np.testing.assert_allclose(to_numpy(product(on_gpu(a), on_gpu(b))), exact, rtol=0, atol=2e-5)  # outside, as ever


def test_float32_gives_the_bits_of_cupys_own_product(on_gpu):
    rng = np.random.default_rng(0)
    a, b = (on_gpu(rng.standard_normal(shape).astype("f")) for shape in ((33, 70), (70, 41)))
    np.testing.assert_array_equal(to_numpy(product(a, b)), to_numpy(array_module(a).matmul(a, b)))


def test_nothing_to_add_is_zero(on_gpu):
    a, b = on_gpu(np.ones((3, 0), "f")), on_gpu(np.ones((0, 2), "f"))
    np.testing.assert_array_equal(to_numpy(product(a, b)), np.zeros((3, 2)))
    assert product(b.T, a.T[:, :0]).shape == (2, 0)


@pytest.mark.parametrize(
    "shapes, dtypes, message",
    [
        (((2, 3), (4, 5), (2, 5)), "fff", r"\(2, 3\) float32 times \(4, 5\) float32 into \(2, 5\)"),
        (((2, 3), (3, 5), (5, 2)), "fff", r"into \(5, 2\)"),
        (((2, 3), (3, 5), (2, 5)), "fdf", "float64"),
        (((2, 3), (3, 5), (2, 5)), "eff", "float16"),
        (((2, 3), (3, 5), (2, 5)), "ffe", "float16"),
        (((2, 3), (3, 5), (2, 5)), "ddf", "float64"),
    ],
)
def test_what_does_not_fit_together_is_refused(on_gpu, shapes, dtypes, message):
    with pytest.raises(ValueError, match=message):
        cublas.product(*(on_gpu(np.ones(shape, dtype)) for shape, dtype in zip(shapes, dtypes)))


def test_matrices_with_gaps_are_refused(on_gpu):
    gaps, whole, out = on_gpu(np.ones((4, 6), "f"))[:, ::2], on_gpu(np.ones((3, 2), "f")), on_gpu(np.ones((4, 2), "f"))
    with pytest.raises(ValueError, match=r"\(4, 3\) is not contiguous, nor is its transpose"):
        cublas.product(gaps, whole, out)
    with pytest.raises(ValueError, match="out must be contiguous"):
        cublas.product(out, on_gpu(np.ones((2, 3), "f")), gaps)


def test_a_product_is_recorded_and_replayed_with_other_factors(on_gpu):
    w = on_gpu(np.array([[1.0, 2.0], [3.0, 4.0]], "f"))
    recorded = RecordedStep(lambda x: (product(x, w),), "gpu:0")
    with recorded.in_its_stream():
        for k in range(5):
            (y,) = recorded(on_gpu(np.array([[k, 1.0]], "f")))
            np.testing.assert_array_equal(to_numpy(y), [[k + 3, 2 * k + 4]])
    assert recorded.graph is not None
