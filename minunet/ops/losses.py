"""The losses by name, as the command line and the training loop choose them.

For a mask, each is loss(z, t, weights) → Tensor with one element; all three are (N, H, W, C): z logits, t the truth (0
or 1), weights 0 where a pixel is ignored and 1 elsewhere (or None).

For K classes, each is loss(z, classes, weights, class_weights) → Tensor with one element: z logits (N, H, W, K),
classes integers (N, H, W) or (N, H, W, 1) with 255 where a pixel is ignored, weights of the same shape (or None),
class_weights (K,) (or None).
"""

from collections.abc import Callable

from numpy.typing import ArrayLike

from minunet.autograd import Tensor, TensorLike
from minunet.ops.bce_dice import bce_dice_loss
from minunet.ops.binary_cross_entropy import binary_cross_entropy_with_logits
from minunet.ops.cross_entropy import cross_entropy_with_logits
from minunet.ops.dice import dice_loss
from minunet.ops.focal import focal_loss_with_logits
from minunet.ops.multiclass_dice import multiclass_dice_loss_with_logits
from minunet.ops.sigmoid import sigmoid
from minunet.ops.targets import check_logits


def dice_loss_on_logits(z: TensorLike, t: TensorLike, weights: TensorLike | None = None) -> Tensor:
    """Returns the `dice_loss` of the probabilities σ(z).

    >>> import numpy as np
    >>> dice_loss_on_logits(np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])).item()   # 1 - (2 · ½ + 1) / (1 + 1 + 1)
    0.33333333333333337
    """
    check_logits("dice_loss_on_logits", z)
    return dice_loss(sigmoid(z), t, weights)


def cross_entropy_dice_loss(
    z: TensorLike,
    classes: TensorLike,
    weights: TensorLike | None = None,
    class_weights: TensorLike | ArrayLike | None = None,
) -> Tensor:
    """Returns half the cross entropy plus half the Dice loss of many classes; the chain rule adds their gradients.

    >>> import numpy as np
    >>> z, classes = np.log([[[3.0, 1.0], [1.0, 1.0]]]), np.array([[0, 1]])
    >>> round(cross_entropy_dice_loss(z, classes).item(), 4)   # ((ln 4/3 + ln 2) / 2 + 0.2517) / 2
    0.3711
    """
    cross_entropy = cross_entropy_with_logits(z, classes, weights, class_weights)
    return (cross_entropy + multiclass_dice_loss_with_logits(z, classes, weights, class_weights)) * 0.5


LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": binary_cross_entropy_with_logits,
    "dice": dice_loss_on_logits,
    "bce+dice": bce_dice_loss,
}
CLASS_LOSSES: dict[str, Callable[..., Tensor]] = {
    "ce": cross_entropy_with_logits,
    "dice": multiclass_dice_loss_with_logits,
    "ce+dice": cross_entropy_dice_loss,
    "focal": focal_loss_with_logits,
}
