"""What a training step costs, per picture: arithmetic, memory traffic, memory.

One picture is sent through the network and looked at, so the numbers are those of the network at hand.

    arithmetic   a convolution multiplies each of its OH·OW windows with all KH·KW·C·F weights and adds up:
                 2·OH·OW·KH·KW·C·F (transposed: each of its H·W pixels). Backward is two such products, gW and
                 gx; the first layer needs no gx.
    traffic      the least that has to go between memory and processor if each layer reads what it needs and
                 writes what it makes once:  forward x, y;  gW x, gy;  gx gy, gx.  No weights, no gW.
    memory       what the graph holds on to until backward: the arrays that the Functions have stored.

A step needs more memory than the graph holds: in the worst moment, at the last layers, the gradient gy, what
the ReLU let through of it and gx live beside the whole graph. Each may be as large as the largest activation.
"""

from typing import NamedTuple

import numpy as np

from minunet.autograd import Function, Tensor
from minunet.cuda import memory_free, release_memory
from minunet.device import OutOfMemory, device_of, ran_out_of_memory, to_device
from minunet.nn import ConvTranspose2D
from minunet.nn.module import forward_hook

GRADIENTS_AT_ONCE = 3  # gy, gy where the ReLU let through, gx


class Costs(NamedTuple):
    """Of one picture in a training step: flop; bytes moved, kept by the graph, needed at the worst moment."""

    flop: int
    moved: int
    kept: int
    peak: int


def training_costs(model, image_size):
    """The Costs of model.logits on a picture of image_size = (H, W), wherever the model lives.

    The optimizer is not in it: its step depends on the parameters alone, not on the pictures. The model is left as it
    was: its running averages and random streams take no notice of the picture.
    """
    buffers = [(buffer, buffer.data.copy()) for _, buffer in model.named_buffers()]
    dtype = model.parameters()[0].dtype
    x = Tensor(to_device(np.zeros((1, *image_size, model.in_channels), dtype), model.device))
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

    try:
        with forward_hook(count):
            z = model(x)
    finally:
        for buffer, before in buffers:
            buffer.data = before
    kept = bytes_of_graph(z, leaving_out=model.parameters())
    return Costs(counts["flop"], counts["moved"], kept, kept + GRADIENTS_AT_ONCE * counts["largest"])


def batch_that_fits(model, image_size, free, memories=0):
    """How many pictures of (H, W) a training step can take with `free` bytes; 0 if not even one.

    memories: arrays per parameter that the optimizer has yet to make. They and the gradients go off first. Of
    the rest a quarter is left for the patch matrix P(x), and for gaps between arrays of different sizes.
    """
    parameters = sum(p.data.nbytes for p in model.parameters())
    rest = free - (1 + memories) * parameters
    return max(0, int(0.75 * rest // training_costs(model, image_size).peak))


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
    return isinstance(value, np.ndarray) or (hasattr(value, "nbytes") and device_of(value) != "cpu")


def out_of_memory(model, optimizer, loader):
    """The OutOfMemory to raise, once the arrays of the step that failed are let go."""
    optimizer.zero_grad()
    release_memory(model.device)
    size, free = loader.dataset[0][0].shape[:2], memory_free(model.device)
    met = (
        f"{model.device}: out of memory with batches of {loader.batch_size} pictures of {size[0]}x{size[1]}; "
        f"{free / 1e9:.2f} GB are free between two steps"
    )
    try:
        to_come = 0 if optimizer.steps else len(optimizer.memory_names)  # made in the first step
        fits = batch_that_fits(model, size, free, to_come)
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        fits = 0  # not even one picture, to look at its graph
    fits = min(fits, loader.batch_size - 1)
    advice = f"a batch size of {fits} would fit" if fits else "not even one picture fits, take smaller ones"
    return OutOfMemory(f"{met}: {advice}. `nvidia-smi` lists what else is on the card")
