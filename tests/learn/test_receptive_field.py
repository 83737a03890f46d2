"""Receptive fields against brute force: light one pixel up, and see where the network answers."""

import numpy as np
import pytest

from minunet import nn
from minunet.learn.receptive_field import effective_field, receptive_fields
from minunet.models import SegmentationModel, UNet, UNet2015
from minunet.nn.module import forward_hook


class Chain(SegmentationModel):
    """Layers one after the other. A Concatenate puts the image beside what comes in."""

    in_channels = 1

    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        image = x
        for layer in self.layers:
            x = layer(x, image) if isinstance(layer, nn.Concatenate) else layer(x)
        return x

    def logits(self, x):
        return self.forward(x)


def all_positive(model):
    """Every number of every map is then above 0 exactly where a pixel above 0 can reach it."""
    for parameter in model.astype("float64").parameters():
        parameter.data = np.full(parameter.shape, 0.1 if parameter.ndim > 1 else 0.0)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm):
            layer.gamma.data += 1
    return model.eval()


def boxes_by_brute_force(model, size):
    """{layer: {(i, j): the box of all pixels that reach it}}, from one image per pixel with nothing but this pixel."""
    H, W = size
    images = np.eye(H * W).reshape(H * W, H, W, 1)
    reached = {}
    with forward_hook(lambda layer, inputs, y: reached.update({layer.name: y.data.any(axis=-1)})):
        model(images)
    boxes = {}
    for name, maps in reached.items():
        maps = maps.reshape(H, W, *maps.shape[1:])
        boxes[name] = {}
        for i, j in np.ndindex(*maps.shape[2:]):
            rows, columns = np.nonzero(maps[:, :, i, j])
            box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) if len(rows) else (0, 0, 0, 0)
            boxes[name][i, j] = tuple(map(int, box))
    return boxes


MODELS = {
    "the lecture's": (lambda: UNet(1, depth=2, width=2), (12, 16)),
    "with batch norm and dropout": (lambda: UNet(1, depth=1, width=2, batch_norm=True, dropout=0.5), (6, 8)),
    "the paper's": (lambda: UNet2015(depth=1, width=2, activation="linear"), (22, 18)),
    "the paper's, mirrored": (lambda: UNet2015(depth=1, width=2, activation="linear", mirror=True), (9, 14)),
    "strides": (
        lambda: Chain(
            nn.Conv2D(1, 2, (5, 3), stride=(2, 1), name="a"),
            nn.MaxPool2D(3, stride=2, padding="same", name="b"),
            nn.Conv2D(2, 2, 3, padding=(0, 2), name="c"),
        ),
        (15, 11),
    ),
    "pooling that leaves rows over": (
        lambda: Chain(nn.MaxPool2D(2, name="a"), nn.Conv2D(1, 1, 3, name="b"), nn.ReLU("c")),
        (7, 9),
    ),
    "overlapping tiles": (
        lambda: Chain(
            nn.MaxPool2D(2, name="a"),
            nn.ConvTranspose2D(1, 2, 3, name="b"),
            nn.Concatenate(name="c"),
            nn.Conv2D(3, 1, 3, name="d"),
            nn.Crop(2, name="e"),
        ),
        (12, 10),
    ),
    "tiles with gaps": (
        lambda: Chain(nn.ConvTranspose2D(1, 1, 1, stride=2, name="a"), nn.Conv2D(1, 1, 2, padding="valid", name="b")),
        (4, 5),
    ),
    "tiles cropped": (lambda: Chain(nn.ConvTranspose2D(1, 1, 5, stride=(2, 3), padding=(2, 1), name="a")), (5, 4)),
}


@pytest.mark.parametrize("name", MODELS)
def test_boxes_within_the_image(name):
    make, size = MODELS[name]
    model = all_positive(make())
    expected = boxes_by_brute_force(model, size)
    fields = receptive_fields(model, size)
    assert list(fields) == list(expected)
    for layer, boxes in expected.items():
        found = {position: fields[layer].clipped(*position) for position in boxes}
        assert found == boxes, layer


