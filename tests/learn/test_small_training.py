"""The loop that experiments share: one step by hand, and what a seed decides."""

import numpy as np
import pytest
from tqdm import tqdm

from minunet import UNet, no_grad
from minunet.data.drawn_pets import DrawnPets
from minunet.learn.small_training import BATCH, arrays, train


def trained(seed, images=2 * BATCH, epochs=1):
    model = UNet(depth=1, width=2)
    x, t = arrays(DrawnPets(images, 16))
    with no_grad():
        z = model.logits(x).numpy().astype(np.float64)
    before = model.state_dict()
    with tqdm(total=epochs, disable=True) as bar:
        losses = train(model, x, t, epochs, seed, bar, lr=0.01)
    loss_before = np.mean(np.log1p(np.exp(-np.where(t > 0.5, z, -z))))
    return model, before, losses, loss_before


def test_one_batch_is_one_step_of_adam():
    model, before, losses, loss_before = trained(seed=0, images=BATCH)
    assert losses == [pytest.approx(loss_before, rel=1e-5)] and not model.training
    moved = np.concatenate([(array - before[name]).ravel() for name, array in model.state_dict().items()])
    # Adam's first step is lr, whatever the gradient, but where there is none
    assert np.abs(moved).max() == pytest.approx(0.01, rel=1e-3) and (np.abs(moved) > 0.009).mean() > 0.5


def test_the_seed_decides_the_order_and_nothing_else():
    (one, *_), (same, *_), (other, *_) = (trained(seed, epochs=2) for seed in (0, 0, 1))
    pairs = list(zip(*(model.state_dict().values() for model in (one, same, other)), strict=True))
    assert all(np.array_equal(a, b) for a, b, _ in pairs)
    assert any(not np.array_equal(a, c) for a, _, c in pairs)


def test_a_mean_loss_for_each_epoch_and_images_of_0_to_1():
    _, _, losses, _ = trained(seed=0, epochs=3)
    assert len(losses) == 3
    x, t = arrays(DrawnPets(3, 16))
    assert x.shape == (3, 16, 16, 3) and 0 <= x.min() and 0.5 < x.max() <= 1
    assert t.shape == (3, 16, 16, 1) and set(np.unique(t)) <= {0, 1}
