"""The top level of a U-Net, for some rows of a large image after others.

    the level below  (1,H/2,W/2,16) ┐
                                    ├─▶ [up 2 | skip 8] ─ Conv 16 ─ Conv 16 ─ Conv 1x1 ─▶ answer (1,H,W,1)
    skip 1           (1,H,W,8)      ┘

Nothing else takes as much memory as what the two convolutions make, 16 numbers for each pixel of the image, and all
that is left of it is one. When nobody needs it afterwards (there is no backward), it need not be there as a whole: a
band of rows goes all the way from the left to the right before the next one begins. Each 3x3 convolution looks one row
beyond its output, so a band is read with a margin of rows above and below, and what is computed there is left out.

For `UNet()` and an image of 4096x4096, the most that is held at a time falls from 129 bytes per pixel, mainly the
input and the output of the last 3x3 convolution, to 77: the first level's two outputs, and what is pooled.
"""

from collections.abc import Callable, Iterable

from minunet.autograd import Tensor
from minunet.autograd.tensor import gradients_are_recorded
from minunet.models.double_conv import DoubleConv
from minunet.nn import BatchNorm, Concatenate, Conv2D, ConvTranspose2D, Dropout, Module
from minunet.nn.module import layers_are_watched
from minunet.ops import concatenate

BAND_PIXELS = 1 << 20  # smaller ones save little more, and compute more rows twice
MARGIN = 4  # rows; two are enough, but four are a tile of kernels/cpu/winograd.py: with whole tiles, no bit changes


def pay(x: Tensor, layers: Iterable[Module]) -> bool:
    """Returns whether the top level, which has these layers, is computed in bands for the images x (N,H,W,C).

    If they are one large image on the CPU, there will be no backward, no forward hook is to see whole activations, and
    the layers are like those that UNet() has there.
    """
    if len(x) > 1 or x.shape[1] * x.shape[2] <= BAND_PIXELS or x.device != "cpu":
        return False
    return not (gradients_are_recorded() or layers_are_watched()) and all(map(_looks_nearby, layers))


def _looks_nearby(layer):
    """Returns whether an output of the layer depends on few rows, so that the margin is enough for all layers together.

    Another layer in its place might look further, and in training mode batch normalization looks at the whole image.
    """
    if layer.training or "forward" in vars(layer):
        return False
    if type(layer) is Conv2D:  # not a subclass, which may have a forward of its own
        return layer.kernel_size[0] in (1, 3) and layer.stride == (1, 1) and layer.padding == "same"
    if type(layer) is ConvTranspose2D:
        return layer.kernel_size == layer.stride == (2, 2)
    return type(layer) in (Concatenate, DoubleConv, BatchNorm, Dropout)


def in_bands(top: Callable[[Tensor, Tensor], Tensor], x: Tensor, skip: Tensor) -> Tensor:
    """Returns top(x, skip), (1,H,W,·), computed in bands.

    top takes some rows of x (1,H/2,W/2,·) and those of the skip (1,H,W,·) that lie over them.
    """
    _, H, W, _ = skip.shape
    rows, bands = max(1, BAND_PIXELS // W // MARGIN) * MARGIN, []
    for start in range(0, H, rows):
        stop = min(start + rows, H)
        first, last = max(start - MARGIN, 0), min(stop + MARGIN, H)
        seen = top(Tensor(x.data[:, first // 2 : last // 2]), Tensor(skip.data[:, first:last]))
        bands.append(seen.data[:, start - first : stop - first])
    return concatenate(bands, axis=1)
