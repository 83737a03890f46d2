"""Layers: operations with a name, and with what they keep from call to call; named and called as in Keras.

Three have parameters: Conv2D and ConvTranspose2D a kernel and a bias, BatchNorm γ and β (and its running averages).
The others have none: MaxPool2D, Concatenate, ReLU, Sigmoid, and Dropout, which keeps the state of its random stream.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np

from minunet import ops
from minunet.autograd import Tensor, TensorLike
from minunet.cuda_graph import each_step, for_each_step
from minunet.device import array_module, device_of, to_device, to_numpy
from minunet.kernels import kernels_for
from minunet.nn.init import glorot_uniform
from minunet.nn.module import Module
from minunet.ops.windows import IntPair, Padding, pair

Activation: TypeAlias = Literal["relu", "sigmoid", "softmax"] | None
Seed: TypeAlias = int | np.random.Generator | None

ACTIVATIONS: dict[str | None, Callable[..., Any]] = {
    None: lambda x: x,
    "relu": ops.relu,
    "sigmoid": ops.sigmoid,
    "softmax": ops.softmax,
}


class _Convolution(Module):
    """What Conv2D and ConvTranspose2D share: a kernel, a bias, an activation by name."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair,
        padding: Padding,
        activation: Activation,
        bias: bool,
        name: str | None,
        rng: Seed,
    ) -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is {activation!r}: choose one of {', '.join(map(repr, ACTIVATIONS))}")
        _check_channels(in_channels=in_channels, out_channels=out_channels)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride = pair(stride, "stride")
        self.padding = padding
        self.activation = activation
        self.name = name
        taps = self.kernel_size[0] * self.kernel_size[1]
        kernel = glorot_uniform(
            self._kernel_shape(), taps * in_channels, taps * out_channels, np.random.default_rng(rng)
        )
        self.kernel = Tensor(kernel, requires_grad=True, name="kernel")
        self.bias = Tensor(np.zeros(out_channels, np.float32), requires_grad=True, name="bias") if bias else None

    def _kernel_shape(self) -> tuple[int, ...]:
        raise NotImplementedError


class Conv2D(_Convolution):
    """x (N,H,W,in_channels) → activation(conv2d(x, kernel, bias)) (N,OH,OW,out_channels).

    kernel_size, stride, padding as in ops.conv2d; activation None, "relu" or "sigmoid"; bias True or False.
    rng: seed or numpy Generator for the Glorot-uniform kernel; the bias starts at 0.
    layer(x, activate=False) returns what comes before the activation: the logits, where it is a sigmoid.

    >>> Conv2D(3, 8, 3, activation="relu")(np.zeros((1, 5, 5, 3), np.float32)).shape
    (1, 5, 5, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair,
        stride: IntPair = 1,
        padding: Padding = "same",
        activation: Activation = None,
        bias: bool = True,
        name: str | None = None,
        rng: Seed = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, activation, bias, name, rng)

    def _kernel_shape(self) -> tuple[int, ...]:
        return (*self.kernel_size, self.in_channels, self.out_channels)

    def forward(self, x: TensorLike, activate: bool = True) -> Tensor:
        activation = self.activation if activate else None
        fused = activation if activation == "relu" else None
        y = ops.conv2d(x, self.kernel, self.bias, self.stride, self.padding, activation=fused)
        return y if fused else ACTIVATIONS[activation](y)


class ConvTranspose2D(_Convolution):
    """x (N,H,W,in_channels) → activation(conv_transpose2d(x, kernel, bias)); kernel (KH,KW,out_channels,in_channels).

    layer(x, activate=False) returns what comes before the activation.

    >>> ConvTranspose2D(8, 4, 2)(np.zeros((1, 5, 5, 8), np.float32)).shape
    (1, 10, 10, 4)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntPair = 2,
        stride: IntPair = 2,
        padding: Padding = "same",
        activation: Activation = None,
        bias: bool = True,
        name: str | None = None,
        rng: Seed = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, activation, bias, name, rng)

    def _kernel_shape(self) -> tuple[int, ...]:
        return (*self.kernel_size, self.out_channels, self.in_channels)

    def forward(self, x: TensorLike, activate: bool = True) -> Tensor:
        y = ops.conv_transpose2d(x, self.kernel, self.bias, self.stride, self.padding)
        return ACTIVATIONS[self.activation if activate else None](y)


class MaxPool2D(Module):
    """x (N,H,W,C) → the largest number in each window, see ops.max_pool2d.

    >>> MaxPool2D(2)(np.zeros((1, 6, 6, 8), np.float32)).shape
    (1, 3, 3, 8)
    """

    def __init__(
        self, size: IntPair = 2, stride: IntPair | None = None, padding: Padding = "valid", name: str | None = None
    ) -> None:
        self.size = size
        self.stride = stride
        self.padding = padding
        self.name = name

    def forward(self, x: TensorLike) -> Tensor:
        return ops.max_pool2d(x, self.size, self.stride, self.padding)


