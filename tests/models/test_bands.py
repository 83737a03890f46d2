"""The top level in bands of rows: the same answer, in less memory, and only where nobody needs more than the answer."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minunet import Tensor, UNet, no_grad
from minunet.models import bands
from minunet.models.unet import Up
from minunet.nn import Conv2D, ConvTranspose2D
from minunet.nn.module import forward_hook


def random_images(*shape):
    return np.random.default_rng(0).uniform(0, 1, shape).astype("float32")


def watched_bands(monkeypatch, pixels):
    """Bands of that many pixels from now on. Returns a list that will hold (first row of the skip, rows), per band."""
    seen, in_bands = [], bands.in_bands

    def watched(top, x, skip):
        start = skip.data.ctypes.data

        def top_watched(x, skip_rows):
            row_bytes = skip.data[0, 0].nbytes
            seen.append(((skip_rows.data.ctypes.data - start) // row_bytes, skip_rows.shape[1]))
            return top(x, skip_rows)

        return in_bands(top_watched, x, skip)

    monkeypatch.setattr(bands, "BAND_PIXELS", pixels)
    monkeypatch.setattr(bands, "in_bands", watched)
    return seen


@pytest.mark.parametrize(
    "options",
    [{}, {"batch_norm": True}, {"out_channels": 3, "activation": "softmax", "dropout": 0.5}, {"depth": 1, "width": 3}],
)
@pytest.mark.parametrize(("rows", "width"), [(4, 40), (12, 40), (28, 56)])
def test_bands_give_the_answer_of_the_whole_image(options, rows, width, monkeypatch):
    model, image = UNet(**{"depth": 2, "width": 4} | options), random_images(44, width, 3)
    whole = model.predict(image)
    seen = watched_bands(monkeypatch, rows * width + 5)
    banded = model.predict(image)
    firsts = [max(0, start - 4) for start in range(0, 44, rows)]
    lasts = [min(44, start + rows + 4) for start in range(0, 44, rows)]
    assert seen == [(first, last - first) for first, last in zip(firsts, lasts)]
    np.testing.assert_allclose(banded, whole, rtol=0, atol=1e-5)
    assert banded.shape == (44, width, options.get("out_channels", 1))


def test_logits_come_in_bands_too(monkeypatch):
    model, x = UNet(depth=2, width=4), random_images(1, 32, 32, 3)
    with no_grad():
        whole = model.logits(x).data
        seen = watched_bands(monkeypatch, 8 * 32)
        np.testing.assert_allclose(model.eval().logits(x).data, whole, rtol=0, atol=1e-5)
    assert len(seen) == 4 and whole.min() < 0


@pytest.mark.parametrize("who", ["backward", "hook", "training", "several", "small"])
def test_who_needs_more_than_the_answer_gets_the_whole(who, monkeypatch):
    """In bands, gradients would be lost, hooks would see parts, and batch normalization would not see all pixels."""
    model = UNet(depth=2, width=4, batch_norm=True).eval()
    x = random_images(2 if who == "several" else 1, 32, 32, 3)
    seen = watched_bands(monkeypatch, 32 * 32 if who == "small" else 8 * 32)
    if who == "backward":
        model(Tensor(x)).sum().backward()
        assert np.abs(model.decoder[-1].upsample.kernel.grad).max() > 0
    elif who == "hook":
        sizes = []
        with no_grad(), forward_hook(lambda layer, inputs, output: sizes.append(output.shape[1])):
            model(Tensor(x))
        assert set(sizes) == {32, 16, 8}
    else:
        model.decoder[-1].convolutions.first_norm.train(who == "training")
        with no_grad():
            model(Tensor(x))
    assert seen == []


class Further(Conv2D):
    """A layer of someone's own, which may look anywhere."""


class MyUp(Up):
    """A level of someone's own."""


@pytest.mark.parametrize(
    "change",
    [
        lambda top, model: setattr(top.convolutions, "second", Conv2D(8, 8, 13)),
        lambda top, model: setattr(top.convolutions, "first", Conv2D(5, 8, 5)),
        lambda top, model: setattr(top.convolutions, "second", Further(8, 8, 3)),
        lambda top, model: setattr(top.convolutions, "forward", lambda x: x),
        lambda top, model: setattr(top, "upsample", ConvTranspose2D(8, 1, 4, stride=2)),
        lambda top, model: setattr(model, "out", Conv2D(8, 1, 7)),
        lambda top, model: setattr(top, "__class__", MyUp),
    ],
)
def test_layers_that_might_look_further_see_the_whole(change, monkeypatch):
    """With a kernel of 13 rows, a margin of four would give other numbers at the edges of the bands."""
    model, image = UNet(depth=2, width=4), random_images(32, 32, 3)
    seen = watched_bands(monkeypatch, 8 * 32)
    model.predict(image)
    assert len(seen) == 4
    change(model.decoder[-1], model)
    seen.clear()
    model.predict(image)
    assert seen == []


def test_the_most_held_at_a_time_is_what_the_first_level_makes(one_thread, monkeypatch):
    """8 + 8 channels, and a quarter of 8 with its argmax: 74 bytes per pixel. In one piece it is 2 · 16 channels."""
    monkeypatch.setattr(bands, "BAND_PIXELS", 32 * 512)
    model, image = UNet(), random_images(512, 512, 3)
    model.predict(image)  # makes scratch memory, which is kept
    tracemalloc.start()
    try:
        model.predict(image)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 64 * 512 * 512 < peak < 90 * 512 * 512


def test_scratch_memory_does_not_grow_with_the_image(one_thread):
    """Pooling and upsampling a large image need no more of it than other layers: some rows at a time, not the image."""
    model, image = UNet(depth=2), random_images(1024, 1024, 3)

    def kept_by_predict():
        tracemalloc.start()
        try:
            model.predict(image)
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    with ThreadPoolExecutor(1) as new_thread:  # one without any scratch memory
        kept = new_thread.submit(kept_by_predict).result()
    assert kept < 10e6  # the first pooling has 2.1 million numbers, the last upsampling makes 8.4: 8.4 and 33.6 MB
