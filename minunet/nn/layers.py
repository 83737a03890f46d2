"""Layers: operations that keep their own weights, named and called as Keras names and calls them."""

import numpy as np

from minunet import ops
from minunet.autograd import Tensor
from minunet.device import to_device
from minunet.kernels import kernels_for
from minunet.nn.init import glorot_uniform
from minunet.nn.module import Module
from minunet.ops.windows import pair

ACTIVATIONS = {None: lambda x: x, "relu": ops.relu, "sigmoid": ops.sigmoid}


class _Convolution(Module):
    """What Conv2D and ConvTranspose2D share: a kernel, a bias, an activation by name."""

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, activation, bias, name, rng):
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is {activation!r}: choose one of {', '.join(map(repr, ACTIVATIONS))}")
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if not isinstance(channels, (int, np.integer)) or channels < 1:
                raise ValueError(f"{what} is {channels!r}: it must be a whole number from 1")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride, self.padding = pair(stride, "stride"), padding
        self.activation = activation
        self.name = name
        taps = self.kernel_size[0] * self.kernel_size[1]
        kernel = glorot_uniform(
            self._kernel_shape(), taps * in_channels, taps * out_channels, np.random.default_rng(rng)
        )
        self.kernel = Tensor(kernel, requires_grad=True, name="kernel")
        self.bias = Tensor(np.zeros(out_channels, np.float32), requires_grad=True, name="bias") if bias else None


class Conv2D(_Convolution):
    """x (N,H,W,in_channels) → activation(conv2d(x, kernel, bias)) (N,OH,OW,out_channels).

    kernel_size, stride, padding as in ops.conv2d; activation None, "relu" or "sigmoid"; bias True or False.
    rng: seed or numpy Generator for the Glorot-uniform kernel; the bias starts at 0.

    >>> Conv2D(3, 8, 3, activation="relu")(np.zeros((1, 5, 5, 3), np.float32)).shape
    (1, 5, 5, 8)
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding="same",
        activation=None,
        bias=True,
        name=None,
        rng=None,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, activation, bias, name, rng)

    def _kernel_shape(self):
        return (*self.kernel_size, self.in_channels, self.out_channels)

    def forward(self, x, activate=True):
        activation = self.activation if activate else None
        fused = activation if activation == "relu" else None
        y = ops.conv2d(x, self.kernel, self.bias, self.stride, self.padding, activation=fused)
        return y if fused else ACTIVATIONS[activation](y)


class ConvTranspose2D(_Convolution):
    """x (N,H,W,in_channels) → activation(conv_transpose2d(x, kernel, bias)); kernel (KH,KW,out_channels,in_channels).

    >>> ConvTranspose2D(8, 4, 2)(np.zeros((1, 5, 5, 8), np.float32)).shape
    (1, 10, 10, 4)
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size=2,
        stride=2,
        padding="same",
        activation=None,
        bias=True,
        name=None,
        rng=None,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, activation, bias, name, rng)

    def _kernel_shape(self):
        return (*self.kernel_size, self.out_channels, self.in_channels)

    def forward(self, x):
        return ACTIVATIONS[self.activation](ops.conv_transpose2d(x, self.kernel, self.bias, self.stride, self.padding))


class MaxPool2D(Module):
    """x (N,H,W,C) → the largest number of each window, see ops.max_pool2d.

    >>> MaxPool2D(2)(np.zeros((1, 6, 6, 8), np.float32)).shape
    (1, 3, 3, 8)
    """

    def __init__(self, size=2, stride=None, padding="valid", name=None):
        self.size, self.stride, self.padding, self.name = size, stride, padding, name

    def forward(self, x):
        return ops.max_pool2d(x, self.size, self.stride, self.padding)


class Concatenate(Module):
    """Several tensors side by side along `axis`; called as layer(upsampled, skip) or layer([upsampled, skip])."""

    def __init__(self, axis=-1, name=None):
        self.axis, self.name = axis, name

    def forward(self, *tensors):
        return ops.concatenate(
            tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors, self.axis
        )


