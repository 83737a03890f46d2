"""How exactly a GPU computes: the three precisions, and which of them is in use.

    float32   all numbers have 24 significant bits. What gradient checks compare with.
    tf32      the factors of a convolution's products are rounded to 11 bits, their sums are float32. Tensor cores, the
              part of a GPU that multiplies small matrices, take such factors; arrays stay float32.
    mixed     activations and their gradients are stored in 16 bits: half the bytes to move. Weights, their gradients,
              statistics, losses and all sums stay float32.

The 16 bits of mixed are bfloat16 (8 significant bits, the range of float32) where the GPU has it, else float16 (11
bits, but nothing below 6e-8, so that the loss has to be scaled). On the CPU everything is float32 or float64.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

NAMES = ("float32", "tf32", "mixed")

_in_use: ContextVar[str] = ContextVar("precision", default="float32")


def precision_in_use() -> str:
    """Returns "float32", "tf32" or "mixed".

    >>> precision_in_use()
    'float32'
    """
    return _in_use.get()


@contextlib.contextmanager
def use_precision(name: str) -> Iterator[None]:
    """Inside `with use_precision("tf32"):` convolutions on a GPU compute so; their backward does too, wherever it runs.

    Raises ValueError unless name is "float32", "tf32" or "mixed".
    """
    if name not in NAMES:
        raise ValueError(f"there is no precision {name!r}: choose one of {', '.join(NAMES)}")
    token = _in_use.set(name)
    try:
        yield
    finally:
        _in_use.reset(token)
