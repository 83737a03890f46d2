"""The paper's U-Net: its figure, PyTorch's numbers, mirrored edges, training, dropout."""

import numpy as np
import pytest

from minunet import Tensor, models, nn, ops, optim
from minunet.device import to_numpy
from minunet.models import UNet2015
from minunet.nn import costs
from minunet.nn.summary import layer_rows

# Channels before and after each layer with weights, from figure 1 of the paper.
CONVOLUTIONS = [
    *[(1, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)],
    *[(512, 1024), (1024, 1024), (1024, 512), (512, 512), (512, 256), (256, 256), (256, 128), (128, 128)],
    *[(128, 64), (64, 64)],
]
UP_CONVOLUTIONS = [(1024, 512), (512, 256), (256, 128), (128, 64)]
# Sizes after each layer in the order of the figure; a crop and a concatenation after each up-convolution.
FIGURE = [
    *[570, 568, 284, 282, 280, 140, 138, 136, 68, 66, 64, 64, 32, 30, 28, 28],
    *[56, 56, 56, 54, 52, 104, 104, 104, 102, 100, 200, 200, 200, 198, 196, 392, 392, 392, 390, 388, 388],
]


def small(**options):
    return UNet2015(**({"depth": 2, "width": 3, "seed": 1} | options))


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 1, shape).astype("float32")


# ---- the paper's figure ------------------------------------------------------------------------------------


def test_parameters_of_the_paper():
    by_hand = sum(9 * a * b + b for a, b in CONVOLUTIONS) + sum(4 * a * b + b for a, b in UP_CONVOLUTIONS) + 64 * 2 + 2
    model = UNet2015()
    assert sum(p.size for p in model.parameters()) == by_hand == 31_030_658
    kernels = [p.shape for name, p in model.named_parameters() if name.endswith("kernel")]
    assert sorted(kernels) == sorted(
        [(3, 3, a, b) for a, b in CONVOLUTIONS] + [(2, 2, b, a) for a, b in UP_CONVOLUTIONS] + [(1, 1, 64, 2)]
    )
    deepest = dict(model.named_parameters())["Conv_Bottom_2/kernel"]  # He et al.: √(2 / (9·1024))
    assert deepest.data.std() == pytest.approx((2 / 9216) ** 0.5, rel=0.01)
    assert abs(deepest.data.mean()) < 1e-4


def test_sizes_of_the_paper(capsys):
    rows = layer_rows(UNet2015(width=1), (572, 572, 1))
    assert [row[2][1] for row in rows[1:]] == [row[2][2] for row in rows[1:]] == FIGURE
    sources = {row[0]: row[4] for row in rows}
    assert sources["Crop_4"] == ["Dropout_Contract_4"] and sources["Crop_1"] == ["Conv_Contract_1_2"]
    assert sources["Concatenate_4"] == ["UpConv_4", "Crop_4"] and sources["UpConv_4"] == ["Dropout_Bottom"]
    UNet2015(width=1).summary()
    text = capsys.readouterr().out
    assert "input (Input)                 (None, 572, 572, 1)" in text
    assert "(None, 28, 28, 16)" in text and "(None, 388, 388, 2)" in text


def test_initial_weights_are_those_of_he():
    for name, p in UNet2015(width=32, depth=3).named_parameters():
        if name.endswith("bias"):
            assert not p.data.any()
        else:
            KH, KW, *channels = p.shape
            incoming = channels[1] if name.startswith("UpConv") else KH * KW * channels[0]
            error = p.data.std() / (2 / incoming) ** 0.5 - 1
            assert abs(error) < 5 / (2 * p.size) ** 0.5, name  # five standard deviations of a sample's
            assert p.dtype == np.float32


