"""Every number in the docstring of models/unet.py, against the network and against recursions written out here."""

import itertools
import math
import re
from functools import cache

import numpy as np
import pytest

from minunet import Tensor, UNet, ops
from minunet.data.drawn_pets import DrawnPets
from minunet.learn.receptive_field import effective_field, receptive_fields
from minunet.models import unet
from minunet.nn.costs import layer_costs, training_costs
from minunet.nn.module import forward_hook
from minunet.ops.conv2d import Conv2DFunction
from minunet.ops.max_pool2d import MaxPool2DFunction

TEXT = " ".join(unet.__doc__.split())
SIZE = 256
ROW = re.compile(r" {4}(\w+) +(\d+)x(\d+) +(.+?) {2,}(\S.*?) += +([\d,]+) +([\d,]+) +(\d+)")
TOTAL = re.compile(r" {4}UNet\(\) += +([\d,]+) +([\d,]+)")
LEVELS = ["Down_1", "Down_2", "Down_3", "Down_4", "Down_5", "Down_6", "Bottle"]
LEVELS += ["Up_1", "Up_2", "Up_3", "Up_4", "Up_5", "Classif", "Out"]


def number(text):
    return int(text.replace(",", ""))


def table():
    """{level: (H, W, channels, product, parameters, KiB kept, sees)} as the docstring has it."""
    found = [match.groups() for match in map(ROW.fullmatch, unet.__doc__.splitlines()) if match]
    return {
        name: (int(H), int(W), channels, product, *map(number, rest)) for name, H, W, channels, product, *rest in found
    }


def level_of(layer):
    """Conv_Down_1_2 and MaxPool_Down_1 belong to Down_1; what upsamples Bottle, and joins it, to Up_1."""
    _, name = layer.split("_", 1)
    if name.startswith("Transp_") or layer.startswith("Concatenate_"):
        return LEVELS[LEVELS.index(name.removeprefix("Transp_")) + 1]
    return name if name in LEVELS else name.rsplit("_", 1)[0]


@cache
def layers_by_level():
    layers = {level: [] for level in LEVELS}
    for costs in layer_costs(UNet(), (SIZE, SIZE)):
        layers[level_of(costs.name)].append(costs)
    return layers


def test_the_table_has_every_level():
    assert list(table()) == LEVELS


@pytest.mark.parametrize("level", LEVELS)
def test_a_row_is_what_the_network_has(level):
    H, W, channels, product, parameters, kept, _ = table()[level]
    layers = {costs.name: costs for costs in layers_by_level()[level]}
    convolutions = [costs for costs in layers.values() if costs.kind == "Conv2D"]
    assert {costs.shape[:2] for costs in convolutions} == {(H, W)}
    first, *rest = channels.split(" → ")
    assert [int(c) for c in rest] == [costs.shape[2] for costs in convolutions]
    assert parameters == sum(costs.parameters for costs in layers.values())
    assert kept * 1024 == sum(costs.kept for costs in layers.values())
    joined = [costs.shape[2] for costs in layers.values() if costs.kind == "Concatenate"]
    halves = [int(c) for c in first.split("+")]
    if joined:
        upsampled, skip = halves
        assert joined == [upsampled + skip] and 5 * upsampled == upsampled + skip  # "one fifth and four fifths"
        assert [costs.shape[2] for costs in layers.values() if costs.kind == "ConvTranspose2D"] == [upsampled]
    terms = [[int(n) for n in term.split("·")] for term in product.split(" + ")]
    assert parameters == sum(math.prod(term) for term in terms)
    # products and biases take turns; each 3x3 convolution reads what the one before it computed
    inputs, outputs = terms[::2], [bias for (bias,) in terms[1::2]]
    assert [out for *_, out in inputs] == outputs
    assert [c for _, c, _ in inputs][bool(joined) :] == [sum(halves), *outputs[bool(joined) : -1]]
    assert {taps for taps, _, _ in inputs[bool(joined) :]} == {1 if level == "Out" else 9}
    assert not joined or inputs[0][0] == 4


