"""What every operation asks of its arrays before it starts."""


def check_arrays(operation, **arrays):
    """Raises unless each array has its number of axes and all have one floating-point type.

    arrays: name=(array, axes); an array that is None is passed over. ValueError for the axes, TypeError for the type.
    """
    given = {name: pair for name, pair in arrays.items() if pair[0] is not None}
    for name, (array, axes) in given.items():
        if array.ndim != axes:
            layout = " (pictures are (N,H,W,C), kernels have 4 axes too)" if axes == 4 else ""
            raise ValueError(f"{operation}: {name} has shape {array.shape}, it must have {axes} axes{layout}")
        if array.dtype.kind != "f":
            raise TypeError(
                f'{operation}: {name} is {array.dtype}, it must be floating-point: give array.astype("float32")'
            )
    if len({array.dtype for array, _ in given.values()}) > 1:
        types = ", ".join(f"{name} {array.dtype}" for name, (array, _) in given.items())
        raise TypeError(f"{operation}: different types meet: {types}; convert one with .astype")
