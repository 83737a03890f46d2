"""What every network for segmentation has, so that training, prediction and files can work with any of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor, no_grad
from minunet.nn import Module
from minunet.nn.layers import Activation

# what makes outputs of the logits: the activation of the last layer
OUTPUTS: dict[str, Activation] = {"sigmoid": "sigmoid", "softmax": "softmax", "linear": None}

FAR_ABOVE_1 = 2  # resizing may overshoot 1 a little, where an edge is sharp
GROUP_PIXELS = 8 * 256 * 256  # predicted together: more at once are no faster (measured on two cores)
NOT_SCALED = 20  # a network may also be trained on numbers of mean 0 and deviation 1, but not on these


class SegmentationModel(Module):
    """A network from images (N,H,W,in_channels) to as many maps (N,·,·,out_channels). Subclasses define `logits`.

    depth       how often the image is halved on the way down.
    options     the arguments that decide its shape: the class, called with them, takes the same weights.

    model(x)         Tensor (N,H,W,in_channels), 0 to 1  →  the answer, such as probabilities (N,·,·,out_channels)
    model.logits(x)  the same before the last activation, for losses
    model.predict(image)  one image or several, of any size, as plain arrays
    """

    in_channels: int
    out_channels: int
    depth: int
    options: dict[str, Any]

    def logits(self, x: Tensor | NDArray) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}.logits")

    @property
    def smallest_side(self) -> int:
        """The smallest height and width that the network takes."""
        raise NotImplementedError(f"{type(self).__name__}.smallest_side")

    def predict(self, image: NDArray) -> NDArray:
        """Returns the answer for images of any size: what the network needs beyond their edges is mirrored there.

        image: array (H,W,in_channels) or (N,H,W,in_channels); uint8 (0 to 255) or floating-point (0 to 1).
        Returns a NumPy array (H,W,out_channels) or (N,H,W,out_channels) of the parameters' dtype.
        Raises ValueError for another shape, TypeError for another dtype.
        """
        return self._evaluated(image, self._predict)

    def _evaluated(self, image, predict):
        """Returns predict(x) in eval mode and without a graph, where x is the image as floats, (N,H,W,in_channels)."""
        image = np.asarray(image)
        self._check_image(image)
        images = image if image.ndim == 4 else image[None]

        def predict_floats(images):
            x = images.astype(self.dtype, copy=False)
            return predict(np.divide(x, 255, out=x) if images.dtype == np.uint8 else x)

        with no_grad(), self.evaluating():
            y = np.concatenate([predict_floats(group) for group in self._groups(images)])
            y = y.astype(self.dtype, copy=False)  # also where the last layer's output is of 16 bits
        return y if image.ndim == 4 else y[0]

    def _groups(self, images):
        """Returns the images in groups that are predicted one after another.

        Memory then holds the activations of one group, however many images there are. There is only one group on a GPU,
        which a few images do not keep busy, and where a layer was left in training mode: batch normalization then looks
        at all images, and dropout draws for all of them.
        """
        count = max(1, GROUP_PIXELS // (images.shape[1] * images.shape[2]))
        if len(images) <= count or self.device != "cpu" or any(module.training for module in self.modules()):
            return [images]
        return [images[n : n + count] for n in range(0, len(images), count)]

    def _predict(self, x: NDArray) -> NDArray:
        """The answer for images (N,H,W,in_channels) of any size, in eval mode and without a graph."""
        raise NotImplementedError(f"{type(self).__name__}._predict")

    def _check_image(self, image):
        name, channels = type(self).__name__, self.in_channels
        if image.ndim not in (3, 4) or image.shape[-1] != channels:
            raise ValueError(
                f"{name}.predict: the image has shape {image.shape}: "
                f"it must be (H, W, {channels}) or (N, H, W, {channels})"
            )
        if 0 in image.shape:
            raise ValueError(f"{name}.predict: the image has shape {image.shape}: it must hold at least one pixel")
        if image.dtype != np.uint8 and image.dtype.kind != "f":
            raise TypeError(
                f"{name}.predict: the image is {image.dtype}: it must be uint8 (0 to 255) or floating-point (0 to 1)"
            )

        if image.dtype.kind == "f" and image.max() > FAR_ABOVE_1:
            raise ValueError(
                f"{name}.predict: the image is {image.dtype} and holds {image.min():g} to {image.max():g}: it must "
                'hold 0 to 1; divide it by 255, or give image.astype("uint8")'
            )

    def _check_shape(self, x):
        name = type(self).__name__
        if x.dtype.kind != "f":
            raise TypeError(
                f"{name}: the input is {x.dtype}: it must be floating-point, 0 to 1; "
                'give array.astype("float32") / 255, or call model.predict'
            )
        if x.ndim != 4 or x.shape[3] != self.in_channels:
            raise ValueError(
                f"{name}: the input has shape {x.shape}: it must be (N, H, W, {self.in_channels}), channels last"
            )
        if len(x.data) == 0:
            raise ValueError(f"{name}: the input has shape {x.shape}: the batch must hold at least one image")
        if x.device == "cpu" and x.data.max(initial=0) > NOT_SCALED:  # a GPU would have to wait
            raise ValueError(
                f"{name}: the input holds {x.data.min():g} to {x.data.max():g}: it must hold 0 to 1; divide it by 255, "
                "or call model.predict with uint8"
            )


def check_options(model: str, dropout: float, activation: str, **sizes: int) -> dict[str, int]:
    """Returns the sizes, of which out_channels is one, as ints.

    Raises ValueError unless they are integers of at least 1, 0 ≤ dropout < 1, and activation is one of OUTPUTS that
    makes sense for so many channels.
    """
    for name, value in sizes.items():
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{model}: {name} is {value!r}: it must be an integer of at least 1")
    if not 0 <= dropout < 1:
        raise ValueError(f"{model}: dropout is {dropout!r}: it must be at least 0 and below 1")
    if activation not in OUTPUTS:
        raise ValueError(f"{model}: activation is {activation!r}: it must be one of {', '.join(OUTPUTS)}")
    if activation == "softmax" and sizes["out_channels"] == 1:
        raise ValueError(
            f"{model}: softmax over 1 channel is 1 everywhere: give a channel for each class, the background included, "
            'or activation="sigmoid"'
        )
    return {name: int(value) for name, value in sizes.items()}
