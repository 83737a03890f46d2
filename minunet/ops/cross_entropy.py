"""Cross entropy of many classes: how surprised the network is by the true class, averaged over the pixels.

    z        (N, H, W, K)  logits, K numbers per pixel        p = softmax(z)
    classes  (N, H, W)     the true class t of each pixel, 0 … K - 1; 255: the pixel is ignored
    w        (N, H, W)     how much the pixel counts: 0 if it is ignored, else its weight times that of its class

    l = -ln p_t = ln Σ_j e^(z_j) - z_t              L = Σ w l / Σ w        the mean of l, if all weights are 1

The logarithm of a sum of exponentials ("log-sum-exp") is taken with the largest z, m, in front:

    ln Σ e^(z_j) = m + ln Σ e^(z_j - m)

so that nothing overflows, and no logarithm is of 0: the sum is at least e⁰ = 1.

Gradient. By ∂(ln Σ e^(z_j))/∂z_k = e^(z_k) / Σ e^(z_j) = p_k and ∂z_t/∂z_k = [k = t],

    ∂l/∂z_k = p_k - [k = t]                gz_k = gy · w (p_k - [k = t]) / Σ w

prediction minus truth, as for two classes. ("p - onehot", though the CPU's and the GPU's kernels build no such array.)

Worked numbers. One pixel, z = (1, 2, 3), so p = (0.0900, 0.2447, 0.6652). If its class is 1, l = -ln 0.2447 = 1.4076
and gz = (0.0900, -0.7553, 0.6652): class 1 goes up, class 2 down. A second pixel, z = (0, 0, 0) of class 0, has l = ln
3 = 1.0986 and p - onehot = (-2/3, 1/3, 1/3). Together L = (1.4076 + 1.0986) / 2 = 1.2531, and both gradients are
halved. With class weights (3, 1, 1), L = (1 · 1.4076 + 3 · 1.0986) / 4 = 1.1759.

    >>> import numpy as np
    >>> z = Tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], requires_grad=True)
    >>> cross_entropy_with_logits(z, np.array([1, 0])).backward()
    >>> z.grad.round(4)
    array([[ 0.045 , -0.3776,  0.3326],
           [-0.3333,  0.1667,  0.1667]])

If all weights are 0 (nothing but ignored pixels), so is L.
"""

from numpy.typing import ArrayLike

from minunet.autograd import Function, Tensor, TensorLike
from minunet.kernels import kernels_for
from minunet.ops.targets import check_logits, class_arrays


class CrossEntropyWithLogitsFunction(Function):
    """L = Σ w (ln Σ e^z - z_t) / Σ w;  gz = gy w (p - onehot) / Σ w."""

    def __init__(self, classes, weights=None, class_weights=None):
        self.given = classes, weights, class_weights

    def forward(self, z):
        arrays = class_arrays("cross_entropy_with_logits", z, *self.given)
        del self.given
        # One pass over z gives the loss and, for backward, 1 / Σ w and w (p - onehot), which is no larger than z
        loss, self.scale, self.error = kernels_for(z).softmax_cross_entropy(z, *arrays)
        return loss

    def backward(self, gy):
        gz, self.error = self.error, None  # nobody else holds it, so it becomes the gradient
        gz *= gy * self.scale
        return gz


def cross_entropy_with_logits(
    z: TensorLike,
    classes: TensorLike,
    weights: TensorLike | None = None,
    class_weights: TensorLike | ArrayLike | None = None,
) -> Tensor:
    """Returns the weighted mean of -ln softmax(z) at the true classes, a Tensor with one element.

    z              Tensor of logits (…, K), for example (N, H, W, K); K from 2 to 255.
    classes        integers (…) or (…, 1), 0 … K - 1, or 255 for a pixel that is ignored.
    weights        None, or how much each pixel counts, (…) or (…, 1).
    class_weights  None, or how much each class counts, (K,); in a loop on a GPU, give an array that is already there.

    Raises ValueError for other shapes, and on the CPU for a class that does not exist; on a GPU, where looking would
    make every step wait, such a class makes the loss NaN. Raises TypeError unless the classes are integers.

    >>> import numpy as np
    >>> z, classes = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), np.array([1, 0])
    >>> round(cross_entropy_with_logits(z, classes).item(), 4)
    1.2531
    >>> round(cross_entropy_with_logits(z, classes, class_weights=[3.0, 1.0, 1.0]).item(), 4)
    1.1759
    """
    check_logits("cross_entropy_with_logits", z)
    return CrossEntropyWithLogitsFunction(classes, weights, class_weights)(z)
