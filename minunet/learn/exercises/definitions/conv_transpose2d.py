"""conv_transpose2d: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.kernels.reference.convolution import convolve, weight_gradient
from minunet.learn.exercises.exercise import Exercise, Mistake, Trial, random_like
from minunet.learn.exercises.templates import conv_transpose2d as template
from minunet.ops.conv_transpose2d import ConvTranspose2DFunction
from minunet.ops.windows import transposed_size, window_pads

NO_PADS = ((0, 0), (0, 0))


def trials():
    """The worked example; tiles side by side, overlapping, cropped, cropped unevenly."""
    x, w = np.array([1.0, 10]).reshape(1, 1, 2, 1), np.array([1.0, 2, 3]).reshape(1, 3, 1, 1)
    gy = np.arange(1.0, 6).reshape(1, 1, 5, 1)
    yield Trial("the worked example", gy, (x, w, np.array([0.0])), ((1, 2), NO_PADS))
    for seed, (label, size, kernel, stride, padding) in enumerate(
        [
            ("2x2 tiles, stride 2, as in the lecture", (2, 3), (2, 2), (2, 2), "same"),
            ("3x3, stride 2, nothing cropped", (3, 2), (3, 3), (2, 2), "valid"),
            ('3x2, stride 2x1, "same"', (2, 4), (3, 2), (2, 1), "same"),
            ("3x4, stride 1x3, padding 1", (4, 2), (3, 4), (1, 3), 1),
        ]
    ):
        channels, filters = (2, 2) if seed < 2 else (3, 2)
        pads = window_pads(transposed_size(size, kernel, stride, padding), kernel, stride, padding, "conv_transpose2d")
        x, w = random_like((2, *size, channels), 4 * seed), random_like((*kernel, filters, channels), 4 * seed + 1)
        b = random_like((filters,), 4 * seed + 2)
        gy = random_like(template.forward(x, w, b, stride, pads).shape, 4 * seed + 3)
        yield Trial(label, gy, (x, w, b), (stride, pads))


# ---- the right gradients ---------------------------------------------------------------------------------------


def padded(gy, pads):
    """gy with zeros around each image."""
    return np.pad(gy, ((0, 0), *pads, (0, 0)))


def gx_of(gy, x, w, b, stride, pads):
    """The gradient of x: each pixel reads its window of gy."""
    KH, KW, _, _ = w.shape
    SH, SW = stride
    gx, gy = np.zeros(x.shape), padded(gy, pads)
    for n, i, j in np.ndindex(x.shape[:3]):
        window = gy[n, i * SH : i * SH + KH, j * SW : j * SW + KW]
        gx[n, i, j] = (window[..., None] * w).sum(axis=(0, 1, 2))
    return gx


def gw_of(gy, x, w, b, stride, pads):
    """The gradient of w: every window of gy, times the pixel that painted it."""
    KH, KW, _, _ = w.shape
    SH, SW = stride
    gw, gy = np.zeros(w.shape), padded(gy, pads)
    for n, i, j in np.ndindex(x.shape[:3]):
        gw += gy[n, i * SH : i * SH + KH, j * SW : j * SW + KW, :, None] * x[n, i, j]
    return gw


# ---- mistakes --------------------------------------------------------------------------------------------------


def other_pads(pads):
    """Above and below exchanged, and left and right."""
    (top, bottom), (left, right) = pads
    return (bottom, top), (right, left)


def at_the_end(gy, pads):
    """gy with all of its padding below and on the right."""
    return padded(gy, tuple((0, sum(p)) for p in pads))


def with_pads(gradient, change):
    """The gradient with other pads."""
    return lambda gy, x, w, b, stride, pads: gradient(gy, x, w, b, stride, change(pads))


def not_padded(gradient):
    """The gradient as if nothing had been cropped: gy begins at [0, 0]."""
    return lambda gy, x, w, b, stride, pads: gradient(at_the_end(gy, pads), x, w, b, stride, NO_PADS)


def channels_exchanged(gy, x, w, b, stride, pads):
    """w used as (KH, KW, C, F)."""
    if w.shape[2] != w.shape[3]:
        raise ValueError("the shapes do not fit")
    return gx_of(gy, x, w.transpose(0, 1, 3, 2), b, stride, pads)


def last_window(gy, x, w, b, stride, pads):
    """= in place of +=."""
    KH, KW, _, _ = w.shape
    (SH, SW), (i, j) = stride, (x.shape[1] - 1, x.shape[2] - 1)
    return padded(gy, pads)[-1, i * SH : i * SH + KH, j * SW : j * SW + KW, :, None] * x[-1, i, j]


OVER_BATCH = "a sum is missing, over the batch: the same w and b serve every image"
SWAPPED = "swapped taps: the kernel is flipped. Pixel (i, j) painted tap (k, l) at (i·SH + k, j·SW + l)"
NO_STRIDE = "the stride is left out: the window of pixel (i, j) begins at row i·SH and column j·SW"
NO_PAD = "wrong pad: gy must be padded with zeros where y was cropped, above and on the left, too"
OTHER_PAD = "wrong pad: above and below (or left and right) are exchanged"

EXERCISE = Exercise(
    name="conv_transpose2d",
    learns="that the way back of the way up is a convolution",
    minutes=40,
    gradients=("gx", "gw", "gb"),
    template=template,
    trials=trials,
    mistakes=(
        Mistake("gx", SWAPPED, lambda gy, x, w, *a: gx_of(gy, x, w[::-1, ::-1], *a)),
        Mistake("gx", NO_PAD, not_padded(gx_of)),
        Mistake("gx", OTHER_PAD, with_pads(gx_of, other_pads)),
        Mistake("gx", "transposed: the channels of w are exchanged, it is (KH, KW, F, C)", channels_exchanged),
        Mistake("gx", NO_STRIDE, lambda gy, x, w, b, stride, pads: gx_of(gy, x, w, b, (1, 1), pads)),
        Mistake(
            "gx",
            "not multiplied by w: this is the sum of the window of gy",
            lambda gy, x, w, *a: gx_of(gy, x, w * 0 + 1, *a),
        ),
        Mistake("gw", SWAPPED, lambda *a: gw_of(*a)[::-1, ::-1]),
        Mistake("gw", NO_PAD, not_padded(gw_of)),
        Mistake("gw", OTHER_PAD, with_pads(gw_of, other_pads)),
        Mistake("gw", OVER_BATCH + "; this is the last image's", lambda gy, x, *a: gw_of(gy[-1:], x[-1:], *a)),
        Mistake("gw", OVER_BATCH + "; this is the first image's", lambda gy, x, *a: gw_of(gy[:1], x[:1], *a)),
        Mistake("gw", "a mean over the batch: the sum is asked for", lambda gy, *a: gw_of(gy, *a) / len(gy)),
        Mistake("gw", "overwritten in place of added: every pixel contributes. Use +=", last_window),
        Mistake("gw", "transposed: its shape is (KH, KW, F, C)", lambda *a: gw_of(*a).transpose(0, 1, 3, 2)),
        Mistake("gw", NO_STRIDE, lambda gy, x, w, b, stride, pads: gw_of(gy, x, w, b, (1, 1), pads)),
        Mistake("gb", OVER_BATCH, lambda gy, *a: gy.sum(axis=(1, 2))),
        Mistake("gb", OVER_BATCH + "; this is the first image's", lambda gy, *a: gy[0].sum(axis=(0, 1))),
        Mistake("gb", OVER_BATCH + "; this is the last image's", lambda gy, *a: gy[-1].sum(axis=(0, 1))),
        Mistake("gb", "summed over the batch only, not over the pixels", lambda gy, *a: gy.sum(axis=0)),
        Mistake("gb", "a mean in place of the sum over all pixels", lambda gy, *a: gy.mean(axis=(0, 1, 2))),
        Mistake("gb", "a mean over the batch", lambda gy, *a: gy.sum(axis=(0, 1, 2)) / len(gy)),
        Mistake("gb", "summed over the channels, too: b has one number for each", lambda gy, *a: gy.sum()),
    ),
    hints=(
        "gb: as in conv2d, the sum of gy over all pixels of all images.",
        "Cropping backwards is padding with zeros: gy = np.pad(gy, ((0, 0), *pads, (0, 0))). Do it after gb.",
        "Pixel (i, j) of channel c was multiplied by w[k,l,f,c] and added at (i·SH + k, j·SW + l). So it reads the "
        "same window of gy: gx[n,i,j,c] = Σ_k Σ_l Σ_f window[k,l,f] · w[k,l,f,c], and gw[k,l,f,c] gets "
        "window[k,l,f] · x[n,i,j,c] from each of them.",
        "gx[n, i, j] = (window[:, :, :, None] * w).sum(axis=(0, 1, 2));  gw += window[:, :, :, None] * x[n, i, j]",
    ),
    solution=(ConvTranspose2DFunction, convolve, weight_gradient),
    why="A transposed convolution is the gx of a convolution, used forwards. So its own gx is that convolution's "
    "forward, gx = P(gy) W, and gW = P(gy)ᵀ x: image and gradient swap their roles.",
)
