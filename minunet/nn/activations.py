"""What turns the logits of a network's last layer into its answer."""

from minunet import ops
from minunet.autograd import Tensor

OUTPUT_ACTIVATIONS = ("sigmoid", "softmax", "linear")


def check_output_activation(activation: str, out_channels: int, model: str) -> str:
    """Returns the name of an activation for so many channels.

    Raises ValueError, with the name of the model, if there is none of this name, and for softmax over one channel.

    >>> check_output_activation("softmax", 2, "UNet")
    'softmax'
    """
    if activation not in OUTPUT_ACTIVATIONS:
        names = ", ".join(map(repr, OUTPUT_ACTIVATIONS))
        raise ValueError(f"{model}: activation is {activation!r}: it must be one of {names}")
    if activation == "softmax" and out_channels == 1:
        raise ValueError(
            f"{model}: softmax over 1 channel is 1 everywhere: give a channel for each class, the background included, "
            'or activation="sigmoid"'
        )
    return activation


def activate(z: Tensor, activation: str) -> Tensor:
    """Returns the answer that the logits z (…, K) stand for, a Tensor of the same shape.

    "sigmoid": each channel is the probability of its own question, whatever the others say.
    "softmax": the channels are the probabilities of K classes, of which each pixel has one; they add up to 1.
    "linear": the numbers as they are, such as distances.

    >>> import numpy as np
    >>> activate(Tensor(np.array([[0.0, 0.0]])), "sigmoid").data
    array([[0.5, 0.5]])
    """
    if activation == "sigmoid":
        return ops.sigmoid(z)
    return ops.softmax(z) if activation == "softmax" else z
