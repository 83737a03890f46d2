"""What is computed for many classes: softmax and its losses; and the errors of numbers, for heat maps and offsets."""

import numpy as np

from minunet import ops
from minunet.checks.gradient_cases.case import Case
from minunet.data.labels import IGNORE
from minunet.ops.losses import cross_entropy_dice_loss


def softmaxes(rng):
    """softmax and its logarithm over the last axis of one, two and four axes."""
    for label, shape in (("one pixel", (5,)), ("two classes", (3, 2)), ("images", (2, 3, 5, 4))):
        z = rng.standard_normal(shape) * 2
        yield Case("softmax", label, ops.softmax, [z])
        yield Case("log_softmax", label, ops.log_softmax, [z])


def class_losses(rng):
    """The losses with respect to the logits, with and without ignored pixels and weights of pixels and classes."""
    shape, K = (3, 4, 5), 4
    z = rng.standard_normal((*shape, K)) * 2
    classes, weights, of_classes = rng.integers(0, K, shape), rng.integers(0, 3, shape), np.array([1, 2, 3, 5])
    ignored = np.where(rng.random(shape) < 0.3, IGNORE, classes).astype(np.uint8)
    arrays = {  # integers: gradcheck holds them constant
        "": [classes[..., None]],
        "ignored pixels": [ignored],
        "weighted": [ignored, weights],
        "weighted classes": [classes, weights, of_classes],
    }
    for label, constants in arrays.items():
        yield Case("cross_entropy_with_logits", label, ops.cross_entropy_with_logits, [z, *constants])
        yield Case("multiclass_dice_loss_with_logits", label, ops.multiclass_dice_loss_with_logits, [z, *constants])
        yield Case("cross_entropy_dice_loss", label, cross_entropy_dice_loss, [z, *constants])
        for gamma in (0, 0.5, 2):
            yield Case(
                "focal_loss_with_logits",
                f"{label} gamma={gamma}",
                lambda z, *constants, gamma=gamma: ops.focal_loss_with_logits(z, *constants, gamma=gamma),
                [z, *constants],
            )


def errors(rng):
    """The mean squared and absolute errors of numbers, these clear of their corner at 0."""
    shape = (3, 4, 5, 2)
    t, weights = rng.integers(-3, 4, shape), rng.integers(0, 3, shape)
    y = t + rng.choice([-1, 1], shape) * rng.uniform(0.1, 2, shape)
    for label, constants in {"": [t], "weighted": [t, weights], "weighted pixels": [t, weights[..., :1]]}.items():
        yield Case("mean_squared_error", label, ops.mean_squared_error, [y, *constants])
        yield Case("mean_absolute_error", label, ops.mean_absolute_error, [y, *constants])
