"""The definition of every kernel: slow, and short enough to be seen to be correct.

Convolution and pooling visit one output pixel (n, i, j) at a time and the window of x under it: the KH x KW pixels that
start at row i·SH and column j·SW of the padded image. The others are their formula, over whole arrays. Sums are in the
arrays' own dtype, float32 or float64. The letters:

    x, gx  (N, H, W, C)      what the windows slide over          w, gw  (KH, KW, C, F)     b, gb  (F,) or None
    y, gy  (N, OH, OW, F)    F numbers per window                 size, kernel_size  (KH, KW)     stride  (SH, SW)
    pads   ((top, bottom), (left, right)): the width of the padding on each side

    convolution.py    convolve, convolve_transposed, weight_gradient, convolve_backward: start here
    pooling.py        max_pool and its gradient
    normalization.py  batch normalization, forward and backward
    pointwise.py      ReLU's gradient, concatenating and splitting channels, bytes to floats, sums over all pixels
    losses.py         the binary cross entropy, and the sums that Dice and the scores of a mask need
    classes.py        softmax and its cross entropy, the sums of the Dice of many classes, the confusion matrix
    optimizers.py     one step of any optimizer
"""

from minunet.kernels.reference.classes import (
    class_overlap,
    class_overlap_gradient,
    confusion,
    softmax,
    softmax_cross_entropy,
    softmax_gradient,
)
from minunet.kernels.reference.convolution import convolve, convolve_backward, convolve_transposed, weight_gradient
from minunet.kernels.reference.losses import cross_entropy, mask_counts, overlap
from minunet.kernels.reference.normalization import (
    moments,
    normalize,
    normalize_gradient,
    normalize_sums,
    update_running_average,
)
from minunet.kernels.reference.optimizers import decay, flatten, update
from minunet.kernels.reference.pointwise import (
    concatenate,
    relu_gradient,
    split,
    sum_over_pixels,
    to_float,
)
from minunet.kernels.reference.pooling import max_pool, max_pool_gradient

__all__ = [
    "class_overlap",
    "class_overlap_gradient",
    "concatenate",
    "confusion",
    "convolve",
    "convolve_backward",
    "convolve_transposed",
    "cross_entropy",
    "decay",
    "flatten",
    "mask_counts",
    "max_pool",
    "max_pool_gradient",
    "moments",
    "normalize",
    "normalize_gradient",
    "normalize_sums",
    "overlap",
    "relu_gradient",
    "softmax",
    "softmax_cross_entropy",
    "softmax_gradient",
    "split",
    "sum_over_pixels",
    "to_float",
    "update",
    "update_running_average",
    "weight_gradient",
]
