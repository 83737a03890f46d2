"""The networks, one file each."""

from minunet.models.segmentation_model import SegmentationModel
from minunet.models.unet import UNet
from minunet.models.unet2015 import UNet2015
from minunet.models.valid_sizes import input_size, output_size, sizes_that_fit

__all__ = ["SegmentationModel", "UNet", "UNet2015", "input_size", "output_size", "sizes_that_fit"]
