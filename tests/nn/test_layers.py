"""Layers: shapes of their parameters, initial weights, activations by name, and what they refuse."""

import numpy as np
import pytest

from minunet import Tensor, nn, ops
from minunet.nn.init import glorot_uniform
from minunet.nn.module import forward_hook

X = np.random.default_rng(0).standard_normal((2, 5, 6, 3)).astype("float32")
CONVOLUTIONS = pytest.mark.parametrize("layer", [nn.Conv2D, nn.ConvTranspose2D])


@pytest.mark.parametrize(
    "layer, options, kernel, y",
    [
        (nn.Conv2D, {"kernel_size": 3}, (3, 3, 3, 4), (2, 5, 6, 4)),
        (nn.Conv2D, {"kernel_size": (2, 5), "stride": (1, 2), "padding": "valid"}, (2, 5, 3, 4), (2, 4, 1, 4)),
        (nn.Conv2D, {"kernel_size": 3, "padding": 2}, (3, 3, 3, 4), (2, 7, 8, 4)),
        (nn.ConvTranspose2D, {}, (2, 2, 4, 3), (2, 10, 12, 4)),  # output before input channels, as in Keras
        (
            nn.ConvTranspose2D,
            {"kernel_size": (3, 2), "stride": (3, 1), "padding": "valid"},
            (3, 2, 4, 3),
            (2, 15, 7, 4),
        ),
    ],
)
def test_shapes(layer, options, kernel, y):
    layer = layer(3, 4, **options)
    assert layer.kernel.shape == kernel and layer.bias.shape == (4,)
    assert {p.dtype for p in layer.parameters()} == {np.dtype("float32")}
    assert layer(X).shape == y and layer(X).dtype == np.float32


@CONVOLUTIONS
def test_one_channel_is_enough(layer):
    assert layer(1, 1, 1, stride=1)(X[..., :1]).shape == (2, 5, 6, 1)


@CONVOLUTIONS
@pytest.mark.parametrize(
    "activation, function",
    [(None, lambda y: y), ("relu", lambda y: np.maximum(y, 0)), ("sigmoid", lambda y: 1 / (1 + np.exp(-y)))],
)
def test_activations_by_name(layer, activation, function):
    plain, active = (layer(3, 4, 3, activation=name, rng=1) for name in (None, activation))
    np.testing.assert_allclose(active(X).data, function(plain(X).data), rtol=1e-5, atol=1e-6)


@CONVOLUTIONS
@pytest.mark.parametrize("activation", [None, "relu", "sigmoid"])
def test_the_output_before_the_activation(layer, activation):
    plain, active = (layer(3, 4, 3, activation=name, rng=1) for name in (None, activation))
    seen = []
    with forward_hook(lambda layer, inputs, y: seen.append((layer, inputs, y))):
        y = active(X, activate=False)
    np.testing.assert_array_equal(y.data, plain(X).data)
    assert (y.data < 0).any() and seen == [(active, (X,), y)]


@CONVOLUTIONS
def test_without_bias(layer):
    bare = layer(3, 4, 3, bias=False, rng=1)
    assert bare.bias is None and len(bare.parameters()) == 1
    np.testing.assert_array_equal(bare(X).data, layer(3, 4, 3, rng=1)(X).data)  # a bias starts at 0


@CONVOLUTIONS
def test_the_bias_is_added(layer):
    layer = layer(3, 4, 2, rng=1)
    before = layer(X).data
    layer.bias.data += np.array([1, 2, 3, 4], "float32")
    np.testing.assert_allclose(layer(X).data - before, np.broadcast_to([1, 2, 3, 4], before.shape), rtol=1e-5)


