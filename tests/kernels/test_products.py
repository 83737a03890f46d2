"""Products cut into small ones: every row once, whatever the number of rows; an outer product by two rows at a time."""

import numpy as np
import pytest

from minunet.kernels.cpu import products


@pytest.fixture(params=[1, 700, 10**6], ids=lambda size: f"small means {size}")
def small_product(request, monkeypatch):
    monkeypatch.setattr(products, "SMALL_PRODUCT", request.param)
    monkeypatch.setattr(products, "FEW_ROWS", 16)
    monkeypatch.setattr(products, "FEW_TERMS", 16)


def drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize("K, F", [(1, 1), (1, 4), (2, 5), (7, 6)])
@pytest.mark.parametrize("M", [0, 1, 2, 15, 16, 32, 33, 100])
def test_by_rows(small_product, M, K, F):
    a, b, out = drawn(M, K), drawn(K, F), np.full((M, F), np.nan)
    products.by_rows(a, b, out)
    np.testing.assert_allclose(
        out, [[sum(a[m] * b[:, f]) for f in range(F)] for m in range(M)] if M else out, rtol=1e-9
    )
    assert not np.isnan(out).any()


@pytest.mark.parametrize("A, B", [(1, 1), (4, 1), (3, 5), (7, 6)])
@pytest.mark.parametrize("M", [0, 1, 2, 15, 16, 32, 33, 100])
def test_sum_by_rows(small_product, M, A, B):
    a, b = drawn(M, A), drawn(M, B) + 3
    expected = np.array([[sum(a[m, i] * b[m, j] for m in range(M)) for j in range(B)] for i in range(A)])
    np.testing.assert_allclose(products.sum_by_rows(a, b), expected, rtol=1e-9, atol=1e-12)


def test_a_small_product_has_that_many_multiplications(monkeypatch):
    monkeypatch.setattr(products, "SMALL_PRODUCT", 700)
    assert products.small_slices(40, 20, 16) == [slice(0, 32), slice(32, 40)]  # 32 x 20 = 640
    assert products.small_slices(32, 43, 16) == [slice(0, 16), slice(16, 32)]  # 16 x 43 = 688
    assert products.small_slices(40, 44, 16) == [slice(0, 40)]  # 16 x 44 = 704: fewer rows would be too few
    assert products.small_slices(0, 20, 16) == []
