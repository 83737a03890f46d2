"""What a wrong gradient looks like beside the right one: a sign, a factor, a reversed axis."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-6  # relative to the largest number


def alike(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Returns whether two arrays have one shape and, up to rounding, the same numbers.

    >>> alike(np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-9])), alike(np.array([1.0, 2.0]), np.array([1.0]))
    (True, False)
    """
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    return bool(np.abs(a - b).max(initial=0) <= TOLERANCE * max(np.abs(b).max(initial=0), 1e-9))


def factor_between(wrong: NDArray[Any], right: NDArray[Any]) -> float | None:
    """Returns c if wrong = c · right, up to rounding, else None; 0.0 for zeros.

    >>> factor_between(np.array([-2.0, 4.0]), np.array([-1.0, 2.0]))
    2.0
    """
    if wrong.shape != right.shape or not right.any() or not np.isfinite(wrong).all():
        return None
    c = float((wrong * right).sum() / (right * right).sum())
    return c if alike(wrong, c * right) else None


def likeness(wrong: NDArray[Any], right: NDArray[Any]) -> str:
    """Returns in a few words how the wrong gradient comes from the right one, "" if it is nothing simple.

    >>> likeness(np.array([-1.0, -2.0]), np.array([1.0, 2.0]))
    'the sign is wrong'
    """
    c = factor_between(wrong, right)
    if c is not None:
        return in_words(c)
    if wrong.ndim > 1 and alike(wrong, right.T):
        return "it is transposed"
    for axis in range(wrong.ndim):
        if alike(wrong, np.flip(right, axis)):
            return f"it is reversed along axis {axis}"
    return ""


def in_words(factor: float) -> str:
    """Describes a constant factor: "the sign is wrong", "it is 2 times too large".

    >>> in_words(-1.0), in_words(0.5)
    ('the sign is wrong', 'it is 2 times too small')
    """
    if abs(factor) < 1e-12:
        return "it is 0 everywhere"
    sign = "the sign is wrong" if factor < 0 else ""
    size = abs(factor)
    if abs(size - 1) < 1e-6:
        return sign
    scale = f"it is {size:.6g} times too large" if size > 1 else f"it is {1 / size:.6g} times too small"
    return f"{sign}, and {scale}" if sign else scale
