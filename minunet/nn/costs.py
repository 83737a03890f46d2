"""What a training step costs, per image: arithmetic, memory traffic, memory; in all, and layer by layer.

One image is sent through the network under a forward hook, so the numbers are those of the network itself.

    arithmetic   a convolution multiplies each of its OH·OW windows by all KH·KW·C·F weights and adds up:
                 2·OH·OW·KH·KW·C·F (transposed: each of its H·W pixels). Backward is two such products, gW and
                 gx; the first layer needs no gx.
    traffic      the least that must pass between memory and processor if each layer reads what it needs and
                 writes what it computes once:  forward x, y;  gW x, gy;  gx gy, gx.  Weights and gW do not count,
                 nor a concatenation: the convolution after it reads its parts.
    memory       what the graph holds on to until backward: the arrays that the Functions have stored.

A step needs more memory than the graph holds: at the worst moment, in the last layers, three arrays live beside the
whole graph: the gradient gy, what the ReLU let through of it, and gx. Each may be as large as the largest activation.
(The CPU's kernels make the second of the three piece by piece, so there it is less.)
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from minunet.autograd import Function, Tensor
from minunet.device import device_of, to_device
from minunet.nn.layers import ConvTranspose2D
from minunet.nn.module import forward_hook
from minunet.ops.concatenate import two_parts

GRADIENTS_AT_ONCE = 3  # gy, what the ReLU let through of it, gx


class Costs(NamedTuple):
    """The costs of one image in a training step: flop; bytes moved, kept by the graph, needed at the worst moment."""

    flop: int
    moved: int
    kept: int
    peak: int


class LayerCosts(NamedTuple):
    """The costs of one call of a layer on one image.

    name, kind  "Conv_Down_1_1", "Conv2D".
    shape       of its output, (H, W, C).
    parameters  how many numbers, frozen ones included; 0 where the same layer is called again.
    flop        of the forward pass, two for each product that is added up. Only convolutions count.
    kept        bytes held until backward. An array that several layers hold counts for the first of them only: a
                ReLU's output with the layer that made it, although the next one holds it as its input.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    flop: int
    kept: int


def training_costs(model: Any, image_size: tuple[int, int]) -> Costs:
    """Returns the Costs of the model on an image of image_size = (H, W), wherever the model lives.

    model: a Module with `in_channels`. It is left as it was, its running averages and random states included.
    The optimizer does not count: the cost of its step depends on the parameters alone, not on the images.
    """
    counts = {"flop": 0, "moved": 0, "largest": 0}

    def count(layer, inputs, y):
        read = sum(_bytes(t) for t in inputs)
        needs_gx = any(t.requires_grad for t in inputs)
        products = 1 + needs_gx + (getattr(layer, "kernel", None) is not None)
        counts["flop"] += products * _forward_flop(layer, inputs, y)
        if two_parts(y)[1] is None:  # else nobody has written y: the convolution after it reads both of its parts
            counts["moved"] += products * (read + _bytes(y))
        counts["largest"] = max(counts["largest"], *(_bytes(t) for t in (*inputs, y)))

    z = _run_on_zeros(model, image_size, count)
    kept = bytes_of_graph(z, leaving_out=model.all_parameters())
    return Costs(counts["flop"], counts["moved"], kept, kept + GRADIENTS_AT_ONCE * counts["largest"])


def layer_costs(model: Any, image_size: tuple[int, int]) -> list[LayerCosts]:
    """Returns the LayerCosts of every layer on an image of image_size = (H, W), in the order of the calls.

    model: as for training_costs, whose `kept` is the sum of the layers'. What is computed outside of any layer counts
    with the next one; after the last layer, with the last.

    >>> from minunet import nn
    >>> conv = nn.Conv2D(3, 8, 3, activation="relu", name="conv")
    >>> layer_costs(conv, (4, 4))   # it keeps x and y: 4·4·(3 + 8) numbers of 4 bytes
    [LayerCosts(name='conv', kind='Conv2D', shape=(4, 4, 8), parameters=224, flop=6912, kept=704)]
    """
    rows: list[LayerCosts] = []
    made_by: list[Any] = []  # for each row, the Function that made the output
    met: set[int] = set()

    def add_row(layer, inputs, y):
        name = layer.name or f"{type(layer).__name__.lower()}_{len(rows) + 1}"
        parameters = 0 if id(layer) in met else sum(p.size for p in layer.all_parameters())
        met.add(id(layer))
        flop = _forward_flop(layer, inputs, y)
        rows.append(LayerCosts(name, type(layer).__name__, y.shape[1:], parameters, flop, 0))
        made_by.append(y.creator)

    z = _run_on_zeros(model, image_size, add_row)
    made_by[-1:] = [z.creator]
    seen: set[Any] = set()
    counted = {id(p.data) for p in model.all_parameters()}
    for i, creator in enumerate(made_by):
        arrays = _stored_arrays(creator, seen)
        new = {number: size for number, size in arrays.items() if number not in counted}
        counted |= new.keys()
        rows[i] = rows[i]._replace(kept=sum(new.values()))
    return rows


def _run_on_zeros(model, image_size, hook):
    """Returns model(x) for an image x of zeros, as a Tensor; hook(layer, inputs, output) sees the layers' calls."""
    state = [tensor for _, tensor in (*model.named_buffers(), *model.named_random_states())]
    before = [tensor.data.copy() for tensor in state]
    dtype = model.dtype
    x = Tensor(to_device(np.zeros((1, *image_size, model.in_channels), dtype), model.device))
    try:
        with forward_hook(hook):
            return model(x)
    finally:
        for tensor, data in zip(state, before):
            tensor.data = data


def _bytes(tensor):
    """Returns the bytes of a Tensor's data, which need not be there (ops/concatenate.py)."""
    return tensor.size * tensor.dtype.itemsize


def _forward_flop(layer, inputs, y):
    """Returns 2 · windows · weights for a convolution, 0 for any other layer."""
    weights = getattr(layer, "kernel", None)
    if weights is None:
        return 0
    windows = inputs[0] if isinstance(layer, ConvTranspose2D) else y
    return 2 * windows.shape[1] * windows.shape[2] * weights.size


def bytes_of_graph(y: Tensor, leaving_out: Iterable[Tensor] = ()) -> int:
    """Returns the bytes of all arrays that the Functions behind the Tensor y have stored, each array counted once.

    leaving_out: Tensors whose arrays do not count.

    >>> x = Tensor(np.zeros(10), requires_grad=True)
    >>> bytes_of_graph(x * x)
    80
    """
    left_out = {id(p.data) for p in leaving_out}
    return sum(size for number, size in _stored_arrays(y.creator, set()).items() if number not in left_out)


def _stored_arrays(creator, seen):
    """Returns {id: bytes} of the arrays stored by a Function and by those behind it that are not in `seen`; adds these.

    The ids are valid as long as the graph is held.
    """
    stored: dict[int, int] = {}
    waiting = [creator]
    while waiting:
        function = waiting.pop()
        if function in seen or not isinstance(function, Function):
            continue
        seen.add(function)
        waiting.extend(function.sources)
        stored |= {id(a): a.nbytes for a in vars(function).values() if _is_array(a)}
    return stored


def _is_array(value):
    return isinstance(value, np.ndarray) or (hasattr(value, "nbytes") and device_of(value) != "cpu")
