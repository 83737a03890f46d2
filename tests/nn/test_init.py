"""Initial weights: the factors that nn/init.py states, against random numbers sent through layers."""

import numpy as np
import pytest

from minunet import UNet, nn, no_grad, ops
from minunet.autograd import Tensor
from minunet.data.drawn_pets import DrawnPets
from minunet.models import UNet2015
from minunet.nn import init
from minunet.nn.module import forward_hook


def mean_square(x):
    return float((np.asarray(x, np.float64) ** 2).mean())


def factors(layer, relu):
    """Of the mean square, forwards and backwards, in the middle of an image, where no window meets the padding."""
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((2, 24, 24, layer.in_channels)).astype(np.float32), requires_grad=True)
    y = layer(x)
    y = ops.relu(y) if relu else y
    gy = rng.standard_normal(y.shape).astype(np.float32)
    y.backward(gy)
    middle = slice(2, -2)
    forward = mean_square(y.data[:, middle, middle]) / mean_square(x.data)
    return forward, mean_square(x.grad[:, middle, middle]) / mean_square(gy)


@pytest.mark.parametrize(
    ("before", "after", "forward", "backward"),
    [(64, 64, 1 / 2, 1 / 2), (64, 128, 1 / 3, 2 / 3), (128, 64, 2 / 3, 1 / 3)],
)
def test_what_a_glorot_layer_and_its_relu_leave_of_the_mean_square(before, after, forward, backward):
    assert factors(nn.Conv2D(before, after, 3, rng=0), relu=True) == pytest.approx((forward, backward), rel=0.1)


@pytest.mark.parametrize(("before", "after", "backward"), [(64, 64, 1), (64, 128, 2), (128, 64, 1 / 2)])
def test_what_a_he_layer_and_its_relu_leave_of_the_mean_square(before, after, backward):
    layer = nn.Conv2D(before, after, 3)
    layer.kernel.data = init.he_normal(layer.kernel.shape, 9 * before, np.random.default_rng(0))
    assert factors(layer, relu=True) == pytest.approx((1, backward), rel=0.1)


def test_what_an_upsampling_layer_leaves_of_the_mean_square():
    assert factors(nn.ConvTranspose2D(128, 16, 2, rng=0), relu=False) == pytest.approx((4 / 9, 2 / 9), rel=0.1)


def test_the_numbers_of_a_fresh_network_shrink_on_the_way_down():
    """From 0.7 in a drawn pet to between 0.0005 and 0.003; a pooling raises the mean square a little."""
    x = np.stack([DrawnPets(4)[i][0] for i in range(4)]).astype(np.float32) / 255
    assert mean_square(x) ** 0.5 == pytest.approx(0.7, abs=0.05)
    for seed in (0, 2, 4):  # among 0 … 7 these are in the middle, the smallest and the largest
        sizes = {}
        with no_grad(), forward_hook(lambda layer, _, y, sizes=sizes: sizes.update({layer.name: mean_square(y.data)})):
            UNet(seed=seed)(x)
        assert 0.0004 < sizes["Conv_Bottle_2"] ** 0.5 < 0.004
        for level in range(1, 7):
            pooled = sizes[f"MaxPool_Down_{level}"] / sizes[f"Conv_Down_{level}_2"]
            assert 1 < pooled < 1.7


def test_the_papers_network_counts_what_really_enters_an_upsampled_number():
    layer = next(layer for layer in UNet2015(width=32).modules() if isinstance(layer, nn.ConvTranspose2D))
    assert float(layer.kernel.data.std()) == pytest.approx((2 / layer.in_channels) ** 0.5, rel=0.05)


def bottleneck_gradient(model):
    """The root mean square of the gradient of the bottleneck's first kernel, and of the last level's, on drawn pets."""
    images, masks = zip(*(DrawnPets(2, size=128)[i] for i in range(2)))
    z = model.logits(np.stack(images).astype(np.float32) / 255)
    ops.binary_cross_entropy_with_logits(z, np.stack(masks).astype(np.float32)).backward()
    gradients = {name: mean_square(p.grad) ** 0.5 for name, p in model.named_parameters()}
    return gradients["Conv_Bottle_1/kernel"], gradients["Conv_Classif_1/kernel"]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradients_of_a_fresh_network_fade_on_the_way_to_the_bottom(seed):
    bottom, top = bottleneck_gradient(UNet(seed=seed))
    assert 1e-14 < bottom < 1e-11 and 3e-5 < top < 1e-2


@pytest.mark.parametrize("seed", [0, 1])
def test_batch_norm_and_he_weights_keep_the_gradients_of_the_bottom(seed):
    bottom, _ = bottleneck_gradient(UNet(seed=seed, batch_norm=True))
    assert 1e-8 < bottom < 1e-4
    model, rng = UNet(seed=seed), np.random.default_rng(seed)
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2D, nn.ConvTranspose2D)):
            KH, KW = (1, 1) if isinstance(layer, nn.ConvTranspose2D) else layer.kernel_size
            layer.kernel.data = init.he_normal(layer.kernel.shape, KH * KW * layer.in_channels, rng)
    bottom, _ = bottleneck_gradient(model)
    assert 1e-8 < bottom < 1e-4


def test_filters_that_begin_alike_stay_alike():
    layer = nn.Conv2D(3, 4, 3, activation="relu")
    layer.kernel.data[:] = 0.1
    x = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    (layer(x) ** 2.0).sum().backward()
    assert np.ptp(layer.kernel.grad, axis=3).max() == 0 < np.abs(layer.kernel.grad).max()
