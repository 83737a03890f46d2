"""Training in tf32 and in mixed precision comes to nearly what it comes to in float32."""

import pytest

from minunet import UNet, optim, use_precision
from minunet.data.drawn_pets import DrawnPets
from minunet.data.loader import Loader
from minunet.precision import resolve_precision
from minunet.training.loop import Trainer


@pytest.fixture(autouse=True, params=["gpu"])
def gpu(request, array_on):
    array_on(request.param)


def trained(name):
    """The last row of a short training: four images, looked at eight times."""
    model = UNet(depth=2, width=4, seed=0, batch_norm=True).to("gpu")
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=1e-2), "bce+dice", graph=True)
    training, validation = Loader(DrawnPets(4, size=16), 2), Loader(DrawnPets(2, size=16), 2, shuffle=False)
    with use_precision(name):
        return list(trainer.epochs(training, validation, 8))[-1]


@pytest.mark.parametrize("name", ["tf32", "mixed"])
def test_a_short_training_ends_where_float32_ends(name):
    try:
        found = trained(resolve_precision(name, "gpu:0"))
    except ValueError as error:
        pytest.skip(str(error))
    exact = trained("float32")
    assert exact["train_mean_iou"] > 0.6  # it has learned something
    assert 0 < abs(found["train_loss"] - exact["train_loss"]) < 0.02
    assert abs(found["train_mean_iou"] - exact["train_mean_iou"]) < 0.05