def test_the_totals():
    (total,) = filter(None, map(TOTAL.fullmatch, unet.__doc__.splitlines()))
    parameters, kept = map(number, total.groups())
    rows = table().values()
    assert parameters == sum(row[4] for row in rows) == sum(p.size for p in UNet().parameters())
    assert kept == sum(row[5] for row in rows) == training_costs(UNet(), (SIZE, SIZE)).kept / 1024
    assert table()["Bottle"][4] > parameters / 2
    assert sum(row[5] for row in rows if row[0] == SIZE) > kept / 2


def test_where_the_arithmetic_is():
    """Products per pixel: taps · channels in · channels out. An upsampling has them for each pixel that it reads."""
    products = dict.fromkeys([256, 128, 64, 32, 16, 8, 4], 0)
    for H, _, _, product, *_ in table().values():
        for taps, before, after in ([int(n) for n in term.split("·")] for term in product.split(" + ")[::2]):
            products[H] += (H // 2 if taps == 4 else H) ** 2 * taps * before * after
    percent = {H: round(100 * count / sum(products.values())) for H, count in products.items()}
    assert percent == {256: 28, 128: 13, 64: 13, 32: 13, 16: 13, 8: 13, 4: 5}
    assert 2 * sum(products.values()) == sum(costs.flop for costs in layer_costs(UNet(), (SIZE, SIZE)))
    assert "1.08 billion products" in TEXT and round(sum(products.values()) / 1e9, 2) == 1.08
    assert "every size from 128x128 to 8x8 takes 13 % of it, 256x256 takes 28 %, and the bottleneck 5 %" in TEXT


def test_what_the_levels_keep_by_hand():
    """4 bytes for each number of the input and of both outputs, 1 for each that a pooling passes on.

    A skip is an output of its encoder level, so of a decoder level's input only the upsampled channels count.
    """
    rows = table()
    for level in LEVELS[:-1]:
        H, W, channels, *_, kept, _ = rows[level]
        read, first, second = (int(c.split("+")[0]) for c in channels.split(" → "))
        pooled = H * W // 4 * second if level.startswith("Down") else 0
        assert kept * 1024 == 4 * H * W * (read + first + second) + pooled
    skips = [(H, re.search(r"\+(\d+)", channels)) for H, _, channels, *_ in rows.values()]
    assert sum(4 * H * H * int(found[1]) for H, found in skips if found) == 4_032 * 1024
    assert "it would be 4,032 KiB more" in TEXT
    assert "65,536 windows of 9·16 numbers, 36 MiB where x and y take 4 each" in TEXT
    assert SIZE**2 == 65_536 and 4 * SIZE**2 * 9 * 16 == 36 * 2**20 and 4 * SIZE**2 * 16 == 4 * 2**20


# ---- receptive fields --------------------------------------------------------------------------------------


def conv(below):
    return cache(lambda p: (below(p - 1)[0], below(p + 1)[1]))


def hull(a, b):
    return min(a[0], b[0]), max(a[1], b[1])


@cache
def windows_of_the_network():
    """{layer: p → (first, last + 1) of the image's rows that row p depends on}, in an image without end."""

    def pool(below):
        return cache(lambda p: hull(below(2 * p), below(2 * p + 1)))

    def join(below, skip):
        return cache(lambda p: hull(below(p // 2), skip(p)))

    seen, skips, x = {}, [], lambda p: (p, p + 1)
    for level in LEVELS[:6]:
        for which in (1, 2):
            seen[f"Conv_{level}_{which}"] = x = conv(x)
        skips.append(x)
        seen[f"MaxPool_{level}"] = x = pool(x)
    for which in (1, 2):
        seen[f"Conv_Bottle_{which}"] = x = conv(x)
    for level in LEVELS[7:-1]:
        x = join(x, skips.pop())
        for which in (1, 2):
            seen[f"Conv_{level}_{which}"] = x = conv(x)
    seen["Conv_Out"] = x
    return seen


def test_receptive_fields_by_following_each_row_back():
    seen = windows_of_the_network()
    for level, (H, *_, sees) in table().items():
        window = seen["Conv_Out" if level == "Out" else f"Conv_{level}_2"]
        positions = range(min(H, 64))  # the pattern of tiles repeats after 64 rows
        assert sees == max(last - first for first, last in map(window, positions)), level


def test_receptive_fields_by_the_formula_on_the_way_down():
    r = j = 1
    for level in LEVELS[:7]:
        r += 2 * j + 2 * j
        assert table()[level][-1] == r
        r, j = r + j, 2 * j


def test_receptive_fields_as_minunet_learn_finds_them():
    fields = receptive_fields(UNet(), (SIZE, SIZE))
    for level, (*_, sees) in table().items():
        assert fields["Conv_Out" if level == "Out" else f"Conv_{level}_2"].size == (sees, sees)


def test_what_the_windows_cover_of_256_rows():
    def clipped(layer):
        ranges = (windows_of_the_network()[layer](p) for p in range(4))
        return {min(last, SIZE) - max(first, 0) for first, last in ranges}

    assert clipped("MaxPool_Down_6") == {190, 254} and clipped("Conv_Bottle_2") == {256}
    assert "sees 190 or 254 rows of 256, and each output of Conv_Bottle_2 all of them" in TEXT
    widths = [table()[level][-1] for level in LEVELS[:7]]
    assert all(after > 2 * before for before, after in itertools.pairwise(widths))  # "more than twice as wide"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_few_pixels_hold_most_of_the_gradient_of_an_output(seed):
    """From 63 to 107 with these seeds; a disk over all of a window of 256 rows would be 51,000."""
    field = effective_field(UNet(seed=seed), DrawnPets(1, size=SIZE)[0][0], "Conv_Out", (128, 128))
    largest_first = np.sort(field.ravel())[::-1].cumsum() / field.sum()
    assert 30 < (largest_first < 0.9).sum() < 200
    assert "about 100 of the 65,536 hold 90 %" in TEXT


# ---- sizes and gradients -----------------------------------------------------------------------------------


def test_the_sizes_that_predict_pads_to():
    sizes = []
    with forward_hook(lambda layer, inputs, y: sizes.append(inputs[0].shape)):
        answer = UNet(width=1).predict(np.zeros((333, 500, 3), np.uint8))
    assert sizes[0] == (1, 384, 512, 3) and answer.shape == (333, 500, 1)
    assert "(333x500 → 384x512)" in TEXT


def test_an_odd_number_of_rows_loses_one():
    assert 2 * ops.max_pool2d(np.zeros((1, 5, 4, 1), np.float32)).shape[1] == 4


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_at_first_the_gradient_of_a_skip_is_longer_than_that_of_its_pooling(seed, monkeypatch):
    """And both arrive at the convolution before them, added up."""
    skips, pools = [], []

    def watched(function, lengths, which):
        backward = function.backward

        def watch(self, gy):
            gx = backward(self, gy)
            if which is None:
                lengths.append(float(np.linalg.norm(gx)))
            elif len(gx) > which:
                lengths.append(float(np.linalg.norm(gx[which])))
            return gx

        monkeypatch.setattr(function, "backward", watch)

    watched(Conv2DFunction, skips, 3)  # of x, w, b and the skip
    watched(MaxPool2DFunction, pools, None)
    image, mask = DrawnPets(1, size=SIZE)[0]
    z = UNet(seed=seed).logits(Tensor(image[None].astype(np.float32) / 255))
    ops.binary_cross_entropy_with_logits(z, mask[None].astype(np.float32)).backward()
    ratios = np.array(skips) / np.array(
        pools[::-1]
    )  # the decoder runs backwards from level 1, the encoder from level 6
    assert len(ratios) == 6 and (ratios > 4).all() and (ratios < 80).all()
    assert "10 to 30 times as long" in TEXT