@CONVOLUTIONS
def test_the_seed_decides_the_initial_weights(layer):
    one, same, other = (layer(3, 4, 3, rng=seed).kernel.data for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    generator = np.random.default_rng(1)
    first, second = layer(3, 4, 3, rng=generator).kernel.data, layer(3, 4, 3, rng=generator).kernel.data
    np.testing.assert_array_equal(first, one)
    assert not np.array_equal(first, second)


@CONVOLUTIONS
def test_initial_weights_are_glorot_uniform(layer):
    kernel = layer(40, 60, (2, 3), rng=0).kernel.data
    limit = (6 / (6 * 40 + 6 * 60)) ** 0.5  # fan in and fan out: taps times channels
    assert abs(kernel).max() <= limit and abs(kernel).max() > 0.999 * limit
    assert abs(kernel.mean()) < 0.02 * limit
    assert kernel.var() == pytest.approx(limit**2 / 3, rel=0.03)


def test_glorot_uniform():
    w = glorot_uniform((2, 3, 4), 8, 16, np.random.default_rng(0))
    assert w.shape == (2, 3, 4) and w.dtype == np.float32 and 0.3 < abs(w).max() <= 0.5  # √(6 / 24) = 0.5


def test_names_of_parameters():
    named = nn.Conv2D(3, 8, 3, name="Conv_Down_1_1")
    assert [name for name, _ in named.named_parameters()] == ["Conv_Down_1_1/kernel", "Conv_Down_1_1/bias"]
    assert [name for name, _ in nn.ConvTranspose2D(3, 8).named_parameters()] == ["kernel", "bias"]


def test_layers_without_parameters():
    x = Tensor(X)
    np.testing.assert_array_equal(nn.MaxPool2D(3, 2, "same")(x).data, ops.max_pool2d(x, 3, 2, "same").data)
    np.testing.assert_array_equal(nn.ReLU()(x).data, np.maximum(X, 0))
    np.testing.assert_allclose(nn.Sigmoid()(x).data, 1 / (1 + np.exp(-X)), rtol=1e-5)
    assert all(layer(name="a").name == "a" for layer in (nn.ReLU, nn.Sigmoid, nn.MaxPool2D, nn.Concatenate))


def test_concatenate_takes_its_inputs_side_by_side_or_as_a_list():
    a, b = Tensor(X), Tensor(X[..., :1] * 10)
    expected = np.concatenate([X, X[..., :1] * 10], -1)
    join = nn.Concatenate()
    for y in (join(a, b), join([a, b]), join((a, b)), nn.Concatenate(axis=3)(a, b)):
        np.testing.assert_array_equal(y.data, expected)
    np.testing.assert_array_equal(nn.Concatenate()(a).data, X)


@CONVOLUTIONS
def test_gradients_reach_kernel_bias_and_input(layer):
    layer, x = layer(3, 4, 3, activation="relu", rng=1), Tensor(X, requires_grad=True)
    y = layer(x)
    y.backward(np.ones(y.shape))
    assert all(p.grad.shape == p.shape and p.grad.any() for p in (layer.kernel, layer.bias, x))


@CONVOLUTIONS
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"activation": "tanh"}, "activation is 'tanh': choose one of None, 'relu', 'sigmoid'"),
        ({"in_channels": 0}, "in_channels is 0: it must be an integer of at least 1"),
        ({"out_channels": 2.0}, "out_channels is 2.0: it must be an integer of at least 1"),
        ({"kernel_size": 0}, "kernel_size is 0: it must be an integer of at least 1"),
        ({"stride": (1, 2, 3)}, r"stride is \(1, 2, 3\)"),
    ],
)
def test_errors_name_what_was_given(layer, arguments, message):
    with pytest.raises(ValueError, match=message):
        layer(**({"in_channels": 3, "out_channels": 4, "kernel_size": 3} | arguments))


def test_the_wrong_number_of_channels():
    with pytest.raises(ValueError, match=r"conv2d: x \(2, 5, 6, 3\) has 3 channels, w .*takes 5"):
        nn.Conv2D(5, 4, 3)(X)


# ---- batch normalization and dropout -----------------------------------------------------------------------


def two_batches(put=np.asarray):
    """Two batches of one channel: mean 2 and variance 1, then mean 10 and variance 16."""
    return [put(np.array(values, "float32").reshape(2, 1, 1, 1)) for values in ([1, 3], [6, 14])]


