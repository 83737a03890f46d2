"""All kernels against their definition: loops over output pixels and taps, written here."""

import inspect
import threading

import numpy as np
import pytest

from minunet import Tensor, UNet, get_num_threads, ops, optim, set_num_threads, use_kernels
from minunet.device import to_numpy
from minunet.kernels import cpu, gpu, kernels_for, reference, windows
from minunet.kernels.windows import argmax_dtype

IMPLEMENTATIONS = {  # module, device, threads: with one of them several images share a block
    "reference": (reference, "cpu", 1),
    "cpu": (cpu, "cpu", 1),
    "cpu, 3 threads": (cpu, "cpu", 3),
    "cpu, columns": (cpu, "cpu", 3),
    "cpu, few pixels": (cpu, "cpu", 3),
    "cpu, winograd": (cpu, "cpu", 3),
    "cpu, winograd in phases": (cpu, "cpu", 2),
    "gpu, narrow": (gpu, "gpu", 1),
    "gpu, wide": (gpu, "gpu", 1),
}
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}


class OnNumPy:
    """A kernel module called with NumPy arrays, whatever device it works on; its results are NumPy arrays."""

    def __init__(self, module, put):
        self.module, self.put = module, put

    def __getattr__(self, name):
        def call(*arguments, **options):
            arguments = (self.put(a) if isinstance(a, np.ndarray) else a for a in arguments)
            options = {name: self.put(a) if isinstance(a, np.ndarray) else a for name, a in options.items()}
            result = getattr(self.module, name)(*arguments, **options)
            return tuple(map(to_numpy, result)) if isinstance(result, tuple) else to_numpy(result)

        return call


@pytest.fixture(params=IMPLEMENTATIONS)
def kernels(request, array_on, threads_as_before, monkeypatch):
    """Each of the kernel modules in turn; cpu and gpu with all of their ways to convolve."""
    module, device, threads = IMPLEMENTATIONS[request.param]
    monkeypatch.setattr(
        gpu.convolution, "WIDE", dict.fromkeys(gpu.convolution.WIDE, 0 if request.param == "gpu, wide" else 1 << 30)
    )
    monkeypatch.setattr(cpu.patches, "LONG_ROW", 1 if request.param == "cpu, columns" else cpu.patches.LONG_ROW)
    if request.param.startswith("cpu, winograd"):
        monkeypatch.setattr(cpu.winograd, "MANY_WEIGHTS", 0)
        monkeypatch.setattr(cpu.winograd, "LONG_ROW", 1 if request.param.endswith("phases") else 1 << 30)
    if request.param == "cpu, few pixels":
        for file in (cpu.convolution, cpu.backward):
            monkeypatch.setattr(file, "few_pixels", lambda pixels, w_shape: True)
            monkeypatch.setattr(file, "as_convolution", lambda *arguments: False)
    set_num_threads(threads)
    return OnNumPy(module, array_on(device) if device != "cpu" else lambda array: array)


@pytest.fixture(autouse=True)
def threads_as_before():
    before = get_num_threads()
    yield
    set_num_threads(before)


# ---- the definitions ---------------------------------------------------------------------------------------


def taps(x_size, kernel_size, stride, pads):
    """(output pixel (i, j), tap (k, l), pixel (p, q) of the image under it), the padding left out."""
    for i, j in np.ndindex(*windows.output_size(x_size, kernel_size, stride, pads)):
        for k, l in np.ndindex(*kernel_size):
            p, q = i * stride[0] + k - pads[0][0], j * stride[1] + l - pads[1][0]
            if 0 <= p < x_size[0] and 0 <= q < x_size[1]:
                yield (i, j), (k, l), (p, q)


def convolution(x, w, stride, pads):
    y = np.zeros((len(x), *windows.output_size(x.shape[1:3], w.shape[:2], stride, pads), w.shape[3]))
    for (i, j), (k, l), (p, q) in taps(x.shape[1:3], w.shape[:2], stride, pads):
        y[:, i, j] += x[:, p, q] @ w[k, l]
    return y


def transposed(y, w, stride, pads, size):
    x = np.zeros((len(y), *size, w.shape[2]))
    for (i, j), (k, l), (p, q) in taps(size, w.shape[:2], stride, pads):
        x[:, p, q] += y[:, i, j] @ w[k, l].T
    return x


def kernel_gradient(x, gy, kernel_size, stride, pads):
    gw = np.zeros((*kernel_size, x.shape[3], gy.shape[3]))
    for (i, j), (k, l), (p, q) in taps(x.shape[1:3], kernel_size, stride, pads):
        gw[k, l] += x[:, p, q].T @ gy[:, i, j]
    return gw


def pooling(x, size, stride, pads):
    y = np.full((len(x), *windows.output_size(x.shape[1:3], size, stride, pads), x.shape[3]), -np.inf)
    argmax = np.zeros(y.shape, int)
    for (i, j), (k, l), (p, q) in taps(x.shape[1:3], size, stride, pads):
        larger = x[:, p, q] > y[:, i, j]  # the taps come in row-major order: the first of equals stays
        argmax[:, i, j] = np.where(larger, k * size[1] + l, argmax[:, i, j])
        y[:, i, j] = np.where(larger, x[:, p, q], y[:, i, j])
    return y, argmax


def pooling_gradient(gy, argmax, size, stride, pads, input_size):
    gx = np.zeros((len(gy), *input_size, gy.shape[3]))
    for (i, j), (k, l), (p, q) in taps(input_size, size, stride, pads):
        gx[:, p, q] += gy[:, i, j] * (argmax[:, i, j] == k * size[1] + l)
    return gx


