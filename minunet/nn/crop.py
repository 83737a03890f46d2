"""Crop as a layer, as Keras' Cropping2D."""

from minunet import ops
from minunet.autograd import Tensor, TensorLike
from minunet.nn.module import Module


class Crop(Module):
    """x (N,H,W,C) → the middle of x, without `pixels` rows and columns on each of the four sides; see ops.crop.

    Raises ValueError for a negative number of pixels, and when called on images too small for it.

    >>> import numpy as np
    >>> Crop(1)(np.zeros((1, 5, 6, 8), np.float32)).shape
    (1, 3, 4, 8)
    """

    def __init__(self, pixels: int, name: str | None = None) -> None:
        if pixels < 0:
            raise ValueError(f"Crop: pixels is {pixels!r}: it must be at least 0")
        self.pixels = pixels
        self.name = name

    def forward(self, x: TensorLike) -> Tensor:
        H, W = x.shape[1:3]
        if min(H, W) <= 2 * self.pixels:
            raise ValueError(f"Crop: {self.pixels} pixels on each side leave nothing of images of {H}x{W}")
        return ops.crop(x, (H - 2 * self.pixels, W - 2 * self.pixels))
