"""Cross entropy and Dice together: the one judges every pixel, the other the area as a whole.

    L = α · BCE(z, t) + β · Dice(σ(z), t)

A sum of losses; the chain rule adds their gradients, so there is no backward to write.
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