NO_PADS = ((0, 0), (0, 0))
GEOMETRIES = {  # (N, H, W), kernel, stride, pads
    "1x1": ((2, 4, 3), (1, 1), (1, 1), NO_PADS),
    "1x1, stride 2": ((2, 5, 4), (1, 1), (2, 2), NO_PADS),
    "1x1, padded": ((1, 3, 3), (1, 1), (1, 1), ((1, 1), (2, 0))),
    "3x3 same": ((2, 5, 6), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "3x3 same, four rows": ((3, 4, 6), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "3x3 valid": ((2, 5, 6), (3, 3), (1, 1), NO_PADS),
    "3x3 valid, eight rows": ((2, 10, 5), (3, 3), (1, 1), NO_PADS),
    "three rows, columns apart": ((2, 8, 7), (3, 2), (1, 3), ((0, 2), (1, 0))),
    "3x3, all that touch the image": ((2, 4, 5), (3, 3), (1, 1), ((2, 2), (2, 2))),
    "3x3 on one pixel": ((2, 1, 1), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "3x3 on one row": ((1, 1, 7), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "2x2, stride 2": ((2, 6, 4), (2, 2), (2, 2), NO_PADS),
    "2x2, stride 2, odd": ((2, 5, 7), (2, 2), (2, 2), NO_PADS),
    "2x2, stride 2, odd, same": ((2, 5, 7), (2, 2), (2, 2), ((0, 1), (0, 1))),
    "3x3, stride 2, long rows": ((2, 4, 130), (3, 3), (2, 2), ((1, 1), (0, 1))),  # a GPU's thread gets several of each
    "kernel above stride": ((2, 7, 8), (3, 3), (2, 2), ((1, 1), (0, 1))),
    "stride above kernel": ((2, 7, 8), (2, 1), (3, 2), NO_PADS),
    "stride above kernel, padded": ((1, 7, 8), (2, 2), (3, 3), ((1, 1), (1, 0))),
    "rows and columns differ": ((2, 6, 5), (4, 2), (1, 3), ((1, 2), (0, 1))),
    "wide padding": ((1, 3, 3), (2, 2), (1, 1), ((3, 4), (2, 3))),
    "the whole image": ((2, 4, 5), (4, 5), (1, 1), NO_PADS),
    "5x5 same": ((1, 6, 6), (5, 5), (1, 1), ((2, 2), (2, 2))),
    "one image, one column": ((1, 8, 1), (3, 1), (2, 1), ((1, 0), (0, 0))),
}
geometries = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
dtypes = pytest.mark.parametrize("dtype", TOLERANCE)


def drawn(geometry, C=3, F=2, dtype="float64", seed=0):
    """x, w, b, gy for a geometry; gy has the shape of the output."""
    (N, H, W), kernel, stride, pads = geometry
    rng = np.random.default_rng(seed)
    OH, OW = windows.output_size((H, W), kernel, stride, pads)
    shapes = (N, H, W, C), (*kernel, C, F), (F,), (N, OH, OW, F)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def assert_close(found, expected, dtype="float64"):
    assert found.shape == expected.shape and found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])


# ---- each product against its definition -------------------------------------------------------------------


@dtypes
@geometries
def test_convolve(kernels, geometry, dtype):
    x, w, b, _ = drawn(geometry, dtype=dtype)
    _, _, stride, pads = geometry
    expected = convolution(x, w, stride, pads)
    assert_close(kernels.convolve(x, w, None, stride, pads), expected, dtype)
    assert_close(kernels.convolve(x, w, b, stride, pads), expected + b, dtype)
    assert_close(kernels.convolve(x, w, b, stride, pads, relu=True), np.maximum(expected + b, 0), dtype)


@dtypes
@geometries
def test_convolve_transposed(kernels, geometry, dtype):
    x, w, _, gy = drawn(geometry, dtype=dtype)
    (_, *size), _, stride, pads = geometry
    b = np.array([10, 20, 30], dtype)
    expected = transposed(gy, w, stride, pads, tuple(size))
    assert_close(kernels.convolve_transposed(gy, w, None, stride, pads, tuple(size)), expected, dtype)
    assert_close(kernels.convolve_transposed(gy, w, b, stride, pads, tuple(size)), expected + b, dtype)


@dtypes
@geometries
def test_weight_gradient(kernels, geometry, dtype):
    x, w, _, gy = drawn(geometry, dtype=dtype)
    _, kernel, stride, pads = geometry
    assert_close(
        kernels.weight_gradient(x, gy, kernel, stride, pads), kernel_gradient(x, gy, kernel, stride, pads), dtype
    )


@geometries
@dtypes
@pytest.mark.parametrize("relu", [False, True])
def test_convolve_backward(kernels, geometry, dtype, relu):
    (_, *size), kernel, stride, pads = geometry
    x, w, _, gy = drawn(geometry, dtype=dtype)
    y = np.random.default_rng(1).standard_normal(gy.shape).astype(dtype) if relu else None
    gz = gy if y is None else np.where(y > 0, gy, 0)
    gx, gw, gb = kernels.convolve_backward(x, w, gy, y, stride, pads, (True, True, True))
    assert_close(gx, transposed(gz, w, stride, pads, size), dtype)
    assert_close(gw, kernel_gradient(x, gz, kernel, stride, pads), dtype)
    assert_close(gb, gz.astype(float).sum(axis=(0, 1, 2)), dtype)


@pytest.mark.parametrize(
    "needs", [(True, False, False), (False, True, False), (False, False, True), (False, True, True)]
)
def test_convolve_backward_returns_what_is_needed(kernels, needs):
    geometry = GEOMETRIES["3x3 same"]
    x, w, _, gy = drawn(geometry)
    whole = kernels.module.convolve_backward(*map(kernels.put, (x, w, gy, gy)), *geometry[2:], (True, True, True))
    some = kernels.module.convolve_backward(*map(kernels.put, (x, w, gy, gy)), *geometry[2:], needs)
    for found, expected, need in zip(some, whole, needs):
        assert (found is not None) == need
        if need:
            assert_close(to_numpy(found), to_numpy(expected))


@geometries
@dtypes
@pytest.mark.parametrize("relu", [False, True])
def test_two_arrays_side_by_side(kernels, geometry, dtype, relu):
    """What `convolve` and its backward do with a second array is what the definition does with both as one.

    Of eight channels four could be read at a time; of 2 + 6 only two, of 3 + 5 one.
    """
    (_, *size), kernel, stride, pads = geometry
    x, w, b, gy = drawn(geometry, C=8, dtype=dtype)
    A = {"float32": 2, "float64": 3}[dtype]
    first, second = np.ascontiguousarray(x[..., :A]), np.ascontiguousarray(x[..., A:])
    y = convolution(x, w, stride, pads) + b
    found = kernels.convolve(first, w, b, stride, pads, relu=relu, beside=second)
    assert_close(found, np.maximum(y, 0) if relu else y, dtype)
    gz = np.where(found > 0, gy, 0) if relu else gy
    of_relu = found if relu else None
    gx, gw, gb, gbeside = kernels.convolve_backward(
        first, w, gy, of_relu, stride, pads, (True, True, True, True), beside=second
    )
    whole = transposed(gz, w, stride, pads, size)
    assert_close(gx, whole[..., :A], dtype)
    assert_close(gbeside, whole[..., A:], dtype)
    assert_close(gw, kernel_gradient(x, gz, kernel, stride, pads), dtype)
    assert_close(gb, gz.astype(float).sum(axis=(0, 1, 2)), dtype)
    assert gx.base is None and gbeside.base is None  # the engine may add into them


@pytest.mark.parametrize("needs", [(True, False, False, False), (False, True, False, True), (False, False, True, True)])
def test_two_arrays_return_what_is_needed(kernels, needs):
    geometry = GEOMETRIES["3x3 same"]
    x, w, _, gy = drawn(geometry, C=5)
    arguments = [kernels.put(np.ascontiguousarray(a)) for a in (x[..., :3], w, gy, gy)]
    beside = kernels.put(np.ascontiguousarray(x[..., 3:]))
    whole = kernels.module.convolve_backward(*arguments, *geometry[2:], (True,) * 4, beside=beside)
    some = kernels.module.convolve_backward(*arguments, *geometry[2:], needs, beside=beside)
    for found, expected, need in zip(some, whole, needs, strict=True):
        assert (found is not None) == need
        if need:
            assert_close(to_numpy(found), to_numpy(expected))


POOLS = {
    name: geometry
    for name, geometry in GEOMETRIES.items()
    if all(max(width) < k for width, k in zip(geometry[3], geometry[1]))
}  # without windows that hold nothing but padding


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@dtypes
@pytest.mark.parametrize("geometry", POOLS.values(), ids=POOLS)
def test_max_pool_and_its_gradient(kernels, geometry, dtype, ties):
    x, _, _, gy = drawn(geometry, C=3, F=3, dtype=dtype)
    (_, *size), kernel, stride, pads = geometry
    if ties:
        x = np.round(x).astype(dtype)
    y, argmax = kernels.max_pool(x, kernel, stride, pads)
    expected_y, expected_argmax = pooling(x, kernel, stride, pads)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(argmax, expected_argmax)
    gx = kernels.max_pool_gradient(gy, argmax, kernel, stride, pads, tuple(size))
    assert_close(gx, pooling_gradient(gy, expected_argmax, kernel, stride, pads, tuple(size)), dtype)


POOL = (2, 2), (2, 2), NO_PADS
WITH_ROOM = {
    name: geometry
    for name, geometry in GEOMETRIES.items()
    if min(windows.output_size(geometry[0][1:], *geometry[1:])) >= 2
}  # for a window of 2x2 in y
with_room = pytest.mark.parametrize("geometry", WITH_ROOM.values(), ids=WITH_ROOM)


@with_room
@dtypes
@pytest.mark.parametrize("relu", [False, True])
def test_convolve_and_pool(kernels, geometry, dtype, relu):
    _, _, stride, pads = geometry
    x, w, b, _ = drawn(geometry, dtype=dtype)
    y, pooled, argmax = kernels.convolve(x, w, b, stride, pads, relu=relu, pool=True)
    np.testing.assert_array_equal(y, kernels.convolve(x, w, b, stride, pads, relu=relu))
    expected, truth = pooling(y, *POOL)
    assert pooled.dtype == dtype and argmax.dtype == np.uint8
    np.testing.assert_array_equal(pooled, expected)
    np.testing.assert_array_equal(argmax, truth)


@with_room
@dtypes
@pytest.mark.parametrize("alone", [False, True], ids=["", "nothing else has read y"])
def test_convolve_backward_adds_what_comes_back_through_the_pooling(kernels, geometry, dtype, alone):
    (_, *size), kernel, stride, pads = geometry
    x, w, _, gy = drawn(geometry, dtype=dtype)
    rng, out_size = np.random.default_rng(1), gy.shape[1:3]
    y = rng.standard_normal(gy.shape).astype(dtype)
    _, argmax = pooling(y, *POOL)
    gpooled = rng.standard_normal(argmax.shape).astype(dtype)
    pooled, before = (kernels.put(gpooled), kernels.put(argmax.astype(np.uint8))), gy.copy()
    arguments = x, w, None if alone else gy, y, stride, pads, (True, True, True)
    gx, gw, gb = kernels.convolve_backward(*arguments, pooled=pooled)
    np.testing.assert_array_equal(gy, before)  # somebody else may hold it
    gz = np.where(y > 0, pooling_gradient(gpooled, argmax, *POOL, out_size) + (0 if alone else gy), 0)
    assert_close(gx, transposed(gz, w, stride, pads, size), dtype)
    assert_close(gw, kernel_gradient(x, gz, kernel, stride, pads), dtype)
    assert_close(gb, gz.sum(axis=(0, 1, 2)), dtype)


def test_pooled_and_beside(kernels):
    """Both at once: of two arrays, with two gradients."""
    geometry = GEOMETRIES["3x3 same"]
    (_, *size), _, stride, pads = geometry
    x, w, b, gy = drawn(geometry, C=5)
    first, second = x[..., :2].copy(), x[..., 2:].copy()
    y, pooled, argmax = kernels.convolve(first, w, b, stride, pads, beside=kernels.put(second), pool=True)
    np.testing.assert_array_equal(pooled, pooling(y, *POOL)[0])
    gpooled = np.random.default_rng(1).standard_normal(pooled.shape)
    given = {"beside": kernels.put(second), "pooled": (kernels.put(gpooled), kernels.put(argmax))}
    gx, _, _, gbeside = kernels.convolve_backward(first, w, gy, None, stride, pads, (True,) * 4, **given)
    whole = transposed(gy + pooling_gradient(gpooled, argmax, *POOL, gy.shape[1:3]), w, stride, pads, size)
    assert_close(gx, whole[..., :2])
    assert_close(gbeside, whole[..., 2:])


@pytest.mark.parametrize("geometry", POOLS.values(), ids=POOLS)
def test_max_pool_gradient_plus_another_one(kernels, geometry):
    (_, *size), kernel, stride, pads = geometry
    x, _, _, gy = drawn(geometry, C=3, F=3)
    _, argmax = kernels.max_pool(x, kernel, stride, pads)
    alone = kernels.max_pool_gradient(gy, argmax, kernel, stride, pads, tuple(size))
    both = kernels.max_pool_gradient(gy, argmax, kernel, stride, pads, tuple(size), plus=kernels.put(x))
    assert_close(both, alone + x)


def test_windows_with_more_pixels_than_a_byte_can_count(kernels):
    x = np.zeros((1, 1, 257, 1))
    x[0, 0, 256] = 1
    y, argmax = kernels.max_pool(x, (1, 257), (1, 1), NO_PADS)
    assert y.item() == 1 and argmax.item() == 256
    gx = kernels.max_pool_gradient(y * 5, argmax, (1, 257), (1, 1), NO_PADS, (1, 257))
    np.testing.assert_array_equal(gx, x * 5)


@dtypes
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3), (2, 3, 4, 5), (0, 3)])
def test_relu_gradient(kernels, shape, dtype):
    rng = np.random.default_rng(0)
    gy, y = (np.asarray(rng.standard_normal(shape), dtype) for _ in range(2))
    assert_close(np.asarray(kernels.relu_gradient(gy, y)), np.where(y > 0, gy, 0), dtype)