def test_the_seed_decides_the_initial_weights():
    one, same, other = (small(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not any(np.array_equal(one[name], other[name]) for name in one if name.endswith("kernel"))


# ---- against PyTorch ---------------------------------------------------------------------------------------


def pattern(shape, k):
    """Numbers from -1 to 1 that look random and are the same everywhere."""
    return ((np.arange(int(np.prod(shape))) * 7919 + 31 * k) % 1009 / 504 - 1).reshape(shape)


def with_pattern():
    """A network of two levels, each layer of it filled with a pattern of its own."""
    model = UNet2015(depth=2, width=2, dropout=0).astype("float64")
    parameters = dict(model.named_parameters())
    for k, name in enumerate([name for name in parameters if name.endswith("kernel")]):
        kernel, bias = parameters[name], parameters[name.replace("kernel", "bias")]
        incoming = kernel.shape[3] if name.startswith("UpConv") else np.prod(kernel.shape[:3])
        kernel.data, bias.data = (
            pattern(kernel.shape, 2 * k) * (6 / incoming) ** 0.5,
            pattern(bias.shape, 2 * k + 1) / 10,
        )
    return model, parameters


def test_outputs_and_gradients_of_pytorch(xp_array):
    """The same network in PyTorch 2.13 (Conv2d, ConvTranspose2d, max_pool2d, slices, cat) gave these numbers."""
    model, parameters = with_pattern()
    model.to(Tensor(xp_array(np.ones(1))).device)
    z = model.logits(xp_array((1 + pattern((1, 44, 52, 1), 0)) / 2))
    z.backward(xp_array(pattern((1, 4, 12, 2), 5)))
    outputs = {
        (0, 0, 0, 0): -0.09116614266736103,
        (0, 0, 11, 1): 0.02341269841269842,
        (0, 1, 5, 0): 0.12431525165534449,
        (0, 2, 6, 1): -0.36425746522546926,
        (0, 3, 0, 1): 0.054769358988911075,
        (0, 3, 11, 0): 0.2624623364659102,
    }
    assert z.shape == (1, 4, 12, 2)
    for place, expected in outputs.items():
        assert z.numpy()[place] == pytest.approx(expected, rel=1e-9), place
    assert z.numpy().sum() == pytest.approx(7.152116791370174, rel=1e-9)
    gradients = {
        ("Conv_Contract_1_1", (0, 2, 0, 1)): -2.5322435826304455,
        ("Conv_Contract_2_2", (2, 1, 3, 0)): 1.10658914266961,
        ("Conv_Bottom_1", (1, 0, 2, 5)): -0.1516032917041,
        ("UpConv_2", (0, 1, 3, 6)): -0.01795648418808977,
        ("Conv_Expand_2_1", (2, 0, 1, 2)): 2.61156860861612,
        ("Conv_Expand_2_1", (2, 0, 6, 2)): -1.7252537532376802,
        ("UpConv_1", (1, 0, 1, 2)): 0.4801626172928907,
        ("Conv_Expand_1_1", (0, 1, 3, 1)): -0.22801907628031481,
        ("Conv_Out", (0, 0, 1, 0)): 1.2072519652416625,
    }
    for (name, place), expected in gradients.items():
        assert to_numpy(parameters[f"{name}/kernel"].grad)[place] == pytest.approx(expected, rel=1e-9), name
    for name, expected in {"Conv_Contract_1_1": 1.011869359414345, "Conv_Bottom_2": 4.592344010461678}.items():
        assert abs(to_numpy(parameters[f"{name}/bias"].grad)).sum() == pytest.approx(expected, rel=1e-9), name


# ---- activations and options -------------------------------------------------------------------------------


@pytest.mark.parametrize("mirror", [False, True])
def test_activations_act_on_the_call_and_on_predict_alone(mirror):
    x = random_images(1, 44, 52, 1)
    answers = {
        "linear": lambda z: z,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
    }
    for activation, f in answers.items():
        model = small(activation=activation, out_channels=3, mirror=mirror).eval()
        z = model.logits(x).data
        assert z.shape[3] == 3 and z.min() < 0
        np.testing.assert_allclose(model(x).data, f(z), rtol=1e-5, atol=1e-6)
        expected = small(out_channels=3, mirror=True).eval().logits(x).data
        np.testing.assert_allclose(model.predict(x[0]), f(expected)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("argument", ["in_channels", "out_channels", "depth", "width"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "8", None])
def test_invalid_sizes(argument, value):
    with pytest.raises(ValueError, match=f"UNet2015: {argument} is .*: it must be an integer of at least 1"):
        UNet2015(**{argument: value})


def test_invalid_options():
    with pytest.raises(ValueError, match="UNet2015: activation is 'relu': it must be one of sigmoid, softmax, linear"):
        small(activation="relu")
    with pytest.raises(ValueError, match='softmax over 1 channel is 1 everywhere: .* or activation="sigmoid"'):
        small(out_channels=1)
    with pytest.raises(ValueError, match="UNet2015: dropout is 1: it must be at least 0 and below 1"):
        small(dropout=1)


@pytest.mark.parametrize(
    "options", [{}, {"in_channels": 3, "batch_norm": True, "dropout": 0.0}, {"mirror": True, "activation": "linear"}]
)
def test_its_options_build_it_again(options):
    model = small(**options)
    again = UNet2015(**model.options)
    assert again.options == model.options
    assert [p.shape for p in again.parameters()] == [p.shape for p in model.parameters()]


@pytest.mark.parametrize("depth, size", [(1, (18, 24)), (2, (44, 48)), (3, (92, 108))])
def test_depth_width_and_channels_are_arguments(depth, size):
    model = UNet2015(in_channels=2, out_channels=3, depth=depth, width=2)
    y = model(random_images(1, *size, 2))
    assert y.shape == (1, *(models.output_size(n, depth) for n in size), 3)


# ---- sizes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "H, W, message",
    [
        (570, 188, "the image is 570x188: at depth 4, .* at least 188 .* Resize or pad it to 556x188 or 572x188, or"),
        (100, 100, "to 188x188, or mirror its edges"),
        (0, 572, "to 188x572, or"),
    ],
)
def test_a_size_that_does_not_fit_names_the_nearest_ones_that_do(H, W, message):
    with pytest.raises(ValueError, match=message):
        UNet2015(width=1)(np.zeros((1, H, W, 1), "float32"))


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("shape", [(44, 44, 1), (1, 44, 44, 3), (0, 44, 44, 1), (44, 44)])
def test_a_shape_that_does_not_fit(shape, mirror):
    with pytest.raises(ValueError, match="UNet2015: the input has shape"):
        small(mirror=mirror)(np.zeros(shape, "float32"))


def test_nothing_is_padded():
    """On an image of one color, all that differs is which of the 2x2 taps a pixel was painted by: a period of 4."""
    model = small(dropout=0, batch_norm=False).astype("float64")
    for p in model.parameters():
        p.data = np.abs(p.data)
    z = model.logits(np.ones((1, 60, 64, 1))).data
    np.testing.assert_allclose(z[:, 4:], z[:, :-4], rtol=1e-12)
    np.testing.assert_allclose(z[:, :, 4:], z[:, :, :-4], rtol=1e-12)
    assert np.ptp(z[0, :, 0, 0]) > 0


def test_every_row_of_the_image_counts():
    """With weights of 0 or more, in the smallest image: 44x44 pixels, of which 4x4 are answered for."""
    model = small(dropout=0).astype("float64")
    for p in model.parameters():
        p.data = np.abs(p.data)
    x = np.ones((1, 44, 44, 1))
    before = model.logits(x).data
    for edge, seen_by in ((0, 0), (-1, -1)):
        for axis in (1, 2):
            brighter = np.moveaxis(x.copy(), axis, 1)
            brighter[:, edge] = 2
            changed = np.moveaxis(model.logits(np.moveaxis(brighter, 1, axis)).data > before, axis, 1)
            assert changed[:, seen_by].all()


# ---- mirrored edges ----------------------------------------------------------------------------------------


def reflected(i, n):
    """Which of n rows stands at position i when the image is mirrored again and again; 0 is its first row."""
    i %= max(2 * n - 2, 1)
    return min(i, max(2 * n - 2, 1) - i)


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (5, 50), (44, 44), (45, 30)])
def test_mirroring_is_the_valid_network_on_a_mirrored_image(size, xp_array):
    """The image is mirrored pixel by pixel here, as far as the network sees: 20 pixels at depth 2."""
    (H, W), m = size, 20
    model = small(mirror=True, dropout=0).to(Tensor(xp_array(np.ones(1))).device)
    valid = small(dropout=0)
    image = random_images(2, H, W, 1)
    height, width = (models.input_size(n, 2) for n in size)
    rows = [[image[:, reflected(i - m, H), reflected(j - m, W)] for j in range(width)] for i in range(height)]
    mirrored = np.array(rows).transpose(2, 0, 1, 3)
    z = model.logits(xp_array(image))
    assert z.shape == (2, H, W, 2)
    np.testing.assert_allclose(z.numpy(), valid.logits(mirrored).data[:, :H, :W], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.predict(image), model(xp_array(image)).numpy(), rtol=1e-6)
    np.testing.assert_allclose(valid.predict(image), model.predict(image), rtol=1e-4, atol=1e-5)


