"""Dice loss of many classes: how little the predicted and the true area of each class overlap, whatever their size.

    z        (N, H, W, K)  logits, p = softmax(z)
    classes  (N, H, W)     the true class of each pixel, 255: ignored;  t_k = 1 where it is k, else 0
    w        (N, H, W)     how much a pixel counts, 0 where it is ignored

For each image n and class k, as in dice.py, with s = 1 above and below:

    I = Σ w p_k t_k,   D = Σ w p_k + Σ w t_k + s        score = (2 I + s) / D         sums over the pixels of image n

    L = 1 - mean of the scores over all images and classes

A class that is neither in the image nor predicted scores s/s = 1; one that is only predicted scores s / (Σ w p_k + s):
p_k = 0.001 at each of 10,000 pixels is enough for 1/11. Each class counts the same, a traffic light as much as the sky.
(With class weights c it is the weighted mean Σ c_k score_k / Σ c_k.)

Gradient. With c = 1/(N K) for the mean (or c_k / (N Σ c)), the rule for a quotient gives

    gp_k = -gy c w (2 t_k D - (2 I + s)) / D² = w (ga_k + gb_k t_k)         ga = gy c (2 I + s) / D²,  gb = -2 gy c / D

where ga and gb are only N·K numbers; from there to z it is softmax: gz = p (gp - Σ p gp).

Worked numbers. One image of two pixels, classes 0 and 1, p = ((3/4, 1/4), (1/2, 1/2)):

    class 0:  I = 3/4,  D = 5/4 + 1 + 1,  score 2.5 / 3.25 = 0.7692      ga = 2.5 / 2 / 3.25² = 0.1183,  gb = -0.3077
    class 1:  I = 1/2,  D = 3/4 + 1 + 1,  score 2 / 2.75   = 0.7273      ga = 2 / 2 / 2.75²   = 0.1322,  gb = -0.3636

    L = 1 - (0.7692 + 0.7273) / 2 = 0.2517
    first pixel, of class 0:  gp = (0.1183 - 0.3077, 0.1322) = (-0.1893, 0.1322)
                              gz_0 = p_0 p_1 (gp_0 - gp_1) = 3/4 · 1/4 · (-0.1893 - 0.1322) = -0.0603 = -gz_1

    >>> import numpy as np
    >>> z = Tensor([[[1.0986, 0.0], [0.0, 0.0]]], requires_grad=True)  # ln 3 = 1.0986
    >>> multiclass_dice_loss_with_logits(z, np.array([[0, 1]])).backward()
    >>> z.grad.round(4)
    array([[[-0.0603,  0.0603],
            [ 0.0874, -0.0874]]])
"""

from numpy.typing import ArrayLike

from minunet.autograd import Function, Tensor, TensorLike
from minunet.device import array_module
from minunet.kernels import kernels_for
from minunet.ops.targets import check_logits, class_arrays


class MulticlassDiceLossWithLogitsFunction(Function):
    """L = 1 - mean of (2 I + s) / D;  gp = w (ga + gb t),  gz = p (gp - Σ p gp)."""

    def __init__(self, classes, weights=None, class_weights=None, smooth=1.0):
        self.given = classes, weights, class_weights
        self.smooth = float(smooth)

    def forward(self, z):
        if z.ndim < 2:
            raise ValueError(
                f"multiclass_dice_loss_with_logits: z has shape {z.shape}: it must be (N, …, K), images first"
            )
        self.classes, self.weights, class_weights = class_arrays("multiclass_dice_loss_with_logits", z, *self.given)
        del self.given
        kernels, xp, (N, *_, K) = kernels_for(z), array_module(z), z.shape
        self.p = kernels.softmax(z)
        both, predicted, truth = xp.moveaxis(kernels.class_overlap(self.p, self.classes, self.weights), 2, 0)  # (N, K)
        c = xp.ones(K, z.dtype) if class_weights is None else class_weights
        self.share = c / (N * c.sum())  # of each score in the mean, (K,)
        self.numerator = 2 * both + self.smooth
        self.D = predicted + truth + self.smooth
        return (self.share * (1 - self.numerator / self.D)).sum()

    def backward(self, gy):
        ga = gy * self.share * self.numerator / self.D**2
        gb = -2 * gy * self.share / self.D
        p, self.p = self.p, None  # nobody else holds it: its memory may become the gradient's
        return kernels_for(p).class_overlap_gradient(p, self.classes, self.weights, ga, gb)


def multiclass_dice_loss_with_logits(
    z: TensorLike,
    classes: TensorLike,
    weights: TensorLike | None = None,
    class_weights: TensorLike | ArrayLike | None = None,
    smooth: float = 1.0,
) -> Tensor:
    """Returns 1 - the mean over images and classes of (2 I + s) / D for softmax(z): a Tensor with one element.

    z              Tensor of logits (N, …, K), for example (N, H, W, K); K from 2 to 255.
    classes        integers (N, …) or (N, …, 1), 0 … K - 1, or 255 for a pixel that is ignored.
    weights        None, or how much each pixel counts, shaped like classes.
    class_weights  None, or how much each class counts, (K,).
    smooth         s > 0.

    Raises as `cross_entropy_with_logits`; ValueError for s ≤ 0.

    >>> import numpy as np
    >>> z, classes = np.log([[[3.0, 1.0], [1.0, 1.0]]]), np.array([[0, 1]])
    >>> round(multiclass_dice_loss_with_logits(z, classes).item(), 4)
    0.2517
    """
    if not smooth > 0:
        raise ValueError(
            f"multiclass_dice_loss_with_logits: smooth is {smooth}: it must be positive, since a class that is nowhere "
            "would give 0/0"
        )
    check_logits("multiclass_dice_loss_with_logits", z)
    return MulticlassDiceLossWithLogitsFunction(classes, weights, class_weights, smooth)(z)
