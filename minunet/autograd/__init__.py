"""Automatic differentiation of array programs. It knows nothing about images or networks."""

from minunet.autograd import arithmetic, operators, rearrange  # operators adds + - * / and the rest to Tensor
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
