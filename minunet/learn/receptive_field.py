"""The receptive field: which pixels of the image a number in the network can depend on, and how much it does.

Theoretical. Let r be the size of the receptive field, in pixels of the image, and j the jump: how far apart the fields
of two neighbors in a feature map are. A layer whose windows have k pixels and start s apart widens the field by k - 1
steps of the map that it reads, and multiplies the jump:

    r_l = r_(l-1) + (k_l - 1) · j_(l-1)        j_l = j_(l-1) · s_l        r_0 = j_0 = 1

Two 3x3 convolutions and a pooling of 2x2, worked out: r = 1 → 3 → 5 → 6, j = 1 → 1 → 1 → 2. The next level begins with
j = 2, so its convolutions widen the field by 4 each: r = 10, 14, and the pooling makes 16.

Where the windows lie is the same recursion, walked back from the output. A range of rows from `first` to `last` of what
a layer computes depends on these rows of what it reads, with p rows of padding above:

    convolution, pooling      first · s - p              to    last · s - p + k - 1
    transposed convolution    ⌈(first + p - k + 1) / s⌉  to    ⌊(last + p) / s⌋
    concatenation             the same range of each input; what remains at the image is the hull of all

so every position has a box of its own. It matters in the decoder: there neighbors lie under different tiles of a
transposed convolution, and the boxes of odd and even positions differ.

Effective. The box only says what could matter. How much a pixel does matter, to first order, is the gradient of the
number with respect to that pixel. It falls off from the middle of the box, since more paths lead there.

Source: Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", 2016.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minunet import nn
from minunet.autograd import Tensor, no_grad
from minunet.device import to_device, to_numpy
from minunet.kernels import plain_products
from minunet.models import SegmentationModel, valid_sizes
from minunet.models.unet2015 import CropLike, Mirror
from minunet.nn.module import forward_hook
from minunet.ops.windows import pair, transposed_size, window_pads

Range: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]  # of each position: the first and the last that it sees
Box: TypeAlias = tuple[int, int, int, int]

POINTWISE = nn.BatchNorm, nn.Dropout, nn.ReLU, nn.Sigmoid, nn.Concatenate, CropLike  # position i sees position i
NOTHING = 2**40  # an empty range begins here and ends at -NOTHING: the hull with another range is that range


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive fields of all positions (i, j) of a layer.

    jump       how many rows and columns of the image lie between neighbors in the layer.
    rows       (first, last) of each row i, as if the image went on forever.
    columns    the same of each column j.
    inside     (rows, columns) again, of what really enters: padding tells a layer nothing about the image.
    """

    jump: tuple[int, int]
    rows: Range = field(repr=False)
    columns: Range = field(repr=False)
    inside: tuple[Range, Range] = field(repr=False)

    def box(self, i: int, j: int) -> Box:
        """Returns (top, left, bottom, right) in pixels, bottom and right excluded; it may reach beyond the image."""
        return _box(self.rows, self.columns, i, j)

    def clipped(self, i: int, j: int) -> Box:
        """Returns the box of the pixels of the image in it: the smallest that holds all that can change (i, j)."""
        return _box(*self.inside, i, j)

    @property
    def size(self) -> tuple[int, int]:
        """The height and the width of the largest box."""
        heights, widths = (last - first + 1 for first, last in (self.rows, self.columns))
        return int(heights.max()), int(widths.max())


