"""Each layer as the page has it: its block, costs, maps, gradients, numbers and receptive fields, in JSON."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.learn.explain import encoding, fields, layout
from minunet.learn.explain.arithmetic import account
from minunet.learn.explain.trace import Record
from minunet.learn.receptive_field import ReceptiveField
from minunet.nn.costs import LayerCosts


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
    page: Page, record: Record, block: layout.Block, costs: LayerCosts | None, gradient: NDArray[Any], budget: int
) -> dict[str, Any]:
    """Returns a layer in JSON, but for its receptive fields; budget: the bytes of its part of the page."""
    numbers = account(record, budget)
    shown = record.output[..., numbers.maps]
    lows, highs = shown.min(axis=(0, 1)), shown.max(axis=(0, 1))
    steep = gradient[..., numbers.maps]
    most = _scale_of(steep)
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
    """Returns the boxes of all rows and columns, and the heat maps of some positions, all below each other."""
    told = {"size": list(field.size), "jump": list(field.jump), "boxes": fields.box_tables(field)}
    if found is None:
        return told
    small = encoding.shrink(found.heat, fields.SIDE)
    most = small.max(axis=(0, 1))
    sheet = encoding.sheet(np.sqrt(small), np.zeros_like(most), np.sqrt(most))
    told |= {"heatRows": found.rows, "heatColumns": found.columns, "heats": sheet, "heatHeight": small.shape[0]}
    return told | {"tops": found.tops, "lefts": found.lefts, "extent": list(found.heat.shape[:2])}


def _scale_of(gradients):
    """The size at which the colors of each map end: what 99.5 % of its gradients do not exceed.

    A few of them are often ten times as large as the rest, which would then be all of one color.
    """
    sizes = np.abs(gradients)
    most = np.quantile(sizes, 0.995, axis=(0, 1))
    return np.where(most > 0, most, sizes.max(axis=(0, 1)))


def _short(values):
    return [float(f"{value:.5g}") for value in values.tolist()]
