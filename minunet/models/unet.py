"""The U-Net of the lecture, level by level.

    picture 256x256x3                                                                      mask 256x256x1
       │                                                                                        ▲
    [Conv, Conv] 8 ──────────────── skip 1 ────────────────────────────▶ [up 2 | skip 8] ── [Conv, Conv] 16 ── Conv 1x1, σ
       │ pool                                                             ▲
    [Conv, Conv] 16 ─────────────── skip 2 ────────────▶ [up 4 | skip 16] ── [Conv, Conv] 16
       │ pool                                             ▲
       …  four more levels: 32, 64, 128, 256               …
       │ pool                                             │
    [Conv, Conv] 512  the bottleneck, 4x4 pixels ─────────┘

The way down. Two convolutions look for patterns, then pooling halves the picture, and the next two look for patterns of
patterns in windows that cover twice as much. At the bottom each of 4x4 pixels has seen most of the picture: it can
tell that there is a cat, but only to the nearest 64 pixels where.

The way up. A transposed convolution doubles the size, but it can only paint 2x2 tiles from what it knows: the result is
right in the large and blurred at the edges. What the picture looked like there was thrown away by the pooling.

The skip connection. So each level gets, beside the upsampled channels, the features from before the pooling of the same
size, untouched: `Concatenate` puts [upsampled, skip] side by side, and two convolutions learn to combine "what" with
"where". Backwards it is just as useful: the gradient reaches the early layers directly, without having to pass through
all of the levels below.

Source: Ronneberger, Fischer, Brox, "U-Net", 2015; sizes and names as in the lecture's Keras model.
"""

import numpy as np

from minunet import ops
from minunet.autograd import Tensor, no_grad
from minunet.device import to_device
from minunet.nn import BatchNorm, Concatenate, Conv2D, ConvTranspose2D, Dropout, MaxPool2D, Module
from minunet.nn.summary import print_summary


class DoubleConv(Module):
    """Two 3x3 convolutions with ReLU: (N,H,W,in_channels) → (N,H,W,filters). Their names end in _1 and _2.

    batch_norm: each is normalised before its ReLU, and has no bias: the mean is subtracted anyway, and β takes its place.
    dropout: the rate at which whole maps of the result are left out.
    """

    def __init__(self, in_channels, filters, prefix, rng, batch_norm=False, dropout=0.0):
        options = {"padding": "same", "activation": None if batch_norm else "relu", "bias": not batch_norm, "rng": rng}
        names = prefix.replace("Conv", "BatchNorm"), prefix.replace("Conv", "Dropout")
        self.first = Conv2D(in_channels, filters, 3, name=f"{prefix}_1", **options)
        self.first_norm = self._norm(filters, f"{names[0]}_1") if batch_norm else None
        self.second = Conv2D(filters, filters, 3, name=f"{prefix}_2", **options)
        self.second_norm = self._norm(filters, f"{names[0]}_2") if batch_norm else None
        self.dropout = Dropout(dropout, name=names[1], rng=rng) if dropout else None

    @staticmethod
    def _norm(filters, name):
        """The averages remember about ten steps. A hundred, as with Keras' 0.99, are several epochs of a small data set."""
        return BatchNorm(filters, momentum=0.9, activation="relu", name=name)

    def forward(self, x):
        for layer in (self.first, self.first_norm, self.second, self.second_norm, self.dropout):
            x = x if layer is None else layer(x)
        return x


class Down(Module):
    """One level down: (N,H,W,·) → pooled (N,H/2,W/2,filters) and the skip (N,H,W,filters)."""

    def __init__(self, in_channels, filters, level, rng, batch_norm=False, dropout=0.0):
        self.convolutions = DoubleConv(in_channels, filters, f"Conv_Down_{level}", rng, batch_norm, dropout)
        self.pool = MaxPool2D(2, name=f"MaxPool_Down_{level}")

    def forward(self, x):
        skip = self.convolutions(x)
        return self.pool(skip), skip


