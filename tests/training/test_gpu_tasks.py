"""Training for each kind of segmentation ends with the same history on the CPU and on a GPU."""

import numpy as np
import pytest

from minunet import UNet, optim
from minunet.data.augment import PRESETS
from minunet.data.drawn_scenes import CLASSES, DrawnScenes
from minunet.data.loader import Loader
from minunet.data.sample import Relabeled
from minunet.device import device_of
from minunet.models import UNet2015
from minunet.tasks import Instance, Panoptic, Semantic
from minunet.training.loop import Trainer

TASKS = {
    "semantic": (
        Semantic(CLASSES, [1, 2, 1, 1, 1, 1, 3, 3]),
        "ce+dice",
        lambda labels: labels[..., :1].astype(np.uint8),
    ),
    "instance": (Instance(), "focal", lambda labels: labels[..., 1:]),
    "panoptic": (Panoptic(CLASSES), "ce", None),
    "panoptic by boundaries": (Panoptic(CLASSES, "boundaries", [1] * 8), "dice", None),
}


def train(name, device, network=UNet):
    """Two epochs on five scenes. Returns the history, and the model."""
    task, loss, relabel = TASKS[name]
    scenes = DrawnScenes(5, size=32)
    data = Relabeled(Relabeled(scenes, relabel) if relabel else scenes, task.prepare)
    options = {"out_channels": task.out_channels, "activation": task.activation, "depth": 2, "width": 3, "seed": 1}
    model = (UNet2015(3, mirror=True, **options) if network is UNet2015 else UNet(batch_norm=True, **options)).to(
        device
    )
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    trainer = Trainer(model, optimizer, loss, task=task, clip_norm=1.0, accumulate=2)
    training = Loader(data, 2, augment=PRESETS["flips"], encode=task.encode)
    validation = Loader(data, 2, shuffle=False, encode=task.encode)
    return list(trainer.epochs(training, validation, 2)), model


@pytest.mark.parametrize("name, network", [*((name, UNet) for name in TASKS), ("semantic", UNet2015)])
def test_the_history_on_a_gpu_is_that_of_the_cpu(name, network, array_on):
    device = device_of(array_on("gpu")(np.ones(1)))
    (here, on_cpu), (there, on_gpu) = train(name, "cpu", network), train(name, device, network)
    for one, other in zip(here, there, strict=True):
        for key in one.keys() - {"seconds"}:
            assert other[key] == pytest.approx(one[key], rel=1e-3, abs=1e-3), key
    image = DrawnScenes(1, size=32)[0][0]
    np.testing.assert_allclose(on_gpu.predict(image), on_cpu.predict(image), rtol=5e-3, atol=5e-3)