def receptive_fields(model: SegmentationModel, image_size: tuple[int, int]) -> dict[str, ReceptiveField]:
    """Returns {name of a layer: ReceptiveField}, in the order of the calls, for images of image_size = (H, W).

    The model is run once on an empty image. In eval mode, that is: a BatchNorm that takes the statistics of its batch
    sees all of the image. Raises ValueError for a layer of a kind that this file does not know.

    >>> from minunet import UNet
    >>> fields = receptive_fields(UNet(depth=2, width=4), (32, 32))
    >>> fields["Conv_Down_1_2"].size, fields["MaxPool_Down_1"].size, fields["Conv_Down_2_1"].size
    ((5, 5), (6, 6), (10, 10))
    >>> fields["Conv_Down_2_1"].box(3, 0), fields["Conv_Down_2_1"].clipped(3, 0)
    ((2, -4, 12, 6), (2, 0, 12, 6))
    """
    x = Tensor(to_device(np.zeros((1, *image_size, model.in_channels), model.parameters()[0].dtype), model.device))
    maps = {id(x): _Map([], image_size)}
    alive = [x]  # an id names a tensor only as long as the tensor lives
    named: dict[str, _Map] = {}

    def add(layer, inputs, y):
        tensors = [t for group in inputs for t in (group if isinstance(group, (list, tuple)) else [group])]
        name = _name(layer, len(named))
        if isinstance(layer, CropLike):
            tensors = tensors[:1]  # the second only says how large
        steps = _steps(layer, tensors[0].shape[1:3])
        named[name] = maps[id(y)] = _Map([(maps[id(t)], steps) for t in tensors], y.shape[1:3])
        alive.append(y)

    was_training = model.training
    model.eval()
    try:
        with no_grad(), forward_hook(add):
            model(x)
    finally:
        model.train(was_training)
    return {name: _field(map) for name, map in named.items()}


def effective_field(
    model: SegmentationModel,
    image: NDArray,
    layer: str,
    position: tuple[int, int],
    channels: Sequence[int] | None = None,
) -> NDArray[np.floating[Any]]:
    """Returns |∂ Σ_c y[i,j,c] / ∂image|, summed over the image's channels: an array (H, W).

    Of the last layer, y are the logits: the probabilities of a softmax add up to 1 whatever the image, so the gradient
    of their sum is 0.

    image: (H, W, channels), uint8 (0 to 255) or floating-point (0 to 1). layer: the name of the layer that computes y.
    position: (i, j). channels: which of y's channels add up; all by default. The model is left as it was.
    Raises ValueError for a layer that the model does not have, IndexError for a position or channel out of range.
    """
    dtype = model.parameters()[0].dtype
    x = image.astype(dtype) / 255 if image.dtype == np.uint8 else image.astype(dtype)
    pixels = Tensor(to_device(x[None], model.device), requires_grad=True)
    found: dict[str, Tensor] = {}
    trained, was_training = model.parameters(), model.training
    model.eval()
    try:
        for parameter in trained:
            parameter.requires_grad = False  # only the image's gradient is wanted
        with forward_hook(lambda module, inputs, y: found.update({_name(module, len(found)): y})):
            model.logits(pixels)
        if layer not in found:
            raise ValueError(f"layer is {layer!r}: it must be one of {', '.join(found)}")
        y = found[layer]
        gy = np.zeros(y.shape, dtype)
        gy[0, position[0], position[1], slice(None) if channels is None else list(channels)] = 1
        with plain_products():  # what lies outside of the field gets exactly 0
            y.backward(to_device(gy, model.device))
    finally:
        for parameter in trained:
            parameter.requires_grad = True
        model.train(was_training)
    return np.abs(to_numpy(pixels.grad)[0]).sum(axis=-1)


def _name(layer: nn.Module, before: int) -> str:
    """Returns the name of a layer; one that has none is called by its kind and its place among all layers."""
    return layer.name or f"{type(layer).__name__.lower()}_{before + 1}"


@dataclass(frozen=True)
class _Map:
    """A feature map: the maps that it is computed from, each with its steps back (rows, columns); and (H, W)."""

    sources: list[tuple["_Map", tuple["_Step", "_Step"]]]
    size: Sequence[int]


@dataclass(frozen=True)
class _Step:
    """One axis of a layer: from the rows (or columns) of its output to those of its input that they depend on.

    factor: how many times as far apart as the input's the output's neighbors are: the stride, or 1 / stride.
    """

    back: Callable[[Range], Range]
    factor: float = 1.0


