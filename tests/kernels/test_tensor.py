"""Convolutions on tensor cores, against NumPy in float64.

Whole numbers with few bits are exact in tf32 and in 16 bits, and so are their sums in float32: with them every product
of the kernels must be right to the last bit, however it is laid out. Rounding is tested by itself.
"""

import itertools

import numpy as np
import pytest

from minunet.cuda import compute_capability
from minunet.device import to_numpy
from minunet.kernels import gpu
from minunet.kernels.gpu import tensor
from minunet.precision import use_precision

NO_PADS = ((0, 0), (0, 0))
SAME = ((1, 1), (1, 1))
# (N, H, W), C, F, kernel, pads: of few channels, of some that are no multiples of 8, of many; odd sizes, several tiles
LAYERS = {
    "three channels": ((2, 19, 35), 3, 8, (3, 3), SAME),
    "padded to a step": ((1, 18, 33), 10, 16, (3, 3), SAME),
    "several tiles": ((3, 34, 67), 8, 8, (3, 3), SAME),
    "an odd group out": ((1, 9, 20), 20, 16, (3, 3), SAME),
    "filters in groups": ((1, 7, 18), 16, 40, (3, 3), SAME),
    "many channels": ((1, 6, 9), 40, 32, (3, 3), SAME),
    "valid": ((2, 11, 13), 6, 2, (3, 3), NO_PADS),
    "rows and columns differ": ((1, 12, 37), 4, 6, (2, 5), ((1, 0), (2, 2))),
    "more windows than tiles of x": ((1, 31, 15), 8, 4, (3, 3), ((2, 2), (2, 2))),
    "1x1": ((2, 5, 33), 16, 10, (1, 1), NO_PADS),
    "one pixel": ((1, 1, 1), 2, 2, (3, 3), SAME),
}
layers = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
relus = pytest.mark.parametrize("relu", [False, True], ids=["plain", "relu"])
ROUNDING = {"tf32": 2.0**-11, "float16": 2.0**-11, "bfloat16": 2.0**-8}  # of a factor, at most; relative


@pytest.fixture(params=ROUNDING)
def kind(request, array_on):
    """The type of factors: "tf32", "float16" or "bfloat16". Skipped on a GPU that does not have it."""
    array_on("gpu")
    if request.param != "float16" and compute_capability("gpu") < 80:
        pytest.skip(f"{request.param} needs an sm_80")
    with use_precision("tf32" if request.param == "tf32" else "mixed"):
        yield request.param


@pytest.fixture
def put(kind, array_on):
    """NumPy array → the same on the GPU, as activations are stored."""

    def of_kind(array):
        on_gpu = array_on("gpu")(np.asarray(array, np.float32))
        if kind == "tf32":
            return on_gpu
        return on_gpu.astype(kind if kind == "float16" else pytest.importorskip("ml_dtypes").bfloat16)

    return of_kind


def patches(x, kernel, pads):
    """P(x): (N, OH, OW, KH·KW·C)."""
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))  # (N, OH, OW, C, KH, KW)
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], -1)


def definition(x, w, b, gy, pads, relu):
    """(y, gx, gw, gb) in float64."""
    x, w, gy = (a.astype(np.float64) for a in (x, w, gy))
    KH, KW, C, F = w.shape
    P = patches(x, (KH, KW), pads)
    y = P @ w.reshape(-1, F) + b
    gz = gy * (y > 0) if relu else gy
    gP = (gz @ w.reshape(-1, F).T).reshape(*gy.shape[:3], KH, KW, C)
    (N, H, W), (OH, OW) = x.shape[:3], gy.shape[1:3]
    gx = np.zeros((N, H + sum(pads[0]), W + sum(pads[1]), C))
    for k, l in np.ndindex(KH, KW):
        gx[:, k : k + OH, l : l + OW] += gP[:, :, :, k, l]
    gx = gx[:, pads[0][0] : pads[0][0] + H, pads[1][0] : pads[1][0] + W]
    gw = np.tensordot(P, gz, axes=([0, 1, 2], [0, 1, 2])).reshape(w.shape)
    return np.maximum(y, 0) if relu else y, gx, gw, gz.sum(axis=(0, 1, 2))