class Concatenate(Module):
    """Several tensors side by side along `axis`; called as layer(upsampled, skip) or layer([upsampled, skip]).

    Two images are not written side by side before somebody asks for the data: a convolution that follows reads both
    where they lie (ops/concatenate.py).
    """

    def __init__(self, axis: int = -1, name: str | None = None) -> None:
        self.axis = axis
        self.name = name

    def forward(self, *tensors: Any) -> Tensor:
        in_a_list = len(tensors) == 1 and isinstance(tensors[0], (list, tuple))
        return ops.concatenate(tensors[0] if in_a_list else tensors, self.axis, lazy=True)


class BatchNorm(Module):
    """x (N,H,W,channels) → activation(γ (x - μ) / √(v + ε) + β), see ops.batch_norm. Keras' BatchNormalization.

    While training, μ and v are those of the batch, and they update the running averages:
    moving ← momentum · moving + (1 - momentum) · value of the batch. Otherwise μ and v are these averages, so that the
    output for one image does not depend on the others in its batch. The averages are always float32.
    activation: None or "relu".

    >>> layer = BatchNorm(1, momentum=0.5)
    >>> layer(np.array([1.0, 3.0], np.float32).reshape(1, 1, 2, 1)).data.ravel().round(2)
    array([-1.,  1.], dtype=float32)
    >>> layer.moving_mean.data, layer.moving_variance.data
    (array([1.], dtype=float32), array([1.], dtype=float32))
    """

    buffer_names = ("moving_mean", "moving_variance")

    def __init__(
        self,
        channels: int,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        activation: Literal["relu"] | None = None,
        name: str | None = None,
    ) -> None:
        _check_channels(channels=channels)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum!r}: it must be at least 0 and below 1")
        self.momentum = float(momentum)
        self.epsilon = epsilon
        self.activation = activation
        self.name = name
        self.gamma = Tensor(np.ones(channels, np.float32), requires_grad=True, name="gamma")
        self.beta = Tensor(np.zeros(channels, np.float32), requires_grad=True, name="beta")
        self.moving_mean = Tensor(np.zeros(channels, np.float32), name="moving_mean")
        self.moving_variance = Tensor(np.ones(channels, np.float32), name="moving_variance")

    def forward(self, x: TensorLike) -> Tensor:
        averages = self.moving_mean.data, self.moving_variance.data
        given = None if self.training else averages
        y, used = ops.batch_norm(x, self.gamma, self.beta, given, self.epsilon, self.activation)
        if self.training:
            kernels_for(averages[0]).update_running_average(averages, used, self.momentum)
        return y


class Dropout(Module):
    """While training, drops each feature map of each image with probability `rate`, see ops.dropout; otherwise y = x.

    whole_maps  False: drops single numbers instead of whole maps (N,·,·,C).
    rng         seed or numpy Generator. What is drawn depends only on it and on the number of batches before this one:
                random_state holds [seed, batches], so a resumed run draws what an uninterrupted one would.

    >>> layer = Dropout(0.5, rng=1)
    >>> layer(np.ones((1, 2, 2, 4), np.float32)).data[0, 0]
    array([[2., 2., 0., 0.],
           [2., 2., 0., 0.]], dtype=float32)
    >>> layer.eval()(np.ones((1, 1, 1, 4), np.float32)).data.ravel()
    array([1., 1., 1., 1.], dtype=float32)
    """

    random_state_names = ("random_state",)

    def __init__(self, rate: float, whole_maps: bool = True, name: str | None = None, rng: Seed = None) -> None:
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout: rate is {rate!r}: it must be at least 0 and below 1")
        self.rate = rate
        self.whole_maps = whole_maps
        self.name = name
        stream = np.random.default_rng(rng).spawn(1)[0]  # of its own: the weights draw what they would without it
        seed = stream.integers(2**63)
        self.random_state = Tensor(np.array([seed, 0]), name="random_state")

    def forward(self, x: TensorLike) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        if not self.training or self.rate == 0:
            return x
        shape = (len(x), 1, 1, x.shape[3]) if self.whole_maps else x.shape
        if x.device == "cpu":
            return ops.dropout(x, self._draw(shape), self.rate)
        keep = for_each_step(shape, np.bool_)
        each_step(lambda: array_module(keep).copyto(keep, to_device(self._draw(shape), device_of(keep))))
        return ops.dropout(x, keep, self.rate)

    def _draw(self, shape):
        """Returns what the next batch keeps. Drawn on the host, also for a GPU: one byte per choice travels."""
        keep = np.random.default_rng(to_numpy(self.random_state.data)).random(shape) >= self.rate
        self.random_state.data[1] += 1
        return keep


class ReLU(Module):
    """max(x, 0)."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def forward(self, x: TensorLike) -> Tensor:
        return ops.relu(x)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def forward(self, x: TensorLike) -> Tensor:
        return ops.sigmoid(x)


def _check_channels(**channels: int) -> None:
    for name, value in channels.items():
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} is {value!r}: it must be an integer of at least 1")
