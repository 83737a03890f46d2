"""A layer as the page has it: the numbers and pictures are those of the maps that are shown."""

import base64
import io
import zlib

import numpy as np
from PIL import Image

from minunet import UNet, nn
from minunet.learn.explain.fields import Fields
from minunet.learn.explain.layers import Page, describe, describe_fields
from minunet.learn.explain.layout import Block
from minunet.learn.explain.trace import Record
from minunet.learn.receptive_field import receptive_fields


def levels(url, height):
    """The gray levels of a sheet, as maps (M, height, W)."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))
    return pixels.reshape(-1, height, pixels.shape[1])


def arrays_of(page, told):
    """{name: array}, read back from the text in the page."""
    numbers = np.frombuffer(zlib.decompress(base64.b64decode(page.blobs[told["blob"]])), "<f4")
    found = {}
    for name, shape in told["arrays"].items():
        found[name], numbers = numbers[: np.prod(shape)].reshape(shape), numbers[np.prod(shape) :]
    return found


def test_numbers_and_gradients_are_those_of_the_maps_that_are_shown():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((6, 7, 20)).astype(np.float32)
    x[..., [0, 2, 4, 9]] *= 0.01  # these four vary least, and are left out
    gradient = rng.standard_normal((6, 7, 20)).astype(np.float32)
    page, block = Page({}, []), Block(0, 0, 1, 1, 1, "down")
    told = describe(page, Record("r", "ReLU", nn.ReLU(), [0], [x], np.maximum(x, 0)), block, None, gradient, 10**6)
    maps = [c for c in range(20) if c not in (0, 2, 4, 9)]
    assert told["maps"] == maps
    arrays = arrays_of(page, told["numbers"])
    assert np.array_equal(arrays["values"], np.maximum(x, 0)[..., maps])
    assert np.array_equal(arrays["gradient"], gradient[..., maps])
    assert np.isclose(told["gradientSize"], np.sqrt((gradient**2).mean()), rtol=1e-4)

    shown = np.moveaxis(gradient[..., maps], 2, 0)  # gray is 0, brighter above it, darker below
    most = np.array(told["steepest"])[:, None, None]
    assert np.abs(levels(told["gradients"], 6) - (127.5 + 127.5 * np.clip(shown / most, -1, 1))).max() <= 0.6
    assert ((np.abs(shown) <= most).mean(axis=(1, 2)) > 0.9).all()


def test_a_heat_map_is_the_root_of_its_gradients():
    field = receptive_fields(UNet(depth=1, width=4), (8, 8))["Conv_Down_1_1"]
    heat = np.stack([[[0.0, 1, 4], [9, 16, 0], [0, 0, 0]], np.eye(3)], axis=-1)
    told = describe_fields(field, Fields([3], [2, 5], [2], [1, 4], heat))
    assert levels(told["heats"], 3).tolist() == [
        [[0, 64, 128], [191, 255, 0], [0, 0, 0]],
        [[255, 0, 0], [0, 255, 0], [0, 0, 255]],
    ]
    assert (told["heatRows"], told["heatColumns"], told["tops"], told["lefts"]) == ([3], [2, 5], [2], [1, 4])
