"""The windows under whole rows of output pixels, with each number of a window's row copied once, not KH times.

P(x) holds every pixel KH·KW times. From one output row to the next, though, a window keeps all but its newest rows. So
only the rows of the windows are copied, into Q: Q[j, i] is row i of the strip as seen by the windows of column j, KW·C
numbers. What one column sees lies one below the other:

    the strip (C = 1)           Q, for KW = 3: one line per column j
    row 0   a b c d e           j = 0:   a b c  f g h  k l m  p q r
    row 1   f g h i j           j = 1:   b c d  g h i  l m n  q r s
    row 2   k l m n o           j = 2:   c d e  h i j  m n o  r s t
    row 3   p q r s t                    └─────────────┘
                                                └─────────────┘
                                         windows of output row 0 and, one row further, those of output row 1 (KH = 3)

The window of output pixel (i, j) is KH·KW·C numbers of line j in one piece, from row i·SH on. For one output row they
are a matrix: as many lines as pixels, each as far behind the one before as a line of Q is long. That distance is what a
BLAS calls lda, so it multiplies these matrices where they are, although those of neighboring output rows overlap. Per
pixel KW·C numbers are copied instead of KH·KW·C. It takes one product per output row, so rows have to be long.
"""

import numpy as np

from minunet.kernels.cpu.items import item_type
from minunet.kernels.threads import scratch

LONG_ROW = 64  # output pixels: from here on a row is enough for one product (measured)


def row_windows(strip, rows, kernel_size, stride, OW):
    """Returns the windows under some output rows, a matrix for each of them: (images, rows, OW, KH·KW·C).

    strip: what these windows see of the padded images, (images, (rows - 1)·SH + KH, …, C). The matrices overlap in
    scratch memory: they are there to be read.
    """
    (KH, KW), (SH, SW), (count, height, _, C) = kernel_size, stride, strip.shape
    item = item_type(KW * C, strip.dtype)
    s_n, s_h, s_w, s_c = strip.strides
    Q = scratch("windows", (count, OW, height), item)
    Q[...] = np.ndarray(Q.shape, item, strip, 0, (s_n, s_w * SW, s_h))
    line = height * item.itemsize
    steps = OW * line, SH * item.itemsize, line, s_c
    return np.ndarray((count, rows, OW, KH * KW * C), strip.dtype, Q, 0, steps)
