"""Layers and whole networks, with respect to their input and all their parameters."""

import numpy as np

from minunet import nn, ops
from minunet.autograd import Tensor
from minunet.checks.gradient_cases.case import NO_OPTIONS, Case
from minunet.models import SegmentationModel, UNet, UNet2015


def layers(rng):
    """Layers, with respect to their input and all their parameters."""
    x = rng.standard_normal((2, 5, 6, 3))
    for activation in (None, "relu", "sigmoid"):
        yield module_case(nn.Conv2D(3, 4, 3, activation=activation, rng=1), f"activation {activation}", x)
        yield module_case(nn.ConvTranspose2D(3, 2, 3, activation=activation, rng=2), f"activation {activation}", x)
    yield module_case(nn.Conv2D(3, 4, 3, bias=False, rng=3), "no bias", x)
    other = rng.standard_normal(x.shape)  # x equals the u that gradcheck draws, and u = x has no gradient through x̂
    yield module_case(nn.BatchNorm(3), "", other)
    yield module_case(nn.BatchNorm(3, activation="relu").eval(), "running averages, relu", other)
    yield module_case(nn.MaxPool2D(2), "", rng.permutation(180).reshape(2, 5, 6, 3) / 10)
    yield Case("nn.Concatenate", "", lambda a, b: nn.Concatenate()(a, b), [x, x[..., :2]])
    yield Case(
        "nn.Concatenate",
        "read by a convolution",
        lambda a, b, w: ops.conv2d(nn.Concatenate()(a, b), w, activation="relu"),
        [x, x[..., :2], rng.standard_normal((3, 3, 5, 2))],
    )
    yield module_case(nn.Crop(2), "", x)


def networks(rng):
    """Whole U-Nets, by directions: small ones, and the lecture's with six levels."""
    few_corners = {
        "directions": 3,
        "eps": 1e-8,
    }  # so short a step hardly ever crosses a corner of a ReLU or maximum
    yield module_case(UNet(depth=2, width=3, seed=1), "2 levels", rng.uniform(0, 1, (2, 8, 12, 3)), few_corners)
    yield module_case(
        UNet(depth=2, width=3, seed=1, batch_norm=True),
        "2 levels, batch norm",
        rng.uniform(0, 1, (2, 8, 12, 3)),
        few_corners,
    )
    yield module_case(UNet(seed=2), "6 levels, as in the lecture", rng.uniform(0, 1, (1, 64, 64, 3)), few_corners)
    paper = {"depth": 2, "width": 2, "seed": 1, "dropout": 0}
    yield module_case(UNet2015(**paper), "2 levels", rng.uniform(0, 1, (2, 44, 52, 1)), few_corners)
    yield module_case(
        UNet2015(**paper, batch_norm=True), "2 levels, batch norm", rng.uniform(0, 1, (2, 44, 52, 1)), few_corners
    )
    yield module_case(
        UNet2015(**paper, mirror=True), "2 levels, mirrored", rng.uniform(0, 1, (1, 7, 30, 1)), few_corners
    )


def module_case(module, label, x, options=NO_OPTIONS):
    """Returns the Case of a Module in float64, with respect to its input and each parameter (biases not 0)."""
    own = module.astype(np.float64).parameters()
    rng = np.random.default_rng(0)
    values = [p.data + 0.1 * rng.standard_normal(p.shape) * (p.ndim == 1) for p in own]

    def f(x, *parameters):
        replace_parameters(module, parameters)
        module.to(x.device)  # for its buffers
        try:
            return module.logits(x) if isinstance(module, SegmentationModel) else module(x)
        finally:  # the cases are kept, and so is what their modules hold: no GPU memory, then
            replace_parameters(module, own)
            module.to("cpu")

    kind = type(module).__name__
    name = kind if isinstance(module, SegmentationModel) else f"nn.{kind}"
    return Case(name, label, f, [x, *values], options)


def replace_parameters(module, tensors):
    """Replaces the module's parameters by `tensors`, given in the order of module.parameters()."""
    tensors = iter(tensors)
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, Tensor) and name not in part.buffer_names + part.random_state_names:
                setattr(part, name, next(tensors))