def test_running_averages_by_hand(xp_array):
    layer, (first, second) = (
        nn.BatchNorm(1, momentum=0.75).to(Tensor(xp_array(np.ones(1))).device),
        two_batches(xp_array),
    )
    for x in (first, second):
        layer(x)
    state = layer.state_dict()
    assert state["moving_mean"] == [0.75 * 0.5 + 0.25 * 10]  # 0, then 0.5
    assert state["moving_variance"] == [0.75 * 1 + 0.25 * 16]  # 1, 1
    y = layer.eval()(first)
    expected = (np.array([1, 3]) - 2.875) / np.sqrt(4.75 + 1e-3)
    np.testing.assert_allclose(y.numpy().ravel(), expected, rtol=1e-6)
    assert all(np.array_equal(layer.state_dict()[name], array) for name, array in state.items())


def test_names_defaults_and_dtypes_of_batch_norm():
    layer = nn.BatchNorm(3, name="norm")
    assert (layer.momentum, layer.epsilon) == (0.99, 1e-3)  # Keras'
    assert list(layer.state_dict()) == [f"norm/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    assert [p.name for p in layer.parameters()] == ["gamma", "beta"]
    layer.astype("float64")
    y = layer(Tensor(X.astype("float64")))
    assert y.dtype == np.float64 and {b.dtype for _, b in layer.named_buffers()} == {np.dtype("float32")}
    assert layer.eval()(Tensor(X.astype("float64"))).dtype == np.float64


def test_in_eval_mode_batch_norm_treats_each_image_on_its_own():
    layer = nn.BatchNorm(3)
    layer(X)
    np.testing.assert_array_equal(layer.eval()(X).data[:1], layer(X[:1]).data)
    layer.train()
    assert not np.allclose(layer(X).data[:1], layer(X[:1]).data)


def test_dropout_drops_whole_maps_and_keeps_the_mean(xp_array):
    x = xp_array(np.ones((200, 3, 2, 50), "float32"))
    y = nn.Dropout(0.3, rng=0)(x).numpy()
    assert y.dtype == np.float32
    assert (y == y[:, :1, :1]).all()  # a map is there or not
    assert set(np.unique(y).tolist()) == {0, np.float32(1 / 0.7)}
    assert y.mean() == pytest.approx(1, abs=4 * np.sqrt(0.3 / 0.7 / 10_000))  # four standard errors of 10,000 choices
    y = nn.Dropout(0.3, whole_maps=False, rng=0)(x).numpy()
    assert (y != y[:, :1, :1]).any() and y.mean() == pytest.approx(1, abs=4 * np.sqrt(0.3 / 0.7 / 60_000))


def test_dropout_draws_anew_each_time_and_continues_from_its_state():
    x = np.ones((2, 1, 1, 64), "float32")
    layer, same, other = nn.Dropout(0.5, rng=1), nn.Dropout(0.5, rng=1), nn.Dropout(0.5, rng=2)
    drawn = [layer(x).data for _ in range(4)]
    assert all(np.array_equal(same(x).data, y) for y in drawn[:2])
    assert not np.array_equal(drawn[0], drawn[1]) and not np.array_equal(other(x).data, drawn[0])
    other.load_state_dict(same.state_dict())  # the seed is part of the state
    assert all(np.array_equal(other(x).data, y) for y in drawn[2:])
    layer.eval()(x)
    assert layer.state_dict()["random_state"][1] == 4  # what is not drawn does not count


@pytest.mark.parametrize("layer", [nn.Dropout(0.5).eval(), nn.Dropout(0.0)])
def test_dropout_that_does_nothing(layer):
    x = Tensor(X)
    assert layer(x) is x


def test_dropout_draws_nothing_from_the_stream_of_the_weights():
    generator, untouched = np.random.default_rng(3), np.random.default_rng(3)
    seeds = [nn.Dropout(0.5, rng=generator).random_state.data[0] for _ in range(2)]
    assert seeds[0] != seeds[1] and generator.random() == untouched.random()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.BatchNorm(0), "channels is 0: it must be an integer of at least 1"),
        (lambda: nn.BatchNorm(3, momentum=1), "momentum is 1: it must be at least 0 and below 1"),
        (lambda: nn.BatchNorm(3, activation="sigmoid")(X), "activation is 'sigmoid'"),
        (lambda: nn.Dropout(1.0), "rate is 1.0"),
        (lambda: nn.Dropout(-0.1), "rate is -0.1"),
    ],
)
def test_invalid_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
