"""Gradient clipping: a step that one odd batch would make too long is shortened."""

from collections.abc import Iterable

from minunet.autograd import Tensor
from minunet.device import Array, array_module
from minunet.kernels import kernels_for


def clip_gradients(params: Iterable[Tensor], max_norm: float) -> Array | float:
    """Scales all gradients by one factor, so that together, as one long vector, they are no longer than `max_norm`.

        g ← g · min(1, max_norm / ‖g‖),    ‖g‖² = Σ g² over all parameters

    The direction stays; only a step that is too long is shortened. Parameters without a gradient are left out; the
    others get a new gradient array. Returns ‖g‖ before clipping, an array on the parameters' device, so that nothing
    waits for a GPU; 0.0 if there are no gradients. Raises ValueError unless max_norm > 0.

    >>> import numpy as np
    >>> w = Tensor([0.0, 0.0], requires_grad=True); w.grad = np.array([3.0, 4.0])
    >>> float(clip_gradients([w], max_norm=1.0)), w.grad
    (5.0, array([0.6, 0.8]))
    """
    if not 0 < max_norm < float("inf"):
        raise ValueError(f"max_norm is {max_norm!r}: it must be a positive number")
    pairs = [(p, p.grad) for p in params if p.grad is not None]
    if not pairs:
        return 0.0
    xp = array_module(pairs[0][1])
    g = kernels_for(pairs[0][1]).flatten([grad for _, grad in pairs])
    norm = xp.sqrt((g * g).sum())
    g *= (max_norm / xp.maximum(norm, max_norm)).astype(g.dtype)  # the same as min(1, max_norm / norm), without 1/0
    give_gradients([p for p, _ in pairs], g)
    return norm


def give_gradients(params: Iterable[Tensor], g: Array) -> None:
    """Cuts one long vector into the gradients of the parameters, in their order."""
    start = 0
    for p in params:
        p.grad = g[start : start + p.size].reshape(p.shape).astype(p.dtype, copy=False)
        start += p.size