def test_an_empty_batch(kernels):
    w = np.ones((3, 3, 2, 4))
    one = (1, 1), ((1, 1), (1, 1))
    assert kernels.convolve(np.ones((0, 5, 6, 2)), w, None, *one).shape == (0, 5, 6, 4)
    assert kernels.convolve_transposed(np.ones((0, 5, 6, 4)), w, None, *one, (5, 6)).shape == (0, 5, 6, 2)
    gw = kernels.weight_gradient(np.ones((0, 5, 6, 2)), np.ones((0, 5, 6, 4)), (3, 3), *one)
    np.testing.assert_array_equal(gw, 0 * w)
    empty = np.ones((0, 5, 6, 2)), w, np.ones((0, 5, 6, 4)), np.ones((0, 5, 6, 4))
    gx, gw, gb = kernels.convolve_backward(*empty, *one, (True, True, True))
    assert gx.shape == (0, 5, 6, 2)
    np.testing.assert_array_equal(gw, 0 * w)
    np.testing.assert_array_equal(gb, np.zeros(4))
    y, argmax = kernels.max_pool(np.ones((0, 4, 4, 2)), (2, 2), (2, 2), NO_PADS)
    assert y.shape == argmax.shape == (0, 2, 2, 2)
    assert kernels.max_pool_gradient(y, argmax, (2, 2), (2, 2), NO_PADS, (4, 4)).shape == (0, 4, 4, 2)


