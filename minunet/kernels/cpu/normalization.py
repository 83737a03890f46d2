"""Batch normalization, each function in one pass over memory."""

import numpy as np

from minunet.kernels.cpu.pieces import by_rows
from minunet.kernels.cpu.pointwise import where_positive
from minunet.kernels.cpu.sums import sum_over_pixels
from minunet.kernels.threads import scratch


def moments(x, epsilon):
    """(μ, v, r) as in `reference.moments`."""
    M = x.size // x.shape[3]
    mean = sum_over_pixels(x) / M

    def squares(x, mean):
        d = np.subtract(x, mean, out=scratch("deviations", x.shape, x.dtype))
        return np.multiply(d, d, out=d).sum(axis=0)[None]

    variance = by_rows(squares, [x], [mean])[0] / M
    return mean, variance, 1 / np.sqrt(variance + epsilon)


def normalize(x, mean, r, gamma, beta, relu):
    """As `reference.normalize`."""
    y = np.empty(x.shape, x.dtype)

    def task(x, y, mean, scale, beta, zero):
        np.subtract(x, mean, out=y)
        np.multiply(y, scale, out=y)
        np.add(y, beta, out=y)
        if relu:
            np.maximum(y, zero, out=y)

    by_rows(task, [x, y], [mean, gamma * r, beta, np.zeros_like(mean)])
    return y


def normalize_sums(gy, x, mean, r, gamma, beta, relu):
    """(gβ, gγ) as in `reference.normalize_sums`."""

    def task(gy, x, mean, scale, beta):
        d, gz = _deviations_and_gz(gy, x, mean, scale, beta, relu)
        return np.stack([gz.sum(axis=0), np.multiply(d, gz, out=d).sum(axis=0)])

    gbeta, products = by_rows(task, [gy, x], [mean, gamma * r, beta])
    return gbeta, products * r


def normalize_gradient(gy, x, mean, r, gamma, beta, relu, gbeta, ggamma, one_over_M):
    """As `reference.normalize_gradient`."""
    gx = np.empty(x.shape, x.dtype)

    def task(gy, x, gx, mean, scale, beta, constant, slope):
        d, gz = _deviations_and_gz(gy, x, mean, scale, beta, relu)
        np.subtract(gz, np.multiply(d, slope, out=d), out=gx)
        np.subtract(gx, constant, out=gx)
        np.multiply(gx, scale, out=gx)

    by_rows(task, [gy, x, gx], [mean, gamma * r, beta, one_over_M * gbeta, r * one_over_M * ggamma])
    return gx


def _deviations_and_gz(gy, x, mean, scale, beta, relu):
    """Returns (x - mean, gz) of some rows, in scratch memory; without a ReLU gz is gy itself."""
    d = np.subtract(x, mean, out=scratch("deviations", x.shape, x.dtype))
    if not relu:
        return d, gy
    z = np.multiply(d, scale, out=scratch("values", x.shape, x.dtype))
    z += beta
    where_positive(gy, z, z)
    return d, z
