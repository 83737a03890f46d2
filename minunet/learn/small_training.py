"""The usual training loop, as small as it gets: what the experiments that only need a trained network share."""

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from minunet import ops, optim
from minunet.autograd import Tensor
from minunet.data.drawn_pets import DrawnPets
from minunet.models import SegmentationModel

BATCH = 8  # images per step


def arrays(pets: DrawnPets) -> tuple[NDArray, NDArray]:
    """Returns images (N, H, W, 3) from 0 to 1, and masks (N, H, W, 1)."""
    images, masks = (np.stack(parts) for parts in zip(*(pets[i] for i in range(len(pets)))))
    return images.astype(np.float32) / 255, masks.astype(np.float32)


def train(
    model: SegmentationModel, x: NDArray, t: NDArray, epochs: int, seed: int, bar: tqdm, lr: float = 1e-3
) -> list[float]:
    """Forward, backward, a step, for each batch of every epoch. Returns the mean loss of each epoch.

    x: images (N, H, W, C); t: masks (N, H, W, 1) of 0 and 1; the order of the images depends on the seed. The bar
    advances by 1 after each epoch. The model ends in eval mode.
    """
    optimizer = optim.Adam(model.parameters(), lr=lr)
    rng = np.random.default_rng(seed)
    means = []
    model.train()
    for _ in range(epochs):
        losses = []
        order = rng.permutation(len(x))
        for start in range(0, len(x), BATCH):
            chosen = order[start : start + BATCH]
            loss = ops.binary_cross_entropy_with_logits(model.logits(Tensor(x[chosen])), t[chosen])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        means.append(float(np.mean(losses)))
        bar.update()
    model.eval()
    return means