def test_nan_is_not_hidden(kernels):
    x = np.ones((1, 4, 4, 1))
    x[0, 2, 1] = np.nan
    one = np.ones((1, 1, 1, 1))
    assert np.isnan(kernels.convolve(x, one, None, (1, 1), NO_PADS, relu=True)[0, 2, 1, 0])
    for place in np.ndindex(2, 2):  # wherever it lies in its window
        x = np.ones((1, 2, 2, 1))
        x[(0, *place)] = np.nan
        assert np.isnan(kernels.max_pool(x, (2, 2), (2, 2), NO_PADS)[0]).all()


# ---- what must not matter ----------------------------------------------------------------------------------


@pytest.fixture(params=[1, 1000], ids=["columns", "patches"])
def long_row(request, monkeypatch):
    """The windows of the CPU's kernels in each of their two layouts."""
    monkeypatch.setattr(cpu.patches, "LONG_ROW", request.param)


@pytest.mark.usefixtures("long_row")
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("block_bytes", [64, 700, 5000])
@pytest.mark.parametrize(
    "name", ["3x3 same", "kernel above stride", "stride above kernel, padded", "rows and columns differ", "1x1"]
)
def test_it_does_not_matter_where_the_blocks_are_cut(monkeypatch, name, block_bytes, threads):
    monkeypatch.setattr(cpu.patches, "BLOCK_BYTES", block_bytes)
    set_num_threads(threads)
    (N, H, W), kernel, stride, pads = GEOMETRIES[name]
    geometry = (N + 1, H + 4, W), kernel, stride, pads
    x, w, b, gy = drawn(geometry)
    assert_close(cpu.convolve(x, w, b, stride, pads), convolution(x, w, stride, pads) + b)
    assert_close(cpu.weight_gradient(x, gy, kernel, stride, pads), kernel_gradient(x, gy, kernel, stride, pads))
    assert_close(
        cpu.convolve_transposed(gy, w, None, stride, pads, (H + 4, W)), transposed(gy, w, stride, pads, (H + 4, W))
    )
    gz = np.where(gy > 0.5, gy, 0)
    gx, gw, gb = cpu.convolve_backward(x, w, gy, gy - 0.5, stride, pads, (True, True, True))
    assert_close(gx, transposed(gz, w, stride, pads, (H + 4, W)))
    assert_close(gw, kernel_gradient(x, gz, kernel, stride, pads))
    assert_close(gb, gz.sum(axis=(0, 1, 2)))
    y, argmax = cpu.max_pool(x, kernel, stride, NO_PADS)
    np.testing.assert_array_equal(argmax, pooling(x, kernel, stride, NO_PADS)[1])
    assert_close(
        cpu.max_pool_gradient(y, argmax, kernel, stride, NO_PADS, (H + 4, W)),
        pooling_gradient(y, argmax, kernel, stride, NO_PADS, (H + 4, W)),
    )
    np.testing.assert_array_equal(cpu.relu_gradient(x, x), np.maximum(x, 0))


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("several_images", [False, True])
def test_every_row_is_in_one_block(several_images, threads):
    set_num_threads(threads)
    for N, OH, fit in np.ndindex(6, 9, 20):
        blocks = cpu.pieces.cut(N, OH + 1, fit, several_images)
        rows = [(n, i) for images, rows in blocks for n in range(N)[images] for i in range(OH + 1)[rows]]
        assert rows == list(np.ndindex(N, OH + 1))
        assert all(images.stop - images.start == 1 or several_images for images, _ in blocks)


@pytest.mark.parametrize(
    "N, OH, fit, threads, blocks",
    [
        (1, 256, 100, 2, 4),
        (1, 20, 28, 2, 2),
        (16, 4, 28, 2, 2),
        (16, 8, 28, 2, 4),
        (16, 256, 100, 2, 48),
        (6, 9, 60, 3, 3),
    ],
)
def test_the_threads_get_equal_numbers_of_blocks(N, OH, fit, threads, blocks):
    set_num_threads(threads)
    assert len(cpu.pieces.cut(N, OH, fit)) == blocks and blocks % threads == 0


def test_less_than_two_thirds_of_a_block_is_not_shared():
    set_num_threads(2)
    assert cpu.pieces.cut(1, 20, 30) == [(slice(0, 1), slice(0, 20))]
    assert cpu.pieces.cut(5, 4, 30) == [(slice(0, 5), slice(0, 4))]
    assert len(cpu.pieces.cut(1, 21, 30)) == len(cpu.pieces.cut(3, 7, 30, several_images=False)) - 4 == 2


def test_windows_are_not_copied_whole_where_rows_are_long():
    """Q: of 3x3 windows under 6 rows, 8 rows of 3·C numbers are copied for each column, and not 18."""
    windows_ = cpu.patches.Windows((3, 3), (1, 1), ((1, 1), (1, 1)), (6, 64))
    strip = np.random.default_rng(0).standard_normal((1, 8, 66, 5))
    matrices = cpu.patches.window_matrices(strip, slice(0, 6), windows_)
    assert matrices.shape == (6, 64, 45)
    for i, j in np.ndindex(6, 64):
        np.testing.assert_array_equal(matrices[i, j], strip[0, i : i + 3, j : j + 3].ravel())
    last = matrices.ctypes.data + sum((n - 1) * s for n, s in zip(matrices.shape, matrices.strides)) + 8
    assert last - matrices.ctypes.data == 64 * 8 * 3 * 5 * 8


@pytest.mark.parametrize("workspace", [1, 700, 3000])
@pytest.mark.parametrize("name", ["3x3 same", "stride above kernel, padded", "rows and columns differ", "1x1"])
def test_the_size_of_the_gpu_workspace_does_not_matter(monkeypatch, array_on, name, workspace):
    kernels = OnNumPy(gpu, array_on("gpu"))
    monkeypatch.setattr(gpu.convolution, "WIDE", dict.fromkeys(gpu.convolution.WIDE, 0))
    monkeypatch.setattr(gpu.patches, "workspace_bytes", lambda device: workspace)
    (N, H, W), kernel, stride, pads = GEOMETRIES[name]
    geometry = (N + 1, H + 4, W), kernel, stride, pads
    x, w, b, gy = drawn(geometry)
    assert_close(kernels.convolve(x, w, b, stride, pads), convolution(x, w, stride, pads) + b)
    assert_close(kernels.weight_gradient(x, gy, kernel, stride, pads), kernel_gradient(x, gy, kernel, stride, pads))
    assert_close(
        kernels.convolve_transposed(gy, w, None, stride, pads, (H + 4, W)), transposed(gy, w, stride, pads, (H + 4, W))
    )


