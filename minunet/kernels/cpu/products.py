"""Matrix products of shapes that OpenBLAS takes long for: with few rows and many weights, and with few weights.

At 4x4 pixels, 512 channels and 512 filters, W has 2.4 million numbers, and an image has 16 products for each of them.
Reading W costs more than the arithmetic. If the threads shared the pixels, each would read all of W; here they share
its columns (`by_columns`).

Of small products, OpenBLAS reads both factors where they are. Otherwise, it first copies them into an order that suits
it, which pays where each number is used often. With few weights it is not; there, a product with many rows is cut into
small ones, and takes a half to a third of the time (`small_slices`).
"""

import numpy as np

from minunet.kernels.threads import get_num_threads, in_parallel

MANY_WEIGHTS = 1 << 18  # about what a core's cache holds
MANY_PRODUCTS = 1 << 20  # with fewer, a thread is done before another has been woken up (measured)
ONE_THREAD = 1 << 18  # with fewer, OpenBLAS stays on one thread anyway, and need not be told
SMALL_PRODUCT = 10**6  # multiplications up to which OpenBLAS does not copy what it multiplies
FEW_ROWS = 16  # below which such a product would be too small (measured)
FEW_TERMS = 48  # the same for sums over rows, as those of the kernel's gradient


def few_pixels(pixels, w_shape):
    """Returns whether a layer's products are those of `by_columns`."""
    KH, KW, C, F = w_shape
    return pixels <= 2 * F and KH * KW * C * F >= MANY_WEIGHTS


def by_columns(a, b, out):
    """out ← a b, each thread for some of the columns; a small product on one. a (M, K), b (K, F), out (M, F)."""
    if len(a) * b.size <= ONE_THREAD:
        np.matmul(a, b, out=out)
        return
    threads = get_num_threads() if len(a) * b.size >= MANY_PRODUCTS else 1
    step = -(-b.shape[1] // threads)

    def task(starts):
        for start in starts:
            part = slice(start, start + step)
            np.matmul(a, b[:, part], out=out[:, part])

    in_parallel(task, range(0, b.shape[1], step))


def small_slices(rows, weights, few):
    """Returns so many rows in slices, of which each makes a small product with that many weights.

    If such a slice would have fewer than `few` rows, there is one slice with all of them.
    """
    step = SMALL_PRODUCT // max(1, weights) // 16 * 16
    if step < few:
        return [slice(0, rows)]
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def by_rows(a, b, out):
    """out ← a b in small products. a (M, K) and out (M, F) contiguous, b (K, F).

    With K = 1, NumPy multiplies number by number. Two rows as one, with half of the products for nothing, are ten times
    faster:  [a_0 a_1] [b 0; 0 b] = [a_0 b, a_1 b]. (Where a_0 is infinite, a_1's row becomes NaN, too: 0 · ∞.)
    """
    if len(b) == 1 and len(a) % 2 == 0:
        a, b, out = a.reshape(-1, 2), np.kron(np.eye(2, dtype=b.dtype), b), out.reshape(-1, 2 * b.shape[1])
    for equal, rows in _equal_slices(len(a), b.size, FEW_ROWS):
        np.matmul(a[rows].reshape(equal, -1, len(b)), b, out=out[rows].reshape(equal, -1, b.shape[1]))


def sum_by_rows(a, b):
    """Returns aᵀ b (A, B), summed over all rows in small products. a (M, A) and b (M, B) contiguous."""
    A, B = a.shape[1], b.shape[1]
    sums = []
    for equal, rows in _equal_slices(len(a), A * B, FEW_TERMS):
        products = a[rows].reshape(equal, -1, A).swapaxes(1, 2) @ b[rows].reshape(equal, -1, B)
        sums.append(products[0] if equal == 1 else products.sum(axis=0))
    return sum(sums[1:], sums[0]) if sums else np.zeros((A, B), a.dtype)


def _equal_slices(rows, weights, few):
    """Yields (count, slice): all small slices but the last together, for one call of NumPy, then the last one."""
    slices = small_slices(rows, weights, few)
    if slices[1:]:
        yield len(slices) - 1, slice(0, slices[-1].start)
    if slices:
        yield 1, slices[-1]
