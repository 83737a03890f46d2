"""The U-Net of the paper, level by level.

    image 572x572x1                                                                             388x388x2 classes
       │                                                                                                  ▲
    [Conv, Conv] 64   568 ─────────── crop 392 ─────────────────────────▶ [up 64 | skip 64] ─ [Conv, Conv] 64 ─ Conv 1x1
       │ pool 284                                                         ▲
    [Conv, Conv] 128  280 ─────────── crop 200 ────────▶ [up 128 | skip 128] ── [Conv, Conv] 128   196
       │ pool 140                                        ▲
       …  two more levels: 256, 512                       …
       │ pool 32                                         │
    [Conv, Conv] 1024 28 ────────────────────────────────┘

It is the lecture's network (unet.py) with three differences.

Valid convolutions. Nothing is padded with zeros: each 3x3 convolution makes the image two rows and two columns smaller,
so every number in the network has been computed from pixels of the image alone. The answer is smaller than the image,
388 of 572 rows, and what crosses over in a skip connection must be cropped to fit (ops/crop.py). Which sizes fit is
derived in valid_sizes.py.

Up-convolutions into half as many channels, so that both halves of what is concatenated are equally wide. The lecture
upsamples into an eighth.

Width. 64 channels at the top and 1024 at the bottom: 31 million parameters in four levels, where the lecture has 7
million in six.

Mirrored edges. To have an answer for the pixels at the edge, too, the image is mirrored there by as much as the
convolutions eat, 92 pixels (the paper's overlap-tile strategy: "missing input data is extrapolated by mirroring").
`predict` always does so; with mirror=True the network does it in training, too, so that labels of the image's own size
fit its output.

Source: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015, figure 1
and sections 2 and 3. What the text leaves open is as in the network file that the authors published: which layers have
dropout, that it drops single numbers, and the order [up | skip]. That file differs from the paper in two things, in
which this network follows the paper: a ReLU after each up-convolution, and a last one that does not halve the channels.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor
from minunet.device import to_device
from minunet.models import valid_sizes
from minunet.models.double_conv import DoubleConv, pooled_and_skip
from minunet.models.segmentation_model import OUTPUTS, SegmentationModel, check_options
from minunet.nn import Concatenate, Conv2D, ConvTranspose2D, Crop, MaxPool2D, Module
from minunet.nn.init import he_normal
from minunet.nn.summary import print_summary


@functools.lru_cache(maxsize=100)
def _mirrored_indices(n, depth, device):
    """valid_sizes.mirrored_indices on a device, where they stay: a copy in each step would make a GPU wait."""
    return to_device(valid_sizes.mirrored_indices(n, depth), device)


class Mirror(Module):
    """x (N,H,W,C) → the image with its surroundings mirrored, as much as the network of this depth eats.

    See valid_sizes.mirrored_indices. Tensor's indexing does it, so a gradient with respect to the image would be right:
    it adds up where one pixel stands in several places. Training needs none.

    >>> Mirror(depth=1)(np.zeros((1, 5, 8, 3), np.float32)).shape
    (1, 22, 24, 3)
    """

    def __init__(self, depth, name=None):
        self.depth = depth
        self.name = name

    def forward(self, x):
        rows, columns = (_mirrored_indices(n, self.depth, x.device) for n in x.shape[1:3])
        return x[:, rows[:, None], columns]


class CropLike(Module):
    """z (N,h,w,K), image (N,H,W,C) → z without the rows below H and the columns right of W: (N,H,W,K)."""

    def __init__(self, name=None):
        self.name = name

    def forward(self, z, image):
        H, W = image.shape[1:3]
        return z if z.shape[1:3] == (H, W) else z[:, :H, :W]


class ValidDown(Module):
    """One level of the encoder: (N,H,W,·) → pooled (N,(H-4)/2,(W-4)/2,filters), and the skip (N,H-4,W-4,filters)."""

    def __init__(self, in_channels, filters, level, rng, batch_norm, dropout):
        options = {"padding": "valid", "whole_maps": False}
        prefix = f"Conv_Contract_{level}"
        self.convolutions = DoubleConv(in_channels, filters, prefix, rng, batch_norm, dropout, **options)
        self.pool = MaxPool2D(2, name=f"MaxPool_{level}")

    def forward(self, x):
        return pooled_and_skip(self.convolutions, self.pool, x)


class ValidUp(Module):
    """One level of the decoder: (N,h,w,2·filters), and a skip (N,H,W,filters) → (N,2h-4,2w-4,filters).

    crop: how many pixels of the skip are cut off on each side, (H - 2h) / 2. batch_norm: the up-convolution then has no
    bias either. Without zeros at the edges it would add the same to every sum of the convolution after it, and so only
    to the mean, which is subtracted there.
    """

    def __init__(self, filters, level, crop, rng, batch_norm):
        options = {"stride": 2, "bias": not batch_norm, "name": f"UpConv_{level}", "rng": rng}
        self.upsample = ConvTranspose2D(2 * filters, filters, 2, **options)
        self.crop = Crop(crop, name=f"Crop_{level}")
        self.concatenate = Concatenate(name=f"Concatenate_{level}")
        prefix = f"Conv_Expand_{level}"
        self.convolutions = DoubleConv(2 * filters, filters, prefix, rng, batch_norm, padding="valid")

    def join(self, x, skip):
        """Returns [upsampled, cropped skip], which the convolutions work on."""
        return self.concatenate(self.upsample(x), self.crop(skip))


class UNet2015(SegmentationModel):
    """The paper's U-Net: UNet2015() has 64 to 1024 channels and 31,030,658 parameters.

    in_channels   channels of the image.
    out_channels  channels of the answer: one per class for softmax.
    depth         levels of the encoder. Heights and widths must fit: see `input_size` and `sizes_that_fit`.
    width         channels of the first level; each level down has twice as many. 16 needs about a sixteenth of the
                  arithmetic of 64.
    seed          decides the initial weights (He et al.: normal, √(2 / incoming numbers)), and what dropout drops.
    dropout       rate at which single numbers are dropped in training, at the end of the contracting path.
    batch_norm    batch normalization after each 3x3 convolution. The paper, of the same year, has none.
    activation    what model(x) and predict make of the logits: "softmax", "sigmoid" or "linear".
    mirror        mirrors the image around its edges, so that the output has its height and width, whatever they are.

    model(x)         Tensor (N,H,W,in_channels), 0 to 1  →  (N,h,w,out_channels); h = H with mirror, else H - 184
    model.logits(x)  the same before the activation, for losses
    model.predict(image)  one image or several, of any size, as plain arrays of the same size: always mirrored
    model.options    the arguments that decide its shape: UNet2015(**model.options) takes the same weights

    Raises ValueError for an argument out of range.

    >>> model = UNet2015(depth=2, width=4, activation="linear")
    >>> model(np.zeros((1, 44, 60, 1), np.float32)).shape
    (1, 4, 20, 2)
    >>> UNet2015(depth=2, width=4, activation="linear", mirror=True)(np.zeros((1, 44, 61, 1), np.float32)).shape
    (1, 44, 61, 2)
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        depth: int = 4,
        width: int = 64,
        seed: int = 0,
        dropout: float = 0.5,
        batch_norm: bool = False,
        activation: str = "softmax",
        mirror: bool = False,
    ) -> None:
        sizes = {"in_channels": in_channels, "out_channels": out_channels, "depth": depth, "width": width}
        sizes = check_options("UNet2015", dropout, activation, **sizes)
        self.options: dict[str, Any] = {**sizes, "dropout": float(dropout), "batch_norm": bool(batch_norm)}
        self.options |= {"activation": activation, "mirror": bool(mirror)}
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.depth = depth
        self.width = width
        self.mirror = bool(mirror)
        rng = np.random.default_rng(seed)
        filters = [width * 2**level for level in range(depth)]  # 64, 128, 256, 512

        self.mirrored = Mirror(depth, name="Mirror")
        self.encoder: list[ValidDown] = []
        for level, (before, after) in enumerate(zip([in_channels, *filters], filters), 1):
            rate = dropout if level == depth else 0.0
            self.encoder.append(ValidDown(before, after, level, rng, batch_norm, rate))
        options = {"padding": "valid", "whole_maps": False}
        self.bottom = DoubleConv(filters[-1], 2 * filters[-1], "Conv_Bottom", rng, batch_norm, dropout, **options)
        self.decoder: list[ValidUp] = []
        for level, pixels in reversed(list(enumerate(valid_sizes.crops(depth), 1))):
            self.decoder.append(ValidUp(filters[level - 1], level, pixels, rng, batch_norm))
        self.out = Conv2D(width, out_channels, 1, activation=OUTPUTS[activation], name="Conv_Out", rng=rng)
        self.cropped = CropLike(name="Crop_Out")
        self._initialize(rng)

    def _initialize(self, rng):
        """Draws all kernels anew, as He et al. do; biases stay 0.

        A number that a transposed convolution of stride 2 computes has one tap of each channel coming in, not four.
        """
        for layer in self.modules():
            if isinstance(layer, (Conv2D, ConvTranspose2D)):
                taps = 1 if isinstance(layer, ConvTranspose2D) else layer.kernel_size[0] * layer.kernel_size[1]
                layer.kernel.data = he_normal(layer.kernel.shape, taps * layer.in_channels, rng)

    def forward(self, x: Tensor | NDArray) -> Tensor:
        return self._run(x, self.mirror, activate=True)

    def logits(self, x: Tensor | NDArray) -> Tensor:
        """Returns the output before the activation: Tensor (N,H,W,in_channels) → (N,h,w,out_channels)."""
        return self._run(x, self.mirror, activate=False)

    def _run(self, x, mirror, activate=True):
        x = x if isinstance(x, Tensor) else Tensor(x)
        self._check_shape(x)
        if mirror:
            return self.cropped(self._run(self.mirrored(x), mirror=False, activate=activate), x)
        return self.out(self._features(x), activate=activate)

    def _features(self, x):
        self._check_size(x)
        skips = []
        for down in self.encoder:
            x, skip = down(x)
            skips.append(skip)
        del skip
        x = self.bottom(x)
        for up in self.decoder:
            x = up.join(x, skips.pop())
            for layer in up.convolutions.layers():  # one by one, so that nobody holds what an earlier one has used
                x = layer(x)
        return x

    def _check_size(self, x):
        if not all(valid_sizes.fits(n, self.depth) for n in x.shape[1:3]):
            H, W = x.shape[1:3]
            nearest = (valid_sizes.nearest_sizes(n, self.depth) for n in (H, W))
            below, above = zip(*((sizes[0], sizes[-1]) for sizes in nearest))
            fitting = " or ".join(f"{h}x{w}" for h, w in dict.fromkeys((below, above)))
            raise ValueError(
                f"UNet2015: the image is {H}x{W}: at depth {self.depth}, valid convolutions take heights and widths of "
                f"at least {self.smallest_side} that are 4 below a multiple of {2**self.depth}. Resize or pad it to "
                f"{fitting}, or mirror its edges: UNet2015(…, mirror=True), or model.predict, which always does"
            )

    @property
    def smallest_side(self) -> int:
        return valid_sizes.input_size(1, self.depth)

    @property
    def margin(self) -> int:
        """How many pixels of the image the network needs beyond its answer, on each side."""
        return valid_sizes.margin(self.depth)

    def _predict(self, x):
        """As `predict`: mirrored, then cropped."""
        return self._run(to_device(x, self.device), mirror=True).numpy()

    def predict_inside(self, image: NDArray) -> NDArray:
        """Returns the answer for the inside of an image: `margin` pixels less on each side, since nothing is mirrored.

        image: as for `predict`, of a size that fits: see `sizes_that_fit`. Raises as `predict`, and ValueError for
        other sizes.
        """
        return self._evaluated(image, lambda x: self._run(to_device(x, self.device), mirror=False).numpy())

    def summary(self, image_size: tuple[int, int] = (572, 572)) -> None:
        """Prints the paper's figure 1 as a table: every layer with its output shape, and what it is connected to."""
        print_summary(self, (*image_size, self.in_channels))
