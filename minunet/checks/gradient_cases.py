"""The derivatives of this project, as a list of cases to be proved: `python -m minunet gradcheck` and the tests run them.

Inputs are random float64 of odd sizes. Where a function has a corner (ReLU at 0, a maximum between equals) the inputs
keep clear of it, since there a difference is not a derivative.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minunet import nn, ops
from minunet.autograd import Tensor, gradcheck
from minunet.autograd.rearrange import To
from minunet.device import to_device
from minunet.models.unet import UNet

TOLERANCE = 1e-6


class Case(NamedTuple):
    """One check. f takes Tensors made of `inputs`; options go to gradcheck."""

    operation: str
    label: str
    f: Callable
    inputs: list
    options: dict = {}

    def run(self, convert=np.asarray):
        """The GradcheckReport; GradientError if the derivative is wrong. convert: numpy array → array on the device to check."""
        return gradcheck(self.f, [convert(x) for x in self.inputs], tolerance=TOLERANCE, **self.options)


def all_cases():
    """Every Case, operation by operation, the same ones each time."""
    makers = (
        arithmetic,
        elementwise,
        convolutions,
        transposed_convolutions,
        poolings,
        concatenations,
        regularisers,
        losses,
        layers,
        networks,
    )
    return list(itertools.chain.from_iterable(maker(np.random.default_rng(0)) for maker in makers))


def arithmetic(rng):
    """The operators of Tensor, with and without broadcasting."""
    a, b, row = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), rng.standard_normal((1, 4))
    positive = rng.uniform(0.5, 2.0, (3, 4))
    shapes = [
        ("equal shapes", a, b),
        ("a row", a, row),
        ("a column", rng.standard_normal((2, 3, 1)), b),
        ("a number", a, rng.standard_normal(())),
    ]
    for label, x, y in shapes:
        yield Case("+", label, lambda x, y: x + y, [x, y])
        yield Case("-", label, lambda x, y: x - y, [x, y])
        yield Case("*", label, lambda x, y: x * y, [x, y])
        yield Case("/", label, lambda x, y: x / y, [x, np.sign(y) * (abs(y) + 0.5)])
    yield Case("**", "tensor ** number", lambda x: x**3, [a])
    yield Case("**", "tensor ** tensor", lambda x, y: x**y, [positive, row])
    yield Case("-x", "", lambda x: -x, [a])
    yield Case("exp", "", lambda x: x.exp(), [a])
    yield Case("log", "", lambda x: x.log(), [positive])
    products = {
        "matrices": ((3, 4), (4, 5)),
        "a stack and a matrix": ((2, 3, 4), (4, 5)),
        "vector and matrix": ((4,), (4, 5)),
        "two vectors": ((4,), (4,)),
        "stack and vector": ((2, 3, 4), (4,)),
    }
    for label, (left, right) in products.items():
        yield Case("@", label, lambda x, y: x @ y, [rng.standard_normal(left), rng.standard_normal(right)])
    x = rng.standard_normal((2, 3, 4))
    for axis, keep in [(None, False), (1, False), (-1, True), ((0, 2), False), ((0, -1), True)]:
        yield Case("sum", f"axis={axis}", lambda x, axis=axis, keep=keep: x.sum(axis, keepdims=keep), [x])
        yield Case("mean", f"axis={axis}", lambda x, axis=axis, keep=keep: x.mean(axis, keepdims=keep), [x])
    yield Case("reshape", "", lambda x: x.reshape(4, -1), [x])
    yield Case("transpose", "reversed", lambda x: x.transpose(), [x])
    yield Case("transpose", "(2, 0, 1)", lambda x: x.transpose(2, 0, -2), [x])
    picks = {
        "slices": (slice(None, None, 2), 1),
        "new axis": (None, Ellipsis, -1),
        "repeated": (np.array([1, 0, 1]),),
        "mask": (x > 0,),
    }
    for label, index in picks.items():
        yield Case("getitem", label, lambda x, index=index: x[index], [x])
    yield Case("to", "", lambda x: To("cpu")(x), [a])
    yield Case("graph", "used three times", lambda x: x * x + (x * 2).exp() / (x * x + 1), [a])


def elementwise(rng):
    """Activations."""
    clear_of_zero = rng.choice([-1, 1], (3, 5)) * rng.uniform(0.1, 2, (3, 5))
    yield Case("relu", "", ops.relu, [clear_of_zero])
    yield Case("sigmoid", "", ops.sigmoid, [rng.standard_normal((3, 5)) * 3])


KERNELS = [(1, 1), (2, 2), (3, 3), (5, 5), (3, 2), (1, 4)]
STRIDES = [(1, 1), (2, 2), (3, 1), (2, 3)]
PADDINGS = ["same", "valid", 1, (2, 0)]


def convolutions(rng):
    """conv2d over kernels, strides, paddings and odd sizes, with and without bias and ReLU."""
    for kernel, stride, padding in itertools.product(KERNELS, STRIDES, PADDINGS):
        x, w, b = rng.standard_normal((2, 5, 6, 3)), rng.standard_normal((*kernel, 3, 2)), rng.standard_normal(2)
        yield Case(
            "conv2d",
            f"{kernel} stride {stride} {padding}",
            lambda x, w, b, stride=stride, padding=padding: ops.conv2d(x, w, b, stride, padding),
            [x, w, b],
        )
    x, w = rng.standard_normal((1, 7, 5, 2)), rng.standard_normal((3, 3, 2, 4))
    yield Case("conv2d", "no bias", ops.conv2d, [x, w])
    yield Case("conv2d", "one pixel", ops.conv2d, [rng.standard_normal((1, 1, 1, 2)), w])
    yield Case("conv2d", "relu", lambda x, w, b: ops.conv2d(x, w, b, activation="relu"), [x, w, rng.standard_normal(4)])
    yield Case(
        "conv2d",
        "big, by directions",
        ops.conv2d,
        [rng.standard_normal((2, 31, 29, 16)), rng.standard_normal((3, 3, 16, 24)), rng.standard_normal(24)],
        {"directions": 3},
    )


def transposed_convolutions(rng):
    """conv_transpose2d over the same."""
    for kernel, stride, padding in itertools.product(KERNELS, STRIDES, ["same", "valid", 1]):
        if padding == 1 and min(kernel) < 2:
            continue
        x, w, b = rng.standard_normal((2, 3, 4, 3)), rng.standard_normal((*kernel, 2, 3)), rng.standard_normal(2)
        yield Case(
            "conv_transpose2d",
            f"{kernel} stride {stride} {padding}",
            lambda x, w, b, stride=stride, padding=padding: ops.conv_transpose2d(x, w, b, stride, padding),
            [x, w, b],
        )
    yield Case(
        "conv_transpose2d",
        "no bias",
        ops.conv_transpose2d,
        [rng.standard_normal((1, 3, 2, 2)), rng.standard_normal((2, 2, 4, 2))],
    )
    yield Case(
        "conv_transpose2d",
        "big, by directions",
        ops.conv_transpose2d,
        [rng.standard_normal((2, 15, 17, 24)), rng.standard_normal((2, 2, 8, 24)), rng.standard_normal(8)],
        {"directions": 3},
    )


def poolings(rng):
    """max_pool2d over windows and strides, overlapping and apart, on distinct values in random order."""
    for size, stride, padding in itertools.product([2, 3, (2, 3), (1, 2)], [None, 1, 2, (3, 2)], ["valid", "same"]):
        x = rng.permutation(2 * 7 * 6 * 3).reshape(2, 7, 6, 3) / 10
        yield Case(
            "max_pool2d",
            f"{size} stride {stride} {padding}",
            lambda x, size=size, stride=stride, padding=padding: ops.max_pool2d(x, size, stride, padding),
            [x],
        )


def concatenations(rng):
    """concatenate along each axis, of one, two and three inputs, one of them twice."""
    a, b, c = (rng.standard_normal((2, 3, 4)) for _ in range(3))
    for axis in (0, 1, 2, -1):
        yield Case(
            "concatenate", f"axis {axis}", lambda a, b, c, axis=axis: ops.concatenate([a, b, c], axis), [a, b, c]
        )
    yield Case("concatenate", "sizes differ", lambda a, b: ops.concatenate([a, b]), [a, rng.standard_normal((2, 3, 1))])
    yield Case("concatenate", "one input", lambda a: ops.concatenate([a]), [a])
    yield Case("concatenate", "one input twice", lambda a, b: ops.concatenate([a, b, a]), [a, b])


def regularisers(rng):
    """batch_norm with statistics of the batch and held constant, with and without ReLU; dropout of maps and of numbers."""
    x = rng.standard_normal((2, 5, 3, 4)) * [1, 3, 1, 0.2] + [0, 5, -2, 0]
    gamma, beta = rng.uniform(0.5, 2, 4), rng.standard_normal(4)
    constant = rng.standard_normal(4), rng.uniform(0.5, 2, 4)
    for label, statistics in (("of the batch", None), ("held constant", constant)):
        for activation in (None, "relu"):
            yield Case(
                "batch_norm",
                f"{label}, activation {activation}",
                lambda x, gamma, beta, statistics=statistics, activation=activation: ops.batch_norm(
                    x, gamma, beta, moved(statistics, x), activation=activation
                )[0],
                [x, gamma, beta],
            )
    yield Case(
        "batch_norm",
        "a large epsilon",
        lambda x, gamma, beta: ops.batch_norm(x, gamma, beta, epsilon=0.5)[0],
        [x, gamma, beta],
    )
    for label, shape in (("whole maps", (2, 1, 1, 4)), ("single numbers", x.shape)):
        keep = rng.integers(0, 2, shape)  # whole numbers: gradcheck holds them constant
        yield Case("dropout", label, lambda x, keep: ops.dropout(x, keep.data, 0.4), [x, keep])


def moved(arrays, like):
    """The arrays on the device of the tensor `like`; None stays None."""
    return arrays and tuple(to_device(array, like.device) for array in arrays)


def losses(rng):
    """The losses with respect to the prediction, with and without weights."""
    shape = (3, 4, 5, 1)
    p, z = rng.uniform(0.05, 0.95, shape), rng.standard_normal(shape) * 3
    t, weights = rng.integers(0, 2, shape), rng.integers(0, 3, shape)  # whole numbers: gradcheck holds them constant
    for label, masks in (("", [t]), ("weighted", [t, weights])):
        yield Case("binary_cross_entropy", label, ops.binary_cross_entropy, [p, *masks])
        yield Case("binary_cross_entropy_with_logits", label, ops.binary_cross_entropy_with_logits, [z, *masks])
        for per_image in (True, False):
            yield Case(
                "dice_loss",
                f"{label} per_image={per_image}",
                lambda p, *masks, per_image=per_image: ops.dice_loss(p, *masks, per_image=per_image),
                [p, *masks],
            )
        yield Case(
            "bce_dice_loss",
            label,
            lambda z, *masks: ops.bce_dice_loss(z, *masks, bce_weight=0.3, dice_weight=0.7),
            [z, *masks],
        )


def layers(rng):
    """Layers, with respect to their input and all their parameters."""
    x = rng.standard_normal((2, 5, 6, 3))
    for activation in (None, "relu", "sigmoid"):
        yield module_case(nn.Conv2D(3, 4, 3, activation=activation, rng=1), f"activation {activation}", x)
        yield module_case(nn.ConvTranspose2D(3, 2, 3, activation=activation, rng=2), f"activation {activation}", x)
    yield module_case(nn.Conv2D(3, 4, 3, bias=False, rng=3), "no bias", x)
    other = rng.standard_normal(x.shape)  # x is the very u that gradcheck draws, and u = x has no gradient through x̂
    yield module_case(nn.BatchNorm(3), "", other)
    yield module_case(nn.BatchNorm(3, activation="relu").eval(), "running averages, relu", other)
    yield module_case(nn.MaxPool2D(2), "", rng.permutation(180).reshape(2, 5, 6, 3) / 10)
    yield Case("nn.Concatenate", "", lambda a, b: nn.Concatenate()(a, b), [x, x[..., :2]])


def networks(rng):
    """Whole U-Nets by the dot-product form: a small one, and the lecture's six levels."""
    few_corners = {"directions": 3, "eps": 1e-8}  # so short a step that hardly a ReLU or a maximum turns over within it
    yield module_case(UNet(depth=2, width=3, seed=1), "2 levels", rng.uniform(0, 1, (2, 8, 12, 3)), few_corners)
    yield module_case(
        UNet(depth=2, width=3, seed=1, batch_norm=True),
        "2 levels, batch norm",
        rng.uniform(0, 1, (2, 8, 12, 3)),
        few_corners,
    )
    yield module_case(UNet(seed=2), "6 levels, as in the lecture", rng.uniform(0, 1, (1, 64, 64, 3)), few_corners)


def module_case(module, label, x, options={}):
    """The Case of a Module in float64: its output with respect to the input and to each parameter (biases not 0)."""
    module.astype(np.float64)
    rng = np.random.default_rng(0)
    values = [p.data + 0.1 * rng.standard_normal(p.shape) * (p.ndim == 1) for p in module.parameters()]

    def f(x, *parameters):
        module.to(x.device)  # for its buffers; the parameters are given
        replace_parameters(module, parameters)
        return module.logits(x) if isinstance(module, UNet) else module(x)

    return Case(
        f"nn.{type(module).__name__}" if not isinstance(module, UNet) else "UNet", label, f, [x, *values], options
    )


def replace_parameters(module, tensors):
    """Puts `tensors`, in the order of module.parameters(), in place of the module's own."""
    tensors = iter(tensors)
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, Tensor) and name not in part.buffer_names + part.random_state_names:
                setattr(part, name, next(tensors))
