"""What the network answers when a skip connection, all of them, or the bottleneck carries nothing: zeros in its place.

The network was not trained for that, so it is no fair contest of two networks, but it shows what each part contributes
to this answer.
"""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from minunet.autograd import no_grad
from minunet.learn.explain.trace import Record
from minunet.models import SegmentationModel
from minunet.nn.module import forward_hook


class Removal(NamedTuple):
    """What is removed, in words; and which channels, from which on, of the outputs of which calls become 0."""

    title: str
    zeros: dict[int, int]


def removals(records: list[Record]) -> list[Removal]:
    """Returns what can be removed from a U-Net: each skip, from the top level down, all skips, the bottleneck."""
    joins = [i for i, record in enumerate(records) if record.kind == "Concatenate"]
    joins = joins[::-1]  # the last concatenation is that of the first level
    zeros = {i: records[i].inputs[0].shape[2] for i in joins}  # [upsampled, skip]
    sizes = {i: " × ".join(map(str, records[i].output.shape[:2])) for i in joins}
    found = [Removal(f"skip {level} ({sizes[i]})", {i: zeros[i]}) for level, i in enumerate(joins, 1)]
    if len(found) > 1:
        found.append(Removal("all skips", zeros))
    up = next((i for i, record in enumerate(records) if record.kind == "ConvTranspose2D"), None)
    if up is not None:
        found.append(Removal("the bottleneck", {records[up].sources[0]: 0}))
    return found


def outputs_without(model: SegmentationModel, x: NDArray[Any], removal: Removal) -> NDArray[Any]:
    """Returns the network's outputs (H, W, K) for the image x (1, H, W, C) without what is removed."""
    call = 0  # the image is record 0

    def cut(layer, inputs, y):
        nonlocal call
        call += 1
        if call in removal.zeros:
            y.data[..., removal.zeros[call] :] = 0  # nobody else holds this array: there is no graph

    model.eval()
    with no_grad(), forward_hook(cut):
        return model(x).numpy()[0]
