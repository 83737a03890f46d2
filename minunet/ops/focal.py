"""Focal loss: a cross entropy that cares little about pixels that are already right.

    z        (…, K)  logits, p = softmax(z)          classes, w  (…)  the true class t and the weight of each pixel
    q = p_t  (…)     the probability of the true class

    l = -(1 - q)^γ ln q             L = Σ w l / Σ w          γ ≥ 0; γ = 0 is the cross entropy

Where most pixels are sky or background and easy, their many small losses drown the few pixels that are hard. For γ = 2
a pixel with q = 0.9 counts (1 - 0.9)² = 1/100 of its cross entropy, one with q = 0.1 counts 0.81.

Gradient. The chain rule through q, with ∂q/∂z_k = q ([k = t] - p_k) from softmax.py:

    ∂l/∂q   = γ (1 - q)^(γ-1) ln q - (1 - q)^γ / q
    ∂l/∂z_k = ∂l/∂q · q ([k = t] - p_k) = (p_k - [k = t]) f,     f = (1 - q)^γ - γ q (1 - q)^(γ-1) ln q

the gradient of the cross entropy times one factor per pixel. As q → 1, f → 0 (for γ > 0): since ln q → -(1 - q), it is
about (1 + γ) (1 - q)^γ, which is how it is computed where 1 - q is 0. For γ = 2, f is 0.029 at q = 0.9, and 1.22 at
q = 0.1: the gradient shrinks less than the loss, and hard pixels pull a little harder than with the cross entropy.

Worked numbers: z = (0, ln 3 = 1.0986) of class 1, so q = 3/4. With γ = 2, l = (1/4)² · 0.2877 = 0.0180;
f = 1/16 + 2 · 3/4 · 1/4 · 0.2877 = 0.1704, and gz = (1/4, -1/4) · 0.1704 = (0.0426, -0.0426).

    >>> import numpy as np
    >>> z = Tensor([[0.0, 1.0986]], requires_grad=True)
    >>> focal_loss_with_logits(z, np.array([1])).backward()
    >>> z.grad.round(4)
    array([[ 0.0426, -0.0426]])

Classes, weights and class weights are those of cross_entropy.py. Source: Lin et al., "Focal loss for dense object
detection", 2017 (there on the sigmoid of each class; here on the softmax, and the mean is over the weights).
"""

from numpy.typing import ArrayLike

from minunet.autograd import Function, Tensor, TensorLike
from minunet.kernels import kernels_for
from minunet.ops.targets import check_logits, class_arrays


class FocalLossWithLogitsFunction(Function):
    """L = -Σ w (1 - q)^γ ln q / Σ w;  gz = gy w (p - onehot) f / Σ w."""

    def __init__(self, classes, weights=None, class_weights=None, gamma=2.0):
        self.given = classes, weights, class_weights
        self.gamma = float(gamma)

    def forward(self, z):
        arrays = class_arrays("focal_loss_with_logits", z, *self.given)
        del self.given
        loss, self.scale, self.error = kernels_for(z).softmax_cross_entropy(z, *arrays, self.gamma)
        return loss

    def backward(self, gy):
        gz, self.error = self.error, None  # nobody else holds it, so it becomes the gradient
        gz *= gy * self.scale
        return gz


def focal_loss_with_logits(
    z: TensorLike,
    classes: TensorLike,
    weights: TensorLike | None = None,
    class_weights: TensorLike | ArrayLike | None = None,
    gamma: float = 2.0,
) -> Tensor:
    """Returns the weighted mean of -(1 - q)^γ ln q, q = softmax(z) at the true class: a Tensor with one element.

    gamma: γ ≥ 0, how strongly pixels that are right are played down. The other arguments and errors are those of
    `cross_entropy_with_logits`; ValueError for a gamma below 0.

    >>> import numpy as np
    >>> round(focal_loss_with_logits(np.array([[0.0, np.log(3.0)]]), np.array([1])).item(), 4)
    0.018
    """
    if not gamma >= 0:
        raise ValueError(f"focal_loss_with_logits: gamma is {gamma}: it must be at least 0 (0 is the cross entropy)")
    check_logits("focal_loss_with_logits", z)
    return FocalLossWithLogitsFunction(classes, weights, class_weights, gamma)(z)
