"""What every operation checks about its arrays before it starts."""

from typing import Any

from minunet.device import device_of
from minunet.precision import is_floating, is_half


def check_arrays(operation: str, **arrays: tuple[Any, int]) -> None:
    """Checks name=(array, axes): each array has that many axes, and all have the same floating-point dtype.

    On a GPU, where the first is of 16 bits the others, which are parameters, are float32 (precision.py).
    An array that is None is skipped. Raises ValueError for the axes, TypeError for the dtype.
    """
    given = {name: pair for name, pair in arrays.items() if pair[0] is not None}
    for name, (array, axes) in given.items():
        if array.ndim != axes:
            count = "1 axis" if axes == 1 else f"{axes} axes"
            layout = " (images are (N,H,W,C), kernels have 4 axes too)" if axes == 4 else ""
            raise ValueError(f"{operation}: {name} has shape {array.shape}: it must have {count}{layout}")
        if not is_floating(array.dtype):
            raise TypeError(
                f'{operation}: {name} is {array.dtype}: it must be floating-point; give array.astype("float32")'
            )
    first, *others = (array for array, _ in given.values())
    wanted = "float32" if is_half(first.dtype) and device_of(first) != "cpu" else first.dtype
    if any(array.dtype != wanted for array in others):
        types = ", ".join(f"{name} {array.dtype}" for name, (array, _) in given.items())
        raise TypeError(f"{operation}: the dtypes are {types}: they must all be the same; convert with .astype")
