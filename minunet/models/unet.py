"""The U-Net of the lecture, level by level.

    image 256x256x3                                                                        mask 256x256x1
       │                                                                                        ▲
    [Conv, Conv] 8 ──────────────── skip 1 ────────────────────────────▶ [up 2 | skip 8] ─ [Conv, Conv] 16 ─ Conv 1x1, σ
       │ pool                                                             ▲
    [Conv, Conv] 16 ─────────────── skip 2 ────────────▶ [up 4 | skip 16] ── [Conv, Conv] 16
       │ pool                                             ▲
       …  four more levels: 32, 64, 128, 256               …
       │ pool                                             │
    [Conv, Conv] 512  the bottleneck, 4x4 pixels ─────────┘

The encoder (the way down). Two convolutions look for patterns, then pooling halves the image, and the next two look for
patterns of patterns, in windows that are more than twice as wide. At the bottleneck 512 numbers stand for 64x64 pixels
of the image: room for "there is a cat", not for its outline.

The decoder (the way up). A transposed convolution doubles the size, but it can only paint 2x2 tiles from what it knows:
the result is right on a large scale and coarse at the edges. Where exactly they were, the pooling did not pass on.

The skip connections. So each decoder level also gets the features of the same size from before the pooling, untouched:
`Concatenate` puts [upsampled, skip] side by side, one fifth and four fifths of the channels, and two convolutions learn
to combine "what" with "where". In the end Conv_Out weighs the 16 channels of each pixel into one number, the logit.

The levels, for one image of 256x256. Up and Classif begin with the 2x2 transposed convolution that upsamples the level
below; "64+256" are the channels of the concatenation, upsampled + skip.

    level    H x W    channels            parameters                                                    KiB kept  sees
    Down_1   256x256  3 → 8 → 8           9·3·8 + 8 + 9·8·8 + 8                             =       808    4,992     5
    Down_2   128x128  8 → 16 → 16         9·8·16 + 16 + 9·16·16 + 16                        =     3,488    2,624    14
    Down_3   64x64    16 → 32 → 32        9·16·32 + 32 + 9·32·32 + 32                       =    13,888    1,312    32
    Down_4   32x32    32 → 64 → 64        9·32·64 + 64 + 9·64·64 + 64                       =    55,424      656    68
    Down_5   16x16    64 → 128 → 128      9·64·128 + 128 + 9·128·128 + 128                  =   221,440      328   140
    Down_6   8x8      128 → 256 → 256     9·128·256 + 256 + 9·256·256 + 256                 =   885,248      164   284
    Bottle   4x4      256 → 512 → 512     9·256·512 + 512 + 9·512·512 + 512                 = 3,539,968       80   572
    Up_1     8x8      64+256 → 256 → 256  4·512·64 + 64 + 9·320·256 + 256 + 9·256·256 + 256 = 1,458,752      144   700
    Up_2     16x16    32+128 → 128 → 128  4·256·32 + 32 + 9·160·128 + 128 + 9·128·128 + 128 =   364,832      288   764
    Up_3     32x32    16+64 → 64 → 64     4·128·16 + 16 + 9·80·64 + 64 + 9·64·64 + 64       =    91,280      576   828
    Up_4     64x64    8+32 → 32 → 32      4·64·8 + 8 + 9·40·32 + 32 + 9·32·32 + 32          =    22,856    1,152   828
    Up_5     128x128  4+16 → 16 → 16      4·32·4 + 4 + 9·20·16 + 16 + 9·16·16 + 16          =     5,732    2,304   828
    Classif  256x256  2+8 → 16 → 16       4·16·2 + 2 + 9·10·16 + 16 + 9·16·16 + 16          =     3,906    8,704   828
    Out      256x256  16 → 1              1·16·1 + 1                                        =        17      256   828
    UNet()                                                                                  = 6,667,639   23,580

parameters: taps · channels in · channels out + a bias for each channel out. More than half are in the bottleneck. The
arithmetic, 1.08 billion products to go forward, is spread evenly, since a level down has a quarter of the pixels and
four times the products for each: every size from 128x128 to 8x8 takes 13 % of it, 256x256 takes 28 %, and the
bottleneck 5 %.

KiB kept: float32 that stays in memory until backward (nn/costs.py). An encoder level keeps its input, both outputs (the
next layer's input; they also tell where the ReLU let values through), and for each number that its pooling passes on
one byte. A decoder level keeps what it upsampled, and both outputs; the skip is kept by the encoder level, and the
concatenation is not written (ops/concatenate.py): it would be 4,032 KiB more. More than half is in the three rows of
256x256. P(x) of conv2d.py is not among it: for Conv_Classif_2 it would be 65,536 windows
of 9·16 numbers, 36 MiB where x and y take 4 each, so the CPU's kernels build it piece by piece, and keep nothing of it.

sees: the receptive field, how wide a window of the image one number of the level can depend on. From r = j = 1, a 3x3
convolution makes it r + 2j and a pooling r + j, then j becomes 2j: the distance of neighbors, in pixels of the image.
On the way up it also matters where in their 2x2 tiles the pixels lie (inference/predict.py); this is the widest. An
image has an end: what enters the bottleneck sees 190 or 254 rows of 256, and each output of Conv_Bottle_2 all of them.
How much a pixel counts is another matter: with fresh weights about 100 of the 65,536 hold 90 % of the gradient of an
output pixel, since the shortest way leads over skip 1.

Where the gradients of a skip meet. The output of Conv_Down_l_2 goes to the pooling and to the concatenation, so two
gradients come back, and are added up in the convolution's backward (ops/conv2d_max_pool2d.py): that of the
concatenation's last channels, for every pixel, and the pooling's, for one pixel of four. The first came through the
decoder levels above alone; the other also went down to the bottleneck and back up. With fresh weights the first is 10
to 30 times as long, so at first it is what the early layers learn from.

Why 64 must divide the size. Each of six poolings halves height and width. Of an odd number it would leave out the last
row, upsampling would give one row less than the skip has, and they would not fit together. So `UNet()` takes multiples
of 2^6 = 64 and names the nearest in its error. `predict` takes any size: it mirrors the last rows and columns outwards,
to the next multiple (333x500 → 384x512), and cuts the answer back.

Source: Ronneberger, Fischer, Brox, "U-Net", 2015; sizes and layer names as in the lecture's Keras model.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor
from minunet.device import to_device
from minunet.models import bands
from minunet.models.double_conv import DoubleConv, pooled_and_skip
from minunet.models.segmentation_model import OUTPUTS, SegmentationModel, check_options
from minunet.nn import Concatenate, Conv2D, ConvTranspose2D, MaxPool2D, Module
from minunet.nn.summary import print_summary


class Down(Module):
    """One level of the encoder: (N,H,W,·) → pooled (N,H/2,W/2,filters), and the skip (N,H,W,filters)."""

    def __init__(self, in_channels, filters, level, rng, batch_norm=False, dropout=0.0):
        self.convolutions = DoubleConv(in_channels, filters, f"Conv_Down_{level}", rng, batch_norm, dropout)
        self.pool = MaxPool2D(2, name=f"MaxPool_Down_{level}")

    def forward(self, x):
        return pooled_and_skip(self.convolutions, self.pool, x)


class Up(Module):
    """One level of the decoder: (N,H,W,in_channels), and a skip (N,2H,2W,skip_channels) → (N,2H,2W,filters).

    below: the last part of the names of the level underneath, which this one upsamples ("Bottle", "Up_1", …).
    The lecture upsamples into few channels, an eighth of those below: most of what the convolutions see is the skip.
    """

    def __init__(self, in_channels, skip_channels, filters, below, prefix, rng, batch_norm=False):
        upsampled = max(1, in_channels // 8)
        self.upsample = ConvTranspose2D(in_channels, upsampled, 2, stride=2, name=f"Conv_Transp_{below}", rng=rng)
        self.concatenate = Concatenate(name=f"Concatenate_{below}")
        self.convolutions = DoubleConv(upsampled + skip_channels, filters, prefix, rng, batch_norm)

    def join(self, x, skip):
        """Returns [upsampled, skip], which the convolutions work on, from (N,H,W,in_channels) and the skip."""
        return self.concatenate(self.upsample(x), skip)


class UNet(SegmentationModel):
    """The lecture's U-Net: UNet() has six levels, 8 filters on the first, 6,667,639 parameters.

    in_channels   channels of the image.
    out_channels  channels of the mask.
    depth         levels of the encoder; height and width must be multiples of 2**depth.
    width         filters of the first level; each level down has twice as many.
    seed          decides the initial weights, and what dropout drops.
    dropout       rate at which whole feature maps are dropped in training, where there are most of them and dropping
                  costs least: at the deepest encoder level and in the bottleneck. 0: no dropout layers.
    activation    what makes outputs of the logits: "sigmoid", a probability for each channel by itself; "softmax",
                  probabilities of classes, which add up to 1; "linear", the logits themselves.
    batch_norm    batch normalization after each 3x3 convolution (ops/batch_norm.py). In training it uses the statistics
                  of the batch, in eval mode its running averages.

    model(x)         Tensor (N,H,W,in_channels), 0 to 1  →  probabilities (N,H,W,out_channels)
    model.logits(x)  the same before the activation, for losses
    model.predict(image)  one image or several, of any size, as plain arrays
    model.options    the arguments that decide its shape: UNet(**model.options) takes the same weights

    Raises ValueError for an argument out of range.

    >>> model = UNet(depth=2, width=4)
    >>> model(np.zeros((1, 8, 12, 3), np.float32)).shape
    (1, 8, 12, 1)
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        depth: int = 6,
        width: int = 8,
        seed: int = 0,
        dropout: float = 0.0,
        batch_norm: bool = False,
        activation: str = "sigmoid",
    ) -> None:
        sizes = {"in_channels": in_channels, "out_channels": out_channels, "depth": depth, "width": width}
        sizes = check_options("UNet", dropout, activation, **sizes)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.depth = depth
        self.width = width
        self.dropout = float(dropout)
        self.batch_norm = bool(batch_norm)
        self.options: dict[str, Any] = {"dropout": self.dropout, "batch_norm": self.batch_norm}
        self.options["activation"] = activation
        self.options |= sizes
        rng = np.random.default_rng(seed)
        filters = [width * 2**level for level in range(depth)]  # 8, 16, …, 256

        self.encoder: list[Down] = []
        for level, (before, after) in enumerate(zip([in_channels, *filters], filters), 1):
            rate = dropout if level == depth else 0.0
            self.encoder.append(Down(before, after, level, rng, batch_norm, rate))
        channels = 2 * filters[-1]
        self.bottleneck = DoubleConv(filters[-1], channels, "Conv_Bottle", rng, batch_norm, dropout)
        self.decoder: list[Up] = []
        names = ["Bottle", *(f"Up_{level}" for level in range(1, depth)), "Classif"]
        for skip_channels, below, name in zip(reversed(filters), names, names[1:]):
            # each level has as many filters as its skip; the last one, before the mask, has twice as many
            after = 2 * width if name == "Classif" else skip_channels
            self.decoder.append(Up(channels, skip_channels, after, below, f"Conv_{name}", rng, batch_norm))
            channels = after
        self.out = Conv2D(channels, out_channels, 1, activation=OUTPUTS[activation], name="Conv_Out", rng=rng)

    def forward(self, x: Tensor | NDArray) -> Tensor:
        return self._answer(x)

    def logits(self, x: Tensor | NDArray) -> Tensor:
        """Returns the output before the last activation: Tensor (N,H,W,in_channels) → (N,H,W,out_channels)."""
        return self._answer(x, activate=False)

    def _answer(self, x, **options):
        x = x if isinstance(x, Tensor) else Tensor(x)
        self._check(x)
        *below, top = self.decoder
        banded = type(top) is Up and bands.pay(x, [*top.modules()][1:] + [self.out])
        x, skips = self._encoded(x)
        for up in below if banded else self.decoder:
            x = up.join(x, skips.pop())
            for layer in up.convolutions.layers():  # one by one, so that nobody holds what an earlier one has used
                x = layer(x)
        if banded:  # the top level and the output, for some rows of a large image after others
            skip = skips.pop()
            return bands.in_bands(lambda x, skip: self.out(top.convolutions(top.join(x, skip)), **options), x, skip)
        return self.out(x, **options)

    def _encoded(self, x):
        """Returns the output of the bottleneck, and the list of skips, the topmost level's first."""
        skips = []
        for down in self.encoder:
            x, skip = down(x)
            skips.append(skip)
        return self.bottleneck(x), skips

    def _check(self, x):
        self._check_shape(x)
        step = 2**self.depth
        if x.shape[1] % step or x.shape[2] % step or 0 in x.shape:
            fitting = " or ".join(f"{h}x{w}" for h, w in _sizes_around(x.shape[1:3], step))
            raise ValueError(
                f"UNet: the image is {x.shape[1]}x{x.shape[2]}: at depth {self.depth}, height and width must be "
                f"multiples of {step}. Resize or pad it to {fitting}, or call model.predict, which pads"
            )

    @property
    def smallest_side(self) -> int:
        return 2**self.depth

    def _predict(self, x):
        """As `predict`: padded by reflection to the next size that fits, then cropped."""
        H, W = x.shape[1:3]
        rows, columns = (reflected_indices(n, 2**self.depth) for n in (H, W))
        if (len(rows), len(columns)) != (H, W):
            x = x[:, rows[:, None], columns]
        return self(Tensor(to_device(x, self.device))).numpy()[:, :H, :W]

    def summary(self, image_size: tuple[int, int] = (256, 256)) -> None:
        """Prints Keras' table: every layer with its output shape, its parameters, and what it is connected to."""
        print_summary(self, (*image_size, self.in_channels))


def reflected_indices(n: int, multiple: int) -> NDArray:
    """Returns the indices of n rows and of those mirrored behind them, up to the next multiple: int array.

    >>> reflected_indices(5, 4)
    array([0, 1, 2, 3, 4, 3, 2, 1])
    """
    return np.pad(np.arange(n), (0, -n % multiple), mode="reflect")


def _sizes_around(size: Iterable[int], step: int) -> list[tuple[int, ...]]:
    """Returns the nearest sizes that fit, below (where there is one) and above."""
    size = tuple(size)
    below = tuple(n // step * step for n in size)
    above = tuple(max(-(-n // step), 1) * step for n in size)
    return [below, above] if min(below) > 0 and below != above else [above]