def drawn(layer, numbers):
    """(x, w, b, gy, pads) of a layer; numbers(rng, shape) draws them."""
    (N, H, W), C, F, kernel, pads = layer
    rng = np.random.default_rng(0)
    size = [n + sum(p) - k + 1 for n, p, k in zip((H, W), pads, kernel)]
    shapes = (N, H, W, C), (*kernel, C, F), (F,), (N, *size, F)
    return *(numbers(rng, shape) for shape in shapes), pads


def whole_numbers(rng, shape):
    return rng.integers(-3, 4, shape).astype(np.float64)


def results(put, array_on, x, w, b, gy, pads, relu, needs=(True, True, True), first=None):
    """(y, gx, gw, gb) of the kernels, as they are; with x in two arrays, of which one has the `first` channels, also
    gbeside.
    """
    gy, (w, b) = put(gy), map(array_on("gpu"), (w.astype(np.float32), b.astype(np.float32)))
    if first is not None:
        x, beside = put(x[..., :first].copy()), put(x[..., first:].copy())
        y = gpu.convolve(x, w, b, (1, 1), pads, relu=relu, beside=beside)
        return y, *gpu.convolve_backward(x, w, gy, y if relu else None, (1, 1), pads, (*needs, True), beside=beside)
    x = put(x)
    y = gpu.convolve(x, w, b, (1, 1), pads, relu=relu)
    return y, *gpu.convolve_backward(x, w, gy, y if relu else None, (1, 1), pads, needs)


def stored(array, like):
    """A float64 array rounded to the dtype of `like`, as float64 again."""
    return array.astype(np.float32).astype(like.dtype).astype(np.float64)


def check_exactly(put, array_on, *layer, relu):
    found = [to_numpy(a) for a in results(put, array_on, *layer, relu)]
    for name, a, expected in zip(("y", "gx", "gw", "gb"), found, definition(*layer, relu)):
        np.testing.assert_array_equal(a.astype(np.float64), stored(expected, a), err_msg=name)


@layers
@relus
def test_gpu_products_of_whole_numbers_are_exact(put, array_on, layer, relu):
    *arrays, pads = drawn(layer, whole_numbers)
    check_exactly(put, array_on, *arrays, pads, relu=relu)


# As LAYERS, then how many channels lie in the first array. How many numbers of a pixel are read at a time follows from
# both: 2 + 8 are read in twos, 3 + 4 one by one, 8 + 32 in fours or eights.
BESIDE = {
    "2 + 8": (((2, 19, 35), 10, 16, (3, 3), SAME), 2),
    "4 + 16": (((1, 9, 33), 20, 16, (3, 3), SAME), 4),
    "8 + 32": (((1, 6, 17), 40, 32, (3, 3), SAME), 8),
    "8 + 6": (((1, 9, 20), 14, 8, (3, 3), SAME), 8),
    "14 + 2": (((1, 5, 18), 16, 4, (3, 3), SAME), 14),
    "12 + 12, valid": (((2, 11, 13), 24, 6, (3, 3), NO_PADS), 12),
    "2 + 6, rows and columns differ": (((1, 12, 37), 8, 6, (2, 5), ((1, 0), (2, 2))), 2),
    "4 + 4, more windows than tiles of x": (((1, 31, 15), 8, 4, (3, 3), ((2, 2), (2, 2))), 4),
    "16 + 8, 1x1": (((2, 5, 33), 24, 10, (1, 1), NO_PADS), 16),
    "2 + 2, one pixel": (((1, 1, 1), 4, 2, (3, 3), SAME), 2),
}
ODD = {"3 + 5": (((1, 7, 18), 8, 4, (3, 3), SAME), 3), "3 + 4": (((1, 7, 18), 7, 4, (3, 3), SAME), 3)}
beside = pytest.mark.parametrize(("layer", "first"), (BESIDE | ODD).values(), ids=BESIDE | ODD)


