"""Dice loss: how little the predicted area and the true area overlap, whatever their size.

    p, t  (N, H, W, C)  predicted probability and truth

The Dice score of two sets is twice the size of their intersection over the sum of their sizes. With probabilities
instead of sets ("soft"), and s added above and below so that two empty masks score 1 ("smoothed"):

    I = Σ p t,   D = Σ p + Σ t + s         score = (2 I + s) / D,       L = 1 - score

    ∂L/∂p = -(2 t D - (2 I + s)) / D²       since ∂I/∂p = t and ∂D/∂p = 1

Per image or over the batch. Σ may run over each image, and L is the mean of the images' losses (per_image=True, the
default): every pet counts the same, however small, and an image's loss does not depend on what else is in its batch. Or
Σ may run over the whole batch at once (per_image=False): smoother, but large pets dominate, and the loss depends on the
batch size.

Cross entropy judges each pixel on its own; where pets are small it can settle for "all background". Dice cannot: that
answer scores 0. Source: Milletari et al., "V-Net", 2016 (there with squares in D; here the plain sums).
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.kernels import kernels_for
from minunet.ops.targets import target_arrays


class DiceLossFunction(Function):
    """L = mean of 1 - (2 I + s) / D;  gp = -gy (2 t D - (2 I + s)) / D², averaged over the images."""

    def __init__(self, t, weights=None, smooth=1.0, per_image=True):
        self.t = t
        self.weights = weights
        self.smooth = float(smooth)
        self.per_image = per_image

    def forward(self, p):
        self.t, self.weights = target_arrays("dice_loss", p, self.t, self.weights)
        both, predicted, truth = kernels_for(p).overlap(p, self.t, self.weights).T  # each (N,): Σ p t, Σ p, Σ t
        if not self.per_image:
            both, predicted, truth = both.sum(keepdims=True), predicted.sum(keepdims=True), truth.sum(keepdims=True)
        self.numerator = 2 * both + self.smooth
        self.D = predicted + truth + self.smooth
        return (1 - self.numerator / self.D).mean()

    def backward(self, gy):
        scale = gy / self.D.size / self.D**2  # (N,), or (1,) for the batch
        scale = scale.reshape(-1, *(1,) * (self.t.ndim - 1))
        numerator, D = self.numerator.reshape(scale.shape), self.D.reshape(scale.shape)
        gp = scale * numerator - 2 * scale * D * self.t
        return gp if self.weights is None else gp * self.weights


def dice_loss(
    p: TensorLike, t: TensorLike, weights: TensorLike | None = None, smooth: float = 1.0, per_image: bool = True
) -> Tensor:
    """Returns 1 - (2 Σpt + s) / (Σp + Σt + s), per image and averaged, or over the whole batch: one element.

    p          Tensor of probabilities (N, ...).
    t          array or Tensor of the same shape, 0 to 1.
    weights    None, or how much each element counts, same shape.
    smooth     s > 0.
    per_image  True: each image on its own, then the mean. False: one score for the batch.

    Raises ValueError for different shapes or s ≤ 0.

    >>> import numpy as np
    >>> p, t = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 0.0]])
    >>> dice_loss(p, t, smooth=1.0).item()   # 1 - (2 + 1) / (3 + 1)
    0.25
    """
    if not smooth > 0:
        raise ValueError(f"dice_loss: smooth is {smooth}: it must be positive, since two empty masks would give 0/0")
    return DiceLossFunction(t, weights, smooth, per_image)(p)
