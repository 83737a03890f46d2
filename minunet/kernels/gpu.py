"""The products for CuPy arrays. The CUDA C is in `cuda/`, a file per subject; here is what is launched, and when.

A convolution takes one of two ways:

    narrow   few channels, many pixels (the upper levels). P(x) would be KH·KW times the picture, and writing it down would
             cost more than all the arithmetic: cuda/convolve.cu keeps the sums in registers and reads x itself.
    wide     many channels, few pixels (the lower levels). The arithmetic counts, and nothing multiplies as fast as the
             card's own library: some rows of P(x) go into a workspace (cuda/patches.cu), then one product with W.

The workspace is at most MINUNET_GPU_WORKSPACE bytes (default: a quarter of the card's free memory, at most 1 GiB).
Nothing is added by atomics, so the same run gives the same bits. Pixels are counted in 64 bits, what lies within a row in
32: `_geometry` refuses pictures that would be too large for that.
"""

import functools
import os
from pathlib import Path

import numpy as np

from minunet.cuda import compile_kernel, kept_zeros, memory_free
from minunet.device import array_module, device_of
from minunet.kernels import reference
from minunet.kernels.windows import output_size, winner_dtype

SOURCES = Path(__file__).parent / "cuda"
THREADS = 256  # of a block
BLOCKS = 2048  # enough to fill any card, where a kernel's threads go on to the next piece of work
PIXELS = 8  # of a thread in convolve.cu
TILE = 16  # channels of a thread there, at most
SUMS = 32  # that a thread keeps in weight_gradient.cu
# channels in times channels out, from which on a product by the library is faster (measured on an H100)
WIDE = {"convolve": 64 * 64, "convolve_transposed": 32 * 64, "weight_gradient": 16 * 32}
TENSORS_AT_ONCE = 96  # struct Tensors in optimizers.cu
C_NAMES = {"f": "float", "d": "double", "B": "unsigned char", "i": "int", "?": "bool"}  # of NumPy's dtype.char


