"""The page: everything that is computed for it, and its assembly from page/*.html, *.css and *.js into one file."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from minunet.learn.explain import ablation, answers, choice, encoding, fields, gradients, layout
from minunet.learn.explain.layers import Page, describe, describe_fields
from minunet.learn.explain.trace import as_batch, network_input, trace
from minunet.learn.receptive_field import receptive_fields
from minunet.models import SegmentationModel, UNet2015
from minunet.nn.costs import layer_costs, training_costs
from minunet.tasks import Task
from minunet.version import __version__

FOLDER = Path(__file__).parent / "page"
MARK = '<meta name="generator" content="minunet explain">'  # stands in every page, by which it is recognized
SCRIPTS = ("numbers", "colors", "words", "drawing", "levels", "map", "sums", "shown", "fields", "memory", "ablation")


def explain(
    model: SegmentationModel,
    task: Task,
    image: NDArray[np.uint8],
    labels: NDArray[Any] | None = None,
    loss: str | None = None,
    title: str = "",
) -> str:
    """Returns an HTML page that shows what the network makes of an image, layer by layer.

    image: uint8 (H, W, C), of the size that the network is to see. labels: (H, W, L), the truth; by default the
    network's own answer takes its place. loss: one of task.losses, by default the first. title: for the heading.
    The model is left as it was. Raises ValueError where the network's numbers are NaN or infinite.
    """
    was_training, was_mirroring = model.training, getattr(model, "mirror", None)
    try:
        return assemble(_compute(model, task, image, labels, loss or next(iter(task.losses)), title))
    finally:
        model.train(was_training)
        if isinstance(model, UNet2015):
            model.mirror = bool(was_mirroring)


def _compute(model, task, image, labels, loss, title):
    """The Page, not yet assembled. The loss is called by its name."""
    own_size, image = image.shape[:2], network_input(model, image)
    labels = None if labels is None else network_input(model, labels)
    x = as_batch(model, image)
    records = trace(model, x)
    _check_numbers(records)
    answer = task.answer(records[-1].output.astype(np.float32))
    size = image.shape[:2]
    truth = gradients.labels_of_answer(task, answer) if labels is None else labels
    value, steep = gradients.loss_gradients(model, task, task.losses[loss], image, truth)
    page, budget = Page({}, []), choice.PAGE_BYTES // len(records)
    blocks, drawing = layout.place(records)
    costs = _costs(model, size)
    parts = zip(records, blocks, [None, *costs[0]], steep)
    layers = [
        describe(page, record, block, cost, gradient, budget)
        for record, block, cost, gradient in tqdm(parts, "maps", len(records), disable=None, leave=False)
    ]
    _add_fields(model, x, layers)
    page.data |= {
        "title": title,
        "model": type(model).__name__,
        "task": task.name,
        "image": {"url": _photograph(image), "height": size[0], "width": size[1], "own": list(own_size)},
        "loss": {"name": loss, "value": float(f"{value:.6g}"), "own": labels is None},
        "drawing": [round(n, 2) for n in drawing],
        "memory": {"kept": costs[1].kept, "peak": costs[1].peak},
        "layers": layers,
        "answers": _answers(model, task, x, records, answer),
        "key": answers.key(task),
        "channels": answers.channels(task),
        "rules": {"maps": choice.MOST_MAPS, "whole": int(choice.WHOLE * budget), "windows": budget},
        "version": __version__,
    }
    return page


def _check_numbers(records):
    """Raises ValueError if a layer wrote NaN or infinity: none of them has a place in a picture, or in JSON."""
    for record in records:
        if not np.isfinite(record.output).all():
            raise ValueError(f"{record.name} computes NaN or infinity: the weights of the network are too large")


def _costs(model, size):
    """The costs as in training, where BatchNorm and Dropout keep what they do not keep in eval mode."""
    model.train()
    try:
        return layer_costs(model, size), training_costs(model, size)
    finally:
        model.eval()


def _add_fields(model, x, layers):
    """Adds the receptive fields of all layers but the image."""
    flop, found = 0, receptive_fields(model, x.shape[1:3]).values()
    for number, field in enumerate(tqdm(found, "receptive fields", disable=None, leave=False)):
        layer = layers[number + 1]
        flop += layer["costs"]["flop"]
        images, pixels = fields.affordable(flop), (layer["rows"], layer["columns"])
        heat = fields.effective_fields(model, x, number, field, pixels, images) if images else None
        layer["field"] = describe_fields(field, heat)


def _answers(model, task, x, records, answer):
    """The answer of the whole network, then those without each of its parts."""
    before = answers.label_map(task, answer)
    found = [(ablation.Removal("nothing", {}), answer)]
    for removal in tqdm(ablation.removals(records), "parts removed", disable=None, leave=False):
        found.append((removal, task.answer(ablation.outputs_without(model, x, removal).astype(np.float32))))
    return [
        {
            "without": removal.title,
            "cut": list(removal.zeros),
            "url": answers.transparent(task, other),
            "says": task.describe(other),
            "changed": int(np.count_nonzero(answers.label_map(task, other) != before)),
            "difference": answers.highlighted(answers.label_map(task, other) != before),
        }
        for removal, other in found
    ]


def _photograph(image):
    return encoding.data_url(Image.fromarray(image), format="JPEG", quality=90)


def assemble(page: Page) -> str:
    """Returns the HTML file: the skeleton with the style, the scripts, the JSON and the numbers put in."""

    def read(name: str) -> str:
        return (FOLDER / name).read_text(encoding="utf-8")

    data = json.dumps(page.data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    data = data.replace("<", "\\u003c")  # so that no text in it can end the script element, or open another
    blobs = "\n".join(f'<script type="text/plain" id="blob-{n}">{text}</script>' for n, text in enumerate(page.blobs))
    parts = {
        "STYLE": read("page.css"),
        "DATA": f'<script type="application/json" id="data">{data}</script>',
        "BLOBS": blobs,
        "SCRIPT": "\n".join(read(f"{name}.js") for name in (*SCRIPTS, "page")),
    }
    # in one pass: what was put in may itself contain {{DATA}}
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], read("page.html"))
