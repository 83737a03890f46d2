"""What a page needs to do a layer's arithmetic again at a pixel: the numbers that the layer read, and its weights.

Each function returns an `Account`: `facts` say in JSON what kind of arithmetic it is, `arrays` hold the numbers. The
pixels are those on the grid rows x columns (choice.py), the maps those that the page shows.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.kernels.windows import pad
from minunet.learn.explain.choice import FLOAT, WHOLE, choose_maps, choose_pixels
from minunet.learn.explain.trace import Record
from minunet.models.valid_sizes import mirrored_indices
from minunet.ops.windows import pair, window_pads

RESULTS = 2  # of each map at each pixel: what the layer wrote, and its gradient


class Account(NamedTuple):
    """The pixels and maps of a layer that the page holds, and the numbers behind them."""

    rows: list[int]
    columns: list[int]
    maps: list[int]
    facts: dict[str, Any]
    arrays: dict[str, NDArray]


def account(record: Record, budget: int) -> Account:
    """Returns the Account of a layer; budget: the bytes of its part of the page."""
    if record.kind in ("Conv2D", "ConvTranspose2D"):
        return _convolution(record, budget)
    halves = [x.shape[2] for x in record.inputs] if record.kind == "Concatenate" else [record.output.shape[2]]
    maps = choose_maps(record.output, halves)
    taps = _taps(record)
    rows, columns = choose_pixels(record.output.shape[:2], FLOAT * len(maps) * (taps + RESULTS), budget)
    facts, arrays = _simple(record, rows, columns, maps)
    return Account(rows, columns, maps, facts, {**arrays, "values": _at(record.output, rows, columns)[..., maps]})


def _taps(record):
    return int(np.prod(pair(record.layer.size, "size"))) if record.kind == "MaxPool2D" else 1


def _at(array, rows, columns):
    """Returns array[i, j] for the rows and columns of a grid."""
    return array[np.ix_(rows, columns)]


# ---- convolutions ----


def _convolution(record: Record, budget: int) -> Account:
    """Either all that the layer read, where that is little, or the window of each pixel on the grid.

    Weights are (maps, KH, KW, C). A softmax needs the sums of all channels, so the weights of all of them are kept.
    """
    layer: Any = record.layer
    x, y = record.inputs[0], record.output
    transposed = record.kind == "ConvTranspose2D"
    kernel = layer.kernel.data  # (KH, KW, C, F), transposed (KH, KW, F, C)
    KH, KW = kernel.shape[:2]
    maps = choose_maps(y, [y.shape[2]], FLOAT * KH * KW * x.shape[2])
    filters = list(range(y.shape[2])) if layer.activation == "softmax" else maps
    weights = np.moveaxis(kernel, 2 if transposed else 3, 0)[filters]
    bias = np.zeros(y.shape[2], y.dtype) if layer.bias is None else layer.bias.data
    size = y.shape[:2] if transposed else x.shape[:2]
    pads = window_pads(size, (KH, KW), layer.stride, layer.padding, record.name)
    facts: dict[str, Any] = {
        "kernel": [KH, KW],
        "stride": list(layer.stride),
        "pads": [list(p) for p in pads],
        "filters": filters,
    }
    facts |= {"activation": layer.activation, "bias": layer.bias is not None}
    results = RESULTS * len(maps)
    if FLOAT * (x.size + results * y.shape[0] * y.shape[1]) <= WHOLE * budget:
        rows, columns = list(range(y.shape[0])), list(range(y.shape[1]))
        read = {"input": x}
    else:
        taps = -(-KH // layer.stride[0]) * -(-KW // layer.stride[1]) if transposed else KH * KW
        rows, columns = choose_pixels(y.shape[:2], FLOAT * (taps * x.shape[2] + results), budget)
        windows = _painters if transposed else _windows
        read = {"windows": windows(x, rows, columns, (KH, KW), layer.stride, pads)}
    arrays = {**read, "weights": weights, "bias": bias[filters], "values": _at(y, rows, columns)[..., maps]}
    return Account(rows, columns, maps, facts, arrays)


def _windows(x, rows, columns, kernel_size, stride, pads, value=0.0):
    """Returns the windows (rows, columns, KH, KW, C) under pixels of the output of a convolution or a pooling."""
    padded = pad(x[None], pads, value)[0]
    (KH, KW), (SH, SW) = kernel_size, stride
    return np.array([[padded[i * SH : i * SH + KH, j * SW : j * SW + KW] for j in columns] for i in rows])


def _painters(x, rows, columns, kernel_size, stride, pads):
    """Returns what a transposed convolution reads for an output pixel (p, q), as (rows, columns, KH, KW, C).

    Tap (k, l) reaches it from the input pixel (i, j) with i·SH + k = p + top and j·SW + l = q + left, if there is one;
    elsewhere stands 0.
    """
    found = np.zeros((len(rows), len(columns), *kernel_size, x.shape[2]), x.dtype)
    (top, _), (left, _) = pads
    for r, p in enumerate(rows):
        for c, q in enumerate(columns):
            for k, l in np.ndindex(*kernel_size):
                (i, down), (j, across) = divmod(p + top - k, stride[0]), divmod(q + left - l, stride[1])
                if not down and not across and 0 <= i < x.shape[0] and 0 <= j < x.shape[1]:
                    found[r, c, k, l] = x[i, j]
    return found


# ---- layers without products ----


def _simple(record: Record, rows, columns, maps) -> tuple[dict[str, Any], dict[str, NDArray]]:
    layer: Any = record.layer
    if record.kind == "MaxPool2D":
        size = pair(layer.size, "size")
        stride = size if layer.stride is None else pair(layer.stride, "stride")
        x = record.inputs[0]
        pads = window_pads(x.shape[:2], size, stride, layer.padding, record.name)
        windows = _windows(x[..., maps], rows, columns, size, stride, pads, np.nan)  # NaN: outside of the image
        return {"kernel": list(size), "stride": list(stride), "pads": [list(p) for p in pads]}, {"windows": windows}
    if record.kind == "Concatenate":
        return {"halves": [x.shape[2] for x in record.inputs]}, {}
    if record.kind == "BatchNorm":
        names = ("moving_mean", "moving_variance", "gamma", "beta")
        constants = {name: getattr(layer, name).data[maps] for name in names}
        facts = {"epsilon": layer.epsilon, "activation": layer.activation}
        return facts, {"x": _at(record.inputs[0], rows, columns)[..., maps], **constants}
    if record.kind in ("Crop", "CropLike"):
        H, W = record.inputs[0].shape[:2]
        h, w = record.output.shape[:2]
        middle = record.kind == "Crop"
        return {"top": (H - h) // 2 if middle else 0, "left": (W - w) // 2 if middle else 0}, {}
    if record.kind == "Mirror":
        H, W = record.inputs[0].shape[:2]
        return {"from": [mirrored_indices(n, layer.depth).tolist() for n in (H, W)]}, {}
    if record.kind == "Dropout":
        return {"rate": layer.rate}, {}
    if record.kind in ("ReLU", "Sigmoid"):
        return {}, {"x": _at(record.inputs[0], rows, columns)[..., maps]}
    return {}, {}
