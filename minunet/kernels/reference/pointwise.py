"""Kernels that treat each number on its own, and sums over all pixels."""

from minunet.device import array_module


def relu_gradient(gy, y):
    """gz = gy where y > 0, else 0; any shape."""
    return gy * (y > 0)


def sum_over_pixels(gy):
    """Σ over N, H, W of gy (N,H,W,C). Returns an array (C,)."""
    return gy.sum(axis=(0, 1, 2))


def concatenate(a, b):
    """a (…, A) and b (…, B) side by side along the last axis. Returns an array (…, A + B)."""
    return array_module(a).concatenate([a, b], axis=-1)


def split(y, A):
    """The reverse of concatenate: the first A numbers along the last axis, and the others. Returns (a, b).

    Both are copies: a view would keep all of y alive.
    """
    return y[..., :A].copy(), y[..., A:].copy()


def to_float(images, masks, ignored):
    """A batch of bytes as float32: x = images / 255, t = 1 where the mask is 1, weights = 0 where it is `ignored`.

    images uint8 (N,H,W,C), masks uint8 (N,H,W,1). t and weights are 0 or 1. Returns (x, t, weights).
    """
    x = images.astype("float32")
    x /= 255
    return x, (masks == 1).astype("float32"), (masks != ignored).astype("float32")