@pytest.mark.parametrize(
    "x, y, window",
    [
        ((1, 2, 1 << 28, 8), (1, 2, 1 << 28, 1), (1, 1)),  # a row of x
        ((1, 2, 1 << 28, 1), (1, 2, 1 << 28, 8), (1, 1)),  # a row of y
        ((1, 2, 1 << 25, 8), (1, 2, 1 << 25, 1), (3, 3)),  # a row of P(x)
        ((1, 1 << 16, 1 << 16, 1), (1, 1, 1, 1), (1, 1)),  # an image
        ((1 << 31, 1, 1, 1), (1 << 31, 1, 1, 1), (1, 1)),  # too many images
    ],
)
def test_images_too_large_for_the_cuda_kernels_are_refused(x, y, window):
    with pytest.raises(ValueError, match="too large for the CUDA kernels.*tiles"):
        gpu.launch.geometry(x, y, window, (1, 1), NO_PADS)
    smaller = (1, 2, 1 << 20, 8), (1, 2, 1 << 20, 1)
    assert gpu.launch.geometry(*smaller, window, (1, 1), NO_PADS).nbytes == 48


@dtypes
def test_unaligned_arrays_are_copied(array_on, dtype):
    """A GPU cannot read four numbers at once from there; the simulation can, so this looks at the address."""
    whole = array_on("gpu")(np.arange(40, dtype=dtype))
    for start in (0, 1, 2, 3, 4):
        ready = gpu.launch.ready(whole[start:])
        assert ready.data.ptr % (4 * ready.itemsize) == 0
        np.testing.assert_array_equal(to_numpy(ready), np.arange(start, 40))
        assert (ready.data.ptr == whole[start:].data.ptr) == (start % 4 == 0)


def test_unaligned_arrays_of_16_bits_are_copied(array_on):
    """Eight of them are read at once."""
    whole = array_on("gpu")(np.arange(40, dtype=np.float16))
    for start in (0, 2, 4, 8):
        ready = gpu.launch.ready(whole[start:])
        assert ready.data.ptr % 16 == 0
        np.testing.assert_array_equal(to_numpy(ready), np.arange(start, 40))
        assert (ready.data.ptr == whole[start:].data.ptr) == (start % 8 == 0)


@pytest.mark.parametrize("text", ["-1", "1 GB", "0", ""])
def test_an_invalid_workspace_size(monkeypatch, text):
    monkeypatch.setenv("MINUNET_GPU_WORKSPACE", text)
    gpu.patches.workspace_bytes.cache_clear()
    with pytest.raises(ValueError, match="number of bytes"):
        gpu.patches.workspace_bytes("gpu:0")
    monkeypatch.setenv("MINUNET_GPU_WORKSPACE", "12345")
    assert gpu.patches.workspace_bytes("gpu:0") == 12345
    gpu.patches.workspace_bytes.cache_clear()


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6, 8, 10, 17, 20, 40])
def test_any_number_of_channels(kernels, channels):
    """Reading four numbers at a time must not leave out the last ones, on either side of the kernel."""
    for C, F in ((channels, 3), (3, channels), (channels, channels)):
        rng = np.random.default_rng(C)
        x, w, gy = (rng.standard_normal(shape) for shape in ((2, 3, 4, C), (3, 2, C, F), (2, 3, 4, F)))
        pads = ((1, 1), (1, 0))
        assert_close(kernels.convolve(x, w, None, (1, 1), pads), convolution(x, w, (1, 1), pads))
        assert_close(
            kernels.convolve_transposed(gy, w, None, (1, 1), pads, (3, 4)), transposed(gy, w, (1, 1), pads, (3, 4))
        )
        assert_close(kernels.weight_gradient(x, gy, (3, 2), (1, 1), pads), kernel_gradient(x, gy, (3, 2), (1, 1), pads))


@pytest.mark.parametrize("channels", [2, 4, 5, 12])
def test_each_channel_has_its_own_argmax(kernels, channels):
    """Even where several channels are read at a time. Distinct values; windows apart and overlapping; padding."""
    rng = np.random.default_rng(channels)
    x = rng.permutation(2 * 6 * 8 * channels).reshape(2, 6, 8, channels).astype(float)
    for size, stride, pads in (((2, 2), (2, 2), NO_PADS), ((3, 2), (2, 1), ((1, 1), (0, 1)))):
        expected, places = pooling(x, size, stride, pads)
        y, argmax = kernels.max_pool(x, size, stride, pads)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(argmax, places)
        assert (places != places[..., :1]).any()
        gy = rng.standard_normal(y.shape)
        assert_close(
            kernels.max_pool_gradient(gy, argmax, size, stride, pads, (6, 8)),
            pooling_gradient(gy, places, size, stride, pads, (6, 8)),
        )


def layouts(array):
    """The same numbers, laid out in memory in other ways."""
    yield np.asfortranarray(array)
    yield np.repeat(array, 2, axis=-2)[..., ::2, :]
    yield array[::-1, ::-1].copy()[::-1, ::-1]
    yield array.swapaxes(1, 2).copy().swapaxes(1, 2)
    read_only = array.copy()
    read_only.flags.writeable = False
    yield read_only


@pytest.mark.parametrize("name", ["3x3 same", "2x2, stride 2", "kernel above stride", "1x1"])
def test_the_memory_layout_of_the_inputs_does_not_matter(kernels, name):
    x, w, b, gy = drawn(GEOMETRIES[name])
    (_, *size), kernel, stride, pads = GEOMETRIES[name]
    expected_y, expected_gw = convolution(x, w, stride, pads), kernel_gradient(x, gy, kernel, stride, pads)
    expected_gx, expected_gb = transposed(gy, w, stride, pads, size), gy.sum(axis=(0, 1, 2))
    y, argmax = kernels.max_pool(x, kernel, stride, pads)
    gx = kernels.max_pool_gradient(y, argmax, kernel, stride, pads, tuple(size))
    arrays = x, w, gy, y, argmax
    for x, w, gy, y, argmax in zip(*map(layouts, arrays)):
        assert_close(kernels.convolve(x, w, b, stride, pads), expected_y + b)
        assert_close(kernels.weight_gradient(x, gy, kernel, stride, pads), expected_gw)
        assert_close(kernels.convolve_transposed(gy, w, None, stride, pads, tuple(size)), expected_gx)
        gradients = kernels.convolve_backward(x, w, gy, None, stride, pads, (True, True, True))
        for found, expected in zip(gradients, (expected_gx, expected_gw, expected_gb)):
            assert_close(found, expected)
        np.testing.assert_array_equal(kernels.max_pool(x, kernel, stride, pads)[0], y)
        assert_close(kernels.max_pool_gradient(y, argmax, kernel, stride, pads, tuple(size)), gx)
        assert_close(kernels.relu_gradient(x, x), np.maximum(x, 0))


