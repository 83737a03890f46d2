"""conv2d: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.kernels.reference.convolution import convolve_backward, convolve_transposed, weight_gradient
from minunet.kernels.reference.pointwise import sum_over_pixels
from minunet.learn.exercises.exercise import Exercise, Mistake, Trial, random_like
from minunet.learn.exercises.templates import conv2d as template
from minunet.ops.conv2d import Conv2DFunction
from minunet.ops.windows import window_pads

NO_PADS = ((0, 0), (0, 0))


def trials():
    """The worked example; plain, with stride, with the paddings of the project, and all of it with a batch."""
    x, w = np.array([1.0, 2, 3]).reshape(1, 1, 3, 1), np.array([10.0, 20]).reshape(1, 2, 1, 1)
    gy = np.array([1.0, 100]).reshape(1, 1, 2, 1)
    yield Trial("the worked example", gy, (x, w, np.array([5.0])), ((1, 1), NO_PADS))
    for seed, (label, size, kernel, stride, padding) in enumerate(
        [
            ("no padding, stride 1", (4, 5), (2, 3), (1, 1), "valid"),
            ("stride 2x1", (5, 4), (3, 2), (2, 1), "valid"),
            ("padding 1", (3, 4), (3, 3), (1, 1), 1),
            ('padding "same", uneven', (4, 5), (2, 4), (1, 1), "same"),
            ('stride 2x3, "same", rows left over', (5, 6), (3, 2), (2, 3), "same"),
            ("rows left over", (6, 4), (3, 3), (2, 3), "valid"),
        ]
    ):
        channels, filters = (2, 2) if seed < 2 else (2, 3)
        x = random_like((2, *size, channels), 4 * seed)
        w, b = random_like((*kernel, channels, filters), 4 * seed + 1), random_like((filters,), 4 * seed + 2)
        constants = stride, window_pads(size, kernel, stride, padding, "conv2d")
        gy = random_like(template.forward(x, w, b, *constants).shape, 4 * seed + 3)
        yield Trial(label, gy, (x, w, b), constants)


# ---- the right gradients, with one thing to be changed ---------------------------------------------------------


def gx_of(gy, x, w, b, stride, pads, cropped=True):
    """The gradient of x; with its padding unless it is cropped."""
    KH, KW, _, _ = w.shape
    (SH, SW), ((top, _), (left, _)) = stride, pads
    gx = np.zeros(template.pad(x, pads).shape)
    for n, i, j in np.ndindex(gy.shape[:3]):
        gx[n, i * SH : i * SH + KH, j * SW : j * SW + KW] += w @ gy[n, i, j]
    return gx[:, top : top + x.shape[1], left : left + x.shape[2]] if cropped else gx


def gw_of(gy, x, w, b, stride, pads):
    """The gradient of w."""
    KH, KW, _, _ = w.shape
    SH, SW = stride
    gw, x = np.zeros(w.shape), template.pad(x, pads)
    for n, i, j in np.ndindex(gy.shape[:3]):
        gw += x[n, i * SH : i * SH + KH, j * SW : j * SW + KW, :, None] * gy[n, i, j]
    return gw


# ---- mistakes --------------------------------------------------------------------------------------------------


def overwritten(gy, x, w, b, stride, pads):
    """The last window that covers a pixel decides."""
    KH, KW, _, _ = w.shape
    (SH, SW), ((top, _), (left, _)) = stride, pads
    gx = np.zeros(template.pad(x, pads).shape)
    for n, i, j in np.ndindex(gy.shape[:3]):
        gx[n, i * SH : i * SH + KH, j * SW : j * SW + KW] = w @ gy[n, i, j]
    return gx[:, top : top + x.shape[1], left : left + x.shape[2]]


def flipped(gy, x, w, b, stride, pads):
    """The taps are swapped: rows and columns of the kernel."""
    return gx_of(gy, x, w[::-1, ::-1], b, stride, pads)


def flipped_rows(gy, x, w, b, stride, pads):
    """The taps are swapped along the rows."""
    return gx_of(gy, x, w[::-1], b, stride, pads)


def flipped_columns(gy, x, w, b, stride, pads):
    """The taps are swapped along the columns."""
    return gx_of(gy, x, w[:, ::-1], b, stride, pads)


def from_the_corner(gy, x, w, b, stride, pads):
    """The padding is cut off at the bottom and right only."""
    return gx_of(gy, x, w, b, stride, pads, cropped=False)[:, : x.shape[1], : x.shape[2]]


def other_side(gy, x, w, b, stride, pads):
    """Above and below are exchanged, left and right, too."""
    (_, bottom), (_, right) = pads
    gx = gx_of(gy, x, w, b, stride, pads, cropped=False)
    return gx[:, bottom : bottom + x.shape[1], right : right + x.shape[2]]


def minus_zero(gy, x, w, b, stride, pads):
    """Cropped to [top:-bottom, left:-right]."""
    (top, bottom), (left, right) = pads
    return gx_of(gy, x, w, b, stride, pads, cropped=False)[:, top:-bottom, left:-right]


def uncropped(gy, x, w, b, stride, pads):
    """gx still has x's padding."""
    return gx_of(gy, x, w, b, stride, pads, cropped=False)


