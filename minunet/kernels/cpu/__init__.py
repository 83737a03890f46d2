"""The kernels for NumPy arrays, on all cores. `minunet/kernels/reference/` defines each of them.

    convolution.py    convolve, convolve_transposed: start here
    backward.py       weight_gradient and convolve_backward, the gradients of a convolution
    patches.py        blocks of output rows, the windows under each as matrices, and their products
    winograd.py       the same for windows of three rows, with half the products
    products.py       products with many weights and few pixels
    pooling.py        max_pool and its gradient
    normalization.py  batch normalization, forward and backward
    pointwise.py      ReLU's gradient, concatenating and splitting channels
    sums.py           sums over all pixels
    losses.py         the binary cross entropy
    classes.py        softmax and its cross entropy, the sums of the Dice of many classes, the confusion matrix
    optimizers.py     one step of any optimizer
    pieces.py         elementwise work, cut into pieces that stay in the processor's cache
    items.py          copies of many short rows of numbers, each as one item

Kernels that have nothing to gain from NumPy's tricks or from threads are those of reference/.
"""

from minunet.kernels.cpu.backward import convolve_backward, weight_gradient
from minunet.kernels.cpu.classes import (
    class_overlap,
    class_overlap_gradient,
    confusion,
    softmax,
    softmax_cross_entropy,
    softmax_gradient,
)
from minunet.kernels.cpu.convolution import convolve, convolve_transposed
from minunet.kernels.cpu.losses import cross_entropy
from minunet.kernels.cpu.normalization import moments, normalize, normalize_gradient, normalize_sums
from minunet.kernels.cpu.optimizers import decay, update
from minunet.kernels.cpu.pointwise import concatenate, relu_gradient, split
from minunet.kernels.cpu.pooling import max_pool, max_pool_gradient
from minunet.kernels.cpu.sums import sum_over_pixels
from minunet.kernels.reference import flatten, mask_counts, overlap, to_float, update_running_average

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
