"""The CUDA kernels on numbers of 16 bits: what they return, stored in 16 bits, is the answer in float64, rounded once.

What is compared with is `reference`, in float64 and on the same numbers; test_kernels.py compares it with loops.
"""

import numpy as np
import pytest

from minunet.device import to_numpy
from minunet.kernels import gpu, reference
from minunet.kernels.gpu.patches import images_at_once

ROUNDING = {"float16": 2.0**-11, "bfloat16": 2.0**-8}  # half the distance of two neighbors, relative
NO_PADS = ((0, 0), (0, 0))
SAME = ((1, 1), (1, 1))
LAYERS = {  # (N, H, W, C), F, kernel, stride, pads
    "3 to 8": ((2, 5, 6, 3), 8, (3, 3), (1, 1), SAME),
    "10 to 16": ((1, 5, 4, 10), 16, (3, 3), (1, 1), SAME),
    "4 to 1": ((2, 3, 5, 4), 1, (1, 1), (1, 1), NO_PADS),
    "12 to 20, stride 2": ((1, 6, 5, 12), 20, (2, 2), (2, 2), NO_PADS),
    "8 to 6, 3x3, stride 2": ((1, 7, 6, 8), 6, (3, 3), (2, 2), SAME),
}
layers = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


@pytest.fixture(params=["gpu"])
def on_gpu(request, array_on):
    return array_on(request.param)


@pytest.fixture(params=["narrow", "wide"])
def width(request, monkeypatch):
    monkeypatch.setattr(gpu.tensor, "uses_tensor_cores", lambda x: False)  # they have tests of their own
    limit = 0 if request.param == "wide" else 1 << 30
    monkeypatch.setattr(gpu.convolution, "WIDE", dict.fromkeys(gpu.convolution.WIDE, limit))
    return request.param


