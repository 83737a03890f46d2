"""batch_norm: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.kernels.reference.normalization import normalize_gradient, normalize_sums
from minunet.learn.exercises.exercise import Exercise, Mistake, Trial, random_like
from minunet.learn.exercises.templates import batch_norm as template
from minunet.ops.batch_norm import BatchNormFunction

AXES = (0, 1, 2)


def trials():
    """The worked example; a batch; channels of very different sizes; a large ε; one image."""
    x, gy = np.array([1.0, 1, 3, 3]).reshape(1, 2, 2, 1), np.array([4.0, 0, 0, 8]).reshape(1, 2, 2, 1)
    yield Trial("the worked example", gy, (x, np.array([2.0]), np.array([10.0])), (3.0,))
    scales = np.array([1.0, 3.0, 0.5])
    for seed, (label, shape, epsilon) in enumerate(
        [("a batch", (2, 3, 4, 3), 1e-3), ("a large ε", (2, 3, 2, 3), 0.5), ("one image", (1, 3, 5, 3), 1e-3)]
    ):
        x = random_like(shape, 4 * seed) * scales + scales
        inputs = x, random_like((3,), 4 * seed + 1) + 2, random_like((3,), 4 * seed + 2)
        yield Trial(label, random_like(shape, 4 * seed + 3), inputs, (epsilon,))


def parts(x, epsilon):
    """x̂, and r of each channel."""
    r = 1 / np.sqrt(x.var(axis=AXES) + epsilon)
    return (x - x.mean(axis=AXES)) * r, r


def of_each_image(gradient):
    """The gradient with mean and variance of each image by itself."""

    def backward(gy, x, gamma, beta, epsilon):
        parts = [gradient(gy[n : n + 1], x[n : n + 1], gamma, beta, epsilon) for n in range(len(x))]
        return np.concatenate(parts) if parts[0].ndim == 4 else sum(parts)

    return backward


def without_normalized(gy, x, gamma, beta, epsilon):
    """x̂ forgotten beside ggamma."""
    normalized, r = parts(x, epsilon)
    return gamma * r * (gy - gy.mean(axis=AXES) - (gy * normalized).mean(axis=AXES))


def gradient(gy, x, gamma, epsilon, through_mean=1.0, through_variance=1.0):
    """gx; without one of the ways if its factor is 0."""
    normalized, r = parts(x, epsilon)
    mean, along = gy.mean(axis=AXES), (gy * normalized).mean(axis=AXES)
    return gamma * r * (gy - through_mean * mean - through_variance * normalized * along)


def with_n(gy, x, gamma, beta, epsilon):
    """The sums divided by N in place of M."""
    factor = x.shape[1] * x.shape[2]
    return gradient(gy, x, gamma, epsilon, factor, factor)


def not_divided(gy, x, gamma, beta, epsilon):
    """The sums themselves, not divided by M."""
    M = gy[..., 0].size
    return gradient(gy, x, gamma, epsilon, M, M)


EXERCISE = Exercise(
    name="batch_norm",
    learns="three ways from x to y, and gradients that meet again",
    minutes=60,
    gradients=("gx", "ggamma", "gbeta"),
    template=template,
    trials=trials,
    mistakes=(
        Mistake(
            "gx",
            "mean and variance are taken for constants: both depend on x, and gradients flow through them",
            lambda gy, x, gamma, beta, epsilon: gradient(gy, x, gamma, epsilon, 0.0, 0.0),
        ),
        Mistake(
            "gx",
            "the way through the variance is missing",
            lambda gy, x, gamma, beta, epsilon: gradient(gy, x, gamma, epsilon, 1.0, 0.0),
        ),
        Mistake(
            "gx",
            "the way through the mean is missing",
            lambda gy, x, gamma, beta, epsilon: gradient(gy, x, gamma, epsilon, 0.0, 1.0),
        ),
        Mistake(
            "gx",
            "γ is missing: ∂y/∂x̂ = γ",
            lambda gy, x, gamma, beta, epsilon: gradient(gy, x, 1.0, epsilon),
        ),
        Mistake(
            "gx",
            "r is missing: ∂x̂/∂x has the factor 1 / √(v + ε)",
            lambda gy, x, gamma, beta, epsilon: gradient(gy, x, gamma, epsilon) / parts(x, epsilon)[1],
        ),
        Mistake("gx", "the sums are divided by N in place of M = N·H·W", with_n),
        Mistake("gx", "the sums gbeta and ggamma are not divided by M = N·H·W", not_divided),
        Mistake("gx", "x̂ is missing beside ggamma: v depends on each x by 2 (x - μ) / M", without_normalized),
        Mistake(
            "gx",
            "a sign in the way through the mean: x̂ falls as μ grows",
            lambda gy, x, gamma, beta, epsilon: gradient(gy, x, gamma, epsilon, -1.0, 1.0),
        ),
        Mistake(
            "gx",
            "r is there twice: ∂x̂/∂x has the factor 1 / √(v + ε) once",
            lambda gy, x, gamma, beta, epsilon: gradient(gy, x, gamma, epsilon) * parts(x, epsilon)[1],
        ),
        Mistake(
            "gx",
            "mean and variance of each image by itself: they are taken over the batch, too",
            of_each_image(lambda gy, x, gamma, beta, epsilon: gradient(gy, x, gamma, epsilon)),
        ),
        Mistake(
            "gx",
            "a factor 2 in the way through the variance: v has the square, r the root, and the 2 and the ½ cancel",
            lambda gy, x, gamma, beta, epsilon: gradient(gy, x, gamma, epsilon, 1.0, 2.0),
        ),
        Mistake(
            "gx",
            "ε is missing in r",
            lambda gy, x, gamma, beta, epsilon: gradient(gy, x, gamma, 0.0),
        ),
        Mistake(
            "gx",
            "a sign in the way through the variance: r falls as v grows",
            lambda gy, x, gamma, beta, epsilon: gradient(gy, x, gamma, epsilon, 1.0, -1.0),
        ),
        Mistake(
            "ggamma",
            "x in place of x̂: γ multiplies the normalized x",
            lambda gy, x, gamma, beta, epsilon: (gy * x).sum(axis=AXES),
        ),
        Mistake(
            "ggamma",
            "r is missing: γ multiplies x̂ = (x - μ) r",
            lambda gy, x, gamma, beta, epsilon: (gy * (x - x.mean(axis=AXES))).sum(axis=AXES),
        ),
        Mistake(
            "ggamma",
            "multiplied by γ: γ is the other factor, ∂y/∂γ = x̂",
            lambda gy, x, gamma, beta, epsilon: gamma * (gy * parts(x, epsilon)[0]).sum(axis=AXES),
        ),
        Mistake(
            "ggamma",
            "y in place of x̂: ∂y/∂γ = x̂",
            lambda gy, x, gamma, beta, epsilon: (gy * template.forward(x, gamma, beta, epsilon)).sum(axis=AXES),
        ),
        Mistake(
            "ggamma",
            "mean and variance of each image by itself: they are taken over the batch, too",
            of_each_image(lambda gy, x, gamma, beta, epsilon: (gy * parts(x, epsilon)[0]).sum(axis=AXES)),
        ),
        Mistake(
            "ggamma",
            "summed over the channels, too: γ is one number per channel",
            lambda gy, x, gamma, beta, epsilon: (gy * parts(x, epsilon)[0]).sum(),
        ),
        Mistake(
            "ggamma",
            "a mean over the pixels in place of the sum",
            lambda gy, x, gamma, beta, epsilon: (gy * parts(x, epsilon)[0]).mean(axis=AXES),
        ),
        Mistake(
            "ggamma",
            "not summed over the pixels: γ is one number per channel",
            lambda gy, x, gamma, beta, epsilon: gy * parts(x, epsilon)[0],
        ),
        Mistake(
            "ggamma",
            "ε is missing in r",
            lambda gy, x, gamma, beta, epsilon: (gy * parts(x, 0.0)[0]).sum(axis=AXES),
        ),
        Mistake(
            "gbeta",
            "a mean over the pixels in place of the sum",
            lambda gy, x, gamma, beta, epsilon: gy.mean(axis=AXES),
        ),
        Mistake("gbeta", "not summed over the pixels", lambda gy, x, gamma, beta, epsilon: gy),
        Mistake("gbeta", "not summed over the batch", lambda gy, x, gamma, beta, epsilon: gy.sum(axis=(1, 2))),
        Mistake(
            "gbeta",
            "summed over the channels, too: β is one number per channel",
            lambda gy, x, gamma, beta, epsilon: gy.sum(),
        ),
        Mistake("gbeta", "summed over the batch only", lambda gy, x, gamma, beta, epsilon: gy.sum(axis=0)),
        Mistake(
            "gbeta", "multiplied by γ: β is only added", lambda gy, x, gamma, beta, epsilon: gamma * gy.sum(axis=AXES)
        ),
    ),
    hints=(
        "β and γ are one number per channel, used at every pixel: gbeta = Σ gy, ggamma = Σ gy x̂, over N, H, W.",
        "For gx, with gx̂ = γ gy: directly r gx̂; through μ, -r Σ gx̂ / M; through v, ∂L/∂v · 2 (x - μ) / M with "
        "∂L/∂v = Σ gx̂ (x - μ) · (-½ r³). Since Σ (x - μ) = 0, v does not depend on μ.",
        "Put together: gx = γ r (gy - gbeta / M - x̂ ggamma / M)",
    ),
    solution=(BatchNormFunction, normalize_sums, normalize_gradient),
    why="Adding a constant to a channel, or multiplying it by one, changes no y (except through ε), so gx has no "
    "component in these two directions: the two subtractions take them away.",
)
