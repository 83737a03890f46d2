"""Pages opened in a browser, and small networks to look into."""

import numpy as np
import pytest

from minunet import UNet
from minunet.data.classes import Classes
from minunet.learn.explain import explain
from minunet.models import UNet2015
from minunet.tasks import Binary, Semantic


def scene(height, width):
    """An image uint8 (height, width, 3) of a bright disk, with noise."""
    y, x = np.mgrid[:height, :width]
    disk = (y - height / 2) ** 2 + (x - width / 3) ** 2 < (height / 4) ** 2
    noise = np.random.default_rng(0).integers(0, 80, (height, width, 3))
    return (noise + 120 * disk[..., None]).astype(np.uint8)


def shaken(model):
    """The network with random biases, scales and running averages in place of those that it begins with."""
    rng = np.random.default_rng(1)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if not name.endswith("kernel"):
            tensor.data = rng.uniform(0.5, 1.5, tensor.shape).astype(np.float32)
    return model.eval()


def balanced(model, image):
    """The network with a last bias that makes half of the image an object, so that an answer can change."""
    z = model.logits(image[None].astype(np.float32) / 255)
    model.out.bias.data = model.out.bias.data - np.float32(np.median(z.data))
    return model


NETWORKS = {  # name: (the network, its task, the size of the image)
    "lecture": lambda: (balanced(shaken(UNet(depth=2, width=4)), scene(40, 48)), Binary(), (40, 48)),
    "normalized": lambda: (
        shaken(UNet(depth=2, width=4, out_channels=3, activation="softmax", batch_norm=True, dropout=0.3)),
        Semantic(Classes(("sky", "road", "car"))),
        (32, 32),
    ),
    "paper": lambda: (
        shaken(UNet2015(in_channels=3, out_channels=1, depth=2, width=4, activation="sigmoid")),
        Binary(),
        (24, 30),
    ),
    "wide": lambda: (UNet(depth=1, width=4), Binary(), (6, 600)),
    "odd": lambda: (UNet(depth=2, width=4), Binary(), (8, 9)),
    "<!--<script>{{BLOBS}}</script>&\"'": lambda: (
        UNet(depth=1, width=4, out_channels=3, activation="softmax"),
        Semantic(Classes(("<!--<script>", "</script><b>", "{{SCRIPT}}"))),
        (4, 4),
    ),
}


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """written(name) → (path of the page, the network, its task, the image) of one of NETWORKS; made once."""
    made = {}

    def write(name):
        if name not in made:
            model, task, size = NETWORKS[name]()
            path = tmp_path_factory.mktemp("pages") / f"{len(made)}.html"
            path.write_text(explain(model, task, scene(*size), title=name), encoding="utf-8")
            made[name] = path, model, task, scene(*size)
        return made[name]

    return write


@pytest.fixture
def open_page(browser):
    """open_page(path, **options) → the page, drawn. In the end it must have complained of nothing, fetched nothing."""
    complaints, requests, contexts = [], [], []

    def note(route):
        if not route.request.url.startswith(("file:", "data:", "blob:")):
            requests.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    def open_it(path, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.route("**/*", note)
        page.goto(path.as_uri())
        page.wait_for_selector("#computed")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == [] and requests == []
