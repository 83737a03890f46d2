"""Heat maps of many positions in one batch are those of the positions one by one."""

import numpy as np
import pytest

from minunet import UNet
from minunet.learn.explain import fields
from minunet.learn.receptive_field import effective_field, receptive_fields
from minunet.models import UNet2015


@pytest.fixture(params=["lecture", "paper"])
def model(request):
    if request.param == "lecture":
        return UNet(depth=2, width=4, batch_norm=True).eval()
    return UNet2015(3, 1, depth=1, width=4, activation="sigmoid", mirror=True).eval()


@pytest.mark.parametrize("images", [9, 4, 1])
def test_as_one_by_one(model, images):
    x = np.random.default_rng(2).random((1, 32, 40, 3), np.float32)
    boxes = receptive_fields(model, (32, 40))
    asked = 0
    for number, (name, field) in enumerate(boxes.items()):
        size = field.rows[0].size, field.columns[0].size
        pixels = tuple(list(range(0, n, max(1, n // 6))) for n in size)
        found = fields.effective_fields(model, x, number, field, pixels, images)
        assert found.heat.shape[2] == len(found.rows) * len(found.columns)
        assert set(found.rows) <= set(pixels[0]) and set(found.columns) <= set(pixels[1])
        if number % 4 or name in ("Conv_Out", "Crop_Out"):  # of these, the logits: below
            continue
        height, width, _ = found.heat.shape
        for n in {0, found.heat.shape[2] // 2, found.heat.shape[2] - 1}:
            a, b = divmod(n, len(found.columns))
            whole = np.zeros((32, 40))
            top, left = found.tops[a], found.lefts[b]
            whole[top : top + height, left : left + width] = found.heat[..., n]
            alone = effective_field(model, x[0], name, (found.rows[a], found.columns[b]))
            np.testing.assert_allclose(whole, alone, atol=1e-5 * alone.max())
            asked += 1
    assert asked > 8


def test_a_first_layer_has_a_heat_map_for_every_pixel_that_was_asked_for():
    model = UNet(depth=1, width=4)
    field = receptive_fields(model, (32, 32))["Conv_Down_1_1"]
    pixels = list(range(0, 32, 3)), list(range(0, 32, 2))
    found = fields.effective_fields(model, np.zeros((1, 32, 32, 3), np.float32), 0, field, pixels)
    assert (found.rows, found.columns) == pixels and found.heat.shape[:2] == (3, 3)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_last_layer_is_asked_about_its_logits(activation):
    """Probabilities of classes add up to 1: their sum has no gradient, and that of one near 1 has little."""
    fitting = {"depth": 1, "width": 4, "out_channels": 3}
    model, linear = UNet(**fitting, activation=activation), UNet(**fitting, activation="linear")
    x = np.random.default_rng(2).random((1, 8, 8, 3), np.float32)
    field = receptive_fields(model, (8, 8))["Conv_Out"]
    found = fields.effective_fields(model, x, 9, field, (list(range(8)), list(range(8))))
    for n, (i, j) in enumerate((i, j) for i in found.rows for j in found.columns):
        alone = effective_field(linear, x[0], "Conv_Out", (i, j))
        np.testing.assert_allclose(found.heat[..., n], alone, atol=1e-5 * alone.max())


def test_a_network_is_left_trainable():
    model = UNet(depth=1, width=4)
    field = receptive_fields(model, (8, 8))["Conv_Out"]
    x, pixels = np.zeros((1, 8, 8, 3), np.float32), (list(range(8)), list(range(8)))
    fields.effective_fields(model, x, 9, field, pixels)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_the_tables_of_boxes():
    field = receptive_fields(UNet(depth=1, width=4), (4, 6))["Conv_Down_1_1"]
    assert fields.box_tables(field) == [[0, 0, 1, 2], [2, 3, 4, 4], [0, 0, 1, 2, 3, 4], [2, 3, 4, 5, 6, 6]]
