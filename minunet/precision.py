"""How exactly a GPU computes: the three precisions, and which of them is in use.

    float32   all numbers have 24 significant bits. What gradient checks compare with.
    tf32      the factors of a convolution's products are rounded to 11 bits, their sums are float32. Tensor cores, the
              part of a GPU that multiplies small matrices, take such factors; arrays stay float32.
    mixed     activations and their gradients are stored in 16 bits: half the bytes to move. Weights, their gradients,
              statistics, losses and all sums stay float32.

The 16 bits of mixed are bfloat16 (8 significant bits, the range of float32) where the GPU has it, from sm_80 on, else
float16 (11 bits, but nothing below 6e-8, so that the loss has to be scaled: loss_scaling.py). On the CPU everything is
float32 or float64.

In mixed precision, who rounds what? A convolution stores the float32 images that it is given in 16 bits, and returns 16
bits; where its products take two factors of 16 bits, its weights are rounded for them. The weights themselves stay
float32: a step changes a weight by a thousandth of itself, and bfloat16 would round that away. What only picks, moves
or scales numbers (pooling, concatenation, ReLU, batch normalization, dropout, +) returns the dtype that it was given.
Everything else, such as sigmoid, softmax, losses and sums, is given float32 (`Function.takes_half`). On the way back
each gradient has the dtype of what it is the gradient of.

Source: Micikevicius et al., "Mixed precision training", 2018.
"""

import contextlib
import functools
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np

from minunet.cuda import compute_capability, describe_gpu
from minunet.device import Array, array_module, device_of

NAMES = ("float32", "tf32", "mixed")
FIRST_WITH_TF32 = 80  # sm_80, Ampere: it brought bfloat16, too

_in_use: ContextVar[str] = ContextVar("precision", default="float32")


def precision_in_use() -> str:
    """Returns "float32", "tf32" or "mixed".

    >>> precision_in_use()
    'float32'
    """
    return _in_use.get()


@contextlib.contextmanager
def use_precision(name: str) -> Iterator[None]:
    """Inside `with use_precision("tf32"):` operations on a GPU compute so; their backward does too, wherever it runs.

    Nothing changes for arrays on the CPU, for float64, and, in tf32, on a GPU that does not have it.
    Raises ValueError unless name is "float32", "tf32" or "mixed".
    """
    if name not in NAMES:
        raise ValueError(f"there is no precision {name!r}: choose one of {', '.join(NAMES)}")
    token = _in_use.set(name)
    try:
        yield
    finally:
        _in_use.reset(token)


def resolve_precision(name: str, device: str) -> str:
    """Returns the precision called `name`; for "auto", tf32 where the device has it, else float32.

    Raises ValueError, in one line, for a precision that the device does not have.

    >>> resolve_precision("auto", "cpu")
    'float32'
    """
    if name == "float32" or (name == "auto" and device == "cpu"):
        return "float32"
    if name not in (*NAMES, "auto"):
        raise ValueError(f"there is no precision {name!r}: choose one of {', '.join(NAMES)}")
    if device == "cpu":
        raise ValueError(f"the precision {name} is for a GPU: on the CPU everything is float32, choose that")
    if name == "mixed":
        half_dtype(device)  # raises where it cannot be had
        return name
    if compute_capability(device) >= FIRST_WITH_TF32:
        return "tf32"
    if name == "tf32":
        raise ValueError(
            f"{device} ({describe_gpu(device)}) has no TF32, which begins with sm_80: use float32 or mixed"
        )
    return "float32"


def describe_precision(name: str, device: str) -> str:
    """Returns, in words, what the precision means on a device."""
    return {
        "float32": "float32",
        "tf32": "tf32: convolutions round their factors to 11 bits",
        "mixed": "" if name != "mixed" else f"mixed: activations and their gradients are {half_dtype(device)}",
    }[name]


# ---- numbers of 16 bits -------------------------------------------------------------------------------------


def is_half(dtype: np.dtype[Any]) -> bool:
    """Returns whether these are floating-point numbers of 16 bits: float16, or the bfloat16 of ml_dtypes.

    >>> is_half(np.dtype("float16")), is_half(np.dtype("float32"))
    (True, False)
    """
    return dtype.char in "eE"


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Returns whether these are floating-point numbers. (NumPy itself does not count bfloat16 among them.)"""
    return dtype.kind == "f" or dtype.char == "E"


def sum_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Returns the dtype of weights and sums beside numbers of `dtype`: float32 for 16 bits, else the same.

    >>> sum_dtype(np.dtype("float16")), sum_dtype(np.dtype("float64"))
    (dtype('float32'), dtype('float64'))
    """
    return np.dtype(np.float32) if is_half(dtype) else dtype


@functools.cache
def half_dtype(device: str) -> np.dtype[Any]:
    """Returns the 16 bits of mixed precision on a GPU: bfloat16 from sm_80 on, else float16.

    Raises ValueError if bfloat16 is not installed.
    """
    if compute_capability(device) < FIRST_WITH_TF32:
        return np.dtype(np.float16)
    try:
        import ml_dtypes
    except ModuleNotFoundError:
        raise ValueError(
            f"mixed precision on {device} stores bfloat16, which NumPy has from the package ml_dtypes: pip install "
            '"minunet[gpu]", or use tf32'
        ) from None
    return np.dtype(ml_dtypes.bfloat16)


def stored(x: Array) -> Array:
    """Returns x as a convolution keeps it: in mixed precision, float32 on a GPU becomes 16 bits."""
    if precision_in_use() != "mixed" or x.dtype != np.float32 or array_module(x) is np:
        return x
    return x.astype(half_dtype(device_of(x)))


def widened(x: Array) -> Array:
    """Returns x, or float32 in place of 16 bits on a GPU."""
    return x.astype(np.float32) if is_half(x.dtype) and array_module(x) is not np else x
