"""Binary cross entropy: how surprised the network is by the true mask, averaged over the pixels.

    p, t  of one shape, (N, H, W, 1) for masks: the predicted probability of "pet", and the truth (0 or 1)

    l(p, t) = -t ln p - (1 - t) ln(1 - p)           L = mean of l   (or Σ w l / Σ w, with weights w)

On probabilities. ln 0 is -∞, so p is first clipped to [ε, 1 - ε] with ε = 1e-7, which is what Keras does. Then

    ∂l/∂p = -t/p + (1 - t)/(1 - p) = (p - t) / (p (1 - p))          0 where p was clipped: there L is constant

On logits z, with p = σ(z). The sigmoid's derivative p(1 - p) cancels the denominator:

    ∂l/∂z = ∂l/∂p · p (1 - p) = p - t

prediction minus truth: between -1 and 1, and never 0/0. The value needs no logarithm of 0 either. With
ln σ(z) = -ln(1 + e⁻ᶻ),

    l = (1 - t) z + ln(1 + e⁻ᶻ) = max(z, 0) - t z + ln(1 + e^(-|z|))

and here e^(-|z|) is never above 1.

Worked numbers: z = ln 3 = 1.0986 twice, so p = 3/4, with t = (1, 0):

    l = (-ln 3/4, -ln 1/4) = (0.2877, 1.3863)    L = 0.8370    gz = (-1/4, 3/4) / 2    gp = (-4/3, 4) / 2

    >>> z = Tensor([1.0986, 1.0986], requires_grad=True)
    >>> loss = binary_cross_entropy_with_logits(z, Tensor([1.0, 0.0]))
    >>> loss.backward()
    >>> round(loss.item(), 4), z.grad.round(4)
    (0.837, array([-0.125,  0.375]))

Train on logits; the form on probabilities is here for comparison, and for models that end in a sigmoid. A pixel whose p
is clipped has no gradient: p = 1 for t = 0 costs -ln 10⁻⁷ = 16.1, the most there is, and cannot be learned from. On
logits it pulls hardest. (The squared error (p - t)² has the same trouble: its ∂l/∂z = 2 (p - t) p (1 - p) is almost 0
where the network is confidently wrong.)

The mean is over all numbers of z. If all weights are 0, so is L.
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.device import array_module
from minunet.kernels import kernels_for
from minunet.ops.targets import check_logits, check_probabilities, mean_weights, target_arrays, weighted_mean

CLIP = 1e-7  # keras.config.epsilon()


class BinaryCrossEntropyFunction(Function):
    """L = mean of -t ln p - (1 - t) ln(1 - p);  gp = gy / n · (p - t) / (p (1 - p)), 0 where p was clipped."""

    def __init__(self, t, weights=None):
        self.t = t
        self.weights = weights

    def forward(self, p):
        xp = array_module(p)
        check_probabilities("binary_cross_entropy", p)
        t, self.weights = target_arrays("binary_cross_entropy", p, self.t, self.weights)
        self.t = t
        self.p = p
        clipped = xp.clip(p, CLIP, 1 - CLIP)
        return weighted_mean(-t * xp.log(clipped) - (1 - t) * xp.log(1 - clipped), self.weights)

    def backward(self, gy):
        xp = array_module(gy)
        inside = (self.p >= CLIP) & (self.p <= 1 - CLIP)
        p = xp.clip(self.p, CLIP, 1 - CLIP)
        return gy * (mean_weights(p, self.weights) * (p - self.t) / (p * (1 - p))) * inside


class BinaryCrossEntropyWithLogitsFunction(Function):
    """The same of p = σ(z);  gz = gy / n · (p - t)."""

    def __init__(self, t, weights=None):
        self.t = t
        self.weights = weights

    def forward(self, z):
        t, weights = target_arrays("binary_cross_entropy_with_logits", z, self.t, self.weights)
        self.t = self.weights = None
        # One pass over z gives the loss and, for backward, 1 / Σ w and w (p - t), which needs no more memory than z
        loss, self.scale, self.error = kernels_for(z).cross_entropy(z, t, weights)
        return loss

    def backward(self, gy):
        return gy * self.scale * self.error


def binary_cross_entropy(p: TensorLike, t: TensorLike, weights: TensorLike | None = None) -> Tensor:
    """Returns the mean of -t ln p - (1 - t) ln(1 - p), p clipped to [1e-7, 1 - 1e-7], a Tensor with one element.

    The same as keras.losses.BinaryCrossentropy.

    p        Tensor of probabilities, any shape.
    t        array or Tensor of the same shape, 0 to 1.
    weights  None, or how much each element counts, same shape.

    Raises ValueError for different shapes.

    >>> import numpy as np
    >>> round(binary_cross_entropy(np.array([0.5, 0.9]), np.array([1.0, 1.0])).item(), 4)
    0.3993
    """
    return BinaryCrossEntropyFunction(t, weights)(p)


def binary_cross_entropy_with_logits(z: TensorLike, t: TensorLike, weights: TensorLike | None = None) -> Tensor:
    """Returns the same loss for p = σ(z), in the form that cannot overflow (keras: from_logits=True).

    Raises as `binary_cross_entropy`; ValueError for a z that `sigmoid` or `softmax` has made.

    >>> import numpy as np
    >>> binary_cross_entropy_with_logits(np.array([1e4, -1e4]), np.array([0.0, 0.0])).item()
    5000.0
    """
    check_logits("binary_cross_entropy_with_logits", z)
    return BinaryCrossEntropyWithLogitsFunction(t, weights)(z)
