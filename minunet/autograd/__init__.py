"""Automatic differentiation of array programs. Knows nothing of images, and nothing of the floors above it."""

from minunet.autograd import arithmetic  # hangs the operators onto Tensor
from minunet.autograd.gradcheck import gradcheck
from minunet.autograd.tensor import Function, Tensor, no_grad

__all__ = ["Function", "Tensor", "arithmetic", "gradcheck", "no_grad"]