def test_the_gradient_of_a_pixel_that_stands_in_several_places_adds_up():
    model, x = small(mirror=True, dropout=0).astype("float64"), random_images(1, 3, 4, 1).astype("float64")
    leaf = Tensor(x, requires_grad=True)
    u = np.random.default_rng(3).standard_normal((1, 3, 4, 2))
    model.logits(leaf).backward(u)
    for place in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * 1e-6
            ends.append((model.logits(moved).data * u).sum())
        assert leaf.grad[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4, abs=1e-6)


def test_the_inside_of_an_image():
    model = small()
    image = np.random.default_rng(0).integers(0, 256, (44, 52, 1)).astype("uint8")
    y = model.predict_inside(image)
    assert y.shape == (4, 12, 2) and model.margin == 20
    np.testing.assert_allclose(y, model.eval()((image[None] / 255).astype("float32")).data[0], rtol=1e-5)
    np.testing.assert_allclose(small(mirror=True).predict_inside(image), y, rtol=1e-6)
    with pytest.raises(ValueError, match="the image is 45x52"):
        model.predict_inside(np.zeros((45, 52, 1), "uint8"))


@pytest.mark.parametrize("method", ["predict", "predict_inside"])
def test_predict_refuses_what_it_cannot_take(method):
    predict = getattr(small(), method)
    with pytest.raises(ValueError, match=r"UNet2015.predict: .* has shape .*\(H, W, 1\) or \(N, H, W, 1\)"):
        predict(np.zeros((44, 44, 3), "float32"))
    with pytest.raises(ValueError, match="it must hold at least one pixel"):
        predict(np.zeros((0, 44, 1), "float32"))
    with pytest.raises(TypeError, match="the image is int64: it must be uint8"):
        predict(np.zeros((44, 44, 1), "int64"))


