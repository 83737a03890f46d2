"""Dice loss: how little the predicted area and the true area overlap, whatever their size.

    p, t  (N, H, W, C)  predicted probability and truth

The Dice score of two sets is twice the size of their intersection over the sum of their sizes. With probabilities
instead of sets ("soft"), and s = 1 added above and below so that two empty masks score 1 ("smoothed"):

    I = Σ p t,   D = Σ p + Σ t + s         score = (2 I + s) / D,       L = 1 - score

    ∂L/∂p = -(2 t D - (2 I + s)) / D²       since ∂I/∂p = t and ∂D/∂p = 1

Worked numbers: three pixels, p = (1, 1, 0), t = (1, 0, 0):

    I = 1,  D = 2 + 1 + 1 = 4     L = 1 - 3/4     gp = (-(8 - 3), 3, 3) / 16 = (-0.3125, 0.1875, 0.1875)

    >>> p = Tensor([[1.0, 1.0, 0.0]], requires_grad=True)
    >>> dice_loss(p, Tensor([[1.0, 0.0, 0.0]])).backward()
    >>> p.grad
    array([[-0.3125,  0.1875,  0.1875]])

All pixels with the same t have the same gp, however wrong they are. In an image without a pet L is 1 - s / (Σ p + s):
one pixel too many costs 1/2.

Per image or over the batch. Σ may run over each image, and L is the mean of the images' losses (per_image=True, the
default): every pet counts the same, however small, and an image's loss does not depend on what else is in its batch. Or
Σ may run over the whole batch at once (per_image=False): smoother, but large pets dominate, and the loss depends on the
batch.

Small pets. Cross entropy judges each pixel on its own. Where 100 of 10,000 pixels are pet, p = 0.01 everywhere brings
it down to 0.056, from ln 2 = 0.693 for p = 1/2: the network may settle there. The Dice loss of the same answer is
0.985, and "all background" scores s / (Σ t + s) = 1/101. But on logits Dice has the sigmoid's factor p (1 - p) in its
gradient: where p ≈ 0 it hardly pulls on any pixel, right or wrong. So it is often added to the cross entropy
(bce_dice.py).

Source: Milletari et al., "V-Net", 2016 (there with squares in D; here the plain sums).
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.kernels import kernels_for
from minunet.ops.targets import check_probabilities, target_arrays


class DiceLossFunction(Function):
    """L = mean of 1 - (2 I + s) / D;  gp = -gy (2 t D - (2 I + s)) / D², averaged over the images."""

    def __init__(self, t, weights=None, smooth=1.0, per_image=True):
        self.t = t
        self.weights = weights
        self.smooth = float(smooth)
        self.per_image = per_image

    def forward(self, p):
        check_probabilities("dice_loss", p)
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
