"""The operations of the network, one file each: equation, derivation, shapes, worked numbers, forward and backward.

The letters are the same in all of these files, and in `minunet/kernels/`. Arrays are channels last.

    x  (N, H, W, C)      the input: N images of H x W pixels with C channels      x[n,p,q,c] is one number
    y  (N, OH, OW, F)    the output: OH x OW pixels with F channels               y[n,i,j,f]
    w  (KH, KW, C, F)    the weights (the "kernel", F "filters") of windows of KH x KW pixels;  w[k,l,c,f] at tap (k,l)
                         Transposed convolution: (KH, KW, F, C)
    W  (KH·KW·C, F)      the same numbers as a matrix
    b  (F,)              the bias
    stride  (SH, SW)     by how many pixels a window lies below, or to the right of, the one before
    padding, pads        what is added around x: as the user writes it, and spelled out (windows.py)
    P(x)                 the patch matrix, (N·OH·OW, KH·KW·C): row r is the window under output pixel r (conv2d.py),
                         elsewhere called "im2col"
    Aᵀ, ⟨a, b⟩           the transpose of a matrix; the inner product Σ a b:    ⟨A x, y⟩ = ⟨x, Aᵀ y⟩
    L                    the loss, a single number
    gy, gx, gw, gb       ∂L/∂y, ∂L/∂x, …, each of the shape of y, x, …;  gW is gw as a matrix
    z, p, t, w           in the losses: logits, probabilities, the truth, and how much each pixel counts
    K, [k = t]           how many classes; 1 where class k is the true one, else 0 ("onehot")
    σ, ε                 the sigmoid; a small positive constant

Every backward is the chain rule: gx = Σ gy ∂y/∂x, the sum over all numbers of y that this number of x has a part in.
Where y = A x is linear, that is gx = Aᵀ gy. No backward builds the matrix of all ∂y/∂x.
"""

from minunet.ops.batch_norm import batch_norm
from minunet.ops.bce_dice import bce_dice_loss
from minunet.ops.binary_cross_entropy import binary_cross_entropy, binary_cross_entropy_with_logits
from minunet.ops.concatenate import concatenate
from minunet.ops.conv2d import conv2d
from minunet.ops.conv2d_max_pool2d import conv2d_max_pool2d
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
    "conv2d_max_pool2d",
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
