"""Batch normalisation for CuPy arrays: what is done number by number is one launch, sums go through sum_over_pixels.

CuPy turns each text below into a CUDA kernel that reads the (C,) vectors along the last axis of x by itself. Nothing is read
back: the host runs ahead of the card.
"""

import functools

from minunet.device import array_module
from minunet.kernels import kernels_for

GZ = "T gz = relu && !((x - mean) * scale + shift > 0) ? (T)0 : gy;"  # what a fused ReLU lets through of the gradient


def moments(x):
    """(μ, v) as in `reference.moments`."""
    M = x.size // x.shape[3]
    sum_over_pixels = kernels_for(x).sum_over_pixels
    mean = sum_over_pixels(x) / M
    return mean, sum_over_pixels(_squares(array_module(x))(x, mean)) / M


def normalize(x, mean, scale, shift, relu=False):
    """As `reference.normalize`."""
    return _normalize(array_module(x))(x, mean, scale, shift, relu)


def normalize_sums(gy, x, mean, scale, shift, relu):
    """As `reference.normalize_sums`."""
    sum_over_pixels = kernels_for(x).sum_over_pixels
    gz, product = _terms(array_module(x))(gy, x, mean, scale, shift, relu)
    return sum_over_pixels(gz), sum_over_pixels(product)


def normalize_gradient(gy, x, mean, scale, shift, relu, a, b):
    """As `reference.normalize_gradient`."""
    return _gradient(array_module(x))(gy, x, mean, scale, shift, relu, a, b)


def follow(averages, values, momentum):
    """As `reference.follow`, both pairs in one launch."""
    (a, b), (u, v) = averages, values
    _follow(array_module(a))(u, v, momentum, a, b)


@functools.cache
def _squares(cupy):
    return cupy.ElementwiseKernel("T x, T mean", "T y", "T d = x - mean; y = d * d", "minunet_squares")


@functools.cache
def _normalize(cupy):
    return cupy.ElementwiseKernel(
        "T x, T mean, T scale, T shift, bool relu", "T y",
        "T z = (x - mean) * scale + shift; y = relu && z <= 0 ? (T)0 : z", "minunet_normalize")  # NaN stays NaN


@functools.cache
def _terms(cupy):
    return cupy.ElementwiseKernel(
        "T gy, T x, T mean, T scale, T shift, bool relu", "T through, T product",
        f"{GZ} through = gz; product = gz * (x - mean)", "minunet_normalize_terms")


@functools.cache
def _gradient(cupy):
    return cupy.ElementwiseKernel(
        "T gy, T x, T mean, T scale, T shift, bool relu, T a, T b", "T gx",
        f"{GZ} gx = (gz - a - (x - mean) * b) * scale", "minunet_normalize_gradient")


@functools.cache
def _follow(cupy):
    return cupy.ElementwiseKernel(
        "T u, T v, float64 momentum", "S a, S b",
        "a = momentum * a + (1 - momentum) * u; b = momentum * b + (1 - momentum) * v", "minunet_follow")
