"""What may be trained: a list of leaves that ask for gradients, each of them once."""

from collections.abc import Iterable

from minunet.autograd.tensor import Tensor


def checked_parameters(params: Iterable[Tensor]) -> list[Tensor]:
    """Returns the parameters as a list. Raises TypeError or ValueError, which say what to give instead."""
    if isinstance(params, Tensor):
        raise TypeError("params is a single Tensor: give a list of parameters, [tensor] or model.parameters()")
    if not isinstance(params, Iterable):
        raise TypeError(f"params is a {type(params).__name__}: give a list of parameters, such as model.parameters()")
    params = list(params)
    if not params:
        raise ValueError("params is empty: an optimizer needs at least one parameter; give model.parameters()")
    first: dict[int, int] = {}
    for i, p in enumerate(params):
        if not isinstance(p, Tensor):
            raise TypeError(f"params[{i}] is a {type(p).__name__}: each must be a Tensor; give model.parameters()")
        if not p.requires_grad or p.creator is not None:
            named = f"{p.name} " if p.name else ""
            raise ValueError(
                f"params[{i}], {named}of shape {p.shape}, gets no gradient: "
                "make it with Tensor(array, requires_grad=True), or leave it out"
            )
        if first.setdefault(id(p), i) != i:
            raise ValueError(f"params[{i}] is params[{first[id(p)]}] once more: it would step twice; list it once")
    return params