def drawn(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("f").astype(dtype)


def check(found, expected, dtype, roundings=1.0):
    """Each number within so many roundings of itself, besides float32's errors of a sum; and it is a `dtype`."""
    found, expected = to_numpy(found), np.asarray(expected, "float64")
    assert found.dtype == dtype
    error = np.abs(found.astype("float64") - expected)
    allowed = ROUNDING.get(str(dtype), 0.0) * roundings * np.abs(expected) + 1e-5 * np.abs(expected).max()
    assert (error <= allowed).all(), f"{(error - allowed).max()} above {allowed.min()} to {allowed.max()}"


@layers
@pytest.mark.parametrize("relu", [False, True])
def test_convolution(on_gpu, half, width, layer, relu):
    shape, F, size, stride, pads = layer
    x, w, b = drawn(shape, half), drawn((*size, shape[3], F), "f", 1) / 4, drawn(F, "f", 2)
    y = gpu.convolve(on_gpu(x), on_gpu(w), on_gpu(b), stride, pads, relu)
    seen = w if width == "narrow" else w.astype(half)  # a product's factors are both of 16 bits
    without = reference.convolve(x.astype("d"), seen.astype("d"), None, stride, pads)
    expected = np.maximum(without + b, 0) if relu else without + b
    if width == "narrow":
        check(y, expected, half)
    else:  # the product is rounded before the bias is added
        slack = ROUNDING[str(half)] * (1 + ROUNDING[str(half)]) * np.abs(without)
        assert y.dtype == half
        error = np.abs(to_numpy(y).astype("d") - expected)
        assert (error <= slack + ROUNDING[str(half)] * np.abs(expected) + 1e-5).all()


@layers
def test_transposed(on_gpu, half, width, layer):
    (N, H, W, C), F, size, stride, pads = layer
    _, OH, OW, _ = reference.convolve(np.zeros((1, H, W, C)), np.zeros((*size, C, F)), None, stride, pads).shape
    y, w, b = drawn((N, OH, OW, F), half), drawn((*size, C, F), "f", 1) / 4, drawn(C, "f", 2)
    x = gpu.convolve_transposed(on_gpu(y), on_gpu(w), on_gpu(b), stride, pads, (H, W))
    seen = w if width == "narrow" else w.astype(half)
    expected = reference.convolve_transposed(y.astype("d"), seen.astype("d"), b.astype("d"), stride, pads, (H, W))
    check(x, expected, half)


@layers
def test_backward(on_gpu, half, width, layer):
    shape, F, size, stride, pads = layer
    x, w = drawn(shape, half), drawn((*size, shape[3], F), "f", 1) / 4
    y = reference.convolve(x.astype("d"), w.astype("d"), None, stride, pads, True).astype("f").astype(half)
    gy = drawn(y.shape, half, 3)
    found = gpu.convolve_backward(*map(on_gpu, (x, w, gy, y)), stride, pads, (True, True, True))
    seen = w if width == "narrow" else w.astype(half)
    expected = reference.convolve_backward(*(a.astype("d") for a in (x, seen, gy, y)), stride, pads, (True, True, True))
    for array, truth, dtype in zip(found, expected, (half, np.dtype("f"), np.dtype("f"))):
        check(array, truth, dtype)


def test_sums_of_many_pixels_are_float32(on_gpu, half):
    gy = np.full((1, 64, 64, 3), 1.0, "f").astype(half)  # 4096 ones: 256 is the last whole number of bfloat16
    np.testing.assert_array_equal(to_numpy(gpu.sum_over_pixels(on_gpu(gy))), np.full(3, 4096.0, "f"))
    gw = gpu.weight_gradient(on_gpu(gy), on_gpu(gy), (1, 1), (1, 1), NO_PADS)
    np.testing.assert_array_equal(to_numpy(gw), np.full((1, 1, 3, 3), 4096.0, "f"))


@pytest.mark.parametrize("C", [1, 2, 4])
def test_pooling(on_gpu, half, C):
    x = np.random.default_rng(0).integers(0, 5, (2, 4, 6, C)).astype("f").astype(half)  # many equals
    y, argmax = gpu.max_pool(on_gpu(x), (2, 2), (2, 2), NO_PADS)
    expected, truth = reference.max_pool(x.astype("d"), (2, 2), (2, 2), NO_PADS)
    check(y, expected, half)
    np.testing.assert_array_equal(to_numpy(argmax), truth)
    gy = drawn(y.shape, half, 1)
    gx = gpu.max_pool_gradient(on_gpu(gy), argmax, (2, 2), (2, 2), NO_PADS, (4, 6))
    check(gx, reference.max_pool_gradient(gy.astype("d"), truth, (2, 2), (2, 2), NO_PADS, (4, 6)), half)
    x[0, 0, 1] = np.nan
    assert np.isnan(to_numpy(gpu.max_pool(on_gpu(x), (2, 2), (2, 2), NO_PADS)[0]).astype("f")[0, 0, 0]).all()


@pytest.mark.parametrize("relu", [False, True])
def test_batch_normalization(on_gpu, half, relu):
    x, gy = (drawn((2, 4, 5, 3), half) * np.float32(2)).astype(half), drawn((2, 4, 5, 3), half, 1)
    gamma, beta = drawn(3, "f", 2), drawn(3, "f", 3)
    moments = gpu.moments(on_gpu(x), 1e-3)
    truth = reference.moments(x.astype("d"), 1e-3)
    for array, expected in zip(moments, truth):
        check(array, expected, np.dtype("f"))
    mean, _, r = (to_numpy(a) for a in moments)
    constants = mean, r, gamma, beta
    wide = [a.astype("d") for a in constants]
    y = gpu.normalize(on_gpu(x), *map(on_gpu, constants), relu)
    check(y, reference.normalize(x.astype("d"), *wide, relu), half)
    sums = gpu.normalize_sums(on_gpu(gy), on_gpu(x), *map(on_gpu, constants), relu)
    expected = reference.normalize_sums(gy.astype("d"), x.astype("d"), *wide, relu)
    for array, value in zip(sums, expected):
        check(array, value, np.dtype("f"))
    gx = gpu.normalize_gradient(on_gpu(gy), on_gpu(x), *map(on_gpu, constants), relu, *sums, 1 / 40)
    check(gx, reference.normalize_gradient(gy.astype("d"), x.astype("d"), *wide, relu, *expected, 1 / 40), half)


def test_the_workspace_of_a_transposed_convolution_holds_float32(on_gpu, half):
    assert images_at_once(on_gpu(drawn((1, 4, 4, 8), half)), 9) == images_at_once(on_gpu(drawn((1, 4, 4, 8), "f")), 9)


def test_numbers_are_copied_as_they_are(on_gpu, half):
    a, b = drawn((2, 3, 3, 4), half), drawn((2, 3, 3, 6), half, 1)
    y = gpu.concatenate(on_gpu(a), on_gpu(b))
    assert y.dtype == half
    np.testing.assert_array_equal(to_numpy(y).astype("f"), np.concatenate([a, b], axis=-1).astype("f"))
    for found, expected in zip(gpu.split(y, 4), (a, b)):
        np.testing.assert_array_equal(to_numpy(found).astype("f"), expected.astype("f"))
    gz = gpu.relu_gradient(on_gpu(a), on_gpu(a))
    np.testing.assert_array_equal(to_numpy(gz).astype("f"), np.maximum(a.astype("f"), 0))