@beside
@relus
def test_gpu_two_arrays_side_by_side_are_exact(put, array_on, layer, first, relu):
    *arrays, pads = drawn(layer, whole_numbers)
    found = [to_numpy(a) for a in results(put, array_on, *arrays, pads, relu, first=first)]
    y, gx, gw, gb = definition(*arrays, pads, relu)
    expected = y, gx[..., :first], gw, gb, gx[..., first:]
    for name, a, e in zip(("y", "gx", "gw", "gb", "gbeside"), found, expected, strict=True):
        np.testing.assert_array_equal(a.astype(np.float64), stored(e, a), err_msg=name)


@pytest.mark.parametrize(("layer", "first"), BESIDE.values(), ids=BESIDE)
def test_gpu_no_concatenation_is_written_for_tensor_cores(put, array_on, monkeypatch, layer, first):
    monkeypatch.setattr(gpu.convolution, "split", lambda *_: pytest.fail("a concatenation was written"))
    *arrays, pads = drawn(layer, whole_numbers)
    results(put, array_on, *arrays, pads, True, first=first)


def test_gpu_two_arrays_and_several_tiles_to_a_block(put, array_on, monkeypatch):
    monkeypatch.setattr(tensor, "PARTIAL_SUMS", 2)
    monkeypatch.setattr(tensor, "ENOUGH_BLOCKS", 3)
    *arrays, pads = drawn(((3, 34, 67), 10, 8, (3, 3), SAME), whole_numbers)
    found = [to_numpy(a) for a in results(put, array_on, *arrays, pads, True, first=2)]
    y, gx, gw, gb = definition(*arrays, pads, True)
    for a, e in zip(found, (y, gx[..., :2], gw, gb, gx[..., 2:]), strict=True):
        np.testing.assert_array_equal(a.astype(np.float64), stored(e, a))


@pytest.mark.parametrize("needs", [(True, True, True, False), (False, True, True, True), (False, True, False, False)])
def test_gpu_gradients_of_two_arrays_that_nobody_needs(put, array_on, needs):
    *arrays, pads = drawn(BESIDE["2 + 8"][0], whole_numbers)
    x, w, b, gy = arrays
    on_gpu = put(x[..., :2].copy()), array_on("gpu")(w.astype(np.float32)), put(gy)
    found = gpu.convolve_backward(*on_gpu, None, (1, 1), pads, needs, beside=put(x[..., 2:].copy()))
    _, gx, gw, gb = definition(*arrays, pads, False)
    for gradient, need, e in zip(found, needs, (gx[..., :2], gw, gb, gx[..., 2:]), strict=True):
        assert (gradient is not None) == need
        if need:
            np.testing.assert_array_equal(to_numpy(gradient).astype(np.float64), stored(e, gradient))


@layers
def test_gpu_the_transpose_of_whole_numbers_is_exact(put, array_on, layer):
    x, w, _, gy, pads = drawn(layer, whole_numbers)
    b = whole_numbers(np.random.default_rng(1), x.shape[3:])
    w_and_b = map(array_on("gpu"), (w.astype(np.float32), b.astype(np.float32)))
    found = to_numpy(gpu.convolve_transposed(put(gy), *w_and_b, (1, 1), pads, x.shape[1:3]))
    _, gx, _, _ = definition(x, w, 0, gy, pads, relu=False)
    np.testing.assert_array_equal(found.astype(np.float64), stored(gx + b, found))


