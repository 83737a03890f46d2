"""Products with many weights and few pixels: the deep layers of small batches.

At 4x4 pixels, 512 channels and 512 filters, W has 2.4 million numbers, and an image has 16 products for each of them.
Reading W costs more than the arithmetic. If the threads shared the pixels, each would read all of W; here they share
its columns.
"""

import numpy as np

from minunet.kernels.threads import get_num_threads, in_parallel

MANY_WEIGHTS = 1 << 18  # about what a core's cache holds
MANY_PRODUCTS = 1 << 20  # with fewer, a thread is done before another has been woken up (measured)


def few_pixels(pixels, w_shape):
    """Returns whether a layer's products are those of this file."""
    KH, KW, C, F = w_shape
    return pixels <= 2 * F and KH * KW * C * F >= MANY_WEIGHTS


def by_columns(a, b, out):
    """out ← a b, each thread for some of the columns; a small product on one. a (M, K), b (K, F), out (M, F)."""
    threads = get_num_threads() if len(a) * b.size >= MANY_PRODUCTS else 1
    step = -(-b.shape[1] // threads)

    def task(starts):
        for start in starts:
            part = slice(start, start + step)
            np.matmul(a, b[:, part], out=out[:, part])

    in_parallel(task, range(0, b.shape[1], step))
