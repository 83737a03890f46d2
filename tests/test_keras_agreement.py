"""The same arithmetic as Keras, by numbers that the real Keras computed: see reference/README.md."""

import contextlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from minunet import Tensor, UNet, nn, ops, optim
from minunet.autograd.function import recorded_calls
from minunet.kernels import plain_products

REFERENCE = Path(__file__).parent / "reference"


def _load_cases():
    spec = importlib.util.spec_from_file_location("keras_cases", REFERENCE / "cases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases = _load_cases()
UNET_NUMBERS = "output", "output sums", "loss", "gradients"


@pytest.fixture(scope="module")
def keras_unet():
    with np.load(REFERENCE / "keras_unet.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def keras_ops():
    with np.load(REFERENCE / "keras_ops.npz") as file:
        return dict(file)


# ---- the lecture's U-Net -----------------------------------------------------------------------------------


def filled_unet(dtype):
    """UNet() in `dtype` with the weights that Keras had."""
    model = UNet()
    weights = cases.unet_weights(dtype)
    for name, parameter in model.named_parameters():
        parameter.data = weights.pop(name)
    assert not weights, f"UNet() has no parameters called {sorted(weights)}"
    return model


def keras_rows():
    """[(name, type, shape, parameters, connected to)] of Keras' summary, and its lines of totals."""
    lines = (REFERENCE / "keras_summary.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if " | " in line]
    return rows, lines[len(rows) :]


def test_summary_has_the_rows_of_keras(capsys):
    ours = {"InputLayer": "Input", "Conv2DTranspose": "ConvTranspose2D", "MaxPooling2D": "MaxPool2D"}
    UNet().summary()
    printed = " ".join(capsys.readouterr().out.replace(",", "").split())
    rows, totals = keras_rows()
    place = 0
    for name, kind, shape, parameters, before in rows:
        words = [f"{name} ({ours.get(kind, kind)})", shape, parameters]
        words += [layer.split("[")[0] for layer in before.split(", ")]
        row = " ".join(words).replace(",", "")
        found = printed.find(row, place)  # the order of the rows counts too
        assert found >= 0, f"missing, or not in its place: {row}"
        place = found + len(row)
    for total in totals:
        assert total.replace(",", "").replace(" (0.00 B)", "") in printed


def signs_before_relus(dtype):
    """Where the outputs of each convolution are positive, for the batch that Keras was given."""
    images, _ = cases.unet_batch(**cases.OUTPUT, dtype=dtype)
    with recorded_calls() as calls:
        filled_unet(dtype)(Tensor(images))
    return [call.output > 0 for call in calls if call.operation == "Conv2D"]


# Of three million sums before a ReLU some are so close to 0 that in float32 the order of their terms, which depends on
# the processor, decides their sign, and with it whole gradients. Only there gradients are left to plain products, and
# to float64.
@pytest.mark.parametrize(
    "dtype, tolerance, products",
    [
        ("float32", 1e-5, plain_products),
        ("float32", 1e-5, contextlib.nullcontext),
        ("float64", 1e-12, contextlib.nullcontext),
    ],
    ids=["float32, plain products", "float32", "float64"],
)
def test_unet_output_loss_and_gradients(keras_unet, dtype, tolerance, products):
    model = filled_unet(dtype)
    images, targets = cases.unet_batch(**cases.OUTPUT, dtype=dtype)
    with products():
        output = model(Tensor(images))
        loss = ops.binary_cross_entropy(output, targets)
        loss.backward()
    expected = {name: keras_unet[f"{dtype} {name}"] for name in UNET_NUMBERS}

    assert output.dtype == loss.dtype == dtype
    np.testing.assert_allclose(output.numpy()[:, ::8, ::8], expected["output"], rtol=0, atol=tolerance)
    sums = output.numpy().sum(axis=(1, 2, 3), dtype="float64")
    np.testing.assert_allclose(sums, expected["output sums"], rtol=tolerance)
    np.testing.assert_allclose(loss.item(), expected["loss"], rtol=tolerance)
    if dtype == "float32" and products is not plain_products:
        pairs = zip(signs_before_relus("float32"), signs_before_relus("float64"), strict=True)
        if any((a != b).any() for a, b in pairs):
            return
    parameters = dict(model.named_parameters())
    names = [f"{layer}/{part}" for layer, _ in cases.unet_kernels() for part in ("kernel", "bias")]
    for name, row in zip(names, expected["gradients"], strict=True):
        gradient, norm = parameters[name].grad, row[-1]
        found = cases.sample(gradient)
        np.testing.assert_allclose(found, row[:-1], rtol=0, atol=tolerance * norm, err_msg=name)
        # in double precision: the sum of squares of a float32 BLAS is as inexact as what is compared here
        np.testing.assert_allclose(np.linalg.norm(gradient.astype(np.float64)), norm, rtol=tolerance, err_msg=name)


@pytest.mark.parametrize(
    "name, dtype, tolerance",
    [
        ("RMSprop", "float32", 1e-4),
        ("RMSprop", "float64", 1e-10),
        ("Adam", "float32", 1e-4),
        ("SGD", "float32", 1e-5),
    ],
)
def test_losses_of_20_training_steps(keras_unet, name, dtype, tolerance):
    # Keras takes the cross entropy of a sigmoid from its logits, so that is what it is compared with.
    model = filled_unet(dtype)
    settings = dict(cases.OPTIMIZERS[name])
    optimizer = getattr(optim, name)(model.parameters(), lr=settings.pop("learning_rate"), **settings)
    images, targets = cases.unet_batch(**cases.TRAINING, dtype=dtype)
    losses = []
    for _ in range(cases.STEPS):
        loss = ops.binary_cross_entropy_with_logits(model.logits(Tensor(images)), targets)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(losses, keras_unet[f"{dtype} losses {name}"], rtol=tolerance)


# ---- single operations -------------------------------------------------------------------------------------


def check(keras_ops, name, function, *arrays, rtol=1e-10):
    """The output of `function` and its gradients under the upstream gradient of `name`, against Keras'."""
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    y = function(*tensors)
    expected = keras_ops[f"{name}: y"]
    assert y.shape == expected.shape
    assert y.dtype == expected.dtype
    y.backward(cases.draw(name + " gy", y.shape).astype(y.dtype))
    np.testing.assert_allclose(y.numpy(), expected, rtol=rtol, atol=rtol)
    for letter, tensor in zip("abc", tensors):
        expected = keras_ops[f"{name}: g{letter}"]
        np.testing.assert_allclose(tensor.grad, expected, rtol=rtol, atol=rtol, err_msg=f"gradient {letter}")


@pytest.mark.parametrize("name", cases.conv2d_cases())
def test_conv2d(keras_ops, name):
    x, w, stride, padding = cases.conv2d_cases()[name]
    arrays = cases.draw(name + " x", x), cases.draw(name + " w", w), cases.draw(name + " b", w[3])
    check(keras_ops, name, lambda x, w, b: ops.conv2d(x, w, b, stride, padding), *arrays)


@pytest.mark.parametrize("name", cases.conv_transpose2d_cases())
def test_conv_transpose2d(keras_ops, name):
    x, w, stride, padding = cases.conv_transpose2d_cases()[name]
    arrays = cases.draw(name + " x", x), cases.draw(name + " w", w), cases.draw(name + " b", w[2])
    check(keras_ops, name, lambda x, w, b: ops.conv_transpose2d(x, w, b, stride, padding), *arrays)


@pytest.mark.parametrize("name", cases.max_pool2d_cases())
def test_max_pool2d(keras_ops, name):
    # Keras too sends the gradient of a tie to the first maximum in row-major order.
    x, window, stride, padding = cases.max_pool2d_cases()[name]
    data = cases.max_pool2d_input(name, x)
    check(keras_ops, name, lambda x: ops.max_pool2d(x, window, stride, padding), data)


def test_batch_norm(keras_ops):
    x, gamma, beta, mean, variance = cases.batch_norm_arrays()
    layer = nn.BatchNorm(4)
    layer.moving_mean.data, layer.moving_variance.data = mean, variance  # float64, as Keras had them

    def call(x, gamma, beta):
        layer.gamma, layer.beta = gamma, beta
        return layer(x)

    for name in ("batch_norm training", "batch_norm in use"):
        check(keras_ops, name, call, x, gamma, beta, rtol=1e-9)
        for buffer in ("moving_mean", "moving_variance"):
            np.testing.assert_allclose(getattr(layer, buffer).data, keras_ops[f"{name}: {buffer}"], rtol=1e-12)
        layer.eval()


@pytest.mark.parametrize("name", ["relu", "sigmoid"])
def test_activation(keras_ops, name):
    check(keras_ops, name, getattr(ops, name), cases.activation_input())


# At the far ends of float32 one rounding of p moves the loss by a tenth: clipping must round as Keras' does.
@pytest.mark.parametrize("dtype, rtol", [("float32", 1e-5), ("float64", 1e-10)])
@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_binary_cross_entropy(keras_ops, name, dtype, rtol):
    values, targets = cases.logits() if "logits" in name else cases.probabilities()
    check(
        keras_ops,
        f"{name} {dtype}",
        lambda x: getattr(ops, name)(x, targets.astype(dtype)),
        values.astype(dtype),
        rtol=rtol,
    )


@pytest.mark.parametrize("per_image", [False, True])
def test_dice_loss(keras_ops, per_image):
    # Keras adds 1e-7 to the denominator alone, minunet adds `smooth` on both sides: then empty masks agree.
    p, t = cases.masks()
    check(
        keras_ops,
        "dice per image" if per_image else "dice over the batch",
        lambda p: ops.dice_loss(p, t, smooth=1e-7, per_image=per_image),
        p,
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", cases.OPTIMIZER_TRACES)
def test_optimizer_steps(keras_ops, name):
    optimizer, settings = cases.OPTIMIZER_TRACES[name]
    rtol = 1e-5 if name == "Adam by default" else 1e-12  # Keras rounds 0.9 and 0.999 to float32
    start, gradients = cases.optimizer_trace()
    parameter = Tensor(start.reshape(2, 4), requires_grad=True)  # a kernel: what has one axis does not decay
    optimizer = getattr(optim, {"AdamW": "Adam"}.get(optimizer, optimizer))([parameter], lr=0.01, **settings)
    for gradient, expected in zip(gradients, keras_ops[name], strict=True):
        parameter.grad = gradient.reshape(2, 4)
        optimizer.step()
        np.testing.assert_allclose(parameter.numpy().reshape(8), expected, rtol=rtol, atol=1e-15)
