"""Test-time augmentation by flips, and the evaluation of whole datasets."""

import numpy as np
import pytest

from minunet import UNet
from minunet.data.classes import Classes
from minunet.inference.evaluate import evaluate
from minunet.inference.flips import LEFT_RIGHT, with_flips
from minunet.tasks import Binary, Panoptic, Semantic

CLASSES = Classes(("a", "b"), things=(False, True))


def test_the_mean_of_four_mirror_images():
    """A function that depends on the place: it adds a ramp, whose mean over the flips is constant."""
    rng = np.random.default_rng(0)
    images = [rng.random((4, 6, 1)), rng.random((3, 5, 1))]

    def predict(batch):
        return [
            image + np.arange(image.shape[0])[:, None, None] + 10 * np.arange(image.shape[1])[:, None]
            for image in batch
        ]

    for image, output in zip(images, with_flips(predict, Binary())(images)):
        height, width, _ = image.shape
        np.testing.assert_allclose(output, image + (height - 1) / 2 + 10 * (width - 1) / 2)


def test_left_and_right_alone():
    image = np.random.default_rng(3).random((3, 4, 1))
    ramp = np.arange(3)[:, None, None] + 10 * np.arange(4)[:, None]
    (output,) = with_flips(lambda batch: [part + ramp for part in batch], Binary(), LEFT_RIGHT)([image])
    np.testing.assert_allclose(output, image + np.arange(3)[:, None, None] + 15)


def test_directions_turn_round():
    """Offsets that always point down and right cancel out; probabilities stay."""
    task = Panoptic(CLASSES)
    outputs = np.full((4, 4, 5), 2.0)
    averaged = with_flips(lambda images: [outputs] * len(images), task)([np.zeros((4, 4, 3))])[0]
    assert np.all(averaged[..., :3] == 2) and np.all(averaged[..., 3:] == 0)


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_each_image_is_scored_once(flips, batch_size):
    rng = np.random.default_rng(1)
    dataset = [(rng.integers(0, 256, (8, 8, 3), np.uint8), rng.integers(0, 2, (8, 8, 1), np.uint8)) for _ in range(3)]
    model = UNet(out_channels=2, depth=2, width=2, activation="softmax")
    task = Semantic(CLASSES)
    result = evaluate(model, task, dataset, batch_size, flips).result()
    right = 0
    for image, labels in dataset:
        p = model.predict(image)
        if flips:
            p = np.mean(
                [np.flip(model.predict(np.flip(image, axes).copy()), axes) for axes in [(), (0,), (1,), (0, 1)]], 0
            )
        right += (p.argmax(axis=-1) == labels[..., 0]).sum()
    assert result["accuracy"] == pytest.approx(right / (3 * 64))
