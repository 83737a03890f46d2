"""One step of any optimizer, parameter by parameter."""


def update(rule, numbers, rows, cuda=None):
    """Calls rule(w, g, *state, *numbers) for each row (w, g, *state) of arrays: it changes w and the state in place.

    rule is elementwise, and may be called on pieces of the arrays, flattened. cuda: the name of the kernel in
    cuda/optimizers.cu that does the same and takes the same numbers, or None.
    """
    for row in rows:
        rule(*row, *numbers)


def decay(arrays, factor):
    """w ← factor · w, in place, for each of the arrays."""
    for w in arrays:
        w *= factor
