"""One image sent through the network, layer by layer: what each layer read, and what it wrote.

`forward_hook` sees every call of a layer. Its inputs are Tensors that earlier calls have returned, so the order of the
calls and the identity of the Tensors give the graph: who read what from whom, skip connections included.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor, no_grad
from minunet.models import SegmentationModel, UNet2015
from minunet.models.unet import reflected_indices
from minunet.nn import Module
from minunet.nn.module import forward_hook


@dataclass
class Record:
    """A call of a layer. `sources` are the indices of the records whose outputs it read; that of the image is 0."""

    name: str
    kind: str
    layer: Module | None
    sources: list[int]
    inputs: list[NDArray[Any]]  # (H, W, C) each
    output: NDArray[Any]  # (H, W, C)


def network_input(model: SegmentationModel, image: NDArray[Any]) -> NDArray[Any]:
    """Returns the image (or its labels) as the network takes it: a UNet needs multiples of 2**depth.

    What is missing is mirrored at the lower and right edge, as in `predict`. A UNet2015 mirrors the edges itself: it is
    switched to that.
    """
    if isinstance(model, UNet2015):
        model.mirror = True
        return image
    rows, columns = (reflected_indices(n, 2**model.depth) for n in image.shape[:2])
    return image[rows[:, None], columns]


def as_batch(model: SegmentationModel, image: NDArray[np.uint8]) -> NDArray[Any]:
    """Returns the image uint8 (H, W, C) as a batch of one, 0 to 1, in the dtype of the weights."""
    dtype = model.parameters()[0].dtype
    return image[None].astype(dtype) / dtype.type(255)


def trace(model: SegmentationModel, x: NDArray[Any]) -> list[Record]:
    """Returns a Record of the image x (1, H, W, C), then one of each call of a layer, in order; in eval mode."""
    image = Tensor(x)
    records = [Record("Image", "Image", None, [], [], x[0])]
    makers = {id(image): 0}
    alive = [image]  # an id names a Tensor only as long as the Tensor lives

    def note(layer, inputs, y):
        tensors = [t for group in inputs for t in (group if isinstance(group, (list, tuple)) else [group])]
        sources = [makers[id(t)] for t in tensors]
        kind = type(layer).__name__
        name = layer.name or f"{kind}_{len(records)}"
        records.append(Record(name, kind, layer, sources, [t.data[0] for t in tensors], y.data[0]))
        makers[id(y)] = len(records) - 1
        alive.append(y)

    model.eval()
    with no_grad(), forward_hook(note):
        model(image)
    return records
