"""When the last convolution of a level and its pooling are one operation, and that nobody can tell."""

import contextlib

import numpy as np
import pytest

from minunet import Tensor, UNet, nn, ops
from minunet.autograd.function import recorded_calls
from minunet.cuda import compute_capability
from minunet.device import to_numpy
from minunet.models import UNet2015
from minunet.models.double_conv import DoubleConv, pooled_and_skip
from minunet.nn.module import forward_hook
from minunet.precision import use_precision

X = np.random.default_rng(0).standard_normal((2, 6, 8, 3))


def level(**options):
    """The two layers of a level: (DoubleConv, MaxPool2D), in float64."""
    return DoubleConv(3, 4, "Conv_X", 0, **options).astype("float64"), nn.MaxPool2D(2)


def operations(convolutions, pool, x=X):
    """(pooled, skip) and the names of the operations."""
    with recorded_calls() as calls:
        results = pooled_and_skip(convolutions, pool, Tensor(x))
    return results, [call.operation for call in calls]


def without(names):
    """Whether the pooling was no operation of its own."""
    return "MaxPool2D" not in names


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_they_are_one_where_nothing_lies_between(padding):
    convolutions, pool = level(padding=padding)
    (pooled, skip), names = operations(convolutions, pool)
    assert without(names) and pooled.creator is skip.creator
    expected = convolutions(X)
    np.testing.assert_array_equal(skip.data, expected.data)
    np.testing.assert_array_equal(pooled.data, ops.max_pool2d(expected).data)


@pytest.mark.parametrize("pool", [nn.MaxPool2D((2, 2), (2, 2)), nn.MaxPool2D(2, 2, "valid")], ids=["pairs", "numbers"])
def test_other_words_for_the_same_pooling(pool):
    assert without(operations(level()[0], pool)[1])


class Quiet(nn.MaxPool2D):
    def forward(self, x):
        return super().forward(x) * 0


class Doubled(nn.Conv2D):
    def forward(self, x, **options):
        return super().forward(x, **options) * 2


class Negative(DoubleConv):
    def forward(self, x):
        return -super().forward(x)


def replaced(**parts):
    """A level in which other parts stand."""
    convolutions, pool = level()
    for name, part in parts.items():
        setattr(convolutions, name, part.astype("float64"))
    return convolutions, pool


def with_own_forward():
    convolutions, pool = level()
    forward = pool.forward
    pool.forward = lambda x: forward(x) + 1
    return convolutions, pool


LEVELS = {
    "batch norm": lambda: level(batch_norm=True),
    "dropout": lambda: level(dropout=0.5),
    "windows of 3": lambda: (level()[0], nn.MaxPool2D(3)),
    "windows that overlap": lambda: (level()[0], nn.MaxPool2D(2, 1)),
    "windows apart": lambda: (level()[0], nn.MaxPool2D(2, (2, 3))),
    "padded windows": lambda: (level()[0], nn.MaxPool2D(2, padding="same")),
    "a subclass of the pooling": lambda: (level()[0], Quiet(2)),
    "a pooling with its own forward": with_own_forward,
    "a subclass of the convolution": lambda: replaced(second=Doubled(4, 4, 3, rng=1)),
    "a sigmoid": lambda: replaced(second=nn.Conv2D(4, 4, 3, activation="sigmoid", rng=1)),
    "a subclass of the level": lambda: (Negative(3, 4, "Conv_X", 0).astype("float64"), nn.MaxPool2D(2)),
    "another level": lambda: (nn.Conv2D(3, 4, 3, rng=1).astype("float64"), nn.MaxPool2D(2)),
}


@pytest.mark.parametrize("make", LEVELS.values(), ids=LEVELS)
def test_what_stands_there_is_called(make):
    (pooled, skip), names = operations(*make())
    assert not without(names)
    convolutions, pool = make()
    expected = convolutions(X)
    np.testing.assert_array_equal(skip.data, expected.data)
    np.testing.assert_array_equal(pooled.data, pool(expected).data)


def test_a_forward_hook_sees_both_layers_and_can_change_what_lies_between():
    convolutions, pool = level()
    seen = []

    def clear(layer, inputs, y):
        seen.append((layer, inputs, y))
        if layer is convolutions.second:
            y.data[..., 0] = 0

    with forward_hook(clear):
        pooled, skip = pooled_and_skip(convolutions, pool, Tensor(X))
    assert [layer for layer, _, _ in seen] == [convolutions.first, convolutions.second, pool]
    assert seen[2][1][0] is skip and seen[2][2] is pooled
    assert not pooled.data[..., 0].any() and pooled.data[..., 1:].any()


NETWORKS = {
    "UNet": lambda: (UNet(depth=2, width=3), (2, 8, 12, 3)),
    "UNet2015": lambda: (UNet2015(depth=2, width=2, dropout=0), (1, 44, 52, 1)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_computes_the_same_as_with_a_hook(name):
    """Under a hook, pooling is an operation of its own."""
    found = []
    for hooked in (False, True):
        model, shape = NETWORKS[name]()
        model.astype("float64")
        x = Tensor(np.random.default_rng(1).uniform(0, 1, shape), requires_grad=True)
        with recorded_calls() as calls:
            if hooked:
                with forward_hook(lambda *call: None):
                    z = model.logits(x)
            else:
                z = model.logits(x)
        assert sum(call.operation == "MaxPool2D" for call in calls) == (2 if hooked else 0)
        z.backward(np.random.default_rng(2).standard_normal(z.shape))
        found.append([z.data, x.grad, *(p.grad for p in model.parameters())])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("precision", ["float32", "tf32", "mixed"])
def test_gpu_a_network_computes_the_same_bits_as_with_a_hook(array_on, precision):
    put = array_on("gpu")
    if precision == "tf32" and compute_capability("gpu") < 80:
        pytest.skip("tf32 needs an sm_80")
    found = []
    for hooked in (False, True):
        model = UNet(depth=2, width=8).to("gpu")
        x = Tensor(put(np.random.default_rng(1).uniform(0, 1, (1, 32, 36, 3)).astype(np.float32)))
        with use_precision(precision):
            with forward_hook(lambda *call: None) if hooked else contextlib.nullcontext():
                z = model.logits(x)
            z.backward(put(np.random.default_rng(2).standard_normal(z.shape)).astype(z.dtype))
        found.append([to_numpy(a) for a in (z.data, *(p.grad for p in model.parameters()))])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