class Up(Module):
    """Convolutions, then one level up: (N,H,W,·) and a skip (N,2H,2W,·) → [upsampled, skip] (N,2H,2W,·).

    The lecture upsamples into few channels, an eighth of the filters: most of what the next level sees is the skip.
    """

    def __init__(
        self, in_channels, filters, skip_channels, convolution_prefix, suffix, rng, batch_norm=False, dropout=0.0
    ):
        upsampled = max(1, filters // 8)
        self.convolutions = DoubleConv(in_channels, filters, convolution_prefix, rng, batch_norm, dropout)
        self.upsample = ConvTranspose2D(filters, upsampled, 2, stride=2, name=f"Conv_Transp_{suffix}", rng=rng)
        self.join = Concatenate(name=f"Concatenate_{suffix}")
        self.out_channels = upsampled + skip_channels

    def forward(self, x, skip):
        return self.join(self.upsample(self.convolutions(x)), skip)


class UNet(Module):
    """The lecture's U-Net: UNet() has six levels, 8 filters on the first, 6,667,639 parameters.

    in_channels   of the picture.
    out_channels  of the mask.
    depth         levels down; height and width must be multiples of 2**depth.
    width         filters of the first level; each level down has twice as many.
    seed          decides the first weights, and what dropout leaves out.
    dropout       rate at which whole feature maps are left out while training, where there are most of them and least is
                  lost: at the deepest level down and at the bottom. 0: no such layers.
    batch_norm    batch normalisation after each 3x3 convolution (ops/batch_norm.py). Training then sees other outputs than
                  eval(), which uses running averages.

    model(x)         Tensor (N,H,W,in_channels), 0 to 1  →  probabilities (N,H,W,out_channels)
    model.logits(x)  the same before the sigmoid, for losses
    model.predict(image)  one picture or several, of any size, as plain arrays
    model.options    the arguments that decide its shape: UNet(**model.options) takes the same weights

    >>> model = UNet(depth=2, width=4)
    >>> model(np.zeros((1, 8, 12, 3), np.float32)).shape
    (1, 8, 12, 1)
    """

    def __init__(self, in_channels=3, out_channels=1, depth=6, width=8, seed=0, dropout=0.0, batch_norm=False):
        for name, value in {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "depth": depth,
            "width": width,
        }.items():
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"UNet: {name} is {value!r}: it must be a whole number from 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"UNet: dropout is {dropout!r}: it must be a rate from 0 to below 1")
        self.in_channels, self.out_channels, self.depth, self.width = in_channels, out_channels, depth, width
        self.dropout, self.batch_norm = float(dropout), bool(batch_norm)
        self.options = {name: getattr(self, name) for name in ("dropout", "batch_norm")}
        self.options |= {name: int(getattr(self, name)) for name in ("in_channels", "out_channels", "depth", "width")}
        rng = np.random.default_rng(seed)
        filters = [width * 2**level for level in range(depth + 1)]  # 8, 16, …, 256 and 512 at the bottom

        rates = [0.0] * (depth - 1) + [dropout]
        self.down = [
            Down(([in_channels] + filters)[i], filters[i], i + 1, rng, batch_norm, rates[i]) for i in range(depth)
        ]
        self.up = [
            Up(
                filters[depth - 1],
                filters[depth],
                filters[depth - 1],
                "Conv_Bottle",
                "Bottle",
                rng,
                batch_norm,
                dropout,
            )
        ]
        for i in range(1, depth):
            self.up.append(
                Up(
                    self.up[-1].out_channels,
                    filters[depth - i],
                    filters[depth - 1 - i],
                    f"Conv_Up_{i}",
                    f"Up_{i}",
                    rng,
                    batch_norm,
                )
            )
        self.classify = DoubleConv(self.up[-1].out_channels, 2 * width, "Conv_Classif", rng, batch_norm)
        self.out = Conv2D(2 * width, out_channels, 1, activation="sigmoid", name="Conv_Out", rng=rng)

    def forward(self, x):
        return self.out(self._features(x))

    def logits(self, x):
        """The network without its last sigmoid: Tensor (N,H,W,in_channels) → (N,H,W,out_channels), any numbers."""
        return ops.conv2d(self._features(x), self.out.kernel, self.out.bias)

    def _features(self, x):
        x = x if isinstance(x, Tensor) else Tensor(x)
        self._check(x)
        skips = []
        for down in self.down:
            x, skip = down(x)
            skips.append(skip)
        for up in self.up:
            x = up(x, skips.pop())
        return self.classify(x)

    def _check(self, x):
        if x.ndim != 4 or x.shape[3] != self.in_channels:
            raise ValueError(
                f"UNet: the input has shape {x.shape}, it must be (N, H, W, {self.in_channels}), channels last"
            )
        if len(x.data) == 0:
            raise ValueError(f"UNet: the input has shape {x.shape}, a batch without pictures")
        step = 2**self.depth
        if x.shape[1] % step or x.shape[2] % step or 0 in x.shape:
            fitting = " or ".join(f"{h}x{w}" for h, w in self._sizes_around(x.shape[1:3], step))
            raise ValueError(
                f"UNet: {self.depth} poolings need a height and width that {step} divides, this picture is "
                f"{x.shape[1]}x{x.shape[2]}: resize or pad it to {fitting}, or call model.predict, which does so"
            )

    @staticmethod
    def _sizes_around(size, step):
        """The next sizes that fit, below (where there is one) and above."""
        below = tuple(n // step * step for n in size)
        above = tuple(max(-(-n // step), 1) * step for n in size)
        return [below, above] if min(below) > 0 and below != above else [above]

    def predict(self, image):
        """Probabilities for pictures of any size: padded by reflection to the next size that fits, then cropped.

        image: array (H,W,in_channels) or (N,H,W,in_channels); uint8 (0 to 255) or floating-point (0 to 1).
        Returns a NumPy array (H,W,out_channels) or (N,H,W,out_channels) of the parameters' type.
        """
        image = np.asarray(image)
        if image.ndim not in (3, 4) or image.shape[-1] != self.in_channels:
            raise ValueError(
                f"UNet.predict: the image has shape {image.shape}, it must be (H, W, {self.in_channels}) "
                f"or (N, H, W, {self.in_channels})"
            )
        if 0 in image.shape:
            raise ValueError(f"UNet.predict: the image has shape {image.shape}, there is nothing in it")
        if image.dtype != np.uint8 and image.dtype.kind != "f":
            raise TypeError(
                f"UNet.predict: the image is {image.dtype}: give uint8 (0 to 255) or floating-point (0 to 1)"
            )
        dtype = self.out.kernel.dtype
        x = image.astype(dtype) / 255 if image.dtype == np.uint8 else image.astype(dtype)
        x = x if image.ndim == 4 else x[None]
        H, W = x.shape[1:3]
        height, width = self._sizes_around((H, W), 2**self.depth)[-1]
        x = np.pad(x, ((0, 0), (0, height - H), (0, width - W), (0, 0)), mode="reflect")
        was_training = self.training
        self.eval()
        try:
            with no_grad():
                p = self(Tensor(to_device(x, self.device))).numpy()[:, :H, :W]
        finally:
            self.train(was_training)
        return p if image.ndim == 4 else p[0]

    def summary(self, image_size=(256, 256)):
        """Prints Keras' table: every layer with its output shape, parameters, and what it is connected to."""
        print_summary(self, (*image_size, self.in_channels))