def without_padding(gy, x, w, b, stride, pads):
    """x as it is, where its padded form should be, the windows that stick out cut off."""
    KH, KW, _, _ = w.shape
    SH, SW = stride
    gw = np.zeros(w.shape)
    for n, i, j in np.ndindex(gy.shape[:3]):
        window = x[n, i * SH : i * SH + KH, j * SW : j * SW + KW]
        gw[: window.shape[0], : window.shape[1]] += window[..., None] * gy[n, i, j]
    return gw


def channels_and_filters(gy, x, w, b, stride, pads):
    """w used as if it were (KH, KW, F, C)."""
    if w.shape[2] != w.shape[3]:
        raise ValueError("the shapes do not fit")
    return gx_of(gy, x, w.transpose(0, 1, 3, 2), b, stride, pads)


def without_stride_gx(gy, x, w, b, stride, pads):
    """gx with windows that slide by one pixel, whatever the stride."""
    return gx_of(gy, x, w, b, (1, 1), pads)


def without_stride_gw(gy, x, w, b, stride, pads):
    """gw with windows that slide by one pixel, whatever the stride."""
    return gw_of(gy, x, w, b, (1, 1), pads)


def last_image_gw(gy, x, w, b, stride, pads):
    """= in place of += in the loop over the images: gw of the last one."""
    return gw_of(gy[-1:], x[-1:], w, b, stride, pads)


def last_window(gy, x, w, b, stride, pads):
    """= in place of +=: what the very last window gives."""
    KH, KW, _, _ = w.shape
    (SH, SW), (i, j) = stride, (gy.shape[1] - 1, gy.shape[2] - 1)
    window = template.pad(x, pads)[-1, i * SH : i * SH + KH, j * SW : j * SW + KW]
    return window[..., None] * gy[-1, i, j]


OVER_BATCH = "a sum is missing, over the batch: the same w and b serve every image"
SWAPPED = "swapped taps: the kernel is flipped. Tap (k, l) of window (i, j) lies over pixel (i·SH + k, j·SW + l)"
NO_STRIDE = "the stride is left out: window (i, j) begins at row i·SH and column j·SW"

