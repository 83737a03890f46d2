"""The two convolutions of a level of a U-Net, and the pooling behind them."""

from minunet.autograd import Tensor
from minunet.nn import BatchNorm, Conv2D, Dropout, MaxPool2D, Module
from minunet.nn.module import layers_are_watched
from minunet.ops import conv2d_max_pool2d
from minunet.ops.windows import pair


class DoubleConv(Module):
    """Two 3x3 convolutions with ReLU: (N,H,W,in_channels) → (N,H,W,filters). Their names end in _1 and _2.

    batch_norm: normalizes each before its ReLU. They then have no bias: the mean is subtracted anyway, and β takes its
    place. dropout: the rate at which whole feature maps of the result are dropped; whole_maps False: single numbers.
    padding: "same", or "valid" for a result that is four rows and four columns smaller.
    """

    def __init__(
        self, in_channels, filters, prefix, rng, batch_norm=False, dropout=0.0, padding="same", whole_maps=True
    ):
        options = {"padding": padding, "activation": None if batch_norm else "relu", "bias": not batch_norm, "rng": rng}
        norm_name, dropout_name = prefix.replace("Conv", "BatchNorm"), prefix.replace("Conv", "Dropout")
        self.first = Conv2D(in_channels, filters, 3, name=f"{prefix}_1", **options)
        self.first_norm = self._norm(filters, f"{norm_name}_1") if batch_norm else None
        self.second = Conv2D(filters, filters, 3, name=f"{prefix}_2", **options)
        self.second_norm = self._norm(filters, f"{norm_name}_2") if batch_norm else None
        self.dropout = Dropout(dropout, whole_maps, dropout_name, rng) if dropout else None

    @staticmethod
    def _norm(filters, name):
        """Returns a BatchNorm whose running averages span about ten steps.

        A hundred, as with Keras' 0.99, would be several epochs of a small dataset.
        """
        return BatchNorm(filters, momentum=0.9, activation="relu", name=name)

    def forward(self, x):
        for layer in self.layers():
            x = layer(x)
        return x

    def layers(self):
        """Returns the layers in their order."""
        all_layers = self.first, self.first_norm, self.second, self.second_norm, self.dropout
        return [layer for layer in all_layers if layer is not None]


def pooled_and_skip(convolutions: Module, pool: Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (pool(skip), skip), where skip = convolutions(x).

    The last convolution and the pooling are one operation (ops/conv2d_max_pool2d.py) where that is the same: if they
    are what UNet() puts there, with nothing between them, and no forward hook is to see one after the other.
    """
    if type(convolutions) is not DoubleConv or not _can_be_one(convolutions, pool):
        skip = convolutions(x)
        return pool(skip), skip
    *before, last = convolutions.layers()
    for layer in before:
        x = layer(x)
    skip, pooled = conv2d_max_pool2d(x, last.kernel, last.bias, last.stride, last.padding, last.activation)
    return pooled, skip


def _can_be_one(convolutions, pool):
    last = convolutions.layers()[-1]
    if type(last) is not Conv2D or last.activation not in (None, "relu") or type(pool) is not MaxPool2D:
        return False  # also for a subclass, which may have a forward of its own
    if layers_are_watched() or any("forward" in vars(module) for module in (convolutions, last, pool)):
        return False
    return pair(pool.size, "size") == (2, 2) and pool.stride in (None, 2, (2, 2)) and pool.padding == "valid"
