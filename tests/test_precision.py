"""The three precisions: which of them is in use, and what a network does in them."""

import sys
import threading

import numpy as np
import pytest

from minunet import Function, Tensor, UNet, nn, no_grad, ops, use_precision
from minunet import precision as precisions
from minunet.autograd import gradcheck
from minunet.device import array_module, to_numpy
from minunet.metrics import ConfusionScores, MaskScores
from minunet.precision import half_dtype, is_half, precision_in_use, resolve_precision


def test_float32_is_what_holds_without_a_word_and_blocks_nest():
    assert precision_in_use() == "float32"
    with use_precision("mixed"):
        with use_precision("tf32"):
            assert precision_in_use() == "tf32"
        assert precision_in_use() == "mixed"
    assert precision_in_use() == "float32"
    with (
        pytest.raises(ValueError, match="no precision 'half': choose one of float32, tf32, mixed"),
        use_precision("half"),
    ):
        pass


def test_a_block_that_fails_leaves_no_precision_behind():
    with pytest.raises(KeyError), use_precision("mixed"):
        raise KeyError
    assert precision_in_use() == "float32"


@pytest.mark.parametrize("name", ["tf32", "mixed"])
def test_a_precision_changes_nothing_on_the_cpu(name):
    x = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    model = UNet(depth=1, width=3, seed=0)

    def numbers():
        z = model.logits(x)
        ops.binary_cross_entropy_with_logits(z, np.ones(z.shape, "f")).backward()
        grads = [p.grad for p in model.parameters()]
        for p in model.parameters():
            p.grad = None
        return [z.data, *grads]

    expected = numbers()
    with use_precision(name):
        found = numbers()
    for a, b in zip(found, expected):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b)


def test_what_a_device_has():
    assert resolve_precision("auto", "cpu") == resolve_precision("float32", "cpu") == "float32"
    for name in ("tf32", "mixed"):
        with pytest.raises(ValueError, match=f"the precision {name} is for a GPU"):
            resolve_precision(name, "cpu")
    with pytest.raises(ValueError, match="no precision 'fp8'"):
        resolve_precision("fp8", "cpu")


@pytest.fixture
def capability(monkeypatch):
    """capability(75) pretends that the GPU is an sm_75."""

    def pretend(number):
        monkeypatch.setattr(precisions, "compute_capability", lambda device: number)
        monkeypatch.setattr(precisions, "describe_gpu", lambda device: f"a card, sm_{number}")
        half_dtype.cache_clear()

    yield pretend
    half_dtype.cache_clear()


def test_an_older_card_has_no_tf32_and_stores_float16(capability):
    capability(75)
    assert resolve_precision("auto", "gpu:0") == "float32"
    assert resolve_precision("mixed", "gpu:0") == "mixed"
    assert half_dtype("gpu:0") == np.float16
    with pytest.raises(ValueError, match=r"gpu:0 \(a card, sm_75\) has no TF32.*: use float32 or mixed"):
        resolve_precision("tf32", "gpu:0")


def test_a_newer_card_has_tf32_and_needs_a_package_for_bfloat16(capability, monkeypatch):
    capability(80)
    assert resolve_precision("auto", "gpu:0") == resolve_precision("tf32", "gpu:0") == "tf32"
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ValueError, match=r'ml_dtypes: pip install "minunet\[gpu\]"'):
        resolve_precision("mixed", "gpu:0")


# ---- on a GPU -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["gpu"])
def on_gpu(request, array_on):
    return array_on(request.param)