EXERCISE = Exercise(
    name="conv2d",
    learns="the three gradients of a convolution, the heart of the network",
    minutes=60,
    gradients=("gx", "gw", "gb"),
    template=template,
    trials=trials,
    mistakes=(
        Mistake("gx", SWAPPED, flipped),
        Mistake("gx", "swapped taps: the rows of the kernel are in reverse order", flipped_rows),
        Mistake("gx", "swapped taps: the columns of the kernel are in reverse order", flipped_columns),
        Mistake(
            "gx",
            "overwritten in place of added: a pixel under several windows gets the sum of what each sends. Use +=",
            overwritten,
        ),
        Mistake(
            "gx", "wrong pad: it is cut off at the bottom and right only; gx begins at [top, left]", from_the_corner
        ),
        Mistake("gx", "wrong pad: above and below (or left and right) are exchanged", other_side),
        Mistake(
            "gx",
            "wrong pad: without padding -bottom is -0, and [top:-0] is empty; write [top : top + H]",
            minus_zero,
        ),
        Mistake("gx", "the padding is not cut off: gx has the shape of x", uncropped),
        Mistake("gx", "transposed: channels and filters of w are exchanged", channels_and_filters),
        Mistake("gx", NO_STRIDE, without_stride_gx),
        Mistake("gw", SWAPPED, lambda *a: gw_of(*a)[::-1, ::-1]),
        Mistake("gw", OVER_BATCH + "; this is the last image's", last_image_gw),
        Mistake("gw", OVER_BATCH + "; this is the first image's", lambda gy, x, *a: gw_of(gy[:1], x[:1], *a)),
        Mistake("gw", "a mean over the batch: the sum is asked for", lambda gy, *a: gw_of(gy, *a) / len(gy)),
        Mistake("gw", "overwritten in place of added: every window contributes. Use +=", last_window),
        Mistake("gw", "wrong pad: x is used without its padding", without_padding),
        Mistake("gw", NO_STRIDE, without_stride_gw),
        Mistake("gw", "a mean over all windows: the sum is asked for", lambda gy, *a: gw_of(gy, *a) / gy[..., 0].size),
        Mistake("gw", "transposed: its shape is (KH, KW, C, F)", lambda *a: gw_of(*a).transpose(0, 1, 3, 2)),
        Mistake("gb", OVER_BATCH, lambda gy, *a: gy.sum(axis=(1, 2))),
        Mistake("gb", OVER_BATCH + "; this is the first image's", lambda gy, *a: gy[0].sum(axis=(0, 1))),
        Mistake("gb", OVER_BATCH + "; this is the last image's", lambda gy, *a: gy[-1].sum(axis=(0, 1))),
        Mistake("gb", "summed over the batch only, not over the pixels", lambda gy, *a: gy.sum(axis=0)),
        Mistake("gb", "a mean in place of the sum over all pixels", lambda gy, *a: gy.mean(axis=(0, 1, 2))),
        Mistake("gb", "a mean over the batch", lambda gy, *a: gy.sum(axis=(0, 1, 2)) / len(gy)),
        Mistake(
            "gb",
            "summed over the filters in place of the images: b has one number for each filter",
            lambda gy, *a: gy.sum(axis=(1, 2, 3)),
        ),
        Mistake("gb", "summed over the filters, too: b has one number for each", lambda gy, *a: gy.sum()),
        Mistake("gb", "multiplied by b: b is only added", lambda gy, x, w, b, *a: gy.sum(axis=(0, 1, 2)) * b),
    ),
    hints=(
        "gb: b[f] is added to every y[n,i,j,f], so gb[f] is the sum of gy[n,i,j,f] over n, i and j.",
        "gw: in y[n,i,j,f] the weight w[k,l,c,f] has the factor x[n, i·SH + k, j·SW + l, c] (padded), so each window "
        "adds window[:, :, :, None] * gy[n, i, j] to gw.",
        "gx: the pixel under tap (k, l) has the factor w[k,l,c,f], so each window adds Σ_f w[..., f] · gy[n,i,j,f] to "
        "the same places of a padded gx that it was read from. At the end the padding is cut off.",
        "gw += window[:, :, :, None] * gy[n, i, j];  "
        "gx[n, i * SH : i * SH + KH, j * SW : j * SW + KW] += w @ gy[n, i, j];  gb = gy.sum(axis=(0, 1, 2))",
    ),
    solution=(Conv2DFunction, convolve_backward, weight_gradient, convolve_transposed, sum_over_pixels),
    why="With P(x) for the windows as rows of a matrix, y = P(x) W + b, so gW = P(x)ᵀ gy, gb = Σ gy and "
    "gx = Pᵀ(gy Wᵀ), where Pᵀ adds each copy of a pixel back to where it came from.",
)
