"""The losses by name, as the command line and the training loop choose them.

Each is loss(z, t, weights) → Tensor with one element; all three are (N, H, W, C): z logits, t the truth (0 or 1),
weights 0 where a pixel is ignored and 1 elsewhere (or None).
"""

from collections.abc import Callable

from minunet.autograd import Tensor, TensorLike
from minunet.ops.bce_dice import bce_dice_loss
from minunet.ops.binary_cross_entropy import binary_cross_entropy_with_logits
from minunet.ops.dice import dice_loss
from minunet.ops.sigmoid import sigmoid


def dice_loss_on_logits(z: TensorLike, t: TensorLike, weights: TensorLike | None = None) -> Tensor:
    """Returns the `dice_loss` of the probabilities σ(z).

    >>> import numpy as np
    >>> dice_loss_on_logits(np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])).item()   # 1 - (2 · ½ + 1) / (1 + 1 + 1)
    0.33333333333333337
    """
    return dice_loss(sigmoid(z), t, weights)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": binary_cross_entropy_with_logits,
    "dice": dice_loss_on_logits,
    "bce+dice": bce_dice_loss,
}
