"""The table of a network's layers, as Keras prints it.

The network is run once on an empty image under a forward hook, so the table shows what really happens, for any Module.
"""

from typing import Any

import numpy as np

from minunet.autograd import Tensor, no_grad
from minunet.device import to_device
from minunet.nn.module import Module, evaluation, forward_hook

COLUMNS = ("Layer (type)", "Output Shape", "Param #", "Connected to")


def layer_rows(model: Module, input_shape: tuple[int, int, int]) -> list[tuple[Any, ...]]:
    """Returns [(layer name, type, output shape, parameters, [names it is connected to])], the input first.

    input_shape: (H, W, C). The first entry of an output shape, the batch, is None.
    """
    x = Tensor(to_device(np.zeros((1, *input_shape), model.dtype), model.device))
    rows: list[tuple[Any, ...]] = [("input", "Input", (None, *input_shape), 0, [])]
    makers = {id(x): "input"}
    alive = [x]  # an id names a tensor only as long as the tensor lives

    def add_row(layer, inputs, y):
        tensors = [t for group in inputs for t in (group if isinstance(group, (list, tuple)) else [group])]
        name = layer.name or f"{type(layer).__name__.lower()}_{len(rows)}"
        parameters = sum(p.size for p in (*layer.all_parameters(), *_buffers(layer)))
        rows.append(
            (name, type(layer).__name__, (None, *y.shape[1:]), parameters, [makers.get(id(t), "?") for t in tensors])
        )
        makers[id(y)] = name
        alive.append(y)

    with no_grad(), evaluation(), forward_hook(add_row):  # the empty image must not change a running average
        model(x)
    return rows


def summary_text(model: Module, input_shape: tuple[int, int, int], name: str | None = None) -> str:
    """Returns the table as text."""
    cells = [COLUMNS] + [
        (f"{row[0]} ({row[1]})", str(row[2]), str(row[3]), ", ".join(row[4]) or "-")
        for row in layer_rows(model, input_shape)
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    rule = "─" * max(map(len, lines))
    lines.insert(1, rule)
    totals = []
    for part, tensors in (
        ("Total", [*model.all_parameters(), *_buffers(model)]),
        ("Trainable", model.parameters()),
        ("Non-trainable", _buffers(model)),
    ):
        count, size = sum(p.size for p in tensors), sum(p.size * p.dtype.itemsize for p in tensors)
        totals.append(f"{part} params: {count:,} ({_megabytes(size)})")
    return "\n".join([f'Model: "{name or type(model).__name__}"', rule, *lines, rule, *totals])


def print_summary(model: Module, input_shape: tuple[int, int, int]) -> None:
    """Prints the table."""
    print(summary_text(model, input_shape))


def _buffers(module):
    """Returns what Keras counts as non-trainable parameters."""
    return [buffer for _, buffer in module.named_buffers()]


def _megabytes(size):
    return f"{size / 2**20:.2f} MB"
