"""The page as a file: complete, the same each time, and small enough."""

import json
import re

import numpy as np
import pytest

from minunet import UNet
from minunet.data.classes import Classes
from minunet.learn.explain import MARK, explain, fields
from minunet.tasks import Binary, Instance, Panoptic, Semantic

CLASSES = Classes(("grass", "cat", "dog"), things=(False, True, True))


@pytest.fixture
def image():
    return np.random.default_rng(9).integers(0, 256, (20, 16, 3)).astype(np.uint8)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


def test_the_same_page_each_time(image):
    pages = {explain(UNet(depth=2, width=4), Binary(), image, title="a </script> b") for _ in range(2)}
    assert len(pages) == 1
    (page,) = pages
    assert MARK in page[:1000] and "{{" not in re.sub(r"\$\{\{", "", page.split("<script>")[0])
    assert data_of(page)["title"] == "a </script> b"
    assert len(re.findall("<script", page)) == page.count("</script>")


@pytest.mark.filterwarnings("ignore:.* encountered in ")
def test_numbers_that_are_not_finite(image):
    model = UNet(depth=1, width=4)
    model.encoder[0].convolutions.second.bias.data = np.full(4, np.inf, np.float32)
    with pytest.raises(ValueError, match="Conv_Down_1_2 computes NaN or infinity"):
        explain(model, Binary(), image)


def test_nothing_is_fetched(image):
    page = explain(UNet(depth=1, width=4), Binary(), image)
    assert set(re.findall(r'(?:src|href)="([^"]{1,20})', page)) == {"data:,"}
    assert re.findall(r"https?://[^\s\"']+", page) == ["http://www.w3.org/2000/svg"]  # a name, not an address


@pytest.mark.parametrize(
    "task",
    [Binary(), Semantic(CLASSES), Instance(), Panoptic(CLASSES), Panoptic(CLASSES, separate_by="boundaries")],
    ids=["binary", "semantic", "instance", "centers", "boundaries"],
)
def test_every_task_and_loss(task, image):
    pytest.importorskip("skimage")
    model = UNet(depth=1, width=4, out_channels=task.out_channels, activation=task.activation)
    for loss in task.losses:
        data = data_of(explain(model, task, image, loss=loss))
        assert data["loss"]["name"] == loss and data["loss"]["own"] and np.isfinite(data["loss"]["value"])
        assert data["answers"][0]["changed"] == 0 and len(data["answers"]) == 3


def test_a_mask_is_the_target(image):
    model, labels = UNet(depth=2, width=4), np.zeros((20, 16, 1), np.uint8)
    labels[4:12, 3:9] = 1
    data = data_of(explain(model, Binary(), image, labels))
    z = model.logits(image[None].astype(np.float32) / 255).numpy()[0]
    assert not data["loss"]["own"]
    assert abs(data["loss"]["value"] - (np.log1p(np.exp(z)) - z * labels).mean()) < 1e-4


def test_the_lectures_network_fits_into_ten_megabytes(monkeypatch):
    """Noise compresses worst, and a network that has learned nothing lets most of it through."""
    monkeypatch.setattr(fields, "MOST_FLOP", 0)  # no heat maps: they take 0.6 MB, and most of the time
    image = np.random.default_rng(9).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    page = explain(UNet(), Binary(), image)
    assert 4e6 < len(page.encode()) < 9.3e6
    assert all("heats" not in layer.get("field", {}) for layer in data_of(page)["layers"])
