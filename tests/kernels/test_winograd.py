"""Winograd's products: the polynomials that they come from, when they are taken, and what must not matter."""

import numpy as np
import pytest

from minunet import get_num_threads, set_num_threads
from minunet.kernels import cpu, plain_products
from minunet.kernels.cpu import winograd

ONE = (1, 1)
SAME = (1, 1), (1, 1)


@pytest.fixture(autouse=True)
def threads_as_before():
    before = get_num_threads()
    yield
    set_num_threads(before)


def rows_times_taps(x, w):
    """The definition for 3x3, "same": one product for each tap, over whole images."""
    N, H, W, C = x.shape
    padded = np.zeros((N, H + 2, W + 2, C))
    padded[:, 1:-1, 1:-1] = x
    return sum(padded[:, k : k + H, l : l + W] @ w[k, l].astype(float) for k, l in np.ndindex(3, 3))


def gradients(x, w, gy):
    """The definition of (gx, gw) for 3x3, "same"."""
    N, H, W, C = x.shape
    padded, g_padded = np.zeros((N, H + 2, W + 2, C)), np.zeros((N, H + 2, W + 2, C))
    padded[:, 1:-1, 1:-1] = x
    gw = np.zeros(w.shape)
    for k, l in np.ndindex(3, 3):
        gw[k, l] = np.einsum("nijc,nijf->cf", padded[:, k : k + H, l : l + W], gy.astype(float))
        g_padded[:, k : k + H, l : l + W] += gy @ w[k, l].astype(float).T
    return g_padded[:, 1:-1, 1:-1], gw


def drawn(N=2, H=8, W=6, C=12, F=16, dtype="float64"):
    rng = np.random.default_rng(0)
    shapes = (N, H, W, C), (3, 3, C, F), (F,), (N, H, W, F)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def taken(monkeypatch):
    """A list that grows with each block that is multiplied in Winograd's way."""
    blocks, multiply = [], winograd.multiply
    monkeypatch.setattr(winograd, "multiply", lambda v, u, out, *b: (blocks.append(len(v)), multiply(v, u, out, *b)))
    return blocks


# ---- why six products are enough ---------------------------------------------------------------------------


def test_six_products_of_values_are_the_product_of_two_polynomials():
    p, w = np.array([2.0, -1, 3, 5]), np.array([4.0, 7, -2])
    product = winograd.B @ ((winograd.A @ p) * (winograd.G @ w))
    np.testing.assert_allclose(product, [8, 10, 1, 43, 29, -10], atol=1e-12)  # by hand: 2·4, 2·7 - 1·4, …


def test_four_outputs_of_a_column_from_six_numbers():
    d, w = np.array([1.0, 2, 3, 5, 8, 13]), np.array([1.0, 10, 100])
    y = winograd.A.T @ ((winograd.G @ w) * (winograd.B.T @ d))
    np.testing.assert_allclose(y, [321, 532, 853, 1385], atol=1e-10)  # 1 + 20 + 300, 2 + 30 + 500, …


def test_half_as_many_multiplications():
    """Of 3x3 windows over 16 channels under 8 rows of 10 pixels: 6 matrices for each 4 rows, of windows of 3 pixels."""
    windows = cpu.patches.Windows((3, 3), ONE, SAME, (8, 10))
    x = np.random.default_rng(0).standard_normal((1, 8, 10, 16))
    (v,) = winograd.window_matrices(winograd.strip_under(x, slice(0, 8), windows), slice(0, 8), windows)
    assert v.shape == (6, 2 * 10, 3 * 16)
    strip = cpu.patches.strip_under(x, slice(0, 8), windows)
    assert 2 * v.size == cpu.patches.window_matrices(strip, slice(0, 8), windows).size