# ---- training ----------------------------------------------------------------------------------------------


def test_whole_images_with_labels_of_their_size_are_learned(xp_array):
    """Mirrored, with SGD and a momentum of 0.99, one image at a time, as in the paper."""
    x, classes = random_images(2, 21, 30, 1), (random_images(2, 21, 30, 1) > 0.5).astype("uint8")
    model = small(width=4, mirror=True, dropout=0.1).to(Tensor(xp_array(x)).device)
    optimizer, losses = optim.SGD(model.parameters(), lr=0.02, momentum=0.99), []
    for step in range(30):
        z = model.logits(xp_array(x[step % 2][None]))
        loss = ops.cross_entropy_with_logits(z, xp_array(classes[step % 2][None]))
        losses.append(loss.item())
        loss.backward()
        assert step or all(to_numpy(p.grad).any() for p in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
    assert min(losses[-6:]) < 0.8 * losses[0]
    assert {p.dtype for p in model.parameters()} == {np.dtype("float32")}


def test_dropout_at_the_end_of_the_contracting_path_continues_where_it_was():
    model, x = small(), random_images(1, 44, 44, 1)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Dropout)]
    assert [layer.name for layer in layers] == ["Dropout_Contract_2", "Dropout_Bottom"]
    assert all(layer.rate == 0.5 and not layer.whole_maps for layer in layers)
    first = model.logits(x).data
    state = model.state_dict()
    second = model.logits(x).data
    assert not np.array_equal(first, second)
    other = small(seed=9)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.logits(x).data, second)
    np.testing.assert_array_equal(model.eval().logits(x).data, other.eval().logits(x).data)
    assert not any(isinstance(layer, nn.Dropout) for layer in small(dropout=0).modules())


def test_batch_norm_takes_the_place_of_the_bias():
    model = small(batch_norm=True, dropout=0)
    names = [name for name, _ in model.named_parameters()]
    assert "Conv_Contract_1_1/bias" not in names and "BatchNorm_Contract_1_1/beta" in names
    assert "UpConv_1/bias" not in names and "Conv_Out/bias" in names
    model.logits(random_images(1, 44, 44, 1))
    assert dict(model.named_buffers())["BatchNorm_Expand_1_2/moving_mean"].data.any()


def test_with_batch_norm_a_bias_of_an_up_convolution_would_have_no_effect():
    """It reaches only the mean that the next layer subtracts, since no zeros are padded: hence there is none."""
    model, x = small(batch_norm=True, dropout=0).astype("float64"), random_images(2, 44, 48, 1).astype("float64")
    before = model.logits(x).data
    model.decoder[-1].upsample.bias = Tensor(np.array([3.0, -2, 1]))
    np.testing.assert_allclose(model.logits(x).data, before, rtol=1e-7, atol=1e-9)


def test_costs_by_hand():
    """One level, two filters, 18x18 pixels: 16, 14 | 7 | 5, 3 | 6 | 4, 2 and 2 in the end."""
    products = [  # how many products, pixels, taps, channels in, channels out
        (2, 16 * 16, 9, 1, 2),
        (3, 14 * 14, 9, 2, 2),
        (3, 5 * 5, 9, 2, 4),
        (3, 3 * 3, 9, 4, 4),
        (3, 3 * 3, 4, 4, 2),
        (3, 4 * 4, 9, 4, 2),
        (3, 2 * 2, 9, 2, 2),
        (3, 2 * 2, 1, 2, 2),
    ]
    model = UNet2015(depth=1, width=2)
    before = model.state_dict()
    cost = costs.training_costs(model, (18, 18))
    assert cost.flop == sum(2 * np.prod(numbers) for numbers in products)
    assert all(np.array_equal(before[name], array) for name, array in model.state_dict().items())
    mirrored = costs.training_costs(UNet2015(depth=1, width=2, mirror=True), (2, 2))  # 2 pixels, seen with 8 around
    assert mirrored.flop == cost.flop and mirrored.kept == cost.kept
