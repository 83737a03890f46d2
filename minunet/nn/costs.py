"""What a training step costs, per image: arithmetic, memory traffic, memory.

One image is sent through the network under a forward hook, so the numbers are those of the network itself.

    arithmetic   a convolution multiplies each of its OH·OW windows by all KH·KW·C·F weights and adds up:
                 2·OH·OW·KH·KW·C·F (transposed: each of its H·W pixels). Backward is two such products, gW and
                 gx; the first layer needs no gx.
    traffic      the least that must pass between memory and processor if each layer reads what it needs and
                 writes what it computes once:  forward x, y;  gW x, gy;  gx gy, gx.  Weights and gW do not count.
    memory       what the graph holds on to until backward: the arrays that the Functions have stored.

A step needs more memory than the graph holds: at the worst moment, in the last layers, three arrays live beside the
whole graph: the gradient gy, what the ReLU let through of it, and gx. Each may be as large as the largest activation.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from minunet.autograd import Function, Tensor
from minunet.device import device_of, to_device
from minunet.nn.layers import ConvTranspose2D
from minunet.nn.module import forward_hook

GRADIENTS_AT_ONCE = 3  # gy, what the ReLU let through of it, gx


class Costs(NamedTuple):
    """The costs of one image in a training step: flop; bytes moved, kept by the graph, needed at the worst moment."""

    flop: int
    moved: int
    kept: int
    peak: int


def training_costs(model: Any, image_size: tuple[int, int]) -> Costs:
    """Returns the Costs of the model on an image of image_size = (H, W), wherever the model lives.

    model: a Module with `in_channels`. It is left as it was, its running averages and random states included.
    The optimizer does not count: the cost of its step depends on the parameters alone, not on the images.
    """
    state = [tensor for _, tensor in (*model.named_buffers(), *model.named_random_states())]
    before = [tensor.data.copy() for tensor in state]
    dtype = model.dtype
    x = Tensor(to_device(np.zeros((1, *image_size, model.in_channels), dtype), model.device))
    counts = {"flop": 0, "moved": 0, "largest": x.data.nbytes}

    def count(layer, inputs, y):
        read = sum(t.data.nbytes for t in inputs)
        needs_gx = any(t.requires_grad for t in inputs)
        weights = getattr(layer, "kernel", None)
        products = 1 + needs_gx + (weights is not None)
        if weights is not None:
            windows = inputs[0] if isinstance(layer, ConvTranspose2D) else y
            counts["flop"] += products * 2 * windows.shape[1] * windows.shape[2] * weights.size
        counts["moved"] += products * (read + y.data.nbytes)
        counts["largest"] = max(counts["largest"], y.data.nbytes)

    try:
        with forward_hook(count):
            z = model(x)
    finally:
        for tensor, data in zip(state, before):
            tensor.data = data
    kept = bytes_of_graph(z, leaving_out=model.all_parameters())
    return Costs(counts["flop"], counts["moved"], kept, kept + GRADIENTS_AT_ONCE * counts["largest"])


def bytes_of_graph(y: Tensor, leaving_out: Iterable[Tensor] = ()) -> int:
    """Returns the bytes of all arrays that the Functions behind the Tensor y have stored, each array counted once.

    leaving_out: Tensors whose arrays do not count.

    >>> x = Tensor(np.zeros(10), requires_grad=True)
    >>> bytes_of_graph(x * x)
    80
    """
    stored: dict[int, int] = {}
    seen: set[Any] = set()
    waiting: list[Any] = [y.creator]
    while waiting:
        function = waiting.pop()
        if function in seen or not isinstance(function, Function):
            continue
        seen.add(function)
        waiting.extend(function.sources)
        stored |= {id(a): a.nbytes for a in vars(function).values() if _is_array(a)}
    return sum(size for number, size in stored.items() if number not in {id(p.data) for p in leaving_out})


def _is_array(value):
    return isinstance(value, np.ndarray) or (hasattr(value, "nbytes") and device_of(value) != "cpu")