@pytest.mark.parametrize("name", ["the lecture's", "overlapping tiles"])
def test_boxes_in_an_image_that_goes_on(name):
    """In the middle of a larger image lies the same network, and nothing is clipped: the boxes are the same there."""
    make, (H, W) = MODELS[name]
    model = all_positive(make())
    fields = receptive_fields(model, (H, W))
    large = receptive_fields(model, (9 * H, 9 * W))
    for layer, each in fields.items():
        for i, j in np.ndindex(len(each.rows[0]), len(each.columns[0])):
            rows, columns = (4 * n // jump for n, jump in zip((H, W), each.jump))
            top, left, bottom, right = large[layer].clipped(i + rows, j + columns)
            assert each.box(i, j) == (top - 4 * H, left - 4 * W, bottom - 4 * H, right - 4 * W), layer


def test_the_lectures_network_by_hand():
    """A level adds 2 + 2 jumps by its convolutions and 1 by its pooling: r = 1 + 5·(1 + 2 + 4 + 8 + 16 + 32) = 316."""
    fields = receptive_fields(UNet(width=1), (256, 256))
    assert [fields[f"MaxPool_Down_{level}"].size[0] for level in range(1, 7)] == [6, 16, 36, 76, 156, 316]
    assert [fields[f"Conv_Bottle_{n}"].size for n in (1, 2)] == [(316 + 128, 316 + 128), (316 + 256, 316 + 256)]
    assert fields["Conv_Bottle_2"].jump == (64, 64) and fields["Conv_Out"].jump == (1, 1)

    def rows(name):
        return [fields[name].clipped(i, 0)[::2] for i in range(4)]

    # position i of the last pooling begins at 64 i - (316 - 64) / 2
    assert fields["MaxPool_Down_6"].box(0, 2) == (-126, 2, 190, 318)
    assert rows("MaxPool_Down_6") == [(0, 190), (0, 254), (2, 256), (66, 256)]
    assert rows("Conv_Bottle_1") == [(0, 254), (0, 256), (0, 256), (2, 256)]
    assert rows("Conv_Bottle_2") == [(0, 256)] * 4


def test_a_kind_of_layer_that_is_not_known():
    class Turn(nn.Module):
        name = "turn"

        def forward(self, x):
            return x[:, ::-1]

    with pytest.raises(ValueError, match="turn is a Turn"):
        receptive_fields(Chain(nn.Conv2D(1, 1, 3), Turn()), (4, 4))


def test_effective_field_of_two_convolutions_by_hand():
    """(1, 1, 1) twice is (1, 2, 3, 2, 1); in both directions, the outer product of it with itself."""
    model = all_positive(Chain(nn.Conv2D(1, 1, 3, name="a"), nn.Conv2D(1, 1, 3, activation="relu", name="b")))
    found = effective_field(model, np.ones((7, 8, 1)), "b", (2, 4))
    expected = np.zeros((7, 8))
    expected[0:5, 2:7] = np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]) * 0.1**2
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_effective_field_by_differences():
    model = UNet(2, depth=1, width=2, batch_norm=True, seed=1).astype("float64")
    image = np.random.default_rng(0).random((4, 6, 2))

    def answer(x):
        kept = {}
        with forward_hook(lambda layer, inputs, y: kept.update({layer.name: y.data})):
            model.eval()(x[None])
        return kept["Conv_Transp_Bottle"][0, 1, 3, :1].sum()

    expected = np.zeros((4, 6))
    for p, q, c in np.ndindex(image.shape):
        shift = np.zeros_like(image)
        shift[p, q, c] = 1e-6
        expected[p, q] += abs(answer(image + shift) - answer(image - shift)) / 2e-6
    model.train()
    found = effective_field(model, image, "Conv_Transp_Bottle", (1, 3), channels=[0])
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert found.max() > 0.001
    assert model.training and all(p.requires_grad and p.grad is None for p in model.parameters())


def test_effective_field_lies_within_the_box():
    model = UNet(depth=2, width=4, seed=0)
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    found = effective_field(model, image, "Conv_Down_2_2", (3, 12))
    top, left, bottom, right = receptive_fields(model, (32, 32))["Conv_Down_2_2"].clipped(3, 12)
    inside = found[top:bottom, left:right].copy()
    found[top:bottom, left:right] = 0
    assert inside.any() and not found.any()


def test_effective_field_of_the_last_layer_is_that_of_the_logits():
    model = UNet(depth=1, width=2, out_channels=3, activation="softmax", seed=0).astype("float64")
    image = np.random.default_rng(0).random((8, 8, 3))
    expected = np.zeros((8, 8))
    for p, q, c in np.ndindex(image.shape):
        shift = np.zeros_like(image)
        shift[p, q, c] = 1e-6
        after, before = (model.logits(x[None]).numpy()[0, 3, 4].sum() for x in (image + shift, image - shift))
        expected[p, q] += abs(after - before) / 2e-6
    assert expected.max() > 0.001
    np.testing.assert_allclose(effective_field(model, image, "Conv_Out", (3, 4)), expected, atol=1e-7)


def test_effective_field_of_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="layer is 'Conv_Down_9_9': it must be one of Conv_Down_1_1, "):
        effective_field(UNet(depth=1, width=1), np.zeros((2, 2, 3)), "Conv_Down_9_9", (0, 0))
