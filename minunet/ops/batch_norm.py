"""Batch normalization: gives every channel mean 0 and variance 1, then a mean and a scale that are learned.

    x, y         (N, H, W, C)
    gamma, beta  (C,)           γ and β, the learned scale and mean

Forward. Per channel, over its M = N·H·W pixels of the batch:

    μ = Σ x / M        v = Σ (x - μ)² / M        r = 1 / √(v + ε)

    x̂ = (x - μ) r      y = γ x̂ + β

v is the biased variance (divided by M, not M - 1), as in Keras. ε keeps a channel of equal numbers from being 0/0; with
it the variance of x̂ is v / (v + ε), a little below 1. The mean comes first, then the squared deviations from it: the
shorter Σ x² / M - μ² is the difference of two large numbers where μ is large compared with the deviations. For
x = (5000, 5001, 5002) v is 2/3, but float32 numbers near 5000² lie 2 apart: the difference is even, perhaps 0 or -2,
and the root of -2 is NaN. For the same reason μ is subtracted from x before anything is multiplied.

Backward. Let gx̂ = γ gy. x affects L directly, through μ and through v. (Through μ it does not affect v:
∂v/∂μ = -2 Σ (x - μ) / M = 0.)

    ∂L/∂v = Σ gx̂ (x - μ) · (-½ r³)        ∂v/∂x = 2 (x - μ) / M
    ∂L/∂μ = -r Σ gx̂                       ∂μ/∂x = 1 / M

    gx = r gx̂ + ∂L/∂v ∂v/∂x + ∂L/∂μ ∂μ/∂x = γ r (gy - Σ gy / M - x̂ Σ gy x̂ / M)

The two sums are the other gradients:    gβ = Σ gy        gγ = Σ gy x̂ = r Σ gy (x - μ)

In words: adding a constant to a channel, or multiplying it by a positive one, changes no y (except through ε), so the
gradient's components in these two directions are removed. That is why a bias in the convolution before it is useless: μ
takes it away again, and its gradient Σ gx is 0. β takes its place.

Worked numbers: one channel of four pixels, γ = 2, β = 10, ε ≈ 0:

    x = (1, 1, 3, 3)    μ = 2    v = r = 1    x̂ = (-1, -1, 1, 1)    y = (8, 8, 12, 12)
    gy = (4, 0, 0, 0)   gβ = 4   gγ = -4      gx = 2 (gy - 4/4 - x̂ (-4)/4) = (4, -4, 0, 0)

    >>> import numpy as np
    >>> x = Tensor(np.array([1.0, 1, 3, 3]).reshape(1, 1, 4, 1), requires_grad=True)
    >>> gamma, beta = Tensor([2.0], requires_grad=True), Tensor([10.0], requires_grad=True)
    >>> y, (mean, variance) = batch_norm(x, gamma, beta, epsilon=1e-9)
    >>> y.backward(np.array([4.0, 0, 0, 0]).reshape(y.shape))
    >>> y.data.ravel().round(6), x.grad.ravel().round(6) + 0.0
    (array([ 8.,  8., 12., 12.]), array([ 4., -4.,  0.,  0.]))
    >>> mean, variance, gamma.grad.round(6), beta.grad
    (array([2.]), array([1.]), array([-4.]), array([4.]))

With μ and v held constant (the running averages, when the network is used), y is linear in x, and gx = γ r gy.

ReLU may be fused: with activation="relu" it is computed in the same pass over memory. Backward then begins with gz = gy
where z > 0, else 0, with z = γ x̂ + β; z is recomputed from x, so that y need not be kept. x is the only array of its
size that is kept.

Source: Ioffe and Szegedy, 2015; ε as in Keras.
"""

from typing import Literal

from minunet.autograd import Function, Tensor, TensorLike
from minunet.device import Array, array_module
from minunet.kernels import kernels_for
from minunet.ops.checks import check_arrays


class BatchNormFunction(Function):
    """y = γ (x - μ) r + β;  gx = γ r (gy - gβ/M - x̂ gγ/M),  gγ = r Σ gy (x - μ),  gβ = Σ gy."""

    takes_half = True

    def __init__(self, statistics=None, epsilon=1e-3, activation=None):
        self.constant = statistics is not None
        self.statistics = statistics
        self.epsilon = epsilon
        self.relu = activation == "relu"

    def forward(self, x, gamma, beta):
        check_arrays("batch_norm", x=(x, 4), gamma=(gamma, 1), beta=(beta, 1))
        self._check_channels(x, gamma, beta)
        if self.constant:
            mean, variance = (a.astype(gamma.dtype, copy=False) for a in self.statistics)
            r = 1 / array_module(x).sqrt(variance + self.epsilon)
        else:
            mean, variance, r = kernels_for(x).moments(x, self.epsilon)
            self.statistics = mean, variance
        self.x = x  # for x̂; the convolution before it keeps its input, not this
        self.constants = mean, r, gamma, beta, self.relu
        return kernels_for(x).normalize(x, *self.constants)

    def backward(self, gy):
        kernels, x = kernels_for(gy), self.x
        gbeta, ggamma = kernels.normalize_sums(gy, x, *self.constants)
        scale = 0.0 if self.constant else x.shape[3] / x.size  # 1/M
        gx = kernels.normalize_gradient(gy, x, *self.constants, gbeta, ggamma, scale) if self.needs[0] else None
        return gx, ggamma, gbeta

    def _check_channels(self, x, gamma, beta):
        given = {"gamma": gamma, "beta": beta}
        given |= dict(zip(("mean", "variance"), self.statistics)) if self.constant else {}
        for name, array in given.items():
            if array.shape != x.shape[3:]:
                raise ValueError(
                    f"batch_norm: {name} has shape {array.shape}, x {x.shape} has {x.shape[3]} channels: give one "
                    "number per channel"
                )
        if x.size == 0:
            raise ValueError(f"batch_norm: x has shape {x.shape}: there are no pixels to average")


def batch_norm(
    x: TensorLike,
    gamma: TensorLike,
    beta: TensorLike,
    statistics: tuple[Array, Array] | None = None,
    epsilon: float = 1e-3,
    activation: Literal["relu"] | None = None,
) -> tuple[Tensor, tuple[Array, Array]]:
    """Returns γ (x - μ) / √(v + ε) + β for each channel (as Keras' BatchNormalization), and the arrays (μ, v) used.

    x            Tensor (N, H, W, C), float32 or float64; y has the same shape and dtype.
    gamma, beta  Tensors (C,).
    statistics   None: μ and v of this batch, through which the gradient flows too. Or two arrays (C,), held constant.
    epsilon      ε > 0.
    activation   None or "relu".

    A batch with a single pixel per channel becomes β, whatever its number is: x - μ = 0.
    Raises ValueError for shapes that do not fit together, TypeError for mixed dtypes.

    >>> import numpy as np
    >>> x = np.array([1.0, 3.0]).reshape(1, 1, 2, 1)
    >>> y, (mean, variance) = batch_norm(x, np.array([2.0]), np.array([10.0]), epsilon=1e-12)
    >>> y.data.ravel(), mean, variance
    (array([ 8., 12.]), array([2.]), array([1.]))
    """
    if activation not in (None, "relu"):
        raise ValueError(f'batch_norm: activation is {activation!r}: it must be None or "relu"')
    if not epsilon > 0:
        raise ValueError(
            f"batch_norm: epsilon is {epsilon!r}: it must be positive, since a channel of equal numbers would give 0/0"
        )
    function = BatchNormFunction(statistics, float(epsilon), activation)
    y = function(x, gamma, beta)
    return y, function.statistics
