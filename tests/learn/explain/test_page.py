"""The page in a browser: it shows the network's own numbers, fetches nothing, and can be used without a mouse."""

import numpy as np
import pytest

from minunet import UNet
from minunet.learn.explain import explain
from minunet.learn.explain.trace import trace
from minunet.tasks import Binary


def scene(height, width):
    """An image with a bright disk, and noise."""
    y, x = np.mgrid[:height, :width]
    disk = (y - height / 2) ** 2 + (x - width / 3) ** 2 < (height / 4) ** 2
    noise = np.random.default_rng(0).integers(0, 80, (height, width, 3))
    return (noise + 120 * disk[..., None]).astype(np.uint8)


@pytest.fixture(scope="module")
def lecture(tmp_path_factory):
    """(path of a page, the network, the image)."""
    model, image = UNet(depth=2, width=4).eval(), scene(40, 48)
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(explain(model, Binary(), image, title="a test"), encoding="utf-8")
    return path, model, image


def shown(page):
    """(row, column, channel) that the page says it shows, and its two numbers."""
    place = page.locator("#sum [data-row]")
    where = [int(place.get_attribute(f"data-{name}")) for name in ("row", "column", "channel")]
    return where, [
        float(page.locator(f"#{name}").get_attribute("data-value")) for name in ("computed", "network-number")
    ]


def test_a_click_on_a_convolution_shows_its_sum(lecture, open_page):
    path, model, image = lecture
    page = open_page(path)
    page.select_option("#layer-choice", label="Conv_Down_2_1")
    page.locator("#thumbnails button").nth(1).click()
    page.locator("#map").click(position={"x": 100, "y": 120})
    page.wait_for_selector("#sum[data-layer='Conv_Down_2_1']")
    (i, j, c), (computed, network) = shown(page)
    records = {record.name: record for record in trace(model, image[None].astype(np.float32) / np.float32(255))}
    x, layer = records["MaxPool_Down_1"].output, model.encoder[1].convolutions.first
    padded = np.pad(x.astype(float), ((1, 1), (1, 1), (0, 0)))
    z = (padded[i : i + 3, j : j + 3] * layer.kernel.data[..., c]).sum() + layer.bias.data[c]
    assert abs(computed - max(z, 0)) < 1e-4 and abs(network - max(z, 0)) < 1e-4
