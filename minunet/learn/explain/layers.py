"""Each layer as the page has it: its block, costs, maps, gradients, numbers and receptive fields, in JSON."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.learn.explain import encoding, fields, layout
from minunet.learn.explain.arithmetic import account
from minunet.learn.explain.trace import Record
from minunet.learn.receptive_field import ReceptiveField
from minunet.nn.costs import LayerCosts

FIELD_SIDE = 64  # pixels of a heat map


@dataclass
class Page:
    """What a page is made of: JSON, and texts of numbers that the JSON names by their place in the list."""

    data: dict[str, Any]
    blobs: list[str]

    def add(self, arrays: dict[str, NDArray]) -> dict[str, Any]:
        """Adds a text of numbers. Returns its place, and the shapes of the arrays in it."""
        self.blobs.append(encoding.pack(list(arrays.values())))
        return {"blob": len(self.blobs) - 1, "arrays": {name: list(a.shape) for name, a in arrays.items()}}


def describe(
    page: Page, record: Record, block: layout.Block, costs: LayerCosts | None, gradient: NDArray[Any]
) -> dict[str, Any]:
    """Returns a layer in JSON, but for its receptive fields."""
    numbers = account(record)
    shown = record.output[..., numbers.maps]
    lows, highs = shown.min(axis=(0, 1)), shown.max(axis=(0, 1))
    steep = gradient[..., numbers.maps]
    most = np.abs(steep).max(axis=(0, 1))
    return {
        "name": record.name,
        "kind": record.kind,
        "shape": list(record.output.shape),
        "sources": record.sources,
        "block": layout.as_json(block),
        "costs": None if costs is None else {"parameters": costs.parameters, "flop": costs.flop, "kept": costs.kept},
        "rows": numbers.rows,
        "columns": numbers.columns,
        "maps": numbers.maps,
        "facts": numbers.facts,
        "numbers": page.add(numbers.arrays | {"gradient": steep[np.ix_(numbers.rows, numbers.columns)]}),
        "sheet": encoding.sheet(encoding.shrink(shown), lows, highs),
        "small": list(encoding.shrink(shown).shape[:2]),
        "low": _short(lows),
        "high": _short(highs),
        "gradients": encoding.sheet(encoding.shrink(steep, 64), -most, most),
        "gradientsSmall": list(encoding.shrink(steep, 64).shape[:2]),
        "steepest": _short(most),
        "gradientSize": float(f"{np.sqrt(np.mean(gradient.astype(np.float64) ** 2)):.6g}"),
    }


def describe_fields(field: ReceptiveField, found: fields.Fields | None) -> dict[str, Any]:
    """Returns the boxes of all rows and columns, and the heat maps of a few positions."""
    told = {"size": list(field.size), "jump": list(field.jump), "boxes": fields.box_tables(field)}
    if found is None:
        return told
    positions = [(i, j) for i in found.rows for j in found.columns]
    heats = [_heat(heat, field.clipped(i, j)) for (i, j), heat in zip(positions, found.heat)]
    return told | {"heatRows": found.rows, "heatColumns": found.columns, "heats": heats}


def _heat(heat, box):
    """The heat map within its box, as a picture: the square root of the gradient's size, relative to the largest."""
    top, left, bottom, right = box
    inside = encoding.shrink(heat[top:bottom, left:right, None], FIELD_SIDE)
    if not inside.size or not inside.max() > 0:
        return {"box": box, "url": ""}
    levels = np.rint(255 * np.sqrt(inside[..., 0] / inside.max())).astype(np.uint8)
    return {"box": box, "url": encoding.data_url(Image.fromarray(levels))}


def _short(values):
    return [float(f"{value:.5g}") for value in values.tolist()]
