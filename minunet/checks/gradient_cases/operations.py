"""The operations of the network: convolutions, pooling, concatenation, normalization, dropout, losses."""

import itertools

from minunet import ops
from minunet.checks.gradient_cases.case import Case
from minunet.device import to_device

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
    for stride, activation in itertools.product(STRIDES, (None, "relu")):  # the concatenation of 3 and 2 channels
        x, w, b = rng.standard_normal((2, 5, 6, 3)), rng.standard_normal((3, 3, 5, 2)), rng.standard_normal(2)
        yield Case(
            "conv2d",
            f"of two arrays, stride {stride}, activation {activation}",
            lambda x, w, b, beside, stride=stride, activation=activation: ops.conv2d(
                x, w, b, stride, activation=activation, beside=beside
            ),
            [x, w, b, rng.standard_normal((2, 5, 6, 2))],
        )
    for width in (64, 65):  # rows that are long enough for windows in columns
        x, w, b = rng.standard_normal((1, 3, width, 1)), rng.standard_normal((3, 3, 1, 2)), rng.standard_normal(2)
        yield Case("conv2d", f"rows of {width}", ops.conv2d, [x, w, b])
    yield Case(
        "conv2d",
        "large, by directions",
        ops.conv2d,
        [rng.standard_normal((2, 31, 29, 16)), rng.standard_normal((3, 3, 16, 24)), rng.standard_normal(24)],
        {"directions": 3},
    )


def transposed_convolutions(rng):
    """conv_transpose2d over the same kernels and strides."""
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
        "large, by directions",
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


def crops(rng):
    """crop to odd and even rests, to one pixel, and to the whole image."""
    x = rng.standard_normal((2, 6, 5, 3))
    for size in ((4, 3), (3, 4), (1, 1), (6, 5), (2, 5)):
        yield Case("crop", f"6x5 to {size[0]}x{size[1]}", lambda x, size=size: ops.crop(x, size), [x])
    yield Case("crop", "used beside itself", lambda x: ops.concatenate([ops.crop(x, 2), ops.crop(x * x, 2)]), [x])


def regularizers(rng):
    """batch_norm with the batch's statistics and constant ones, with and without ReLU; dropout of maps and numbers."""
    x = rng.standard_normal((2, 5, 3, 4)) * [1, 3, 1, 0.2] + [0, 5, -2, 0]
    gamma, beta = rng.uniform(0.5, 2, 4), rng.standard_normal(4)
    constant = rng.standard_normal(4), rng.uniform(0.5, 2, 4)
    for label, statistics in (("of the batch", None), ("held constant", constant)):
        for activation in (None, "relu"):
            yield Case(
                "batch_norm",
                f"{label}, activation {activation}",
                lambda x, gamma, beta, statistics=statistics, activation=activation: ops.batch_norm(
                    x, gamma, beta, on_device_of(x, statistics), activation=activation
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
        keep = rng.integers(0, 2, shape)  # integers: gradcheck holds them constant
        yield Case("dropout", label, lambda x, keep: ops.dropout(x, keep.data, 0.4), [x, keep])


def on_device_of(tensor, arrays):
    """Returns the arrays on the device of `tensor`; None stays None."""
    return arrays and tuple(to_device(array, tensor.device) for array in arrays)


def losses(rng):
    """The losses with respect to the prediction, with and without weights."""
    shape = (3, 4, 5, 1)
    p, z = rng.uniform(0.05, 0.95, shape), rng.standard_normal(shape) * 3
    t, weights = rng.integers(0, 2, shape), rng.integers(0, 3, shape)  # integers: gradcheck holds them constant
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
