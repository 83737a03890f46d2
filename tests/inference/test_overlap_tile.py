"""Tiles of a network of valid convolutions: they must give the whole image's answer at every pixel."""

import numpy as np
import pytest

from minunet import Tensor, UNet
from minunet.inference.overlap_tile import least_tile, overlap_tiles
from minunet.inference.predict import check_tiles, predict_resized, predict_tiled
from minunet.models import UNet2015, input_size, valid_sizes

rng = np.random.default_rng(0)


def noise(height, width, channels=1):
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def network(depth, **options):
    """A network whose logits spread by about 1, so that its answer differs from pixel to pixel."""
    model = UNet2015(depth=depth, width=2, **{"activation": "sigmoid", "seed": 4} | options).eval()
    side = input_size(12, depth)
    z = model.logits(noise(side, side, model.in_channels)[None] / np.float32(255)).data
    model.out.kernel.data /= z.std(axis=(0, 1, 2)).clip(1e-3)
    model.out.bias.data -= z.mean(axis=(0, 1, 2)) / z.std(axis=(0, 1, 2)).clip(1e-3)
    return model


@pytest.mark.parametrize("depth, tile", [(1, 18), (1, 25), (2, 44), (2, 61), (3, 116), (4, 204), (4, 236)])
@pytest.mark.parametrize("height, width", [(1, 1), (5, 3), (19, 32), (70, 9)])
def test_tiles_give_the_answer_of_the_whole_image_at_every_pixel(depth, tile, height, width):
    """In float64, so that nothing but the last step, into float32, is rounded differently."""
    model, image = network(depth).astype("float64"), noise(height, width)
    whole = model.predict(image)
    tiled = predict_tiled(model, image, tile=tile)
    assert tiled.shape == (height, width, 2) and tiled.dtype == np.float32
    assert np.ptp(whole) > 0.2 or height < 10
    np.testing.assert_allclose(tiled, whole, atol=1e-6, rtol=0)


def test_the_same_on_both_devices_with_batch_norm_and_three_channels(xp_array):
    device = Tensor(xp_array(np.ones(1))).device
    model = network(2, in_channels=3, out_channels=4, activation="softmax", batch_norm=True, mirror=True)
    model.train().logits(noise(44, 44, 3)[None] / np.float32(255))  # moves the running averages
    model.to(device)
    image = noise(70, 45, 3)
    np.testing.assert_allclose(predict_tiled(model, image, tile=52), model.predict(image), atol=1e-5, rtol=0)


def test_windows_that_begin_elsewhere_answer_differently():
    """The test above could fail: moved on by 388 in place of 384, pooling pairs other pixels."""
    model, image = network(4).astype("float64"), noise(400, 8)
    rows = valid_sizes.mirrored_indices(400)
    columns = valid_sizes.mirrored_indices(8)
    whole = model.predict(image)
    aligned, moved = (model.predict_inside(image[np.ix_(rows[n : n + 188], columns)])[:, :8] for n in (384, 388))
    np.testing.assert_allclose(aligned, whole[384:388], atol=1e-6, rtol=0)
    assert np.abs(moved - whole[388:392]).max() > 1e-3


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_windows_cover_every_pixel_once_and_are_as_small_as_they_may_be(depth):
    step, m = 2**depth, valid_sizes.margin(depth)
    for n in [1, 2, 3, 4, 5, 7, 19, 64, 100, 389]:
        for tile in [least_tile(depth), least_tile(depth) + 1, least_tile(depth) + step, 3 * least_tile(depth)]:
            windows = overlap_tiles(n, tile, depth)
            covered = [row for window in windows for row in range(*window.answered.indices(n))]
            assert covered == list(range(n))
            for seen, answered, inner in windows:
                size = seen.stop - seen.start
                assert seen.start % step == 0 and size <= tile and valid_sizes.fits(size, depth)
                assert seen.stop <= input_size(n, depth)
                # Row r of the answer is row seen.start + m + r of the mirrored image, where row m is the image's first.
                assert seen.start + inner.start == answered.start and seen.start + inner.stop == answered.stop
                assert 0 <= inner.start < inner.stop <= size - 2 * m


@pytest.mark.parametrize("depth, least", [(1, 18), (2, 44), (3, 100), (4, 204)])
def test_tile_sizes_that_are_too_small(depth, least):
    assert least_tile(depth) == least
    with pytest.raises(ValueError, match=f"the tile size is {least - 1} pixels: at depth {depth} it must be at least"):
        predict_tiled(network(depth), noise(9, 9), tile=least - 1)


def test_what_tiled_prediction_would_refuse():
    check_tiles(network(2), 44)
    check_tiles(network(2), 2048, margin=20)
    with pytest.raises(ValueError, match="the tile size is 43 pixels"):
        check_tiles(network(2), 43)
    with pytest.raises(ValueError, match="the margin is 24 pixels: a network of valid convolutions sees exactly 20"):
        predict_tiled(network(2), noise(9, 9), 100, margin=24)
    check_tiles(UNet(depth=2, width=1), 56)
    with pytest.raises(ValueError, match="the tile size is 60 pixels: at depth 2 it must be a multiple of 4, at least"):
        check_tiles(UNet(depth=2, width=1), 60, margin=28)


def test_resized_images():
    model, image = network(2, in_channels=3), noise(33, 21, 3)
    np.testing.assert_array_equal(predict_resized(model, [image], (33, 21))[0], model.predict(image))
    first, second = predict_resized(model, [image, noise(8, 50, 3)], 24)
    assert first.shape == (33, 21, 2) and second.shape == (8, 50, 2)