def drawn(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("f")


def error(found, expected):
    found, expected = to_numpy(found).astype("d"), to_numpy(expected).astype("d")
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def bound(half):
    return 1e-3 if half == np.float16 else 1e-2


def test_a_convolution_stores_16_bits_and_gives_gradients_as_their_inputs_are(on_gpu):
    half = half_dtype("gpu:0")
    x, w, b = (
        Tensor(on_gpu(drawn(shape, i)), requires_grad=True)
        for i, shape in enumerate([(2, 6, 6, 3), (3, 3, 3, 4), (4,)])
    )
    plain = ops.conv2d(x, w, b)
    assert plain.dtype == np.float32
    gy = on_gpu(drawn(plain.shape, 5))
    plain.backward(gy)
    expected = [t.grad for t in (x, w, b)]
    for t in (x, w, b):
        t.grad = None
    with use_precision("mixed"):
        y = ops.conv2d(x, w, b)
        up = ops.conv_transpose2d(y, Tensor(on_gpu(drawn((2, 2, 3, 4), 7))))
    assert y.dtype == up.dtype == half
    y.backward(gy.astype(half))  # outside of the block
    for t, g in zip((x, w, b), expected):
        assert t.grad.dtype == np.float32
        assert error(t.grad, g) < bound(half)
    assert error(y.data, plain.data) < bound(half)


def test_backward_runs_in_the_precision_of_forward_in_another_thread_too(on_gpu):
    met = []

    class Spy(Function):
        def forward(self, x):
            return x

        def backward(self, gy):
            met.append(precision_in_use())
            return gy

    with use_precision("mixed"):
        y = Spy()(Tensor(on_gpu(drawn(3)), requires_grad=True))
    thread = threading.Thread(target=y.backward, args=(on_gpu(drawn(3)),))
    thread.start()
    thread.join()
    plain = Spy()(Tensor(on_gpu(drawn(3)), requires_grad=True))
    with use_precision("tf32"):
        plain.backward(on_gpu(drawn(3)))
    assert met == ["mixed", "float32"]


def test_a_function_that_does_not_say_so_is_given_float32(on_gpu, half):
    class Square(Function):
        def forward(self, x):
            assert x.dtype == np.float32
            self.x = x
            return x * x

        def backward(self, gy):
            return 2 * self.x * gy

    x = Tensor(on_gpu(np.array([300.0, 2.0]).astype(half)), requires_grad=True)
    y = Square()(x)
    assert y.dtype == np.float32
    assert float(y.data[0]) > 65504  # more than float16 holds
    y.backward(on_gpu(np.array([0.5, 1.0], "f")))
    assert x.grad.dtype == half
    np.testing.assert_allclose(to_numpy(x.grad).astype("f"), [300.0, 4.0], rtol=2.0**-8)


def test_a_gradient_of_a_wrong_dtype_is_refused_as_ever(on_gpu):
    class Wrong(Function):
        def forward(self, x):
            return x

        def backward(self, gy):
            return gy.astype("float64")

    y = Wrong()(Tensor(on_gpu(drawn(3)), requires_grad=True))
    with pytest.raises(RuntimeError, match="float64"):
        y.backward(on_gpu(drawn(3)))


KEEP = np.array([1, 0, 1, 1]).reshape(1, 1, 1, 4)
CLASSES = np.array([[[0, 1], [3, 255]]])
KEPT = {  # operations that return the dtype that they were given
    "relu": ops.relu,
    "max_pool2d": lambda x: ops.max_pool2d(x, 2),
    "crop": lambda x: ops.crop(x, 1),
    "concatenate": lambda x: ops.concatenate([x, x]),
    "concatenate along rows": lambda x: ops.concatenate([x, x, x], axis=1),
    "x + x": lambda x: x + x,
    "3 - 2 x": lambda x: 3 - 2.0 * x,
    "x / 3 * x": lambda x: x / 3 * x,
    "-x": lambda x: -x,
    "reshape": lambda x: x.reshape(4, 4).T,
}
WIDENED = {  # and those that return float32
    "sigmoid": ops.sigmoid,
    "softmax": ops.softmax,
    "log_softmax": ops.log_softmax,
    "bce": lambda x: ops.binary_cross_entropy_with_logits(x, _ones(x)),
    "bce of probabilities": lambda x: ops.binary_cross_entropy(ops.sigmoid(x), _ones(x)),
    "bce+dice": lambda x: ops.bce_dice_loss(x, _ones(x)),
    "dice": lambda x: ops.dice_loss(ops.sigmoid(x), _ones(x)),
    "ce": lambda x: ops.cross_entropy_with_logits(x, array_module(x.data).asarray(CLASSES)),
    "focal": lambda x: ops.focal_loss_with_logits(x, array_module(x.data).asarray(CLASSES)),
    "multiclass dice": lambda x: ops.multiclass_dice_loss_with_logits(x, array_module(x.data).asarray(CLASSES)),
    "mse": lambda x: ops.mean_squared_error(x, _ones(x)),
    "mae": lambda x: ops.mean_absolute_error(x, _ones(x)),
    "exp": lambda x: x.exp(),
    "log": lambda x: (x * x).log(),
    "x ** 2": lambda x: x**2,
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(axis=(1, 2)),
    "x[0]": lambda x: x[0],
    "float32 beside it": lambda x: x + Tensor(_ones(x)),
}


def _ones(x):
    return array_module(x.data).ones(x.shape, "float32")


@pytest.mark.parametrize("name", [*KEPT, *WIDENED])
def test_operations_on_16_bits(on_gpu, half, name):
    f = (KEPT | WIDENED)[name]
    numbers = drawn((1, 2, 2, 4)).astype(half)
    x, exact = (Tensor(on_gpu(numbers.astype(dtype)), requires_grad=True) for dtype in (half, np.float32))
    y, expected = f(x), f(exact)
    assert y.dtype == (half if name in KEPT else np.float32)
    gy = on_gpu(drawn(y.shape, 1).astype(half))
    y.backward(gy.astype(y.dtype))
    expected.backward(gy.astype("f"))
    assert x.grad.dtype == half
    assert error(y.data, expected.data) < bound(half)
    assert error(x.grad, exact.grad) < bound(half)


def test_sums_of_many_are_float32(on_gpu, half):
    x = Tensor(on_gpu(np.full(100_000, 2.0).astype(half)))
    assert x.sum().item() == 200_000.0  # beyond float16, and where bfloat16 counts in 1024s
    assert x.mean().item() == 2.0


def test_batch_normalization_keeps_its_statistics_in_float32(on_gpu, half):
    x = drawn((2, 3, 3, 4)).astype(half)
    layers = [nn.BatchNorm(4, momentum=0.5, activation="relu").to("gpu") for _ in range(2)]
    for layer, dtype in zip(layers, (half, np.float32)):
        for train in (True, False):
            layer.train() if train else layer.eval()
            y = layer(Tensor(on_gpu(x.astype(dtype)), requires_grad=True))
            assert y.dtype == dtype
            y.backward(on_gpu(x.astype(dtype)))
    for name in ("moving_mean", "moving_variance"):
        found, expected = (getattr(layer, name).data for layer in layers)
        assert found.dtype == np.float32
        assert error(found, expected) < 1e-6
    for name in ("gamma", "beta"):
        found, expected = (getattr(layer, name).grad for layer in layers)
        assert found.dtype == np.float32
        assert error(found, expected) < 1e-6


def test_dropout_rounds_once(on_gpu, half):
    x = drawn((1, 2, 2, 4)).astype(half)
    t = Tensor(on_gpu(x), requires_grad=True)
    y = ops.dropout(t, on_gpu(KEEP), 0.1)
    expected = (x.astype("d") * KEEP / 0.9).astype("f").astype(half)
    assert y.dtype == half
    np.testing.assert_array_equal(to_numpy(y.data).astype("f"), expected.astype("f"))
    y.backward(on_gpu(x))
    np.testing.assert_array_equal(to_numpy(t.grad).astype("f"), expected.astype("f"))


def test_a_skip_from_the_image_is_stored_as_the_features_beside_it(on_gpu):
    x = Tensor(on_gpu(drawn((1, 4, 4, 3))), requires_grad=True)
    w = Tensor(on_gpu(drawn((3, 3, 3, 4), 1)), requires_grad=True)
    with use_precision("mixed"):
        features = ops.conv2d(x, w)
        y = ops.concatenate([features, x])
        z = features + ops.conv2d(y, Tensor(on_gpu(drawn((1, 1, 7, 4), 2))))  # and a residual
        (z.mean() + (x + ops.conv2d(x, Tensor(on_gpu(drawn((1, 1, 3, 3)))))).mean()).backward()
    assert is_half(y.dtype)
    assert x.grad.dtype == w.grad.dtype == np.float32


def test_weights_of_16_bits_are_refused(on_gpu, half):
    x, w = (on_gpu(drawn(shape).astype(half)) for shape in ((1, 4, 4, 3), (3, 3, 3, 2)))
    with pytest.raises(TypeError, match="conv2d: the dtypes are x .*16, w .*16"):
        ops.conv2d(x, w)


def test_float64_stays_float64_so_that_gradients_can_be_checked(on_gpu):
    with use_precision("mixed"):
        x, w = (Tensor(on_gpu(drawn(shape).astype("d"))) for shape in ((1, 4, 4, 2), (3, 3, 2, 2)))
        assert ops.conv2d(x, w).dtype == np.float64
        gradcheck(ops.conv2d, [x, w])


def test_scores_count_16_bits(on_gpu, half):
    z = drawn((2, 4, 4, 3)).astype(half)
    labels = np.random.default_rng(1).integers(0, 3, (2, 4, 4, 1)).astype("uint8")
    scores, expected = ConfusionScores(3), ConfusionScores(3)
    scores.update(on_gpu(z), on_gpu(labels))
    expected.update(z.astype("f"), labels)
    np.testing.assert_array_equal(scores.matrix(), expected.matrix())
    counted, truth = MaskScores(0.0), MaskScores(0.0)
    counted.update(on_gpu(z[..., :1]), on_gpu(labels % 2))
    truth.update(z[..., :1].astype("f"), labels % 2)
    assert counted.result() == truth.result()


@pytest.mark.parametrize("options", [{}, {"batch_norm": True, "dropout": 0.2}, {"activation": "linear"}])
def test_a_network_predicts_and_learns(on_gpu, options):
    half = half_dtype("gpu:0")
    model = UNet(depth=2, width=4, seed=0, **options).to("gpu")
    x = Tensor(on_gpu(np.random.default_rng(0).random((2, 16, 16, 3), np.float32)))
    with no_grad():
        expected = model.eval().logits(x)
        with use_precision("mixed"):
            z = model.logits(x)
            image = model.predict(np.zeros((16, 16, 3), np.uint8))
    assert (z.dtype, image.dtype) == (half, np.float32)
    assert error(z.data, expected.data) < 5 * bound(half)  # a dozen roundings, one after the other
    model.train()
    with use_precision("mixed"):
        loss = ops.binary_cross_entropy_with_logits(model.logits(x), on_gpu(np.ones((2, 16, 16, 1), "f")))
    loss.backward()
    assert loss.dtype == np.float32
    assert all(p.grad is not None and p.grad.dtype == np.float32 for p in model.parameters())
