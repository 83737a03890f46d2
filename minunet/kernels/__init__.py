"""The hot spots of the network, three times with the same signatures:

    reference/      the definition, to read and to compare with; convolution and pooling are plain loops over the output
    cpu/            NumPy: blocks of P(x) times W, on all cores
    gpu/            CuPy: launches kernels in CUDA C, which are in cuda/*.cu

    windows.py      what the three share: how windows slide over an image, padding and cropping
    threads.py      the threads of the CPU kernels            memory.py    memory kept between training steps

P(x) is the patch matrix of x: row r holds the KH·KW·C numbers under output pixel r. With W the weights as a
(KH·KW·C, F) matrix, all that a convolution needs, forward and backward, is

    convolve             y  = P(x) W + b         (N,H,W,C) → (N,OH,OW,F)
    convolve_transposed  x  = Pᵀ(y Wᵀ) + b       (N,OH,OW,F) → (N,H,W,C)
    weight_gradient      gW = P(x)ᵀ gy           → (KH,KW,C,F)
    convolve_backward    gx = Pᵀ(gz Wᵀ), gW = P(x)ᵀ gz, gb = Σ gz in one call; gz: what the ReLU lets through of gy

`convolve` and `convolve_backward` take a second array, `beside`, and read both as one image with the channels of both:
the concatenation where a skip connection comes in. There is then a fourth gradient, that of `beside`. With pool=True,
`convolve` also returns the maxima of 2x2 numbers of y, and `convolve_backward` takes what comes back through them,
`pooled`, beside gy.

H, W and C belong to x, OH, OW and F to y, as everywhere in `ops/`. `convolve_transposed` goes from y to x, so what
ops/conv_transpose2d.py calls its x is y here, and its y is x.

Beside them there are max_pool and its gradient; what is fused so that the numbers pass through memory once (ReLU's
gradient with the sum for the bias, batch normalization, the cross entropies with their errors, softmax, the sums for
Dice and the scores, the confusion matrix, concatenating and splitting channels, bytes to floats); and the optimizers'
`update` and `decay`. `reference/` documents them all. `kernels_for(array)` chooses by the array's device; `use_kernels`
overrides it. Inside `plain_products`, a convolution on the CPU is P(x) W and nothing else.
"""

import contextlib
import importlib
from collections.abc import Iterator
from contextvars import ContextVar
from types import ModuleType

from minunet.device import Array, device_of

NAMES = ("reference", "cpu", "gpu")

_chosen: ContextVar[str | None] = ContextVar("chosen kernels", default=None)
_plain: ContextVar[bool] = ContextVar("plain products", default=False)


def kernels_for(array: Array) -> ModuleType:
    """Returns the kernels for `array`, a module: those chosen by use_kernels, or else those of the array's device.

    Raises ValueError if the array is on a device that the chosen kernels do not work on.
    """
    device = device_of(array)
    name = _chosen.get() or ("cpu" if device == "cpu" else "gpu")
    if (name == "cpu") != (device == "cpu") and name != "reference":
        raise ValueError(
            f'the "{name}" kernels were chosen, but the array is on {device}: move it, or leave the use_kernels block'
        )
    return importlib.import_module(f"minunet.kernels.{name}")


@contextlib.contextmanager
def use_kernels(name: str) -> Iterator[None]:
    """Inside `with use_kernels("reference"):` every operation, forward and backward, runs on those kernels.

    Raises ValueError unless name is "reference", "cpu" or "gpu".
    """
    if name not in NAMES:
        raise ValueError(f"there are no kernels {name!r}: choose one of {', '.join(NAMES)}")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


@contextlib.contextmanager
def plain_products() -> Iterator[None]:
    """Inside `with plain_products():` a gradient is exactly 0 where nothing depends on a number.

    On the CPU, most convolutions save half of their products (cpu/winograd.py). Their sums round, so what should be 0
    may become 1e-8: too little for training to notice, and too much for whoever asks what a pixel depends on.
    """
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def products_are_plain() -> bool:
    """Returns whether `plain_products` is in force."""
    return _plain.get()
