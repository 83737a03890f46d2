"""One step of any optimizer, parameter by parameter."""

from minunet.cuda_graph import NotRecordable, is_recording
from minunet.device import array_module


def update(rule, numbers, rows, cuda=None, skip=None):
    """Calls rule(w, g, *state, *numbers()) for each row (w, g, *state) of arrays: it changes w and state in place.

    rule is elementwise, and may be called on pieces of the arrays, flattened. numbers is a function because a step that
    is recorded (cuda_graph.py) asks for them again before each replay. cuda: the name of the kernel in
    cuda/optimizers.cu that does the same and takes the same numbers, or None. skip: None, or an array with one bool: if
    it is True, nothing is changed.
    """
    if rows and is_recording():
        raise NotRecordable("the numbers of an optimizer's rule that has no CUDA kernel would be frozen")
    values = numbers()
    if skip is not None and skip:
        return
    for row in rows:
        array_module(row[0])  # its GPU becomes the current one
        rule(*row, *values)


def decay(arrays, factor, skip=None):
    """w ← factor() · w, in place, for each of the arrays, unless the array `skip` is True."""
    if arrays and is_recording():
        raise NotRecordable("the factor of the weight decay would be frozen")
    value = factor()
    if skip is not None and skip:
        return
    for w in arrays:
        array_module(w)
        w *= value


def flatten(arrays):
    """Returns all numbers of the arrays, one array after the other, as one long vector."""
    return array_module(arrays[0]).concatenate([a.reshape(-1) for a in arrays])
