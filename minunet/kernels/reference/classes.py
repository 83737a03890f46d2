"""Many classes: softmax, its cross entropy with the gradient, the sums that Dice needs, the confusion matrix.

z, p           (…, K)  logits and probabilities of K classes
classes        (…)     integers: the true class 0 … K - 1, or 255 where the pixel is ignored
weights        (…)     how much each pixel counts, None for 1
class_weights  (K,)    how much each class counts, None for 1
"""

from minunet.device import array_module

IGNORED = 255  # the class of pixels that do not count; IGNORE in data/labels.py, which no kernel knows


def softmax(z):
    """p_k = e^(z_k - m) / Σ e^(z_j - m) with m the largest z of the row. z, p (…, K)."""
    xp = array_module(z)
    e = xp.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_gradient(gp, p):
    """gz = p (gp - Σ p gp), the sum over the row. gp, p, gz (…, K)."""
    return p * (gp - (p * gp).sum(axis=-1, keepdims=True))


def one_hot(classes, K, dtype):
    """1 at the true class, 0 elsewhere and where a pixel is ignored. classes (…). Returns an array (…, K)."""
    return (classes[..., None] == array_module(classes).arange(K)).astype(dtype)


def pixel_weights(classes, K, weights, class_weights, dtype):
    """The weight of each pixel times that of its class; 0 where it is ignored, NaN where its class does not exist.

    Returns an array (…). NaN, since nothing on a GPU can raise without making the step wait: the loss becomes NaN.
    """
    xp = array_module(classes)
    known = (classes >= 0) & (classes < K)
    w = xp.where(known, 1.0, xp.where(classes == IGNORED, 0.0, float("nan"))).astype(dtype)
    if class_weights is not None:
        w = w * class_weights[xp.where(known, classes, 0)]
    return w if weights is None else w * weights


def softmax_cross_entropy(z, classes, weights, class_weights=None, gamma=0.0):
    """The mean of l = -(1 - q)^γ ln q with weights w, q = softmax(z) at the true class, and what its gradient needs.

        loss = Σ w l / Σ w        scale = 1 / Σ w        gz = gy · scale · error
        error = w (p - onehot) f,  f = (1 - q)^γ - γ q (1 - q)^(γ-1) ln q       f = 1 for γ = 0, the cross entropy

    Returns (loss, scale, error): the first two with a single element, 0 if all weights are; error like z.
    """
    xp, K = array_module(z), z.shape[-1]
    truth = one_hot(classes, K, z.dtype)
    w = pixel_weights(classes, K, weights, class_weights, z.dtype)
    shifted = z - z.max(axis=-1, keepdims=True)
    e = xp.exp(shifted)
    total = e.sum(axis=-1)
    log_q = (truth * shifted).sum(axis=-1) - xp.log(total)
    loss, factor = focus(xp, log_q, (e * (1 - truth)).sum(axis=-1) / total, gamma)
    error = (e / total[..., None] - truth) * (w * factor)[..., None]
    W = w.sum()
    scale = (W != 0) / (W + (W == 0))
    return ((w * loss).sum() * scale).astype(z.dtype), scale.astype(z.dtype), error


def focus(xp, log_q, rest, gamma):
    """Returns (l, f) for γ from ln q and rest = 1 - q, which is accurate even where q rounds to 1."""
    if gamma == 0:
        return -log_q, xp.ones_like(log_q)
    easy = rest == 0  # then q ln q / (1 - q) is its limit, -1
    ratio = xp.where(easy, -1, xp.exp(log_q) * log_q / xp.where(easy, 1, rest))
    power = rest**gamma
    return -power * log_q, power * (1 - gamma * ratio)


def class_overlap(p, classes, weights):
    """Σ w p over the pixels of class k, Σ w p over all pixels, Σ w over those of class k; of each image and class.

    p (N, …, K). Returns an array (N, K, 3).
    """
    xp, K, axes = array_module(p), p.shape[-1], tuple(range(1, p.ndim - 1))
    truth = one_hot(classes, K, p.dtype)
    w = pixel_weights(classes, K, weights, None, p.dtype)[..., None]
    return xp.stack([(w * p * truth).sum(axis=axes), (w * p).sum(axis=axes), (w * truth).sum(axis=axes)], axis=2)


def class_overlap_gradient(p, classes, weights, ga, gb):
    """The gradient of the logits if L changes by ga[n,k] w for p_k of any pixel, and gb[n,k] w more if its class is k.

    With gp = w (ga + gb onehot), gz = p (gp - Σ p gp). p (N, …, K), ga, gb (N, K). p may be overwritten.
    """
    K, per_image = p.shape[-1], (len(p), *(1,) * (p.ndim - 2), p.shape[-1])
    w = pixel_weights(classes, K, weights, None, p.dtype)[..., None]
    return softmax_gradient(w * (ga.reshape(per_image) + gb.reshape(per_image) * one_hot(classes, K, p.dtype)), p)


def confusion(values, labels, K):
    """How many pixels of class i were given to class j: the first of the largest of values[…, :K]. Integers (K, K).

    values (…, C) with C ≥ K, labels (…) integers. Pixels whose label is not 0 … K - 1 are not counted.
    """
    xp = array_module(values)
    counted = (labels >= 0) & (labels < K)
    pairs = labels[counted].astype("int64") * K + values[..., :K].argmax(axis=-1)[counted]
    return xp.bincount(pairs, minlength=K * K).reshape(K, K)
