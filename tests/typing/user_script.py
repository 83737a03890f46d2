"""A typical user script: a U-Net is trained, saved, loaded, used and scored. Type checkers find nothing to report."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import minunet
from minunet import Tensor, UNet, gradcheck, metrics, nn, no_grad, ops, optim


class Swish(nn.Module):
    """A layer of the user's own: x · σ(βx), with β learned."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.beta = Tensor(np.ones(1, np.float32), requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        return x * ops.sigmoid(x * self.beta)


def random_batch(rng: np.random.Generator, size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Returns images, and masks of where they are bright."""
    x = rng.random((2, size, size, 3), dtype=np.float32)
    return x, x.mean(axis=3, keepdims=True) > 0.5


def train(model: UNet, steps: int, lr: float = 1e-3) -> list[float]:
    """Returns the loss of each step."""
    optimizer = optim.RMSprop(model.parameters(), lr=lr, weight_decay=1e-4)
    rng = np.random.default_rng(0)
    losses: list[float] = []
    model.train()
    for _ in range(steps):
        x, t = random_batch(rng, size=16)
        z = model.logits(Tensor(x))
        loss = ops.binary_cross_entropy_with_logits(z, t) * 0.5 + 0.5 * ops.dice_loss(ops.sigmoid(z), t)
        loss.backward()
        optim.clip_gradients(model.parameters(), max_norm=1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.item()))
    return losses


def main(folder: Path) -> float:
    model = UNet(depth=2, width=4, batch_norm=True, dropout=0.1).to("cpu")
    losses = train(model, steps=3)
    minunet.save(folder / "weights.npz", model)
    trained = minunet.load_model(folder / "weights.npz")

    x, t = random_batch(np.random.default_rng(1), size=16)
    with no_grad():
        p = trained(x).numpy()
    mask = trained.predict(x[0]) > 0.5
    scores = metrics.MaskScores()
    scores.update(p, t.astype(np.uint8))
    print(f"loss {losses[-1]:.3f}, IoU {scores.result()['iou']:.3f}, {int(mask.sum())} pixels of the first image")

    layers = [nn.Conv2D(3, 4, 3, padding="same", activation="relu", name="first"), Swish()]
    y = Tensor(x)
    for layer in layers:
        y = layer(y)
    first, rest = y[:, :1], (y - y.mean(axis=(1, 2), keepdims=True)).reshape(2, -1)
    print(first.shape, rest.T.shape, y.device, -y.sum().item())
    print(gradcheck(lambda a, b: (a @ b).exp(), [np.ones((2, 3)), np.ones((3, 2))]).worst_relative_error)
    return metrics.iou(p, t)


if __name__ == "__main__":
    print(main(Path(".")))
