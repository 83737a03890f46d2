"""The numbers of a layer that a page holds are enough to do its arithmetic again: plain loops over them say so.

Windows and strides here are of all kinds, not only those of a U-Net.
"""

import numpy as np
import pytest

from minunet import nn
from minunet.learn.explain.arithmetic import account
from minunet.learn.explain.trace import Record

RNG = np.random.default_rng(11)
TIGHT, AMPLE = 400, 10**9  # budgets: a grid of windows, and everything


def record_of(layer, *inputs):
    y = layer(*(x[None] for x in inputs)).numpy()[0]
    return Record("layer", type(layer).__name__, layer, [0], list(inputs), y)


def numbers(shape):
    return RNG.standard_normal(shape).astype(np.float32)


CONVOLUTIONS = [
    ("Conv2D", {"kernel_size": 3}),
    ("Conv2D", {"kernel_size": 3, "stride": 2, "padding": "valid"}),
    ("Conv2D", {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0), "bias": False}),
    ("Conv2D", {"kernel_size": 1, "activation": "relu"}),
    ("ConvTranspose2D", {"kernel_size": 2}),
    ("ConvTranspose2D", {"kernel_size": 3, "stride": 2}),
    ("ConvTranspose2D", {"kernel_size": (3, 2), "stride": (2, 1), "padding": "valid"}),
    ("ConvTranspose2D", {"kernel_size": 3, "stride": 1, "padding": 1}),
]


@pytest.mark.parametrize("budget", [TIGHT, AMPLE], ids=["windows", "whole"])
@pytest.mark.parametrize("kind, options", CONVOLUTIONS)
def test_a_convolution_adds_up(kind, options, budget):
    layer = getattr(nn, kind)(5, 3, rng=1, **options)
    record = record_of(layer, numbers((7, 8, 5)))
    found = account(record, budget)
    assert ("windows" in found.arrays) == (budget == TIGHT)
    KH, KW = found.facts["kernel"]
    for r, i in enumerate(found.rows):
        for c, j in enumerate(found.columns):
            window = found.arrays["windows"][r, c] if budget == TIGHT else gathered(found, i, j, kind)
            for m, f in enumerate(found.maps):
                z = sum(window[k, l] @ found.arrays["weights"][m, k, l] for k in range(KH) for l in range(KW))
                z += found.arrays["bias"][m]
                value = max(z, 0) if layer.activation == "relu" else z
                assert abs(value - record.output[i, j, f]) < 1e-5
                assert found.arrays["values"][r, c, m] == record.output[i, j, f]


def gathered(found, i, j, kind):
    """The window of an output pixel, from the whole input, as the page's JavaScript gathers it."""
    x, (KH, KW), (SH, SW) = found.arrays["input"], found.facts["kernel"], found.facts["stride"]
    (top, _), (left, _) = found.facts["pads"]
    window = np.zeros((KH, KW, x.shape[2]))
    for k in range(KH):
        for l in range(KW):
            if kind == "Conv2D":
                p, q = i * SH + k - top, j * SW + l - left
            else:
                p, q = (i + top - k) / SH, (j + left - l) / SW
            if p == int(p) and q == int(q) and 0 <= p < x.shape[0] and 0 <= q < x.shape[1]:
                window[k, l] = x[int(p), int(q)]
    return window


def test_the_grid_holds_within_the_budget():
    record = record_of(nn.Conv2D(5, 3, 3, rng=1), numbers((40, 40, 5)))
    found = account(record, 20_000)
    assert 0.5 * 20_000 < found.arrays["windows"].nbytes + 2 * found.arrays["values"].nbytes <= 20_000


def test_a_softmax_has_the_weights_of_all_classes():
    layer = nn.Conv2D(4, 20, 1, activation="softmax", rng=1)
    found = account(record_of(layer, numbers((3, 3, 4))), AMPLE)
    assert len(found.maps) == 16 and found.facts["filters"] == list(range(20))
    logits = found.arrays["input"][1, 2] @ found.arrays["weights"][:, 0, 0].T + found.arrays["bias"]
    p = np.exp(logits) / np.exp(logits).sum()
    assert np.allclose(p[found.maps], found.arrays["values"][1, 2], atol=1e-6)


@pytest.mark.parametrize("options", [{"size": 2}, {"size": 3, "stride": 2, "padding": "same"}, {"size": (2, 3)}])
def test_a_pooling_takes_the_largest_of_its_window(options):
    record = record_of(nn.MaxPool2D(**options), numbers((7, 9, 3)))
    found = account(record, AMPLE)
    largest = np.nanmax(found.arrays["windows"], axis=(2, 3))  # NaN is padding
    assert np.array_equal(largest, record.output[np.ix_(found.rows, found.columns)])


def test_batch_norm():
    layer = nn.BatchNorm(3, activation="relu").eval()
    for tensor in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance):
        tensor.data = RNG.uniform(0.5, 2, 3).astype(np.float32)
    record = record_of(layer, numbers((4, 5, 3)))
    found = account(record, AMPLE)
    a = found.arrays
    z = a["gamma"] * (a["x"] - a["moving_mean"]) / np.sqrt(a["moving_variance"] + found.facts["epsilon"]) + a["beta"]
    assert np.allclose(np.maximum(z, 0), record.output, atol=1e-5) and np.array_equal(a["values"], record.output)


def test_layers_that_only_move_numbers_say_where_from():
    x = numbers((6, 7, 2))
    crop = account(record_of(nn.Crop(2), x), AMPLE)
    assert (crop.facts["top"], crop.facts["left"]) == (2, 2)
    both = record_of(nn.Concatenate(), x, numbers((6, 7, 3)))
    assert account(both, AMPLE).facts["halves"] == [2, 3]
    assert account(record_of(nn.Dropout(0.3).eval(), x), AMPLE).facts == {"rate": 0.3}
    relu = account(record_of(nn.ReLU(), x), AMPLE)
    assert np.array_equal(np.maximum(relu.arrays["x"], 0), relu.arrays["values"])
