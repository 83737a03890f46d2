"""The networks, one file each."""

from minunet.models.unet import UNet

__all__ = ["UNet"]