@pytest.mark.parametrize("KW, SW, phases", [(3, 1, 3), (4, 2, 2), (3, 2, 2), (1, 1, 1)])
def test_windows_in_phases_are_those_that_would_be_copied(monkeypatch, KW, SW, phases):
    """Two tiles of rows of 10 pixels, 12 with padding: window j is in phase j % phases, where nothing is copied."""
    OW = (12 - KW) // SW + 1
    windows = cpu.patches.Windows((3, KW), (1, SW), SAME, (8, OW))
    x = np.random.default_rng(0).standard_normal((1, 8, 10, 5))
    strip = winograd.strip_under(x, slice(0, 8), windows)
    monkeypatch.setattr(winograd, "LONG_ROW", 1000)
    copied = winograd.window_matrices(strip, slice(0, 8), windows)[0].copy().reshape(6, 2, OW, KW * 5)
    monkeypatch.setattr(winograd, "LONG_ROW", 1)
    in_phases = winograd.window_matrices(strip, slice(0, 8), windows)
    assert len(in_phases) == phases
    for j in range(OW):
        of_both_tiles = in_phases[j % phases].reshape(6, 2, -1, KW * 5)
        np.testing.assert_allclose(of_both_tiles[:, :, j // phases], copied[:, :, j], rtol=1e-12, atol=1e-12)
    starts = [matrix.ctypes.data for matrix in in_phases]
    assert np.diff(starts).tolist() == [SW * 5 * 8] * (phases - 1)  # one array, seen from pixel 0, SW, 2·SW, …


# ---- when ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pays, N, kernel, stride, out_size",
    [
        (True, 6, (3, 3, 64, 96), (1, 1), (4, 4)),  # 96 pixels
        (False, 5, (3, 3, 64, 96), (1, 1), (4, 4)),
        (False, 0, (3, 3, 64, 96), (1, 1), (4, 4)),
        (True, 1, (3, 3, 8, 16), (1, 1), (8, 8)),
        (False, 1, (3, 3, 8, 15), (1, 1), (8, 8)),
        (True, 1, (3, 4, 16, 16), (1, 2), (8, 8)),
        (False, 1, (3, 3, 16, 16), (2, 1), (8, 8)),
        (False, 1, (5, 3, 16, 16), (1, 1), (8, 8)),
        (False, 1, (3, 3, 16, 16), (1, 1), (6, 8)),
    ],
)
def test_when_it_pays(pays, N, kernel, stride, out_size):
    windows = cpu.patches.Windows(kernel[:2], stride, SAME, out_size)
    assert winograd.pays(N, kernel, windows) == pays


def test_the_kernels_take_it_and_leave_it(monkeypatch):
    x, w, b, gy = drawn()
    blocks = taken(monkeypatch)
    cpu.convolve(x, w, b, ONE, SAME)
    assert len(blocks) > 0
    forward = len(blocks)
    cpu.convolve_backward(x, w, gy, gy, ONE, SAME, (True, True, True))
    assert len(blocks) > forward
    blocks.clear()
    with plain_products():
        cpu.convolve(x, w, b, ONE, SAME)
        cpu.convolve_backward(x, w, gy, gy, ONE, SAME, (True, True, True))
    assert blocks == []


def test_plain_products_are_exactly_0_where_nothing_depends_on_a_pixel():
    x, w, _, gy = drawn(H=16)
    gy[:] = 0
    gy[0, 7, 2] = 1
    with plain_products():
        gx, _, _ = cpu.convolve_backward(x, w, gy, None, ONE, SAME, (True, True, False))
    assert gx[0, 6:9, 1:4].all()
    gx[0, 6:9, 1:4] = 0
    assert not gx.any()


# ---- what must not matter -----------------------------------------------------------------------------------


@pytest.mark.parametrize("small_product", [10_000, 1 << 40], ids=["small products", "one product"])
@pytest.mark.parametrize("long_row", [1, 1000])
@pytest.mark.parametrize("block_bytes, threads", [(1, 1), (1, 3), (30_000, 2), (1 << 20, 2)])
def test_how_the_products_are_cut_up(monkeypatch, block_bytes, threads, long_row, small_product):
    monkeypatch.setattr(winograd, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(winograd, "LONG_ROW", long_row)
    monkeypatch.setattr(cpu.products, "SMALL_PRODUCT", small_product)
    monkeypatch.setattr(winograd, "FEW_ROWS", 2)
    monkeypatch.setattr(winograd, "FEW_TERMS", 2)
    set_num_threads(threads)
    x, w, b, gy = drawn(N=3)
    y = np.maximum(rows_times_taps(x, w) + b, 0)
    np.testing.assert_allclose(cpu.convolve(x, w, b, ONE, SAME, relu=True), y, rtol=1e-11, atol=1e-11)
    gz = np.where(y > 0, gy, 0)
    gx, gw, gb = cpu.convolve_backward(x, w, gy, y, ONE, SAME, (True, True, True))
    expected_gx, expected_gw = gradients(x, w, gz)
    np.testing.assert_allclose(gx, expected_gx, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(gw, expected_gw, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(gb, gz.sum(axis=(0, 1, 2)), rtol=1e-11)
    np.testing.assert_allclose(cpu.weight_gradient(x, gz, (3, 3), ONE, SAME), expected_gw, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("C, F", [(8, 8), (20, 10), (11, 6), (5, 40)])
def test_pairs_of_pixels(monkeypatch, C, F):
    """Few filters: two pixels are one, in windows that are one pixel wider and two apart."""
    x, w, b, gy = drawn(C=C, F=F)
    blocks = taken(monkeypatch)
    y = cpu.convolve(x, w, b, ONE, SAME)
    np.testing.assert_allclose(y, rows_times_taps(x, w) + b, rtol=1e-11, atol=1e-11)
    gx, gw, _ = cpu.convolve_backward(x, w, gy, None, ONE, SAME, (True, True, False))
    expected_gx, expected_gw = gradients(x, w, gy)
    np.testing.assert_allclose(gx, expected_gx, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(gw, expected_gw, rtol=1e-11, atol=1e-11)
    assert len(blocks) > 0


def test_rounding_in_float32():
    """A few times that of the plain products: 1e-5 of the largest number is far above both."""
    x, w, b, gy = drawn(N=2, H=16, W=16, C=64, F=64, dtype="float32")
    x = np.maximum(x, 0)
    y = cpu.convolve(x, w, b, ONE, SAME)
    expected = rows_times_taps(x, w) + b
    assert y.dtype == np.float32 and abs(y - expected).max() < 1e-5 * abs(expected).max()
    for found, expected in zip(
        cpu.convolve_backward(x, w, gy, None, ONE, SAME, (True, True, False)), gradients(x, w, gy)
    ):
        assert found.dtype == np.float32 and abs(found - expected).max() < 1e-5 * abs(expected).max()


def test_the_gradient_of_the_kernel_is_an_array_of_its_own():
    """Not a view: the engine would copy it (autograd/function.py)."""
    x, w, _, gy = drawn()
    assert cpu.convolve_backward(x, w, gy, None, ONE, SAME, (True, True, False))[1].base is None
    assert cpu.weight_gradient(x, gy, (3, 3), ONE, SAME).base is None


@pytest.mark.parametrize("long_row", [1, 1000], ids=["phases", "copies"])
@pytest.mark.parametrize(
    "size, pads",
    [((6, 5), ((9, 7), (0, 3))), ((4, 5), ((0, 6), (2, 0))), ((2, 7), ((8, 0), (1, 1))), ((6, 4), ((0, 0), (0, 0)))],
)
def test_tiles_that_lie_partly_or_wholly_in_the_padding(monkeypatch, size, pads, long_row):
    monkeypatch.setattr(winograd, "LONG_ROW", long_row)
    x, w, b, _ = drawn(H=size[0], W=size[1])
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    OH, OW = padded.shape[1] - 2, padded.shape[2] - 2
    taps = {(k, l): padded[:, k : k + OH, l : l + OW] for k, l in np.ndindex(3, 3)}
    blocks = taken(monkeypatch)
    y = cpu.convolve(x, w, b, ONE, pads)
    np.testing.assert_allclose(y, b + sum(pixels @ w[tap] for tap, pixels in taps.items()), rtol=1e-11, atol=1e-11)
    gy = np.random.default_rng(1).standard_normal(y.shape)
    gw = cpu.weight_gradient(x, gy, (3, 3), ONE, pads)
    for tap, pixels in taps.items():
        np.testing.assert_allclose(gw[tap], np.einsum("nijc,nijf->cf", pixels, gy), rtol=1e-11, atol=1e-11)
    assert len(blocks) > 0
