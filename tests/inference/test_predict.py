"""Images of any size: resized, and in tiles that must give the whole image's answer."""

import numpy as np
import pytest

from minunet import Tensor, UNet
from minunet.inference.predict import check_tile, check_tiles, exact_margin, predict_resized, predict_tiled
from minunet.models import UNet2015

rng = np.random.default_rng(0)


def noise(height, width):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def all_paths_open(depth, dtype="float64"):
    """A UNet with weights of 0 or more, so that no ReLU hides what a pixel depends on."""
    model = UNet(depth=depth, width=1).astype(dtype)
    for parameter in model.parameters():
        parameter.data = np.abs(parameter.data)
    return model


def far_sighted(depth, width=1):
    """The same, scaled so that what is far away moves the probability by more than rounding does."""
    model = all_paths_open(depth, "float32")
    x = np.ones((1, 2 * 2**depth, 2 * 2**depth, 3), np.float32) / 2
    z = model.logits(x).data
    model.out.kernel.data /= z.max() / 4
    model.out.bias.data = np.array([-2], np.float32)
    return model


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_an_answer_depends_on_exactly_what_the_derivation_says(depth):
    """A row of the image is made brighter: does the mask change in a group of 2^D rows far from edges?"""
    step = 2**depth
    model, x = all_paths_open(depth), np.ones((1, 25 * step, step, 3))
    group = slice(12 * step, 13 * step)
    before = model.logits(x).data[0, group]

    def matters(row):
        brighter = x.copy()
        brighter[0, row] = 2
        return (model.logits(brighter).data[0, group] != before).any()

    a = lowest = -2
    for _ in range(depth):  # the recursion in the file's head
        a = a // 2 - 2
        lowest = min(a, lowest)
    for _ in range(depth):
        a = 2 * a - 2
    assert lowest >= -4 and -a <= exact_margin(depth) == 6 * step
    assert -a == 6 * step - 2 or depth == 1
    assert matters(group.start + a) and not matters(group.start + a - 1)
    assert matters(group.stop - 1 - a) and not matters(group.stop - a)


@pytest.mark.parametrize("height, width", [(300, 181), (96, 400), (7, 5), (64, 65)])
def test_tiles_give_the_answer_of_the_whole_image_at_every_pixel(height, width, xp_array):
    device = Tensor(xp_array(np.ones(1))).device
    model, image = far_sighted(depth=2).to(device), noise(height, width)
    tiled, whole = predict_tiled(model, image, tile=80), model.predict(image)
    assert tiled.shape == whole.shape == (height, width, 1) and tiled.dtype == np.float32
    assert np.ptp(whole) > 0.05 or height < 10
    np.testing.assert_allclose(tiled, whole, atol=1e-5, rtol=0)


def test_the_same_for_the_lectures_depth():
    model, image = far_sighted(depth=6), noise(200, 1300)
    whole = model.predict(image)
    np.testing.assert_allclose(predict_tiled(model, image, tile=896), whole, atol=1e-5, rtol=0)


def test_a_margin_that_is_too_small_is_seen_and_blended():
    """So the tests above could fail; and no step is left where two tiles meet."""
    model = far_sighted(depth=3)
    image = np.repeat(np.repeat(noise(1, 30), 20, axis=1), 64, axis=0)
    whole = model.predict(image)
    error = predict_tiled(model, image, tile=64, margin=16) - whole
    assert np.abs(error).max() > 1e-4
    assert np.abs(np.diff(error, axis=1)).max() < np.abs(error).max() / 2


def test_weights_of_overlapping_answers_add_up_to_one():
    """A network that answers 0.5 everywhere: any gap or double count would show."""
    model = UNet(depth=1, width=1)
    for parameter in model.parameters():
        parameter.data = np.zeros_like(parameter.data)
    for height, width, tile, margin in [(50, 33, 12, 2), (20, 20, 20, 6), (41, 9, 16, 4), (12, 64, 8, 0)]:
        answer = predict_tiled(model, noise(height, width), tile, margin)
        np.testing.assert_allclose(answer, 0.5, rtol=1e-6)


@pytest.mark.parametrize(
    "tile, margin, message",
    [
        (895, 384, "multiple of 64, at least 896"),
        (832, 384, "the tile size is 832 pixels: at depth 6 it must be a multiple of 64, at least 896"),
        (960, 100, "the margin is 100 pixels: at depth 6 it must be a multiple of 64"),
        (960, -64, "the margin is -64"),
        (0, 0, "at least 128"),
    ],
)
def test_tile_sizes_out_of_range(tile, margin, message):
    with pytest.raises(ValueError, match=message):
        check_tile(6, tile, margin)
    check_tile(6, 896, 384)


def test_resizing_keeps_the_images_own_sizes_and_order():
    """A network that answers with the image's red: what comes back is the image, blurred."""

    class Red:
        out_channels = 1

        def predict(self, images):
            assert images.shape == (2, 16, 8, 3) and images.dtype == np.uint8
            return images[..., :1].astype(np.float64) / 255

    left = np.zeros((40, 60, 3), np.uint8)
    left[:, :30] = 255
    gray = np.full((5, 7, 3), 51, np.uint8)
    first, second = predict_resized(Red(), [left, gray], (16, 8))
    assert first.shape == (40, 60, 1) and second.shape == (5, 7, 1) and first.dtype == second.dtype == np.float32
    assert first[:, :18].min() > 0.99 and first[:, 42:].max() < 0.01
    np.testing.assert_allclose(second, 0.2, rtol=1e-6)


def test_an_image_of_the_training_size_is_predicted_as_it_is():
    model = UNet(depth=2, width=2)
    image = noise(32, 32)
    np.testing.assert_array_equal(predict_resized(model, [image], 32)[0], model.predict(image))


def test_lengths_are_rescaled_by_the_factors_down_and_across():
    model, factors = UNet(out_channels=2, depth=1, width=1, activation="softmax"), []

    def rescale(outputs, by):
        factors.append(by)
        return outputs + 100

    images = [np.zeros((20, 24, 3), np.uint8), np.zeros((8, 4, 3), np.uint8)]
    outputs = predict_resized(model, images, (10, 8), rescale)
    assert factors == [(2, 3), (0.8, 0.5)]
    assert [output.shape for output in outputs] == [(20, 24, 2), (8, 4, 2)] and min(map(np.min, outputs)) >= 100


def test_a_network_of_valid_convolutions_has_its_own_margin():
    model = UNet2015(depth=1, width=1)
    check_tiles(model, 40)
    check_tiles(model, 40, model.margin)
    with pytest.raises(ValueError, match=f"the margin is 4 pixels: .* sees exactly {model.margin} beyond its answer"):
        check_tiles(model, 40, 4)