# Layers whose y is pooled, too. Of y, a row or a column is left over in some.
POOLED = {
    "even": ((2, 34, 66), 8, 8, (3, 3), SAME),
    "odd": ((1, 19, 35), 8, 8, (3, 3), SAME),
    "filters in two eights": ((2, 10, 34), 16, 16, (3, 3), SAME),
    "valid, filters that fill no eight": ((1, 18, 20), 6, 10, (3, 3), NO_PADS),
    "padding of x": ((1, 8, 17), 4, 6, (2, 5), ((1, 0), (2, 2))),
    "1x1": ((2, 15, 33), 16, 10, (1, 1), NO_PADS),
    "few columns": ((1, 16, 3), 2, 2, (3, 3), SAME),
}
ALONE = ((1, 6, 9), 40, 32, (3, 3), SAME)  # a warp has one row of it: max_pool has to do it


def largest_of_four(y):
    """(pooled, argmax) of windows of 2x2."""
    N, H, W, F = y.shape
    windows = y[:, : H // 2 * 2, : W // 2 * 2].reshape(N, H // 2, 2, W // 2, 2, F).transpose(0, 1, 3, 5, 2, 4)
    windows = windows.reshape(N, H // 2, W // 2, F, 4)
    return windows.max(axis=-1), windows.argmax(axis=-1)  # the first of equals; NaN is the largest


def to_the_largest(gpooled, argmax, size):
    """gpooled where its window was the largest, 0 elsewhere: an array (N, *size, F)."""
    N, H, W, F = gpooled.shape
    windows = np.zeros((N, H, W, F, 4))
    np.put_along_axis(windows, argmax[..., None], gpooled[..., None], axis=-1)
    whole = windows.reshape(N, H, W, F, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(N, 2 * H, 2 * W, F)
    return np.pad(whole, ((0, 0), (0, size[0] - 2 * H), (0, size[1] - 2 * W), (0, 0)))


def constants(monkeypatch, name):
    """A list to which each launch of a kernel of tensor cores adds what the constant `name` is there, if it has it."""
    found, launch = [], tensor.launch

    def noted(file, *arguments, **options):
        found.extend([options[name]] if name in options else [])
        return launch(file, *arguments, **options)

    monkeypatch.setattr(tensor, "launch", noted)
    return found


@pytest.mark.parametrize("layer", [*POOLED.values(), ALONE], ids=[*POOLED, "not beside it"])
@relus
def test_gpu_pooling_beside_a_convolution(put, array_on, monkeypatch, layer, relu):
    pools = constants(monkeypatch, "POOL")
    x, w, b, _, pads = drawn(layer, whole_numbers)
    on_gpu = array_on("gpu")
    arguments = put(x), on_gpu(w.astype(np.float32)), on_gpu(b.astype(np.float32)), (1, 1), pads, relu
    y, pooled, argmax = map(to_numpy, gpu.convolve(*arguments, pool=True))
    assert pools[0] == (layer is not ALONE) if pools else layer is ALONE
    np.testing.assert_array_equal(y, to_numpy(gpu.convolve(*arguments)))
    expected, truth = largest_of_four(y.astype(np.float64))
    assert pooled.dtype == y.dtype and argmax.dtype == np.uint8
    np.testing.assert_array_equal(pooled.astype(np.float64), expected)
    np.testing.assert_array_equal(argmax, truth)


def test_gpu_the_largest_of_all_windows_of_four_numbers(put, array_on, monkeypatch):
    """Each number may be one of five: the first of equals, and NaN, as max_pool has it."""
    pools = constants(monkeypatch, "POOL")
    windows = np.array(list(itertools.product([-1, 0, 1, np.nan, np.inf], repeat=4)))[:, ::-1]
    windows = np.concatenate([windows, windows[: 640 - len(windows)]]).reshape(20, 32, 2, 2)
    x = np.repeat(windows.transpose(0, 2, 1, 3).reshape(1, 40, 64, 1), 2, axis=3)
    x[..., 1] = np.where(np.isfinite(x[..., 1]), x[..., 1], 5)  # 0 · NaN would carry over from one to the other
    x[..., 0] = 0
    for w in (np.array([[1.0, 0], [2, 1]]), None):
        if w is None:  # with NaN and ∞: both filters read what is left of them
            x, w = np.repeat(windows.transpose(0, 2, 1, 3).reshape(1, 40, 64, 1), 2, axis=3), np.full((2, 2), 0.5)
        weights = array_on("gpu")(w.reshape(1, 1, 2, 2).astype(np.float32))
        y, pooled, argmax = map(to_numpy, gpu.convolve(put(x), weights, None, (1, 1), NO_PADS, pool=True))
        expected, truth = largest_of_four(y.astype(np.float64))
        np.testing.assert_array_equal(pooled.astype(np.float64), expected)
        np.testing.assert_array_equal(argmax, truth)
    assert np.isnan(y.astype(np.float64)).any() and pools == [1, 1]


@pytest.mark.parametrize("layer", POOLED.values(), ids=POOLED)
@relus
def test_gpu_what_comes_back_through_the_pooling_is_added(put, array_on, monkeypatch, layer, relu):
    added = constants(monkeypatch, "POOLED")
    x, w, b, gy, pads = drawn(layer, whole_numbers)
    y, *_ = definition(x, w, b, gy, pads, relu)
    rng = np.random.default_rng(1)
    shape = len(x), gy.shape[1] // 2, gy.shape[2] // 2, gy.shape[3]
    gpooled, argmax = whole_numbers(rng, shape), rng.integers(0, 4, shape)
    total = gy + to_the_largest(gpooled, argmax, gy.shape[1:3])
    weights, of_relu = array_on("gpu")(w.astype(np.float32)), put(y) if relu else None
    pooled = put(gpooled), array_on("gpu")(argmax.astype(np.uint8))
    for alone in (False, True):  # whether the pooling is all that used y
        g = put(gy) if not alone else None
        found = gpu.convolve_backward(put(x), weights, g, of_relu, (1, 1), pads, (True,) * 3, pooled=pooled)
        _, *expected = definition(x, w, b, total if not alone else total - gy, pads, relu)
        for name, a, e in zip(("gx", "gw", "gb"), map(to_numpy, found), expected):
            np.testing.assert_array_equal(a.astype(np.float64), stored(e, a), err_msg=name)
    assert added == [1, 0]


def test_gpu_padding_wider_than_the_window(put, array_on):
    *arrays, pads = drawn(((1, 3, 3), 4, 6, (2, 2), ((3, 4), (2, 3))), whole_numbers)
    check_exactly(put, array_on, *arrays, pads, relu=True)


def test_gpu_a_stride_takes_the_other_kernels(put, array_on, monkeypatch):
    monkeypatch.setattr(tensor, "launch", lambda *_, **__: pytest.fail("tensor cores take no stride"))
    x, w, b, gy, pads = drawn(((1, 9, 12), 8, 4, (3, 3), SAME), whole_numbers)
    gy[:, 1::2], gy[:, :, 1::2] = 0, 0  # stride 2: every second window of stride 1
    y, *expected = definition(x, w, b, gy, pads, relu=False)
    w_and_b = [array_on("gpu")(a.astype(np.float32)) for a in (w, b)]
    found = gpu.convolve(put(x), *w_and_b, (2, 2), pads)
    np.testing.assert_array_equal(to_numpy(found).astype(np.float64), stored(y[:, ::2, ::2], found))
    found = gpu.convolve_backward(put(x), w_and_b[0], put(gy[:, ::2, ::2]), None, (2, 2), pads, (True, True, True))
    for a, e in zip(found, expected):
        np.testing.assert_array_equal(to_numpy(a).astype(np.float64), stored(e, a))


def test_gpu_a_block_takes_several_tiles(put, array_on, monkeypatch):
    monkeypatch.setattr(tensor, "PARTIAL_SUMS", 2)
    monkeypatch.setattr(tensor, "ENOUGH_BLOCKS", 3)
    *arrays, pads = drawn(LAYERS["several tiles"], whole_numbers)
    check_exactly(put, array_on, *arrays, pads, relu=True)


# Layers of which a block takes several tiles, an odd number of them and an even one; (layer, first) as in BESIDE.
IN_A_ROW = {
    "3": (((2, 34, 40), 3, 8, (3, 3), SAME), None),
    "8": (((3, 34, 67), 8, 8, (3, 3), SAME), None),
    "16, two groups of filters": (((2, 21, 37), 16, 40, (3, 3), SAME), None),
    "2 + 8": (((2, 34, 37), 10, 16, (3, 3), SAME), 2),
    "8 + 8, valid": (((1, 50, 36), 16, 8, (3, 3), NO_PADS), 8),
}


def through(monkeypatch, way):
    """Has tiles copied in that way: through registers, or by cp.async with so many buffers (where the GPU has it)."""
    monkeypatch.setattr(tensor, "ASYNC", way != "registers")
    monkeypatch.setattr(tensor, "_buffers", lambda *_: way)
    monkeypatch.setattr(tensor, "PARTIAL_SUMS", 2)
    monkeypatch.setattr(tensor, "ENOUGH_BLOCKS", 3)


@pytest.mark.parametrize("way", ["registers", 1, 2])
@pytest.mark.parametrize(("layer", "first"), IN_A_ROW.values(), ids=IN_A_ROW)
def test_gpu_tiles_are_the_same_however_they_are_copied(put, kind, array_on, monkeypatch, layer, first, way):
    through(monkeypatch, way)
    copies, buffers = constants(monkeypatch, "ASYNC"), constants(monkeypatch, "BUFFERS")
    *arrays, pads = drawn(layer, whole_numbers)
    found = [to_numpy(a) for a in results(put, array_on, *arrays, pads, True, first=first)]
    y, gx, gw, gb = definition(*arrays, pads, True)
    expected = (y, gx, gw, gb) if first is None else (y, gx[..., :first], gw, gb, gx[..., first:])
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.astype(np.float64), stored(e, a))
    there = compute_capability("gpu") >= 80 and way != "registers" and (kind == "tf32" or layer[1] != 3)
    assert copies == [there, there] and buffers == [way if there else 1]


@pytest.mark.parametrize("first", [None, 4])
def test_gpu_the_same_bits_however_tiles_are_copied(put, array_on, monkeypatch, first):
    """Rounded to tf32 on their way, or afterwards."""
    *arrays, pads = drawn(((2, 34, 37), 12, 16, (3, 3), SAME), lambda rng, shape: rng.standard_normal(shape))
    found = []
    for way in ("registers", 1, 2):
        with monkeypatch.context() as patch:
            through(patch, way)
            found.append([to_numpy(a).tobytes() for a in results(put, array_on, *arrays, pads, True, first=first)])
    assert found[0] == found[1] == found[2]


@layers
def test_gpu_the_kernels_of_the_tensor_cores_are_those_that_run(put, kind, array_on, monkeypatch, layer):
    launched = []
    launch = tensor.launch
    monkeypatch.setattr(
        tensor, "launch", lambda file, *rest, **named: (launched.append(file), launch(file, *rest, **named))
    )
    *arrays, pads = drawn(layer, whole_numbers)
    gpu.convolve(put(arrays[0]), array_on("gpu")(arrays[1].astype(np.float32)), None, (1, 1), pads)
    gpu.weight_gradient(put(arrays[0]), put(arrays[3]), arrays[1].shape[:2], (1, 1), pads)
    assert launched == ["tensor_convolve.cu", "tensor_backward.cu"]


def test_gpu_rounding_is_to_the_nearest(put, kind, array_on):
    *arrays, pads = drawn(((2, 16, 32), 16, 16, (3, 3), SAME), lambda rng, shape: rng.standard_normal(shape))
    x, w, b, gy = arrays
    if kind != "tf32":  # what is stored is rounded already: the kernels' own error is asked for
        x, gy = (to_numpy(put(a)).astype(np.float64) for a in (x, gy))
    found = [to_numpy(a).astype(np.float64) for a in results(put, array_on, x, w, b, gy, pads, False)]
    unit = ROUNDING[kind]
    for name, a, expected in zip(("y", "gx", "gw"), found, definition(x, w.astype(np.float32), b, gy, pads, False)):
        error = np.linalg.norm(a - expected) / np.linalg.norm(expected)
        # Two factors, each off by up to `unit`, by 0.41 of it on average where it is the nearest: cutting bits off
        # would double that.
        assert error < unit, (name, error)
        assert (name == "gw" and kind != "tf32") or error > unit / 20, (name, error)
        scale = np.sum(a * expected) / np.sum(expected**2)
        assert abs(scale - 1) < unit / 5, (name, scale)  # cutting off would make all products smaller


@pytest.mark.parametrize("needs", [(True, True, True), (False, True, True), (True, True, False), (True, False, True)])
def test_gpu_gradients_that_nobody_needs(put, array_on, needs):
    *arrays, pads = drawn(LAYERS["padded to a step"], whole_numbers)
    _, *gradients = results(put, array_on, *arrays, pads, True, needs)
    for gradient, need, expected in zip(gradients, needs, definition(*arrays, pads, True)[1:]):
        assert (gradient is not None) == need
        if need:
            np.testing.assert_array_equal(to_numpy(gradient).astype(np.float64), stored(expected, gradient))


def test_gpu_two_runs_give_the_same_bits(put, array_on):
    *arrays, pads = drawn(LAYERS["several tiles"], lambda rng, shape: rng.standard_normal(shape))
    first, second = ([to_numpy(a).tobytes() for a in results(put, array_on, *arrays, pads, True)] for _ in range(2))
    assert first == second


@relus
def test_gpu_float32_does_not_use_them(array_on, monkeypatch, relu):
    put = array_on("gpu")
    monkeypatch.setattr(tensor, "launch", lambda *_, **__: pytest.fail("a tensor core was used"))
    *arrays, pads = drawn(LAYERS["several tiles"], whole_numbers)
    for precision in ("float32", "mixed"):
        with use_precision(precision):
            results(lambda a: put(a.astype(np.float32)), array_on, *arrays, pads, relu)
    x, w, b, gy = map(put, arrays)  # float64
    with use_precision("tf32"):
        y = gpu.convolve(x, w, b, (1, 1), pads, relu=relu)
        gpu.convolve_backward(x, w, gy, y if relu else None, (1, 1), pads, (True, True, True))


def test_gpu_a_gpu_without_tf32_computes_in_float32(array_on, monkeypatch):
    put = array_on("gpu")
    monkeypatch.setattr(tensor, "compute_capability", lambda device: 75)
    x = put(np.ones((1, 4, 4, 8), np.float32))
    with use_precision("tf32"):
        assert not tensor.uses_tensor_cores(x)


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("C", [1, 3, 8, 10, 16, 20, 24, 32, 40, 64])
def test_neighboring_pixels_do_not_share_banks(itemsize, C):
    """A warp is served in parts of 32 words, one for each bank: words in the same bank have to wait."""
    pitch = tensor._pitch(C, itemsize)
    assert pitch >= C * itemsize / 4
    # of tiles.cu: half a warp, thread (g, t) reads words 2t and 2t + 1 of pixel g
    assert len({(g * pitch + 2 * t + word) % 32 for g in range(4) for t in range(4) for word in range(2)}) == 32
    eights = -(-C // 8)
    pitch = tensor._x_pitch(eights, itemsize)
    assert pitch >= eights * 2 * itemsize
    if itemsize == 4:  # of tensor_backward.cu: thread (g, t) reads word g of pixel t
        words = {(t * pitch + g) % 32 for g in range(8) for t in range(4)}
    else:  # eight rows of 16 bytes
        words = {(pixel * pitch + word) % 32 for pixel in range(8) for word in range(4)}
    assert len(words) == 32


@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize(
    ("C", "F"), [(3, 8), (8, 8), (8, 16), (10, 16), (16, 16), (20, 16), (16, 32), (32, 32), (40, 32)]
)
def test_the_lecture_networks_upper_levels_fit(itemsize, C, F):
    convolution = tensor._plan_convolution((16, 64, 64, F), C, (3, 3), itemsize)
    assert convolution.shared <= tensor.CONVOLVE_SHARED
    assert tensor._plan_backward(C, F, (3, 3), itemsize)[0].shared <= tensor.BACKWARD_SHARED[itemsize]


KB = 1 << 10


@pytest.mark.parametrize(
    ("shared", "tile", "multiprocessor", "buffers"),
    [  # of four blocks, each has a quarter of the shared memory, less 1 KB: 40 KB of 164, 56 KB of 228, 24 KB of 100
        (30 * KB, 10 * KB, 164 * KB, 2),
        (30 * KB, 10 * KB + 1, 164 * KB, 1),
        (30 * KB, 26 * KB, 228 * KB, 2),
        (30 * KB, 26 * KB + 1, 228 * KB, 1),
        (15 * KB, 9 * KB, 100 * KB, 2),
        (15 * KB, 10 * KB, 100 * KB, 1),
        # three blocks: a third each, 53 2/3 KB of 164
        (44 * KB, 9 * KB, 164 * KB, 2),
        (44 * KB, 10 * KB, 164 * KB, 1),
        (5 * KB, 4 * KB, 164 * KB, 2),  # more than four would fit, but there are no registers for them
    ],
)
def test_a_second_buffer_takes_no_block_away(monkeypatch, shared, tile, multiprocessor, buffers):
    monkeypatch.setattr(tensor, "shared_memory", lambda device: multiprocessor)
    assert tensor._buffers(shared, tile, np.zeros(1, np.float32)) == buffers


@pytest.mark.parametrize(
    ("capability", "dtype", "vector", "asynchronous"),
    [(80, "f4", 1, True), (80, "f2", 1, False), (80, "f2", 2, True), (90, "f4", 4, True), (75, "f2", 8, False)],
)
def test_cp_async_copies_four_bytes_or_more_on_newer_gpus(monkeypatch, capability, dtype, vector, asynchronous):
    monkeypatch.setattr(tensor, "compute_capability", lambda device: capability)
    assert tensor._copies_behind(vector, np.zeros(1, dtype)) == asynchronous


@pytest.mark.parametrize(
    ("capability", "shared", "width", "sums", "blocks"),
    [
        (75, 32 * KB, 3, 40, 2),
        (75, 32 * KB + 4, 3, 40, 1),
        (75, 16 * KB, 5, 40, 1),
        (75, 8 * KB, 1, 16, 4),
        (80, 32 * KB + 4, 3, 40, 2),
        (80, 8 * KB, 1, 16, 4),
        (80, 8 * KB, 1, 20, 2),
        (90, 80 * KB, 5, 40, 2),
    ],
)
def test_registers_of_a_backward_are_those_of_as_many_blocks_as_fit(
    monkeypatch, capability, shared, width, sums, blocks
):
    monkeypatch.setattr(tensor, "compute_capability", lambda device: capability)
    monkeypatch.setattr(tensor, "shared_memory", lambda device: 64 * KB if capability == 75 else 164 * KB)
    assert tensor._blocks(tensor.Plan(shared, 1, 1, 1, 8), sums, width, np.zeros(1, np.float16)) == blocks
