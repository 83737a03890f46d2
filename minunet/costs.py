"""What a training step costs, per picture: arithmetic, memory traffic, memory.

One picture is sent through the network and looked at, so the numbers are those of the network at hand.

    arithmetic   a convolution multiplies each of its OH·OW windows with all KH·KW·C·F weights and adds up: 2·OH·OW·KH·KW·C·F
                 (transposed, its H·W pixels). Backward is two such products, gW and gx; the first layer needs no gx.
    traffic      the least that has to go between memory and processor if each layer reads what it needs and writes what
                 it makes once:  forward x, y;  gW x, gy;  gx gy, gx.  A layer without weights has no gW.
    memory       what the graph holds on to until backward: the arrays that the Functions have stored.

A step needs more memory than the graph holds: in the worst moment, at the last layers, the gradient gy, what the ReLU
let through of it and gx live beside the whole graph. Each may be as large as the largest activation.
"""

from typing import NamedTuple

import numpy as np

from minunet.autograd import Function, Tensor
from minunet.device import device_of, move
from minunet.nn import ConvTranspose2D
from minunet.nn.module import watch_calls

GRADIENTS_AT_ONCE = 3  # gy, gy where the ReLU let through, gx


class Costs(NamedTuple):
    """Of one picture in a training step: flop; bytes that are moved, kept by the graph, and needed at the worst moment."""

    flop: int
    moved: int
    kept: int
    peak: int


def training_costs(model, image_size):
    """The Costs of model.logits on a picture of image_size = (H, W), wherever the model lives.

    The optimizer is not in it: its step depends on the parameters alone, not on the pictures.
    """
    dtype = model.parameters()[0].dtype
    x = Tensor(move(np.zeros((1, *image_size, model.in_channels), dtype), model.device))
    counts = {"flop": 0, "moved": 0, "largest": x.data.nbytes}

    def count(layer, inputs, y):
        read = sum(t.data.nbytes for t in inputs)
        needs_gx = any(t is not x for t in inputs)
        weights = getattr(layer, "kernel", None)
        products = 1 + needs_gx + (weights is not None)
        if weights is not None:
            windows = inputs[0] if isinstance(layer, ConvTranspose2D) else y
            counts["flop"] += products * 2 * windows.shape[1] * windows.shape[2] * weights.size
        counts["moved"] += products * (read + y.data.nbytes)
        counts["largest"] = max(counts["largest"], y.data.nbytes)

    with watch_calls(count):
        z = model(x)
    kept = bytes_of_graph(z, leaving_out=model.parameters())
    return Costs(counts["flop"], counts["moved"], kept, kept + GRADIENTS_AT_ONCE * counts["largest"])


def bytes_of_graph(y, leaving_out=()):
    """Bytes of all arrays that the Functions behind the Tensor y have stored, each array once.

    leaving_out: Tensors whose arrays do not count.

    >>> x = Tensor(np.zeros(10), requires_grad=True)
    >>> bytes_of_graph(x * x)
    80
    """
    stored, seen, waiting = {}, set(), [y.creator]
    while waiting:
        function = waiting.pop()
        if function in seen or not isinstance(function, Function):
            continue
        seen.add(function)
        waiting.extend(function.sources)
        stored |= {id(a): a.nbytes for a in vars(function).values() if _is_array(a)}
    return sum(size for number, size in stored.items() if number not in {id(p.data) for p in leaving_out})


def _is_array(value):
    return isinstance(value, np.ndarray) or hasattr(value, "nbytes") and device_of(value) != "cpu"
