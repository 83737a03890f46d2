"""The sum that every bias gradient is."""


def sum_over_pixels(gy):
    """Σ over N, H, W of gy (N,H,W,C), as an array (C,).

    y = … + b adds b[c] at every pixel of channel c, so ∂L/∂b[c] is the sum of all those gy. First whole rows are added,
    W·C numbers at a time, then the columns: adding C numbers at a time would be slow.
    """
    N, H, W, C = gy.shape
    return gy.reshape(N * H, W * C).sum(axis=0).reshape(W, C).sum(axis=0)
