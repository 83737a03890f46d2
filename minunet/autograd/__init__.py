"""Automatic differentiation of array programs. Knows nothing of images, and nothing of the floors above it."""

from minunet.autograd import arithmetic, operators, rearrange  # operators: hangs + - * / and the others onto Tensor
from minunet.autograd.function import Function
from minunet.autograd.gradcheck import GradcheckReport, GradientError, gradcheck
from minunet.autograd.tensor import Operand, Tensor, TensorLike, no_grad

__all__ = [
    "Function",
    "GradcheckReport",
    "GradientError",
    "Operand",
    "Tensor",
    "TensorLike",
    "arithmetic",
    "gradcheck",
    "no_grad",
    "operators",
    "rearrange",
]