def _steps(layer: nn.Module, size: Sequence[int]) -> tuple[_Step, _Step]:
    """Returns how a layer that reads maps of `size` = (H, W) looks back: along the rows, and along the columns."""
    H, W = size
    if isinstance(layer, nn.ConvTranspose2D):
        large = transposed_size((H, W), layer.kernel_size, layer.stride, layer.padding)
        pads = window_pads(large, layer.kernel_size, layer.stride, layer.padding, "conv_transpose2d")
        axes = zip(layer.kernel_size, layer.stride, pads)
        rows, columns = (_tiles(k, s, p) for k, s, (p, _) in axes)
    elif isinstance(layer, (nn.Conv2D, nn.MaxPool2D)):
        kernel_size = layer.kernel_size if isinstance(layer, nn.Conv2D) else pair(layer.size, "size")
        stride = kernel_size if layer.stride is None else pair(layer.stride, "stride")
        pads = window_pads((H, W), kernel_size, stride, layer.padding, "window")
        rows, columns = (_windows(k, s, p) for k, s, (p, _) in zip(kernel_size, stride, pads))
    elif isinstance(layer, nn.Crop):
        rows = columns = _windows(1, 1, -layer.pixels)
    elif isinstance(layer, Mirror):
        rows, columns = (_copies(valid_sizes.mirrored_indices(n, layer.depth)) for n in (H, W))
    elif isinstance(layer, POINTWISE):
        rows = columns = _windows(1, 1, 0)
    else:
        raise ValueError(
            f"{layer.name} is a {type(layer).__name__}: which inputs its outputs see is not known; "
            "say it in _steps of minunet/learn/receptive_field.py"
        )
    return rows, columns


def _windows(k: int, s: int, p: int) -> _Step:
    return _Step(lambda seen: (seen[0] * s - p, seen[1] * s - p + k - 1), s)


def _tiles(k: int, s: int, p: int) -> _Step:
    return _Step(lambda seen: _range(-((k - 1 - p - seen[0]) // s), (seen[1] + p) // s), 1 / s)


def _copies(indices: NDArray) -> _Step:
    """The output's position n is a copy of the input's position indices[n]."""

    def back(seen: Range) -> Range:
        copied = [indices[max(a, 0) : max(b + 1, 0)] for a, b in zip(*seen)]
        first = [part.min() if len(part) else NOTHING for part in copied]
        last = [part.max() if len(part) else -NOTHING for part in copied]
        return np.array(first, np.int64), np.array(last, np.int64)

    return _Step(back)


def _range(first: NDArray, last: NDArray) -> Range:
    """Returns (first, last), where a range that ends before it begins is an empty one."""
    return np.where(first > last, NOTHING, first), np.where(first > last, -NOTHING, last)


def _field(map: _Map) -> ReceptiveField:
    starts = [(np.arange(n), np.arange(n)) for n in map.size]
    rows, columns = (_image_range(map, start, axis, clip=False) for axis, start in enumerate(starts))
    inside = tuple(_image_range(map, start, axis, clip=True) for axis, start in enumerate(starts))
    return ReceptiveField((_jump(map, 0), _jump(map, 1)), rows, columns, (inside[0], inside[1]))


def _image_range(map: _Map, seen: Range, axis: int, clip: bool) -> Range:
    """Returns the range of the image's rows (axis 0) or columns (1) that ranges of a map depend on.

    clip: whether what lies outside of a map counts for nothing, since it is padding.
    """
    if clip:
        seen = _range(np.maximum(seen[0], 0), np.minimum(seen[1], map.size[axis] - 1))
    if not map.sources:
        return seen
    found = [_image_range(source, steps[axis].back(seen), axis, clip) for source, steps in map.sources]
    firsts, lasts = zip(*found)
    return np.minimum.reduce(firsts), np.maximum.reduce(lasts)


def _jump(map: _Map, axis: int) -> int:
    jump = 1.0
    while map.sources:
        map, steps = map.sources[0]
        jump *= steps[axis].factor
    return round(jump)


def _box(rows: Range, columns: Range, i: int, j: int) -> Box:
    if rows[0][i] == NOTHING or columns[0][j] == NOTHING:
        return 0, 0, 0, 0  # it depends on no pixel at all
    return int(rows[0][i]), int(columns[0][j]), int(rows[1][i]) + 1, int(columns[1][j]) + 1
