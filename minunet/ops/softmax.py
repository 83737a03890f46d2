"""Softmax: turns K numbers into the probabilities of K classes.

    z  (…, K)  logits          p  (…, K)  probabilities, Σ_k p_k = 1 for each pixel

    p_k = e^(z_k - m) / S,     S = Σ_j e^(z_j - m),     m = the largest z_j of the pixel

m changes no p: it cancels. With it no power of e is above 1, so none overflows. For z = (1, 2, 3):

    z - m = (-2, -1, 0)    e^… = (0.1353, 0.3679, 1)    S = 1.5032    p = (0.0900, 0.2447, 0.6652)

Gradient. Each p_k depends on every z_j of its pixel, through S:

    ∂p_k/∂z_j = [k = j] e^(z_k - m) / S - e^(z_k - m) e^(z_j - m) / S² = p_k ([k = j] - p_j)

    gz_j = Σ_k gp_k p_k ([k = j] - p_j) = p_j (gp_j - Σ_k p_k gp_k)

Each gp is compared with the mean of them all, weighted by p. The gz_j of a pixel add up to 0, as they must: moving all
z together changes nothing. Above, gp = (1, 0, 0) gives gz = (0.0900 · 0.9100, -0.2447 · 0.0900, -0.6652 · 0.0900).

    >>> z = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> softmax(z).backward(Tensor([1.0, 0.0, 0.0]))
    >>> z.grad.round(4)
    array([ 0.0819, -0.022 , -0.0599])

Its logarithm. ln p_k = z_k - m - ln S needs no logarithm of 0, however small p_k is, since S ≥ e⁰ = 1:

    ∂(ln p_k)/∂z_j = [k = j] - p_j        gz_j = gy_j - p_j Σ_k gy_k

Above, gy = (1, 0, 0) gives gz = (1 - 0.0900, -0.2447, -0.6652).

With two classes, p_1 = 1 / (1 + e^(z_0 - z_1)) = σ(z_1 - z_0): σ(z) is the second number of the softmax of (0, z).
"""

from minunet.autograd import Function, Tensor, TensorLike
from minunet.device import array_module
from minunet.kernels import kernels_for


class SoftmaxFunction(Function):
    """p_k = e^(z_k - m) / S;  gz = p (gp - Σ p gp)."""

    def forward(self, z):
        _check_logits("softmax", z)
        self.p = kernels_for(z).softmax(z)  # the derivative is a function of the output
        return self.p

    def backward(self, gp):
        return kernels_for(gp).softmax_gradient(gp, self.p)


class LogSoftmaxFunction(Function):
    """y_k = z_k - m - ln S;  gz = gy - p Σ gy."""

    def forward(self, z):
        _check_logits("log_softmax", z)
        xp = array_module(z)
        shifted = z - z.max(axis=-1, keepdims=True)
        self.y = shifted - xp.log(xp.exp(shifted).sum(axis=-1, keepdims=True))  # p is e^y
        return self.y

    def backward(self, gy):
        return gy - array_module(gy).exp(self.y) * gy.sum(axis=-1, keepdims=True)


def _check_logits(operation, z):
    """Raises TypeError or ValueError unless z is floating-point (…, K)."""
    if z.dtype.kind != "f":
        raise TypeError(f'{operation}: z is {z.dtype}: it must be floating-point; give array.astype("float32")')
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f"{operation}: z has shape {z.shape}: it must be (…, K), with the K classes last")


def softmax(z: TensorLike) -> Tensor:
    """Returns the probabilities e^(z_k) / Σ e^(z_j) over the last axis; same shape and dtype.

    Raises TypeError unless z is floating-point, ValueError if it has no last axis.

    >>> softmax([1.0, 2.0, 3.0]).numpy().round(4)
    array([0.09  , 0.2447, 0.6652])
    """
    return SoftmaxFunction()(z)


def log_softmax(z: TensorLike) -> Tensor:
    """Returns the logarithms of these probabilities, finite however small they are. Shapes and errors as `softmax`.

    >>> log_softmax([0.0, 1000.0]).numpy()
    array([-1000.,     0.])
    """
    return LogSoftmaxFunction()(z)