@pytest.mark.parametrize("name", ["3x3 same", "2x2, stride 2", "kernel above stride", "1x1"])
def test_a_broadcast_upstream_gradient(kernels, name):
    """As the backward of a sum returns it: a view whose strides are 0."""
    x, w, _, gy = drawn(GEOMETRIES[name])
    (_, *size), kernel, stride, pads = GEOMETRIES[name]
    gy = np.broadcast_to(0.5, gy.shape)
    whole = gy.copy()
    assert_close(kernels.weight_gradient(x, gy, kernel, stride, pads), kernel_gradient(x, whole, kernel, stride, pads))
    assert_close(
        kernels.convolve_transposed(gy, w, None, stride, pads, tuple(size)), transposed(whole, w, stride, pads, size)
    )
    gx, gw, gb = kernels.convolve_backward(x, w, gy, whole, stride, pads, (True, True, True))
    assert_close(gx, transposed(whole, w, stride, pads, size))
    assert_close(gw, kernel_gradient(x, whole, kernel, stride, pads))
    assert_close(gb, whole.sum(axis=(0, 1, 2)))
    y, argmax = kernels.max_pool(x, kernel, stride, pads)
    gy = np.broadcast_to(0.5, y.shape)
    assert_close(
        kernels.max_pool_gradient(gy, argmax, kernel, stride, pads, tuple(size)),
        pooling_gradient(gy, argmax, kernel, stride, pads, size),
    )
    assert_close(kernels.relu_gradient(gy, y), np.where(y > 0, 0.5, 0))


def test_a_result_is_not_overwritten_by_the_next_call(kernels):
    """No result may be scratch memory, or one of the inputs."""
    for (N, H, W), kernel, stride, pads in GEOMETRIES.values():
        first, second = (drawn(((N, H, W), kernel, stride, pads), F=3, seed=seed) for seed in (1, 2))

        def results(x, w, b, gy):
            y, argmax = kernels.max_pool(x, kernel, stride, NO_PADS)
            return [
                kernels.convolve(x, w, b, stride, pads),
                kernels.convolve_transposed(gy, w, b, stride, pads, (H, W)),
                kernels.weight_gradient(x, gy, kernel, stride, pads),
                *kernels.convolve_backward(x, w, gy, gy, stride, pads, (True, True, True)),
                y,
                argmax,
                kernels.relu_gradient(gy, gy),
                kernels.max_pool_gradient(y, argmax, kernel, stride, NO_PADS, (H, W)),
            ]

        if min(windows.output_size((H, W), kernel, stride, NO_PADS)) < 1:
            continue
        before = results(*first)
        copies = [array.copy() for array in before]
        assert not any(np.shares_memory(array, x) for array in before for x in first)
        results(*second)
        for array, copy in zip(before, copies):
            np.testing.assert_array_equal(array, copy)


# ---- threads -----------------------------------------------------------------------------------------------


def all_products(seed=0, size=(3, 17, 19)):
    """The products of images that are cut into many blocks."""
    same = (1, 1), ((1, 1), (1, 1))
    x, w, b, gy = drawn((size, (3, 3), *same), C=4, F=5, dtype="float32", seed=seed)
    doubled = tuple(2 * n - 1 for n in size[1:])
    y, argmax = cpu.max_pool(x, (2, 2), (2, 2), NO_PADS)
    return [
        cpu.convolve(x, w, b, *same, relu=True),
        cpu.weight_gradient(x, gy, (3, 3), *same),
        cpu.convolve_transposed(gy, w, None, *same, size[1:]),
        *cpu.convolve_backward(x, w, gy, gy, *same, (True, True, True)),
        cpu.convolve_transposed(gy, w, None, (2, 2), ((1, 1), (1, 1)), doubled),
        y,
        argmax,
        cpu.max_pool_gradient(y, argmax, (2, 2), (2, 2), NO_PADS, size[1:]),
        cpu.relu_gradient(gy, gy),
    ]


@pytest.mark.usefixtures("long_row")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_two_runs_give_the_same_bits(monkeypatch, threads):
    monkeypatch.setattr(cpu.patches, "BLOCK_BYTES", 4000)
    set_num_threads(threads)
    first = all_products()
    for _ in range(5):
        for found, expected in zip(all_products(), first):
            assert found.tobytes() == expected.tobytes()


@pytest.mark.usefixtures("long_row")
def test_any_number_of_threads_gives_the_same_up_to_rounding(monkeypatch):
    monkeypatch.setattr(cpu.patches, "BLOCK_BYTES", 4000)
    results = []
    for threads in (1, 2, 3, 50):
        set_num_threads(threads)
        results.append(all_products())
    for several in results[1:]:
        for found, expected in zip(several, results[0]):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("long_row")
@pytest.mark.parametrize("threads", [1, 2])
def test_four_callers_at_once(monkeypatch, threads):
    monkeypatch.setattr(cpu.patches, "BLOCK_BYTES", 4000)
    set_num_threads(threads)
    sizes = [(3, 17, 19), (2, 9, 33), (1, 31, 8), (5, 6, 7)]
    expected = [all_products(seed, size) for seed, size in enumerate(sizes)]
    wrong, start = [], threading.Barrier(len(sizes))

    def caller(seed):
        start.wait()
        for _ in range(15):
            for found, right in zip(all_products(seed, sizes[seed]), expected[seed]):
                if found.tobytes() != right.tobytes():
                    wrong.append(seed)

    callers = [threading.Thread(target=caller, args=(seed,)) for seed in range(len(sizes))]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert wrong == []


# ---- three times the same functions ------------------------------------------------------------------------


def signatures(module, names):
    return {name: list(inspect.signature(getattr(module, name)).parameters) for name in names}


@pytest.mark.parametrize("module", [cpu, gpu])
def test_each_module_has_the_kernels_of_the_reference_with_the_same_parameters(module):
    assert signatures(module, module.__all__) == signatures(reference, reference.__all__)
    public = [name for name, _ in inspect.getmembers(module, inspect.isfunction) if not name.startswith("_")]
    assert sorted(public) == sorted(module.__all__)


# ---- which kernels -----------------------------------------------------------------------------------------


def test_the_device_chooses_the_kernels_and_use_kernels_overrides_it(elsewhere):
    here, there = np.ones(1), elsewhere(np.ones(1))
    assert kernels_for(here) is cpu and kernels_for(there) is gpu
    with use_kernels("reference"):
        assert kernels_for(here) is reference and kernels_for(there) is reference
        with use_kernels("cpu"):
            assert kernels_for(here) is cpu
        assert kernels_for(here) is reference
    with pytest.raises(KeyError), use_kernels("reference"):
        raise KeyError
    assert kernels_for(here) is cpu


def test_kernels_for_another_device_are_refused(elsewhere):
    for name, array, device in [("gpu", np.ones(1), "cpu"), ("cpu", elsewhere(np.ones(1)), "gpu:7")]:
        message = f'"{name}" kernels were chosen, but the array is on {device}: move it'
        with use_kernels(name), pytest.raises(ValueError, match=message):
            kernels_for(array)


@pytest.mark.parametrize("name", ["fast", "", None, "CPU"])
def test_kernels_that_do_not_exist(name):
    with pytest.raises(ValueError, match="reference, cpu, gpu"), use_kernels(name):
        pass


def losses_and_gradients(model, x, t):
    loss = ops.bce_dice_loss(model.logits(x), t)
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return loss.item(), model(x).data, gradients


