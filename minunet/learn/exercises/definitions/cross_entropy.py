"""cross_entropy: what is checked, typical mistakes, hints, and the solution."""

import numpy as np

from minunet.kernels.reference.classes import softmax_cross_entropy
from minunet.learn.exercises.exercise import Exercise, Mistake, Trial
from minunet.learn.exercises.templates import cross_entropy as template
from minunet.ops.cross_entropy import CrossEntropyWithLogitsFunction

IGNORE, softmax = template.IGNORE, template.softmax


def trials():
    """The worked example; a batch; two classes; ignored pixels."""
    z = np.log([1.0, 2, 5]).reshape(1, 1, 1, 3)
    yield Trial("the worked example", np.array(8.0), (z,), (np.array([[[1]]]),))
    rng = np.random.default_rng(1)
    for label, shape, K in (("four classes", (2, 3, 5), 4), ("two classes", (3, 2, 2), 2)):
        yield Trial(label, np.array(1.7), (rng.standard_normal((*shape, K)),), (rng.integers(0, K, shape),))
    classes = rng.integers(0, 3, (2, 3, 3))
    classes[0, 1, :2] = classes[1, 2, 0] = IGNORE
    yield Trial("ignored pixels", np.array(-2.3), (rng.standard_normal((2, 3, 3, 3)),), (classes,))


def onehot(classes, K):
    """1 at the true class, all 0 for an ignored pixel."""
    return (classes[..., None] == np.arange(K)) * 1.0


def error(z, classes):
    """p - onehot, 0 for an ignored pixel."""
    return (softmax(z) - onehot(classes, z.shape[-1])) * (classes != IGNORE)[..., None]


def added(p, z, classes):
    """p + onehot, 0 for an ignored pixel, over the number of the others."""
    return (p + onehot(classes, z.shape[-1])) * (classes != IGNORE)[..., None] / counted(classes)


def counted(classes):
    """How many pixels are not ignored."""
    return (classes != IGNORE).sum()


EXERCISE = Exercise(
    name="cross_entropy",
    learns="why softmax and cross entropy belong together: prediction minus truth",
    minutes=25,
    gradients=("gz",),
    template=template,
    trials=trials,
    mistakes=(
        Mistake(
            "gz",
            "ignored pixels are not masked: class 255 means that the pixel has no gradient",
            lambda gy, z, classes: gy * (softmax(z) - onehot(classes, z.shape[-1])) / counted(classes),
        ),
        Mistake(
            "gz",
            "ignored pixels are neither masked nor left out of the count",
            lambda gy, z, classes: gy * (softmax(z) - onehot(classes, z.shape[-1])) / classes.size,
        ),
        Mistake(
            "gz",
            "not divided by the number of pixels: L is the mean over those that are not ignored",
            lambda gy, z, classes: gy * error(z, classes),
        ),
        Mistake(
            "gz",
            "divided by the number of all pixels: those that are ignored do not count",
            lambda gy, z, classes: gy * error(z, classes) / classes.size,
        ),
        Mistake(
            "gz",
            "divided by the number of elements of z: the mean is over pixels, not over their K classes",
            lambda gy, z, classes: gy * error(z, classes) / z.size,
        ),
        Mistake(
            "gz",
            "divided by the number of images: the mean is over pixels",
            lambda gy, z, classes: gy * error(z, classes) / len(z),
        ),
        Mistake(
            "gz",
            "p in place of p - onehot: 1 must be taken away at the true class",
            lambda gy, z, classes: gy * softmax(z) * (classes != IGNORE)[..., None] / counted(classes),
        ),
        Mistake(
            "gz",
            "only the true class: the others have the gradient p_k, through the sum in the softmax",
            lambda gy, z, classes: gy * error(z, classes) * onehot(classes, z.shape[-1]) / counted(classes),
        ),
        Mistake(
            "gz",
            "not through the softmax: this is the gradient with respect to p",
            lambda gy, z, classes: -gy * onehot(classes, z.shape[-1]) / softmax(z) / counted(classes),
        ),
        Mistake(
            "gz",
            "this is onehot - p: it is p - onehot, prediction minus truth",
            lambda gy, z, classes: -gy * error(z, classes) / counted(classes),
        ),
        Mistake(
            "gz",
            "1 is added at the true class: it must be taken away",
            lambda gy, z, classes: gy * added(softmax(z), z, classes),
        ),
        Mistake(
            "gz",
            "sigmoid in place of softmax: the classes of a pixel share a sum",
            lambda gy, z, classes: -gy * added(-1 / (1 + np.exp(-z)), z, classes),
        ),
        Mistake(
            "gz",
            "e^z in place of softmax: it must be divided by its sum over the classes",
            lambda gy, z, classes: -gy * added(-np.exp(z), z, classes),
        ),
        Mistake(
            "gz",
            "multiplied by p (1 - p): p - onehot holds the derivative of the softmax already",
            lambda gy, z, classes: gy * softmax(z) * (1 - softmax(z)) * error(z, classes) / counted(classes),
        ),
        Mistake("gz", "gy is left out", lambda gy, z, classes: error(z, classes) / counted(classes)),
    ),
    hints=(
        "∂(ln Σ_j e^(z_j))/∂z_k = e^(z_k) / Σ_j e^(z_j) = p_k. And ∂z_t/∂z_k is 1 for k = t, else 0.",
        "So ∂l/∂z_k = p_k, minus 1 at the true class. An ignored pixel has no loss: 0. The mean divides by the "
        "number of pixels that are not ignored.",
        "gz = softmax(z); take 1 away at each pixel's class; set ignored pixels to 0; times gy / their number.",
    ),
    solution=(CrossEntropyWithLogitsFunction, softmax_cross_entropy),
    why="gz = gy w (p - onehot) / Σ w. The division by p_t, which would be 0/0 for a network that is sure and wrong, "
    "cancels: therefore the two operations are one in the project.",
)