class BatchNorm(Module):
    """x (N,H,W,channels) → activation(γ (x - μ) / √(v + ε) + β), see ops.batch_norm. Keras' BatchNormalization.

    While training, μ and v are those of the batch, and the running averages follow them:
    moving ← momentum · moving + (1 - momentum) · of the batch. Else μ and v are these averages, so that what the network
    says of a picture does not depend on the others beside it. They are float32, whatever type the network computes in.
    activation None or "relu".

    >>> layer = BatchNorm(1, momentum=0.5)
    >>> layer(np.array([1.0, 3.0], np.float32).reshape(1, 1, 2, 1)).data.ravel().round(2)
    array([-1.,  1.], dtype=float32)
    >>> layer.moving_mean.data, layer.moving_variance.data
    (array([1.], dtype=float32), array([1.], dtype=float32))
    """

    buffer_names = ("moving_mean", "moving_variance")

    def __init__(self, channels, momentum=0.99, epsilon=1e-3, activation=None, name=None):
        if not isinstance(channels, (int, np.integer)) or channels < 1:
            raise ValueError(f"channels is {channels!r}: it must be a whole number from 1")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum!r}: it must be from 0 to below 1")
        self.momentum, self.epsilon, self.activation, self.name = float(momentum), epsilon, activation, name
        self.gamma = Tensor(np.ones(channels, np.float32), requires_grad=True, name="gamma")
        self.beta = Tensor(np.zeros(channels, np.float32), requires_grad=True, name="beta")
        self.moving_mean = Tensor(np.zeros(channels, np.float32), name="moving_mean")
        self.moving_variance = Tensor(np.ones(channels, np.float32), name="moving_variance")

    def forward(self, x):
        averages = self.moving_mean.data, self.moving_variance.data
        given = None if self.training else averages
        y, used = ops.batch_norm(x, self.gamma, self.beta, given, self.epsilon, self.activation)
        if self.training:
            kernels_for(averages[0]).update_running_average(averages, used, self.momentum)
        return y


class Dropout(Module):
    """While training, each feature map of each picture is left out with probability `rate`, see ops.dropout; else y = x.

    whole_maps  False: single numbers are left out in place of maps (N,·,·,C).
    rng         seed or numpy Generator. What is drawn depends on it and on how many batches came before, on nothing else:
                random_state, a buffer, holds [seed, batches], so a run that is resumed draws what it would have drawn.

    >>> layer = Dropout(0.5, rng=1)
    >>> layer(np.ones((1, 2, 2, 4), np.float32)).data[0, 0]
    array([[2., 2., 0., 0.],
           [2., 2., 0., 0.]], dtype=float32)
    >>> layer.eval()(np.ones((1, 1, 1, 4), np.float32)).data.ravel()
    array([1., 1., 1., 1.], dtype=float32)
    """

    buffer_names = ("random_state",)

    def __init__(self, rate, whole_maps=True, name=None, rng=None):
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout: rate is {rate!r}: it must be from 0 to below 1")
        self.rate, self.whole_maps, self.name = rate, whole_maps, name
        stream = np.random.default_rng(rng).spawn(1)[0]  # its own: nothing is taken from the one of the weights
        seed = stream.integers(2**63)
        self.random_state = Tensor(np.array([seed, 0]), name="random_state")

    def forward(self, x):
        x = x if isinstance(x, Tensor) else Tensor(x)
        if not self.training or self.rate == 0:
            return x
        shape = (len(x), 1, 1, x.shape[3]) if self.whole_maps else x.shape
        keep = np.random.default_rng(self.random_state.data).random(shape) >= self.rate
        self.random_state.data[1] += 1
        return ops.dropout(x, to_device(keep, x.device), self.rate)  # drawn on the host: a byte for each choice travels


class ReLU(Module):
    """max(x, 0)."""

    def __init__(self, name=None):
        self.name = name

    def forward(self, x):
        return ops.relu(x)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def __init__(self, name=None):
        self.name = name

    def forward(self, x):
        return ops.sigmoid(x)