def test_a_whole_network_on_the_reference_kernels(monkeypatch):
    """Forward and backward, with the same numbers. Meanwhile the fast kernels must not be called."""
    rng = np.random.default_rng(0)
    x, t = Tensor(rng.uniform(0, 1, (2, 8, 12, 3))), rng.integers(0, 2, (2, 8, 12, 1)).astype(float)
    fast = losses_and_gradients(UNet(depth=2, width=4).astype("float64"), x, t)
    for name in (
        "convolve",
        "convolve_backward",
        "convolve_transposed",
        "weight_gradient",
        "max_pool",
        "max_pool_gradient",
        "relu_gradient",
    ):
        monkeypatch.delattr(cpu, name)
    with use_kernels("reference"):
        slow = losses_and_gradients(UNet(depth=2, width=4).astype("float64"), x, t)
    assert slow[0] == pytest.approx(fast[0], rel=1e-12)
    np.testing.assert_allclose(slow[1], fast[1], rtol=1e-10)
    for name, gradient in slow[2].items():
        np.testing.assert_allclose(gradient, fast[2][name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_lecture_network_on_the_reference_kernels():
    model, x = UNet(), np.random.default_rng(0).uniform(0, 1, (1, 64, 64, 3)).astype("float32")
    with use_kernels("reference"):
        slow = model.predict(x)
    np.testing.assert_allclose(slow, model.predict(x), rtol=0, atol=1e-5)


# ---- windows -----------------------------------------------------------------------------------------------


@geometries
def test_crop_is_the_adjoint_of_pad(geometry):
    (N, H, W), _, _, pads = geometry
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, H, W, 2))
    padded = windows.pad(x, pads)
    assert padded.shape == (N, H + sum(pads[0]), W + sum(pads[1]), 2)
    z = rng.standard_normal(padded.shape)
    assert np.vdot(padded, z) == pytest.approx(np.vdot(x, windows.crop(z, pads, (H, W))), rel=1e-12)
    assert (windows.pad(x, ((1, 0), (0, 0)), 7.0)[:, 0] == 7).all()


# ---- the smaller ones --------------------------------------------------------------------------------------


@dtypes
def test_sum_over_pixels(kernels, dtype):
    gy = np.random.default_rng(0).standard_normal((3, 5, 4, 2)).astype(dtype)
    expected = [sum(float(gy[n, i, j, c]) for n, i, j in np.ndindex(3, 5, 4)) for c in range(2)]
    result = kernels.sum_over_pixels(gy)
    assert result.dtype == dtype
    assert_close(result, np.array(expected), dtype)


@dtypes
@pytest.mark.parametrize("shape", [(3, 5, 4, 2), (2, 40, 33, 7), (1, 3, 2, 300)])
def test_relu_and_bias_of_a_convolution_backward(kernels, shape, dtype):
    """With the identity as its kernel, gx is gz."""
    rng = np.random.default_rng(1)
    gy, y = rng.standard_normal(shape).astype(dtype), np.maximum(rng.standard_normal(shape), 0).astype(dtype)
    identity = np.eye(shape[3], dtype=dtype)[None, None]
    arguments = np.zeros(shape, dtype), identity, gy, y, (1, 1), ((0, 0), (0, 0)), (True, False, True)
    gz, _, gb = kernels.module.convolve_backward(
        *(kernels.put(a) if isinstance(a, np.ndarray) else a for a in arguments)
    )
    gz, gb = to_numpy(gz), to_numpy(gb)
    expected = np.where(y > 0, gy.astype(np.float64), 0)
    np.testing.assert_array_equal(gz, expected.astype(dtype))
    np.testing.assert_allclose(
        gb, expected.reshape(-1, shape[3]).sum(axis=0), rtol=0, atol=1e-4 if dtype == "float32" else 1e-11
    )
    again = kernels.module.convolve_backward(*(kernels.put(a) if isinstance(a, np.ndarray) else a for a in arguments))
    np.testing.assert_array_equal(to_numpy(again[2]), gb)  # once more: the same bits
    assert gz.dtype == gb.dtype == dtype


@dtypes
def test_concatenate_and_split(kernels, dtype):
    a, b = np.arange(24, dtype=dtype).reshape(2, 2, 3, 2), -np.arange(60, dtype=dtype).reshape(2, 2, 3, 5)
    y = kernels.concatenate(a, b)
    assert y.shape == (2, 2, 3, 7) and y.dtype == dtype
    np.testing.assert_array_equal(y[1, 0, 2], [16, 17, -40, -41, -42, -43, -44])
    for part, whole in zip(kernels.split(y, 2), (a, b)):
        np.testing.assert_array_equal(part, whole)


@dtypes
@pytest.mark.parametrize("size", [1, 77, 70_000])
def test_cross_entropy(kernels, size, dtype):
    rng = np.random.default_rng(size)
    z, t, w = 3 * rng.standard_normal(size), rng.random(size), rng.integers(0, 3, size).astype(float)
    w[0] = 1
    p = 1 / (1 + np.exp(-z))
    losses = -t * np.log(p) - (1 - t) * np.log(1 - p)
    for weights in (None, w):
        loss, scale, error = kernels.cross_entropy(*(None if a is None else a.astype(dtype) for a in (z, t, weights)))
        u = np.ones(size) if weights is None else weights
        np.testing.assert_allclose(loss, (u * losses).sum() / u.sum(), rtol=1e-5 if dtype == "float32" else 1e-12)
        np.testing.assert_allclose(scale, 1 / u.sum(), rtol=1e-6)
        assert_close(error, u * (p - t), dtype)
        assert loss.dtype == scale.dtype == error.dtype == dtype
    loss, scale, error = kernels.cross_entropy(z.astype(dtype), t.astype(dtype), np.zeros(size, dtype))
    assert loss == scale == 0 and not error.any()


@dtypes
def test_overlap(kernels, dtype):
    rng = np.random.default_rng(3)
    p, t, w = rng.random((3, 3, 7, 1)), rng.random((3, 3, 7, 1)), rng.random((3, 3, 7, 1))
    for weights, u in ((None, 1.0), (w.astype(dtype), w)):
        expected = (
            [[(u * p * t)[n].sum(), (u * p)[n].sum(), (u * t)[n].sum()] for n in range(3)]
            if weights is not None
            else [[(p * t)[n].sum(), p[n].sum(), t[n].sum()] for n in range(3)]
        )
        result = kernels.overlap(p.astype(dtype), t.astype(dtype), weights)
        assert result.dtype == dtype
        np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("mask_dtype", ["uint8", "int16", "float32"])
def test_mask_counts(kernels, mask_dtype):
    values = np.array([[0.9, 0.9, 0.1, 0.9, 0.2], [0.1, 0.6, 0.5, 0.7, 0.5]], "float32")
    masks = np.array([[1, 0, 1, 255, 2], [255, 255, 1, 1, 0]]).astype(mask_dtype)
    counts = kernels.mask_counts(values, masks, 0.5, 255)
    np.testing.assert_array_equal(counts, [[1, 2, 2, 4, 3], [1, 1, 2, 3, 3]])


