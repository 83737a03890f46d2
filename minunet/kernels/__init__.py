"""The hot products of the network, three times with one signature.

    reference.py    one output pixel at a time, in plain loops: the definition, to read and to compare with
    cpu.py          NumPy: blocks of P(x) times W, on all cores
    gpu.py          CuPy: kernels in CUDA C, in cuda/*.cu

P(x) is the patch matrix of x: row r holds the KH·KW·C numbers under output pixel r. With W the kernel as a
(KH·KW·C_in, C_out) matrix, all that a convolution needs forward and backward is

    convolve             y  = P(x) W + b         (N,H,W,C_in) → (N,OH,OW,C_out)
    convolve_transposed  x  = Pᵀ(y Wᵀ) + b       (N,OH,OW,C_out) → (N,H,W,C_in)
    weight_gradient      gW = P(x)ᵀ gy           → (KH,KW,C_in,C_out)

and beside them max_pool and its gradient, what is fused to pass over the numbers once (ReLU's gradient with the bias'
sum, batch normalisation, the cross entropy with its error, the sums of Dice and of the scores, joining and splitting
channels, a batch of bytes becoming numbers), and the optimizers' `update` and `decay`. `reference.py` defines them all.
`kernels_for(array)` chooses by the array's device; `use_kernels` overrules it.
"""

import contextlib
import importlib
from contextvars import ContextVar

from minunet.device import device_of

NAMES = ("reference", "cpu", "gpu")

_chosen = ContextVar("chosen kernels", default=None)


def kernels_for(array):
    """The kernel module for `array`: the one chosen by use_kernels, or else the one of the array's device.

    Raises ValueError where the chosen kernels cannot take the array.
    """
    device = device_of(array)
    name = _chosen.get() or ("cpu" if device == "cpu" else "gpu")
    if (name == "cpu") != (device == "cpu") and name != "reference":
        raise ValueError(
            f'the "{name}" kernels were chosen, but the array is on {device}: move it, or leave use_kernels'
        )
    return importlib.import_module(f"minunet.kernels.{name}")


@contextlib.contextmanager
def use_kernels(name):
    """Inside `with use_kernels("reference"):` every operation, forward and backward, runs on those kernels."""
    if name not in NAMES:
        raise ValueError(f"there are no kernels {name!r}: choose one of {', '.join(NAMES)}")
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)
