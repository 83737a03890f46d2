"""The gradient of the loss with respect to what each layer wrote, against differences of the loss itself."""

import numpy as np
import pytest

from minunet import UNet
from minunet.autograd import no_grad
from minunet.data.classes import Classes
from minunet.learn.explain.gradients import labels_of_answer, loss_gradients
from minunet.models import UNet2015
from minunet.nn.module import forward_hook
from minunet.tasks import Binary, Instance, Panoptic, Semantic
from minunet.tasks.panoptic import PanopticAnswer


def noise(side):
    return np.random.default_rng(5).integers(0, 256, (side, side, 3)).astype(np.uint8)


@pytest.fixture
def image():
    return noise(8)


NETWORKS = {  # name: (the network, the side of its input, the side of its output)
    "plain": lambda: (UNet(depth=1, width=4), 8, 8),
    "batch_norm": lambda: (UNet(depth=1, width=4, batch_norm=True, dropout=0.5), 8, 8),
    "paper": lambda: (UNet2015(3, 1, depth=1, width=4, activation="sigmoid"), 20, 4),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_against_differences(name):
    """Each layer's output is moved by ±h d, d random, in a run of its own: the loss moves by 2 h ⟨gradient, d⟩."""
    model, side, answered = NETWORKS[name]()
    model, task, image = model.astype("float64").eval(), Binary(), noise(side)
    rng = np.random.default_rng(7)
    for key, parameter in model.named_parameters():
        if key.endswith(("bias", "beta")):  # above 0, so that few numbers are 0, where ReLU and ties have no derivative
            parameter.data = rng.uniform(0.5, 1.5, parameter.shape)
    labels = rng.integers(0, 2, (answered, answered, 1)).astype(np.uint8)
    value, gradients = loss_gradients(model, task, task.losses["bce"], image, labels)
    x = np.asarray(image[None], np.float32) / np.float32(255)

    def loss_with(call, step):
        seen = [0]

        def move(layer, inputs, y):
            seen[0] += 1
            if seen[0] == call:
                y.data = y.data + step

        with no_grad(), forward_hook(move):
            z = model.logits(x.astype("float64") + (step if call == 0 else 0)).numpy()
        t = labels[None].astype(float)
        return (np.maximum(z, 0) - z * t + np.log1p(np.exp(-abs(z)))).mean()

    assert abs(value - loss_with(-1, 0)) < 1e-6
    for call, gradient in enumerate(gradients):
        d = rng.standard_normal((1, *gradient.shape))
        numeric = (loss_with(call, 1e-6 * d) - loss_with(call, -1e-6 * d)) / 2e-6
        assert abs((gradient * d).sum() - numeric) < 1e-4 * max(abs(numeric), 1e-3), call


def test_the_parameters_are_left_without_gradients_and_the_averages_as_they_were(image):
    model = UNet(depth=1, width=4, batch_norm=True)
    before = model.state_dict()
    loss_gradients(model, Binary(), Binary().losses["dice"], image, np.ones((8, 8, 1), np.uint8))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(np.array_equal(array, before[name]) for name, array in model.state_dict().items())


CLASSES = Classes(("grass", "cat"), things=(False, True))


@pytest.mark.parametrize(
    "task, answer, labels",
    [
        (Binary(), np.array([[True, False]]), [[[1], [0]]]),
        (Semantic(CLASSES), np.array([[1, 0]], np.uint8), [[[1], [0]]]),
        (Instance(weigh=False), np.array([[7, 0]], np.uint16), [[[7], [0]]]),
        (
            Panoptic(CLASSES),
            PanopticAnswer(np.array([[1, 255]], np.uint8), np.array([[3, 0]], np.uint16)),
            [[[1, 3], [255, 0]]],
        ),
    ],
    ids=["binary", "semantic", "instance", "panoptic"],
)
def test_an_answer_as_labels(task, answer, labels):
    assert labels_of_answer(task, answer).tolist() == labels
