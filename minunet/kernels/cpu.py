"""The products for NumPy arrays, on all cores.

P(x) is KH·KW times as large as x, so it is never built whole. The output is cut into blocks of rows; the part of
P(x) under a block fits into the processor's cache; there it is multiplied with W while it is warm, and the next block
overwrites it:

    for each block of output rows:
        strip   = the rows of x under the block, with their zero border            (scratch memory)
        patches = all windows of the strip, copied side by side: some rows of P(x)   (scratch memory)
        y[block] = patches @ W, + b, negative → 0 while it is warm

The copy is cheap because the channels come last: KW·C neighbouring numbers of a picture are neighbours in a patch, too.
`_runs` hands them to NumPy as one item each: a copy of many short rows of numbers takes it several times as long.

Where a layer has few filters, the product is as narrow as W, and the processor's wide registers stay half empty. So two
neighbouring pixels of a row are computed as one (`_in_pairs`), by a window that is one pixel wider:

    y[n,i, 2j + t, f]  is filter t·F + f of the wide kernel:  wide[k, l + t, c, t·F + f] = w[k,l,c,f], 0 elsewhere

A quarter of the products are with zeros, but P(x) is two thirds as large, and the product twice as wide. (Four pixels would be
too many zeros. And where x is infinite, 0 · ∞ makes one pixel more NaN than need be.)
"""

import functools

import numpy as np

from minunet.kernels.reference import decode, follow, mask_counts, overlap  # noqa: F401  (serve here as they are)
from minunet.kernels.threads import get_num_threads, in_parallel, scratch
from minunet.kernels.windows import crop, output_size, tap, winner_dtype

PIECE = 1 << 16  # elements of arrays that are worked on element by element
FLAGS = np.dtype(bool)
FEW_FILTERS = 16  # up to so many, pairs of pixels are faster (measured)
BLOCK_BYTES = 2 << 20  # of P(x) per block: it stays in the cache, and deep layers do not read their W too often


def convolve(x, w, b, stride, pads, relu=False):
    """y = P(x) W + b; negative results become 0 if `relu`. Shapes as in `reference.convolve`."""
    x = np.ascontiguousarray(x)
    KH, KW, C, F = w.shape
    OH, OW = output_size(x.shape[1:3], (KH, KW), stride, pads)
    if _in_pairs(OW, F, KW, stride):
        wide = np.zeros((KH, KW + 1, C, 2, F), w.dtype)
        wide[:, :-1, :, 0] = wide[:, 1:, :, 1] = w
        b = None if b is None else np.tile(b, 2)
        y = convolve(x, wide.reshape(KH, KW + 1, C, 2 * F), b, (stride[0], 2), pads, relu)
        return y.reshape(-1, OH, OW, F)
    y = np.empty((len(x), OH, OW, F), x.dtype)
    W = np.ascontiguousarray(w).reshape(KH * KW * C, F)
    # b and 0 repeated along a row: NumPy is several times faster on long rows than on F numbers, or one, at a time
    b_row, zero_row = None if b is None else np.tile(b, OW), np.zeros(OW * F, x.dtype)

    def task(blocks):
        for n, rows in blocks:
            pixels = y[n, rows].reshape(-1, F)
            np.matmul(_patches(x, n, rows, (KH, KW), stride, pads, OW), W, out=pixels)
            whole_rows = pixels.reshape(-1, OW * F)
            if b is not None:
                np.add(whole_rows, b_row, out=whole_rows)
            if relu:
                np.maximum(whole_rows, zero_row, out=whole_rows)

    in_parallel(task, _blocks(len(x), OH, OW * KH * KW * C * x.itemsize))
    return y


def _in_pairs(OW, F, KW, stride):
    """Are two pixels of a row computed as one?"""
    return F <= FEW_FILTERS and OW % 2 == 0 and KW > 1 and stride[1] == 1


def convolve_transposed(y, w, b, stride, pads, size):
    """x = Pᵀ(y Wᵀ) + b. Shapes as in `reference.convolve_transposed`."""
    KH, KW, C, F = w.shape
    turned_pads = _turned_pads(y.shape[1:3], size, (KH, KW), pads)
    many_pixels = y.shape[0] * y.shape[1] * y.shape[2] > 2 * F  # for few, turning w would cost more than it saves
    if stride == (1, 1) and many_pixels and min(map(min, turned_pads)) >= 0:
        # A window that slides by one pixel: Pᵀ is a convolution too, with the kernel turned by 180° and C, F swapped.
        turned = np.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))
        return convolve(y, turned, b, (1, 1), turned_pads)
    return _scatter(np.ascontiguousarray(y), w, b, stride, pads, size)


