"""minunet: a U-Net from the first pixel to the last gradient, in NumPy and CuPy, to be read.

    Tensor, no_grad, gradcheck    arrays that remember how they were made (autograd)
    ops, nn, UNet                 operations, layers, the network of the lecture
    optim, metrics                steps and scores
    save, load, load_model        weights on disk
    use_kernels, set_num_threads  which implementation of the products, on how many cores
    use_precision                 how exactly a GPU computes
    GpuUnavailable, OutOfMemory   what may go wrong with a GPU

Beside these: data/ (images with masks), training/ (the loop, checkpoints, plots), inference/ (images of any size),
tasks/ (the kinds of segmentation), cli/ (the command `minunet`).
"""

from minunet import metrics, models, nn, ops, optim
from minunet.autograd import Function, Tensor, gradcheck, no_grad
from minunet.device import GpuUnavailable, OutOfMemory
from minunet.kernels import use_kernels
from minunet.kernels.threads import get_num_threads, set_num_threads
from minunet.models import UNet
from minunet.precision import use_precision
from minunet.version import __version__
from minunet.weights.io import load, load_model, save

__all__ = [
    "Function",
    "GpuUnavailable",
    "OutOfMemory",
    "Tensor",
    "UNet",
    "__version__",
    "get_num_threads",
    "gradcheck",
    "load",
    "load_model",
    "metrics",
    "models",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "save",
    "set_num_threads",
    "use_kernels",
    "use_precision",
]
