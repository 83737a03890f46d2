"""Cross entropy and Dice together: the one judges every pixel, the other the area as a whole.

    z, t  (N, H, W, C)  logits and truth, p = σ(z)

    L = α · BCE(z, t) + β · Dice(p, t)              α = β = 1/2 if nothing else is said

A sum of losses; the chain rule adds their gradients, so there is no backward to write. Dice alone hardly moves a
pixel with p ≈ 0 that should be 1 (dice.py); the cross entropy pulls it hardest.

Worked numbers: one pixel, z = 0, so p = 1/2, with t = 1:

    BCE = ln 2 = 0.6931      gz = p - t = -0.5
    Dice: I = 0.5, D = 2.5, s = 1: 1 - 2 / 2.5 = 0.2      gz = -(2 · 2.5 - 2) / 2.5² · p (1 - p) = -0.48 / 4 = -0.12
    L = (0.6931 + 0.2) / 2 = 0.4466                       gz = (-0.5 - 0.12) / 2 = -0.31

    >>> z = Tensor([[0.0]], requires_grad=True)
    >>> loss = bce_dice_loss(z, Tensor([[1.0]]))
    >>> loss.backward()
    >>> round(loss.item(), 4), z.grad.round(4)
    (0.4466, array([[-0.31]]))
"""

from minunet.autograd import Tensor, TensorLike
from minunet.ops.binary_cross_entropy import binary_cross_entropy_with_logits
from minunet.ops.dice import dice_loss
from minunet.ops.sigmoid import sigmoid


def bce_dice_loss(
    z: TensorLike,
    t: TensorLike,
    weights: TensorLike | None = None,
    bce_weight: float = 0.5,
    dice_weight: float = 0.5,
    smooth: float = 1.0,
    per_image: bool = True,
) -> Tensor:
    """Returns bce_weight · BCE + dice_weight · Dice, on logits z. The other arguments are those of the two losses.

    >>> import numpy as np
    >>> round(bce_dice_loss(np.array([[0.0]]), np.array([[1.0]])).item(), 4)   # (ln 2 + 1 - 2 / 2.5) / 2
    0.4466
    """
    bce = binary_cross_entropy_with_logits(z, t, weights)
    dice = dice_loss(sigmoid(z), t, weights, smooth, per_image)
    return bce * bce_weight + dice * dice_weight