def _turned_pads(out_size, size, kernel_size, pads):
    """The border of y that lets the turned kernel reach every pixel of x: K - 1 - p before, what is missing after."""
    before = [k - 1 - p[0] for k, p in zip(kernel_size, pads)]
    return tuple((p, n + k - 1 - o - p) for p, n, k, o in zip(before, size, kernel_size, out_size))


def _scatter(y, w, b, stride, pads, size):
    """Pᵀ as it is written: the product y Wᵀ, then each tap's part added where it came from, some pictures at a time."""
    KH, KW, C, F = w.shape
    N, OH, OW, _ = y.shape
    H, W = size
    Wt = np.ascontiguousarray(w).reshape(KH * KW * C, F).T
    x = np.empty((N, H, W, C), y.dtype)
    tiles = (KH, KW) == stride and (H, W) == (OH * KH, OW * KW)  # the windows lie side by side, none overlap
    b_row = None if b is None else np.tile(b, W)

    def task(blocks):
        for n, _ in blocks:
            count = n.stop - n.start
            parts = scratch("parts", (count, OH, OW, KH, KW, C), y.dtype)
            np.matmul(y[n].reshape(-1, F), Wt, out=parts.reshape(-1, KH * KW * C))
            if tiles:
                rows = parts.reshape(count, OH, OW, KH, KW * C).transpose(0, 1, 3, 2, 4)
                _runs(x[n].reshape(count, OH, KH, OW, KW * C))[:] = _runs(rows)
            else:
                x[n] = _added_up(parts, stride, pads, size)
            if b is not None:
                x[n].reshape(-1, W * C)[:] += b_row

    bytes_per_picture = OH * OW * KH * KW * C * y.itemsize
    in_parallel(task, _blocks(N, 1, bytes_per_picture))  # a whole picture counts as one row here
    return x


def _added_up(parts, stride, pads, size):
    """Every tap's part (count, OH, OW, C) added to the pixels under that tap: pictures of `size`, in scratch memory."""
    count, OH, OW, KH, KW, C = parts.shape
    (top, bottom), (left, right) = pads
    padded = scratch("padded", (count, size[0] + top + bottom, size[1] + left + right, C), parts.dtype)
    padded[:] = 0
    for k, l in np.ndindex(KH, KW):
        pixels = tap(padded, k, l, stride, (OH, OW))
        pixels += parts[:, :, :, k, l]
    return crop(padded, pads, size)