def convolve(x, w, b, stride, pads, relu=False):
    """y = P(x) W + b; negative results become 0 if `relu`. Shapes as in `reference.convolve`."""
    x, w, b = _ready(x), _ready(w), _ready(b)
    KH, KW, C, F = w.shape
    N, OH, OW = len(x), *output_size(x.shape[1:3], (KH, KW), stride, pads)
    y = array_module(x).empty((N, OH, OW, F), x.dtype)
    if C * F < WIDE["convolve"]:
        tile, pixels = _tile(F, TILE), N * OH * OW
        blocks = -(-pixels // (THREADS * PIXELS)), F // tile
        geometry = _geometry(x.shape, y.shape, (KH, KW), stride, pads)
        _launch(
            "convolve",
            "convolve",
            blocks,
            x.dtype,
            (x, w, b, y, np.int64(pixels), geometry, np.int32(relu)),
            VECTOR=_vector(C),
            TILE=tile,
            PIXELS=PIXELS,
        )
        return y
    pixels, W = y.reshape(-1, F), w.reshape(-1, F)
    for rows, P in _patches(x, y.shape, (KH, KW), stride, pads):
        array_module(x).matmul(P, W, out=pixels[rows.start * OW : rows.stop * OW])
    if b is not None or relu:
        _launch(
            "pointwise", "add_bias", _spread(y.size), y.dtype, (y, b, np.int64(y.size), np.int32(F), np.int32(relu))
        )
    return y


def convolve_transposed(y, w, b, stride, pads, size):
    """x = Pᵀ(y Wᵀ) + b. Shapes as in `reference.convolve_transposed`."""
    y, w, b = _ready(y), _ready(w), _ready(b)
    KH, KW, C, F = w.shape
    N, OH, OW, _ = y.shape
    x = array_module(y).empty((N, *size, C), y.dtype)
    geometry = _geometry(x.shape, y.shape, (KH, KW), stride, pads)
    # whole pictures at a time: a pixel lies under many windows
    chunk = _workspace_bytes(device_of(y)) // max(1, OH * OW * KH * KW * C * y.itemsize)
    if C * F < WIDE["convolve_transposed"] or chunk == 0:
        tile, pixels = _tile(C, TILE), x.size // C
        blocks = -(-pixels // (THREADS * PIXELS)), C // tile
        _launch(
            "convolve",
            "convolve_transposed",
            blocks,
            y.dtype,
            (y, w, b, x, np.int64(pixels), geometry),
            VECTOR=_vector(F),
            TILE=tile,
            PIXELS=PIXELS,
        )
        return x
    for n in range(0, N, chunk):
        parts = y[n : n + chunk].reshape(-1, F) @ w.reshape(-1, F).T
        part_of_x = x[n : n + chunk]
        rows = len(part_of_x) * size[0]
        _launch(
            "patches",
            "gather",
            _rows_of(rows, size[1] * C),
            y.dtype,
            (parts, b, part_of_x, np.int64(rows), geometry),
            VECTOR=_vector(C),
        )
    return x


def weight_gradient(x, gy, kernel_size, stride, pads):
    """gW = P(x)ᵀ gy. Shapes as in `reference.weight_gradient`."""
    x, gy = _ready(x), _ready(gy)
    xp, C, (N, OH, OW, F) = array_module(x), x.shape[3], gy.shape
    gw = xp.empty((*kernel_size, C, F), x.dtype)
    if C * F < WIDE["weight_gradient"] or gy.size == 0:
        geometry = _geometry(x.shape, gy.shape, kernel_size, stride, pads)
        _sum_of_parts(x, gy, N * OH, kernel_size[0] * kernel_size[1], geometry, gw)
        return gw
    pixels, gW = gy.reshape(-1, F), gw.reshape(-1, F)
    for rows, P in _patches(x, gy.shape, kernel_size, stride, pads):
        of_pixels = pixels[rows.start * OW : rows.stop * OW]
        if rows.start == 0:
            xp.matmul(P.T, of_pixels, out=gW)
        else:
            gW += P.T @ of_pixels
    return gw


def _sum_of_parts(x, gy, rows, taps, geometry, gw):
    """gw of narrow layers: each block sums over some rows of windows, then the blocks' sums are added."""
    C, F = x.shape[3], gy.shape[3]
    vector = _vector(C)
    tile = _tile(F, min(TILE, SUMS // vector))
    pieces = taps * (C // vector) * (F // tile)
    groups = -(-pieces // THREADS)
    per_block = -(-pieces // groups)
    parts = max(1, min(rows, BLOCKS // 2 // groups))
    partial = array_module(x).empty((parts, gw.size), x.dtype)
    _launch(
        "weight_gradient",
        "weight_gradient",
        (parts, groups),
        x.dtype,
        (x, gy, partial, np.int64(rows), np.int32(pieces), np.int32(per_block), geometry),
        VECTOR=vector,
        TILE=tile,
    )
    _launch("sums", "sum_rows", (-(-gw.size // 32),), x.dtype, (partial, gw, np.int64(parts), np.int64(gw.size)))


def max_pool(x, size, stride, pads):
    """(y, winner) as in `reference.max_pool`."""
    x = _ready(x)
    xp, (N, _, _, C) = array_module(x), x.shape
    OH, OW = output_size(x.shape[1:3], size, stride, pads)
    y, winner = xp.empty((N, OH, OW, C), x.dtype), xp.empty((N, OH, OW, C), winner_dtype(size))
    _launch(
        "max_pool",
        "max_pool",
        _rows_of(N * OH, OW * C),
        x.dtype,
        (x, y, winner, np.int64(N * OH), _geometry(x.shape, y.shape, size, stride, pads)),
        VECTOR=_vector(C),
        Place=C_NAMES[winner.dtype.char],
    )
    return y, winner


def max_pool_gradient(gy, winner, size, stride, pads, input_size):
    """gx as in `reference.max_pool_gradient`."""
    gy, winner, (N, _, _, C) = _ready(gy), _ready(winner), gy.shape
    gx = array_module(gy).empty((N, *input_size, C), gy.dtype)
    rows = N * input_size[0]
    _launch(
        "max_pool",
        "max_pool_gradient",
        _rows_of(rows, input_size[1] * C),
        gy.dtype,
        (gy, winner, gx, np.int64(rows), _geometry(gx.shape, gy.shape, size, stride, pads)),
        VECTOR=_vector(C),
        Place=C_NAMES[winner.dtype.char],
    )
    return gx


def relu_gradient(gy, y):
    """gy where y > 0, else 0; any shape."""
    gy, y = _ready(gy), _ready(y)
    gz = array_module(gy).empty(gy.shape, gy.dtype)
    _launch("pointwise", "relu_gradient", _spread(gy.size), gy.dtype, (gy, y, gz, np.int64(gy.size)))
    return gz


def sum_over_pixels(gy):
    """Σ over N, H, W of gy (N,H,W,C), as an array (C,)."""
    return _sum_over_pixels(_ready(gy), None, None)


def relu_gradient_and_sum(gy, y):
    """(gz, gb): gz = relu_gradient(gy, y) and its sum over the pixels, in one pass."""
    gy = _ready(gy)
    gz = array_module(gy).empty(gy.shape, gy.dtype)
    return gz, _sum_over_pixels(gy, _ready(y), gz)


def _sum_over_pixels(gy, y, gz):
    xp, F = array_module(gy), gy.shape[-1]
    rows, columns = gy.size // F, min(F, THREADS)
    blocks = max(1, min(BLOCKS // 4, rows // (8 * (THREADS // columns))))
    gb, partial = xp.empty(F, gy.dtype), xp.empty((blocks, F), gy.dtype)
    groups = -(-F // columns)
    _launch(
        "sums",
        "sum_over_rows",
        (blocks, groups),
        gy.dtype,
        (gy, y, gz, gb, partial, kept_zeros(groups), np.int64(rows), np.int32(F), np.int32(columns)),
    )
    return gb


def moments(x, epsilon):
    """(μ, v, r) as in `reference.moments`."""
    x = _ready(x)
    xp, C = array_module(x), x.shape[3]
    mean, spread = xp.empty(C, x.dtype), xp.empty((2, C), x.dtype)
    _channel_sums("MEAN", mean, x)
    _channel_sums("VARIANCE", spread, x, mean=mean, epsilon=epsilon)
    return mean, spread[0], spread[1]


def normalize(x, mean, r, gamma, beta, relu):
    """As `reference.normalize`."""
    x, F = _ready(x), x.shape[3]
    y = array_module(x).empty(x.shape, x.dtype)
    _launch(
        "batch_norm",
        "normalize",
        _spread(x.size),
        x.dtype,
        (x, *_vectors(mean, r, gamma, beta), y, np.int64(x.size), np.int32(F), np.int32(relu)),
    )
    return y


def normalize_sums(gy, x, mean, r, gamma, beta, relu):
    """(gβ, gγ) as in `reference.normalize_sums`, in one pass."""
    gy, x = _ready(gy), _ready(x)
    sums = array_module(x).empty((2, x.shape[3]), x.dtype)
    _channel_sums("GRADIENTS", sums, x, gy, *_vectors(mean, r, gamma, beta), relu=relu)
    return sums[0], sums[1]


def normalize_gradient(gy, x, mean, r, gamma, beta, relu, gbeta, ggamma, share):
    """gx as in `reference.normalize_gradient`."""
    gy, x, F = _ready(gy), _ready(x), x.shape[3]
    gx = array_module(x).empty(x.shape, x.dtype)
    _launch(
        "batch_norm",
        "normalize_gradient",
        _spread(x.size),
        x.dtype,
        (
            gy,
            x,
            *_vectors(mean, r, gamma, beta, gbeta, ggamma),
            gx,
            x.dtype.type(share),
            np.int64(x.size),
            np.int32(F),
            np.int32(relu),
        ),
    )
    return gx


def _vectors(*arrays):
    """What belongs to a channel (C,), so that a kernel can read it."""
    return map(array_module(arrays[0]).ascontiguousarray, arrays)


def _channel_sums(what, out, x, gy=None, mean=None, r=None, gamma=None, beta=None, epsilon=0.0, relu=False):
    """One of the sums of batch_norm.cu over the pixels of x, into `out`."""
    F = x.shape[3]
    rows, columns = x.size // F, min(F, THREADS)
    blocks = max(1, min(BLOCKS // 4, rows // (8 * (THREADS // columns))))
    groups = -(-F // columns)
    partial = array_module(x).empty((2, blocks, F), x.dtype)
    _launch(
        "batch_norm",
        "channel_sums",
        (blocks, groups),
        x.dtype,
        (
            x,
            gy,
            mean,
            r,
            gamma,
            beta,
            out,
            partial,
            kept_zeros(groups),
            x.dtype.type(epsilon),
            np.int64(rows),
            np.int32(F),
            np.int32(columns),
            np.int32(relu),
        ),
        SUM=what,
    )


def follow(averages, values, momentum):
    """As `reference.follow`."""
    (a, b), (u, v) = averages, values
    _launch("batch_norm", "follow", _spread(a.size), u.dtype, (a, b, u, v, u.dtype.type(momentum), np.int32(a.size)))


def join(a, b):
    """a (…, A) and b (…, B) side by side along the last axis: (…, A + B)."""
    if a.dtype.char not in C_NAMES:
        return reference.join(a, b)
    a, b, A, B = _ready(a), _ready(b), a.shape[-1], b.shape[-1]
    y = array_module(a).empty((*a.shape[:-1], A + B), a.dtype)
    _launch("pointwise", "join", _spread(y.size), y.dtype, (a, b, y, np.int64(y.size), np.int32(A), np.int32(B)))
    return y


def split(y, A):
    """The first A numbers along the last axis, and the others: join backwards."""
    y, xp, B = _ready(y), array_module(y), y.shape[-1] - A
    a, b = xp.empty((*y.shape[:-1], A), y.dtype), xp.empty((*y.shape[:-1], B), y.dtype)
    _launch("pointwise", "split", _spread(y.size), y.dtype, (y, a, b, np.int64(y.size), np.int32(A), np.int32(B)))
    return a, b


def cross_entropy(z, t, weights):
    """(L, share, error) as in `reference.cross_entropy`."""
    z, t, weights, xp = _ready(z), _ready(t), _ready(weights), array_module(z)
    error, out, blocks = xp.empty(z.shape, z.dtype), xp.empty(2, z.dtype), _spread(z.size)
    partial = xp.empty((*blocks, 2), np.float64)
    _launch("losses", "cross_entropy", blocks, z.dtype, (z, t, weights, error, partial, np.int64(z.size)))
    _launch("losses", "weighted_mean", (1,), z.dtype, (partial, out, np.int32(len(partial))))
    return out[0], out[1], error


def overlap(p, t, weights):
    """Σ w p t, Σ w p and Σ w t of each picture: an array (N, 3), as in `reference.overlap`."""
    p, t, weights = _ready(p), _ready(t), _ready(weights)
    sums = array_module(p).empty((len(p), 3), p.dtype)
    _launch("losses", "overlap", (len(p),), p.dtype, (p, t, weights, sums, np.int64(p.size // max(1, len(p)))))
    return sums


def mask_counts(values, masks, threshold, ignored):
    """Counts of pixels per picture, (N, 5), as in `reference.mask_counts`."""
    if masks.dtype.char not in C_NAMES:
        masks = masks.astype("float64")
    values, masks = _ready(values), _ready(masks)
    counts = array_module(values).empty((len(values), 5), np.int64)
    _launch(
        "losses",
        "mask_counts",
        (len(values),),
        values.dtype,
        (values, masks, counts, np.int64(values.size // len(values)), values.dtype.type(threshold), np.int32(ignored)),
        Mask=C_NAMES[masks.dtype.char],
    )
    return counts


def decode(images, masks, ignored):
    """(x, t, weights) in float32 from uint8 images and masks, as in `reference.decode`."""
    images, masks, xp = _ready(images), _ready(masks), array_module(images)
    x, t, weights = (xp.empty(array.shape, "float32") for array in (images, masks, masks))
    _launch(
        "pointwise",
        "decode",
        _spread(images.size),
        x.dtype,
        (images, masks, x, t, weights, np.int64(images.size), np.int64(masks.size), np.int32(ignored)),
    )
    return x, t, weights


def update(optimizer, rows):
    """As `reference.update`; one launch for up to TENSORS_AT_ONCE parameters of one type."""
    if optimizer.kernel is None:
        for row in rows:
            optimizer.update(*row)
        return
    _for_all_tensors(optimizer.kernel, rows, optimizer.hyperparameters())


def decay(arrays, factor):
    """As `reference.decay`, in the same manner."""
    _for_all_tensors("decay", [(w,) for w in arrays], [factor])


def _for_all_tensors(kernel, rows, numbers):
    """A kernel of optimizers.cu over rows (w, g, *memory), several at a time."""
    for dtype in {row[0].dtype for row in rows}:
        alike = [row for row in rows if row[0].dtype == dtype]
        for start in range(0, len(alike), TENSORS_AT_ONCE):
            group = alike[start : start + TENSORS_AT_ONCE]
            scalars = map(dtype.type, numbers)
            blocks = min(BLOCKS // 8, -(-max(row[0].size for row in group) // THREADS)), len(group)
            _launch("optimizers", kernel, blocks, dtype, (_tensors(group), *scalars))


def _tensors(rows):
    """struct Tensors of optimizers.cu: the addresses of each row's arrays, and their lengths."""
    table = np.zeros((5, TENSORS_AT_ONCE), np.uint64)
    for place, (w, *others) in enumerate(rows):
        for line, array in enumerate((w, *others)):
            table[line, place] = array.data.ptr
        table[4, place] = w.size
    return table.reshape(-1).view(f"V{table.nbytes}").reshape(())


def _patches(x, y_shape, kernel_size, stride, pads):
    """(slice of the windows' rows, P(x) there) for all of them, as many at a time as the workspace holds."""
    N, OH, OW, _ = y_shape
    rows, K = N * OH, kernel_size[0] * kernel_size[1] * x.shape[3]
    if kernel_size == stride == (1, 1) and x.shape[:3] == y_shape[:3]:
        yield slice(0, rows), x.reshape(-1, K)  # P(x) is x
        return
    at_once = max(1, min(rows, _workspace_bytes(device_of(x)) // (OW * K * x.itemsize)))
    workspace = array_module(x).empty((at_once * OW, K), x.dtype)
    for start in range(0, rows, at_once):
        stop = min(start + at_once, rows)
        P = workspace[: (stop - start) * OW]
        _launch(
            "patches",
            "patches",
            _rows_of(stop - start, OW * K),
            x.dtype,
            (x, P, np.int64(start), np.int64(stop - start), _geometry(x.shape, y_shape, kernel_size, stride, pads)),
            VECTOR=_vector(x.shape[3]),
        )
        yield slice(start, stop), P


@functools.lru_cache(maxsize=1000)
def _geometry(x_shape, y_shape, kernel_size, stride, pads):
    """struct Geometry of common.cu, as 12 integers' bytes. Raises ValueError where a kernel could not count so far."""
    (_, H, W, C), (_, OH, OW, F) = x_shape, y_shape
    longest_row = max(W * C, OW * F, OW * kernel_size[0] * kernel_size[1] * C)  # the last is one of P(x)
    if longest_row >= 1 << 31 or max(H * W, OH * OW) >= 1 << 32:
        raise ValueError(
            f"pictures {x_shape} and {y_shape} with windows {kernel_size} are too large for the CUDA kernels: "
            "rows of windows of 2**31 numbers, pictures of 2**32 pixels; cut them into tiles"
        )
    numbers = H, W, C, OH, OW, F, *kernel_size, *stride, pads[0][0], pads[1][0]
    return np.array(numbers, np.int32).view("V48").reshape(())


def _ready(array):
    """`array` so that a kernel can read it: contiguous, and starting where a whole VECTOR may start."""
    if array is None:
        return None
    if array.flags.c_contiguous and array.data.ptr % (4 * array.itemsize) == 0:
        return array
    return array.copy(order="C")


def _vector(channels):
    """How many neighbouring numbers can be read at a time where a pixel has so many channels."""
    return 4 if channels % 4 == 0 else 2 if channels % 2 == 0 else 1


def _tile(channels, most):
    """A divisor of `channels` up to `most`: as large as possible, but rather one that is read four at a time."""
    divisors = [d for d in range(1, most + 1) if channels % d == 0]
    return max(divisors, key=lambda d: d if d % 4 == 0 else 0.6 * d)


def _spread(size):
    """The grid for `size` numbers in a row, each thread taking every (blocks · THREADS)-th."""
    return (min(BLOCKS, -(-size // THREADS)),)


def _rows_of(rows, row_size):
    """The grid for rows of `row_size` numbers: blocks along x take rows, blocks along y share a long row."""
    along = max(1, min(row_size // (4 * THREADS), 64))
    return min(rows, 1 << 20), along


def _launch(file, kernel, blocks, dtype, arguments, **definitions):
    """Runs `kernel` of cuda/`file`.cu, compiled for `dtype`, over `blocks`. None stands for an array that is left out."""
    if 0 in blocks:
        return
    if dtype.char not in C_NAMES:
        raise TypeError(f'there are no CUDA kernels for {dtype}: give array.astype("float32")')
    function = _compiled(file, kernel, C_NAMES[dtype.char], tuple(sorted(definitions.items())))
    function(blocks, (THREADS,), tuple(np.uint64(0) if a is None else a for a in arguments))


@functools.cache
def _compiled(file, kernel, real, definitions):
    """The kernel, compiled once for each set of definitions; CuPy keeps it on disk for the next time."""
    defined = {
        "Real": real,
        "VECTOR": 1,
        "TILE": 1,
        "PIXELS": 1,
        "Place": "unsigned char",
        "Mask": "unsigned char",
        "SUM": "MEAN",
    }
    head = "".join(f"#define {name} {value}\n" for name, value in (defined | dict(definitions)).items())
    source = "".join((SOURCES / name).read_text("utf-8") for name in ("common.cu", f"{file}.cu"))
    return compile_kernel(head + source, kernel)


@functools.cache
def _workspace_bytes(device):
    """The most that P(x) may take at a time on a card. ValueError where MINUNET_GPU_WORKSPACE is no number of bytes."""
    text = os.environ.get("MINUNET_GPU_WORKSPACE")
    if text is None:
        return max(1, min(memory_free(device) // 4, 1 << 30))
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"MINUNET_GPU_WORKSPACE is {text!r}: it must be a number of bytes, like 1000000000")
    return int(text)
