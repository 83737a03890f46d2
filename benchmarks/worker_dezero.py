"""DeZero's side of compare.py. What DeZero lacks (concatenation, a loss on logits, RMSprop) is written here."""

import numpy as np

np.int = int  # DeZero 0.0.13 uses this name, which NumPy has since removed
import dezero  # noqa: E402
import dezero.functions as F  # noqa: E402
import dezero.functions_conv as FC  # noqa: E402
import lecture  # noqa: E402
import machine  # noqa: E402
import worker  # noqa: E402

options = worker.arguments()


class Concatenate(dezero.Function):
    def forward(self, a, b):
        self.channels = a.shape[1]
        return np.concatenate((a, b), axis=1)

    def backward(self, gy):
        return gy[:, : self.channels], gy[:, self.channels :]


class BinaryCrossEntropyWithLogits(dezero.Function):
    def __init__(self, t):
        self.t = t

    def forward(self, z):
        return np.mean(np.maximum(z, 0) - self.t * z + np.log1p(np.exp(-abs(z))))

    def backward(self, gy):
        return gy * (F.sigmoid(self.inputs[0]) - self.t) / self.t.size


class RMSprop(dezero.optimizers.Optimizer):
    """Keras' definition and defaults."""

    def __init__(self):
        super().__init__()
        self.means = {}

    def update_one(self, param):
        g = param.grad.data
        if id(param) not in self.means:
            self.means[id(param)] = np.zeros_like(g)
        v = self.means[id(param)]
        v *= 0.9
        v += 0.1 * g * g
        param.data -= 1e-3 * g / np.sqrt(v + 1e-7)


class LectureUNet(dezero.Model):
    """The lecture's U-Net up to its logits, channels first."""

    def __init__(self):
        super().__init__()
        weights = lecture.unet_weights("float32")
        for name, (kh, _, a, b) in lecture.unet_kernels():
            if "Transp" in name:
                layer = dezero.layers.Deconv2d(a, kh, stride=2, in_channels=b)
            else:
                layer = dezero.layers.Conv2d(b, kh, pad=kh // 2, in_channels=a)
            layer.W.data = np.ascontiguousarray(weights[f"{name}/kernel"].transpose(3, 2, 0, 1))
            layer.b.data = weights[f"{name}/bias"]
            setattr(self, name, layer)

    def forward(self, x):
        return lecture.forward(
            x,
            self.conv,
            self.transpose,
            pool=lambda x: FC.pooling(x, 2, 2),
            concatenate=lambda a, b: Concatenate()(a, b),
        )

    def conv(self, x, name):
        y = getattr(self, name)(x)
        return y if name == "Conv_Out" else F.relu(y)

    def transpose(self, x, name):
        return getattr(self, name)(x)


model = LectureUNet()
optimizer = RMSprop().setup(model)
images, targets = (
    np.ascontiguousarray(a.transpose(0, 3, 1, 2)) for a in lecture.unet_batch(options.batch, options.size, "float32")
)


def train_step():
    loss = BinaryCrossEntropyWithLogits(targets)(model(images))
    model.cleargrads()
    loss.backward()
    optimizer.update()
    return float(loss.data)


def infer():
    with dezero.no_grad():
        F.sigmoid(model(images))


worker.serve("DeZero 0.0.13", train_step, infer, notes=machine.blas())
