"""The operations of the network, one file each: equation, derivation, shapes, forward and backward."""

from minunet.ops.batch_norm import batch_norm
from minunet.ops.bce_dice import bce_dice_loss
from minunet.ops.binary_cross_entropy import binary_cross_entropy, binary_cross_entropy_with_logits
from minunet.ops.concatenate import concatenate
from minunet.ops.conv2d import conv2d
from minunet.ops.conv_transpose2d import conv_transpose2d
from minunet.ops.crop import crop
from minunet.ops.cross_entropy import cross_entropy_with_logits
from minunet.ops.dice import dice_loss
from minunet.ops.dropout import dropout
from minunet.ops.focal import focal_loss_with_logits
from minunet.ops.max_pool2d import max_pool2d
from minunet.ops.mean_absolute_error import mean_absolute_error
from minunet.ops.mean_squared_error import mean_squared_error
from minunet.ops.multiclass_dice import multiclass_dice_loss_with_logits
from minunet.ops.relu import relu
from minunet.ops.sigmoid import sigmoid
from minunet.ops.softmax import log_softmax, softmax

__all__ = [
    "batch_norm",
    "bce_dice_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "concatenate",
    "conv2d",
    "conv_transpose2d",
    "crop",
    "cross_entropy_with_logits",
    "dice_loss",
    "dropout",
    "focal_loss_with_logits",
    "log_softmax",
    "max_pool2d",
    "mean_absolute_error",
    "mean_squared_error",
    "multiclass_dice_loss_with_logits",
    "relu",
    "sigmoid",
    "softmax",
]
