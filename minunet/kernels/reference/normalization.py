"""Batch normalization: x, y (N,H,W,C); all that belongs to a channel (C,)."""

from minunet.device import array_module
from minunet.kernels.reference.pointwise import sum_over_pixels


def moments(x, epsilon):
    """Mean μ and variance v of each channel over N, H, W, and r = 1 / √(v + ε). Returns (μ, v, r), arrays (C,).

    Why in two passes: minunet/ops/batch_norm.py.
    """
    M = x.size // x.shape[3]
    mean = sum_over_pixels(x) / M
    variance = sum_over_pixels((x - mean) ** 2) / M
    return mean, variance, 1 / array_module(x).sqrt(variance + epsilon)


def normalize(x, mean, r, gamma, beta, relu):
    """z = γ (x - μ) r + β; negative results become 0 if `relu`. Returns an array (N,H,W,C)."""
    z = (x - mean) * (gamma * r) + beta
    return array_module(x).maximum(z, 0) if relu else z


def normalize_sums(gy, x, mean, r, gamma, beta, relu):
    """gβ = Σ gz and gγ = Σ gz x̂ over N, H, W; gz is gy or, if `relu`, gy where normalize(x) > 0, else 0.

    Returns (gβ, gγ), arrays (C,).
    """
    gz = gy * (normalize(x, mean, r, gamma, beta, relu) > 0) if relu else gy
    return sum_over_pixels(gz), sum_over_pixels(gz * (x - mean)) * r


def normalize_gradient(gy, x, mean, r, gamma, beta, relu, gbeta, ggamma, one_over_M):
    """gx = γ r (gz - (gβ + x̂ gγ) / M), with gz, gβ and gγ as in normalize_sums. Returns an array (N,H,W,C).

    one_over_M is 1 / (N·H·W) where μ and v are those of the batch, and 0 where they are constants.
    """
    gz = gy * (normalize(x, mean, r, gamma, beta, relu) > 0) if relu else gy
    return (gz - one_over_M * gbeta - (x - mean) * (r * one_over_M * ggamma)) * (gamma * r)


def update_running_average(averages, values, momentum):
    """average ← momentum · average + (1 - momentum) · value, in place, for two averages and two values, arrays (C,)."""
    for average, value in zip(averages, values):
        average *= momentum
        average += (1 - momentum) * value
