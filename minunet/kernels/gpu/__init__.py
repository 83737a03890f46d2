"""The kernels for CuPy arrays. The CUDA C is in `minunet/kernels/cuda/`; here is what is launched, and when.

    convolution.py    convolve, convolve_transposed, weight_gradient, convolve_backward: start here
    tensor.py         the same on tensor cores, in tf32 or 16 bits: cuda/fragments.cu explains them
    products.py       matrix products, by cuBLAS
    patches.py        P(x), as many rows at a time as the workspace holds
    pooling.py        max_pool and its gradient
    normalization.py  batch normalization, forward and backward
    pointwise.py      bias, ReLU's gradient, concatenating and splitting channels, bytes to floats
    sums.py           sums over all pixels
    losses.py         the binary cross entropy, and the sums that Dice and the scores of a mask need
    classes.py        softmax and its cross entropy, the sums of the Dice of many classes, the confusion matrix
    optimizers.py     one step of any optimizer, for many parameters in one launch
    launch.py         compiling and launching: how arrays, sizes and constants reach CUDA

`minunet/kernels/reference/` defines each of them. No floating-point sum is taken with
atomics, so two runs give the same bits.
"""

from minunet.kernels.gpu.classes import (
    class_overlap,
    class_overlap_gradient,
    confusion,
    softmax,
    softmax_cross_entropy,
    softmax_gradient,
)
from minunet.kernels.gpu.convolution import convolve, convolve_backward, convolve_transposed, weight_gradient
from minunet.kernels.gpu.losses import cross_entropy, mask_counts, overlap
from minunet.kernels.gpu.normalization import (
    moments,
    normalize,
    normalize_gradient,
    normalize_sums,
    update_running_average,
)
from minunet.kernels.gpu.optimizers import decay, flatten, update
from minunet.kernels.gpu.pointwise import concatenate, relu_gradient, split, to_float
from minunet.kernels.gpu.pooling import max_pool, max_pool_gradient
from minunet.kernels.gpu.sums import sum_over_pixels

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
