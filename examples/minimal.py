"""A whole training, written out to be read: `python examples/minimal.py` finds drawn cats and dogs in a minute.

`minunet train` does the same with real photographs, checkpoints, plots, augmentation and a GPU.
"""

import numpy as np
from PIL import Image

import minunet
from minunet import Tensor, UNet, metrics, no_grad, ops, optim
from minunet.data.drawn_pets import DrawnPets

BATCH, EPOCHS = 8, 6


def batch_of(dataset, indices):
    """Images as float32 from 0 to 1, and masks of 0 and 1: arrays (N, H, W, 3) and (N, H, W, 1)."""
    images, masks = (np.stack(arrays) for arrays in zip(*(dataset[i] for i in indices)))
    return images.astype(np.float32) / 255, masks.astype(np.float32)


training = DrawnPets(300, size=64)
validation = DrawnPets(60, size=64, first=300)  # other drawings than those it learns from
model = UNet(depth=4, width=8, seed=0)
optimizer = optim.RMSprop(model.parameters(), lr=1e-3)
rng = np.random.default_rng(0)

for epoch in range(1, EPOCHS + 1):
    losses = []
    order = rng.permutation(len(training))
    for start in range(0, len(order), BATCH):
        x, t = batch_of(training, order[start : start + BATCH])
        loss = ops.binary_cross_entropy_with_logits(model.logits(Tensor(x)), t)  # forward
        loss.backward()  # the gradient of the loss, in every parameter's .grad
        optimizer.step()  # a small step downhill
        optimizer.zero_grad()  # gradients add up: forget those of this batch
        losses.append(loss.item())

    x, t = batch_of(validation, range(len(validation)))
    with no_grad():  # nothing to learn from here: no graph is kept
        p = model(x).numpy()
    print(f"epoch {epoch}/{EPOCHS}: loss {np.mean(losses):.3f}, validation mean IoU {metrics.mean_iou(p, t):.3f}")

minunet.save("minimal.npz", model)
image = validation[0][0]
mask = model.predict(image)[..., 0] > 0.5
Image.fromarray(np.where(mask[:, :, None], image, image // 4)).save("minimal.png")  # the background darkened