def weight_gradient(x, gy, kernel_size, stride, pads):
    """gW = P(x)ᵀ gy, each thread summing over blocks of its own. Shapes as in `reference.weight_gradient`."""
    x, gy = np.ascontiguousarray(x), np.ascontiguousarray(gy)
    KH, KW = kernel_size
    N, OH, OW, F = gy.shape
    if _in_pairs(OW, F, KW, stride):
        wide = weight_gradient(x, gy.reshape(N, OH, OW // 2, 2 * F), (KH, KW + 1), (stride[0], 2), pads)
        wide = wide.reshape(KH, KW + 1, -1, 2, F)
        return wide[:, :-1, :, 0] + wide[:, 1:, :, 1]
    K = KH * KW * x.shape[3]

    def task(blocks):
        total = None
        for n, rows in blocks:
            P = _patches(x, n, rows, kernel_size, stride, pads, OW)
            part = P.T @ gy[n, rows].reshape(-1, F)
            total = part if total is None else np.add(total, part, out=total)
        return total

    totals = in_parallel(task, _blocks(N, OH, OW * K * x.itemsize))
    gw = totals[0] if totals else np.zeros((K, F), x.dtype)
    for other in totals[1:]:
        gw += other
    return gw.reshape(KH, KW, x.shape[3], F)


def max_pool(x, size, stride, pads):
    """(y, winner) as in `reference.max_pool`: tap after tap of all windows at once, the first of equals stays."""
    KH, KW = size
    OH, OW = output_size(x.shape[1:3], size, stride, pads)
    x = np.ascontiguousarray(x)
    y = np.empty((len(x), OH, OW, x.shape[3]), x.dtype)
    winner = np.zeros(y.shape, winner_dtype(size))

    def task(images):
        for n in images:
            padded = _padded(x[n : n + 1], pads, -np.inf)
            for place, (k, l) in enumerate(np.ndindex(KH, KW)):
                values = y[n] if place == 0 else scratch("parts", y.shape[1:], x.dtype)
                _runs(values)[:] = _runs(tap(padded, k, l, stride, (OH, OW))[0])
                if place > 0:
                    better = np.greater(values, y[n], out=scratch("flags", y.shape[1:], FLAGS))
                    np.maximum(values, y[n], out=y[n])
                    # the places grow: the larger one is the later one (a copy "where" takes NumPy ten times as long)
                    places = np.multiply(
                        better.view(np.uint8),
                        place,
                        out=scratch("places", better.shape, winner.dtype),
                        dtype=winner.dtype,
                    )
                    np.maximum(winner[n], places, out=winner[n])

    in_parallel(task, range(len(x)))
    return y, winner


def max_pool_gradient(gy, winner, size, stride, pads, input_size):
    """gx as in `reference.max_pool_gradient`: for each tap, gy where that tap has won."""
    (top, bottom), (left, right) = pads
    (N, OH, OW, C), (H, W) = gy.shape, input_size
    gx = np.zeros((N, H + top + bottom, W + left + right, C), gy.dtype)
    apart = all(s >= k for s, k in zip(stride, size))  # no pixel lies in two windows: nothing has to be added up

    def task(images):
        for n in images:
            for place, (k, l) in enumerate(np.ndindex(*size)):
                won = np.equal(winner[n], place, out=scratch("flags", (OH, OW, C), FLAGS))
                part = np.multiply(gy[n], won, out=scratch("parts", (OH, OW, C), gy.dtype))
                target = tap(gx[n : n + 1], k, l, stride, (OH, OW))[0]
                if apart:
                    _runs(target)[:] = _runs(part)
                else:
                    target += part

    in_parallel(task, range(N))
    return gx if gx.shape[1:3] == (H, W) else np.ascontiguousarray(crop(gx, pads, input_size))


def sum_over_pixels(gy):
    """Σ over N, H, W as in `reference.sum_over_pixels`: whole rows first, since adding C numbers at a time is slow."""
    N, H, W, C = gy.shape

    def task(images):
        return sum(gy[n].reshape(H, W * C).sum(axis=0) for n in images)

    return sum(in_parallel(task, range(N))).reshape(W, C).sum(axis=0)


def relu_gradient(gy, y):
    """gy where y > 0, else 0; any shape."""
    gz = np.empty(gy.shape, gy.dtype)
    _elementwise(_masked, np.ascontiguousarray(gy), np.ascontiguousarray(y), gz)
    return gz


def relu_gradient_and_sum(gy, y):
    """(gz, gb) as in `reference.relu_gradient_and_sum`: some rows of pixels at a time, summed while they are warm."""
    gy, y = np.ascontiguousarray(gy), np.ascontiguousarray(y)
    N, H, W, C = gy.shape
    gz = np.empty(gy.shape, gy.dtype)
    gy_rows, y_rows, gz_rows = (array.reshape(N * H, W * C) for array in (gy, y, gz))
    step = max(1, PIECE // max(1, W * C))

    def task(starts):
        total = np.zeros(W * C, gy.dtype)
        for start in starts:
            rows = slice(start, start + step)
            _masked(gy_rows[rows], y_rows[rows], gz_rows[rows])
            total += gz_rows[rows].sum(axis=0)
        return total

    return gz, sum(in_parallel(task, range(0, N * H, step)), np.zeros(W * C, gy.dtype)).reshape(W, C).sum(axis=0)


def _masked(gy, y, gz):
    np.multiply(gy, np.greater(y, 0, out=scratch("flags", y.shape, FLAGS)), out=gz)


def moments(x, epsilon):
    """(μ, v, r) as in `reference.moments`."""
    M = x.size // x.shape[3]
    mean = sum_over_pixels(x) / M

    def squares(x, mean):
        d = np.subtract(x, mean, out=scratch("deviations", x.shape, x.dtype))
        return np.multiply(d, d, out=d).sum(axis=0)[None]

    variance = _by_rows(squares, [x], [mean])[0] / M
    return mean, variance, 1 / np.sqrt(variance + epsilon)


def normalize(x, mean, r, gamma, beta, relu):
    """As `reference.normalize`, in one pass over memory."""
    y = np.empty(x.shape, x.dtype)

    def task(x, y, mean, scale, beta, zero):
        np.subtract(x, mean, out=y)
        np.multiply(y, scale, out=y)
        np.add(y, beta, out=y)
        if relu:
            np.maximum(y, zero, out=y)

    _by_rows(task, [x, y], [mean, gamma * r, beta, np.zeros_like(mean)])
    return y


def normalize_sums(gy, x, mean, r, gamma, beta, relu):
    """(gβ, gγ) as in `reference.normalize_sums`, in one pass."""

    def task(gy, x, mean, scale, beta):
        d, gz = _deviations_and_gz(gy, x, mean, scale, beta, relu)
        return np.stack([gz.sum(axis=0), np.multiply(d, gz, out=d).sum(axis=0)])

    gbeta, products = _by_rows(task, [gy, x], [mean, gamma * r, beta])
    return gbeta, products * r


def normalize_gradient(gy, x, mean, r, gamma, beta, relu, gbeta, ggamma, share):
    """gx as in `reference.normalize_gradient`, in one pass."""
    gx = np.empty(x.shape, x.dtype)

    def task(gy, x, gx, mean, scale, beta, constant, slope):
        d, gz = _deviations_and_gz(gy, x, mean, scale, beta, relu)
        np.subtract(gz, np.multiply(d, slope, out=d), out=gx)
        np.subtract(gx, constant, out=gx)
        np.multiply(gx, scale, out=gx)

    _by_rows(task, [gy, x, gx], [mean, gamma * r, beta, share * gbeta, r * share * ggamma])
    return gx


def _deviations_and_gz(gy, x, mean, scale, beta, relu):
    """(x - mean, gz) of some rows, in scratch memory (gz is gy itself without a ReLU)."""
    d = np.subtract(x, mean, out=scratch("deviations", x.shape, x.dtype))
    if not relu:
        return d, gy
    z = np.multiply(d, scale, out=scratch("parts", x.shape, x.dtype))
    z += beta
    _masked(gy, z, z)
    return d, z


def _by_rows(function, arrays, vectors):
    """function(*pieces, *rows): pieces of `arrays` (N,H,W,C) as some rows of W·C numbers, and each of `vectors` (C,) repeated
    along such a row. What it returns, None or sums (K, W·C), is added up: (K, C)."""
    N, H, W, C = arrays[0].shape
    flat = [np.ascontiguousarray(array).reshape(N * H, W * C) for array in arrays]
    rows = [np.tile(vector, W) for vector in vectors]
    step = max(1, PIECE // (W * C))

    def task(starts):
        parts = (function(*(array[start : start + step] for array in flat), *rows) for start in starts)
        return functools.reduce(lambda a, b: a if a is None else a + b, parts)

    totals = in_parallel(task, range(0, N * H, step))
    return None if totals[0] is None else sum(totals).reshape(-1, W, C).sum(axis=1)


def join(a, b):
    """a (N, …, A) and b (N, …, B) side by side along the last axis, picture by picture."""
    a, b, A = np.ascontiguousarray(a), np.ascontiguousarray(b), a.shape[-1]
    y = np.empty((*a.shape[:-1], A + b.shape[-1]), a.dtype)

    def task(images):
        for n in images:
            _runs(y[n, ..., :A])[...], _runs(y[n, ..., A:])[...] = _runs(a[n]), _runs(b[n])

    in_parallel(task, range(len(a)))
    return y


def split(y, A):
    """The first A numbers along the last axis, and the others, picture by picture: join backwards."""
    y = np.ascontiguousarray(y)
    a, b = np.empty((*y.shape[:-1], A), y.dtype), np.empty((*y.shape[:-1], y.shape[-1] - A), y.dtype)

    def task(images):
        for n in images:
            _runs(a[n])[...], _runs(b[n])[...] = _runs(y[n, ..., :A]), _runs(y[n, ..., A:])

    in_parallel(task, range(len(y)))
    return a, b


def cross_entropy(z, t, weights):
    """(L, share, error) as in `reference.cross_entropy`, piece by piece; their sums are added in double precision."""
    w = np.ones_like(z) if weights is None else weights
    error = np.empty(z.shape, z.dtype)

    def task(z, t, w, error):
        e = np.exp(-np.abs(z))
        loss = np.maximum(z, 0) - t * z + np.log1p(e)
        np.multiply(w, np.where(z >= 0, 1, e) / (1 + e) - t, out=error)
        return float((w * loss).sum()), float(w.sum())

    pieces = _elementwise(task, *map(np.ascontiguousarray, (z, t, w)), error)
    loss, total = map(sum, zip(*pieces)) if pieces else (0.0, 0.0)
    share = 1 / total if total else 0.0
    return np.asarray(loss * share, z.dtype), np.asarray(share, z.dtype), error


def update(optimizer, rows):
    """As `reference.update`, on pieces: an update is done element by element."""
    for row in rows:
        _elementwise(optimizer.update, *row)


def decay(arrays, factor):
    """As `reference.decay`, on pieces."""

    def task(w):
        w *= factor

    for w in arrays:
        _elementwise(task, w)


def _elementwise(function, *arrays):
    """[function(*pieces) for all pieces]: for work that is done element by element and written into contiguous arguments.

    A piece is so small that what the function makes on the way stays in the cache.
    """
    flat = [array.reshape(-1) for array in arrays]

    def task(starts):
        return [function(*(array[start : start + PIECE] for array in flat)) for start in starts]

    return [result for part in in_parallel(task, range(0, flat[0].size, PIECE)) for result in part]


def _blocks(N, OH, bytes_per_row):
    """The N·OH output rows in blocks (pictures, rows) of about BLOCK_BYTES of P(x): some rows of one picture, or several
    whole pictures where they are small. At least one block for each thread."""
    rows_wanted = max(1, min(BLOCK_BYTES // max(1, bytes_per_row), -(-N * OH // get_num_threads())))
    if rows_wanted >= OH:
        step = max(1, rows_wanted // max(1, OH))
        return [(slice(n, min(n + step, N)), slice(0, OH)) for n in range(0, N, step)]
    step = -(-OH // -(-OH // rows_wanted))  # blocks of nearly equal height
    return [(slice(n, n + 1), slice(i, min(i + step, OH))) for n in range(N) for i in range(0, OH, step)]


def _patches(x, n, rows, kernel_size, stride, pads, OW):
    """Rows of P(x): the windows under the output `rows` of the pictures `n`, as a (pixels, KH·KW·C) matrix in scratch."""
    (KH, KW), (SH, SW), C = kernel_size, stride, x.shape[3]
    if (KH, KW, SH, SW) == (1, 1, 1, 1) and not any(map(sum, pads)):
        return x[n, rows].reshape(-1, C)  # P(x) is x
    strip = _strip(x[n], rows.start * SH, (rows.stop - 1) * SH + KH, pads)
    count, OH = len(strip), rows.stop - rows.start
    s_n, s_h, s_w, _ = strip.strides
    run = _run(KW * C, x.dtype)  # the numbers under one row of a window
    windows = np.ndarray((count, OH, OW, KH), run, strip, 0, (s_n, s_h * SH, s_w * SW, s_h))
    patches = scratch("patches", windows.shape, run)
    for k in range(KH):
        patches[..., k] = windows[..., k]
    return np.ndarray((count * OH * OW, KH * KW * C), x.dtype, patches)


def _run(length, dtype):
    """The type of `length` neighbouring numbers as one item that can be copied and nothing else."""
    return np.dtype((np.void, length * dtype.itemsize))


def _runs(array):
    """A view of an array whose last axis lies in one piece, that axis as one item."""
    return array.view(_run(array.shape[-1], array.dtype))[..., 0]


def _strip(x, start, stop, pads):
    """Rows start to stop of the zero-padded pictures x, in scratch memory (a view of x where no border is asked for)."""
    (top, _), (left, right) = pads
    N, H, W, C = x.shape
    first, last = max(start - top, 0), min(stop - top, H)
    if not (left or right) and last - first == stop - start and (N == 1 or last - first == H):
        return x[:, first:last]  # the rows lie one behind the other in x itself
    strip = scratch("strip", (N, stop - start, W + left + right, C), x.dtype)
    above, below = first - (start - top), max(first, last) - (start - top)
    strip[:, :above], strip[:, below:] = 0, 0
    strip[:, :, :left], strip[:, :, left + W :] = 0, 0
    strip[:, above:below, left : left + W] = x[:, first : max(first, last)]
    return strip


def _padded(x, pads, value):
    """x with a border of `value`, in scratch memory (x itself where no border is asked for)."""
    (top, bottom), (left, right) = pads
    if not any(map(sum, pads)):
        return x
    N, H, W, C = x.shape
    padded = scratch("padded", (N, H + top + bottom, W + left + right, C), x.dtype)
    padded[:] = value
    padded[:, top : top + H, left : left + W] = x
    return padded
