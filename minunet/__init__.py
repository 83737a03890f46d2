"""minunet: a U-Net from the first pixel to the last gradient, in NumPy and CuPy, to be read.

    Tensor, no_grad, gradcheck    arrays that remember how they were made (autograd)
    ops, nn, UNet                 operations, layers, the network of the lecture
    optim, metrics                steps and scores
    save, load                    weights on disk
    use_kernels, set_num_threads  which products, on how many cores
    GpuUnavailable, OutOfMemory   what a graphics card may answer

Beside these: train.py (the loop), data/ (pictures and masks), predict.py (pictures of any size).
"""

from minunet import metrics, nn, ops, optim
from minunet.autograd import Function, Tensor, gradcheck, no_grad
from minunet.device import GpuUnavailable, OutOfMemory
from minunet.kernels import use_kernels
from minunet.kernels.threads import get_num_threads, set_num_threads
from minunet.models.unet import UNet
from minunet.weights.io import load, save

__version__ = "0.1.0"

__all__ = [
    "Function",
    "GpuUnavailable",
    "OutOfMemory",
    "Tensor",
    "UNet",
    "get_num_threads",
    "gradcheck",
    "load",
    "metrics",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "save",
    "set_num_threads",
    "use_kernels",
]