@pytest.mark.parametrize("mask_dtype", ["int16", "int64", "float32", "float64"])
def test_masks_hold_what_they_hold(kernels, mask_dtype):
    """No value is taken for the 0, 1 or 255 that it becomes as a byte or without its fraction."""
    values = np.full((1, 8), 0.3, "float32")
    masks = [1, 0, 255, -1, -255, 256, 257, 511] if "int" in mask_dtype else [1, 0, 255, -0.5, 0.9, 1.5, 254.7, 255.3]
    counts = kernels.mask_counts(values, np.array([masks], mask_dtype), 0.25, 255)
    np.testing.assert_array_equal(counts, [[1, 7, 1, 7, 2]])
    counts = kernels.mask_counts(values, np.array([masks], mask_dtype), 0.35, 255)
    np.testing.assert_array_equal(counts, [[0, 0, 1, 7, 2]])


def test_to_float(kernels):
    images = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3) * 11
    masks = np.array([0, 1, 255, 1, 2, 0, 1, 255], np.uint8).reshape(1, 2, 4, 1)
    x, t, weights = kernels.to_float(images, masks, 255)
    assert x.dtype == t.dtype == weights.dtype == np.float32
    np.testing.assert_allclose(x.ravel(), [k * 11 / 255 for k in range(24)], rtol=1e-7)
    np.testing.assert_array_equal(t.ravel(), [0, 1, 0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(weights.ravel(), [1, 1, 0, 1, 1, 1, 1, 0])


def test_an_update_reaches_every_element_once(monkeypatch, xp_array):
    monkeypatch.setattr(cpu.pieces, "PIECE", 7)  # several pieces, the last one shorter

    def rule(w, g, state, factor):
        state += g
        w += factor * state

    shapes = [(5, 6), (1,), (3, 1, 2)]
    rows = [[xp_array(np.arange(np.prod(shape), dtype=float).reshape(shape)) for _ in range(3)] for shape in shapes]
    kernels_for(rows[0][0]).update(rule, lambda: (2.0,), rows)
    for (w, g, state), shape in zip(rows, shapes):
        numbers = np.arange(np.prod(shape), dtype=float).reshape(shape)
        np.testing.assert_array_equal(to_numpy(state), 2 * numbers)
        np.testing.assert_array_equal(to_numpy(w), 5 * numbers)


SHAPES = [(3, 4), (), (5,), (2, 3, 1), (300,), (7, 1), (1, 1)]
RULES = {  # rule, numbers, arrays of state, CUDA kernel
    "sgd": (optim.sgd, (0.5,), 0, "sgd"),
    "sgd_with_momentum": (optim.sgd_with_momentum, (0.5, 0.9), 1, "sgd_with_momentum"),
    "rmsprop": (optim.rmsprop, (0.5, 0.9, 1e-3), 1, "rmsprop"),
    "adam": (optim.adam, (0.5, 0.9, 0.99, 1e-3), 2, "adam"),
}


@dtypes
@pytest.mark.parametrize("rule, numbers, states, cuda", RULES.values(), ids=RULES)
def test_update_applies_the_rule(monkeypatch, xp_array, rule, numbers, states, cuda, dtype):
    monkeypatch.setattr(gpu.optimizers, "TENSORS", 3)  # several launches, the last one with room left
    rng = np.random.default_rng(0)
    rows = [[np.array(rng.uniform(0, 2, shape), dtype) for _ in range(2 + states)] for shape in SHAPES]
    found = [tuple(xp_array(array.copy()) for array in row) for row in rows]
    kernels_for(found[0][0]).update(rule, lambda: numbers, found, cuda=cuda)
    for row, changed in zip(rows, found):
        w, g, *state = (array.copy() for array in row)
        rule(w, g, *state, *numbers)
        for expected, array in zip((w, row[1], *state), changed):
            np.testing.assert_allclose(to_numpy(array), expected, rtol=0, atol=TOLERANCE[dtype])
            assert array.dtype == dtype


@dtypes
def test_decay(monkeypatch, xp_array, dtype):
    monkeypatch.setattr(gpu.optimizers, "TENSORS", 3)
    arrays = [xp_array(np.full(shape, 8, dtype)) for shape in SHAPES]
    kernels_for(arrays[0]).decay(arrays, lambda: 0.75)
    assert all((to_numpy(array) == 6).all() and array.dtype == dtype for array in arrays)


def test_the_arguments_of_an_update_fit_into_one_launch():
    assert gpu.optimizers.TENSORS * 5 * 8 + 4 * 8 <= 4096  # five numbers for each tensor, then up to four scalars


@pytest.mark.parametrize("size, dtype", [((1, 256), "u1"), ((256, 1), "u1"), ((2, 129), "i4"), ((129, 2), "i4")])
def test_the_type_of_an_argmax_holds_every_pixel_of_the_window(size, dtype):
    assert argmax_dtype(size) == dtype


@pytest.mark.parametrize("columns, on", [(1 << 18, 2), ((1 << 18) - 1, 1)])
def test_only_large_products_are_shared_by_columns(monkeypatch, columns, on):
    """Four rows times 2^18 columns are 2^20 products: so many are worth waking up another thread."""
    set_num_threads(2)
    parts, in_parallel = [], cpu.products.in_parallel
    monkeypatch.setattr(
        cpu.products, "in_parallel", lambda task, starts: (parts.extend(starts), in_parallel(task, starts))
    )
    b = np.arange(columns, dtype=np.float32)[None]
    out = np.empty((4, columns), np.float32)
    cpu.products.by_columns(np.array([[1], [2], [-1], [0]], np.float32), b, out)
    np.testing.assert_array_equal(out, [b[0], 2 * b[0], -b[0], 0 * b[0]])
    assert len(parts) == on


@pytest.mark.parametrize("name", ["2x2 rows", "3x2 overlapping", "3x3 padded", "2x3 left over"])
def test_large_images_are_pooled_and_upsampled_some_rows_at_a_time(monkeypatch, name):
    """A piece of 40 numbers, or of 40 bytes, is less than an image here, and mostly less than a row."""
    size, stride, pads = {
        "2x2 rows": ((2, 2), (2, 2), NO_PADS),
        "3x2 overlapping": ((3, 2), (1, 2), NO_PADS),
        "3x3 padded": ((3, 3), (2, 2), ((1, 1), (1, 0))),
        "2x3 left over": ((2, 3), (2, 3), NO_PADS),
    }[name]
    monkeypatch.setattr(cpu.pieces, "PIECE", 40)
    monkeypatch.setattr(cpu.convolution, "BLOCK_BYTES", 400)
    x = np.round(np.random.default_rng(0).standard_normal((3, 13, 14, 3)))
    for _, found, expected in zip(range(2), cpu.max_pool(x, size, stride, pads), pooling(x, size, stride, pads)):
        np.testing.assert_array_equal(found, expected)
    w = np.random.default_rng(1).standard_normal((*size, 2, 3))
    small = np.random.default_rng(2).standard_normal((3, *windows.output_size((12, 12), size, stride, pads), 3))
    found = cpu.convolve_transposed(small, w, np.array([10.0, 20]), stride, pads, (12, 12))
    np.testing.assert_allclose(found, transposed(small, w, stride, pads, (12, 12)) + [10, 20], atol=1e-12)
