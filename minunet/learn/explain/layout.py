"""The drawing of the U: where each layer's block stands. Heights are sizes, widths are channels.

The layers stand from left to right in the order in which they run. Pooling goes down a level, a transposed convolution
up again, so the two halves of a level face each other, and a skip connection is a straight line between them.
"""

from typing import Any, NamedTuple

from minunet.learn.explain.trace import Record

WIDTH = 1400.0  # of the drawing, in its own units
GAP, STEP = 5.0, 16.0  # between blocks of a level, and where the level changes
TALLEST = 190.0  # of the tallest block
SMALLEST = 3.0  # blocks that would be smaller are drawn so high or wide
BAND = 46.0  # the least height of a level: thumbnails need some
BETWEEN = 16.0  # between levels


class Block(NamedTuple):
    """A layer's rectangle; its level, 1 for the image's; its side: on the way "down", at the "bottom", or "up"."""

    x: float
    y: float
    width: float
    height: float
    level: int
    side: str


def levels(records: list[Record]) -> list[tuple[int, str]]:
    """Returns the level and the side of each record."""
    found, level, up = [], 1, False
    for record in records:
        if record.kind == "MaxPool2D":
            level += 1
        elif record.kind == "ConvTranspose2D":
            level, up = level - 1, True
        found.append((level, "up" if up else "down"))
    deepest = max(level for level, _ in found)
    return [(level, "bottom" if level == deepest else side) for level, side in found]


def place(records: list[Record]) -> tuple[list[Block], tuple[float, float]]:
    """Returns the blocks of all records, and (width, height) of the drawing."""
    where = levels(records)
    channels = [record.output.shape[2] for record in records]
    tallest = max(record.output.shape[0] for record in records)
    steps = [STEP if where[i][0] != where[i - 1][0] else GAP for i in range(1, len(records))]
    room = WIDTH - sum(steps) - SMALLEST * len(records)
    scale = max(room, WIDTH / 4) / sum(channels)
    heights = [max(SMALLEST, TALLEST * record.output.shape[0] / tallest) for record in records]
    bands: dict[int, float] = {}
    for (level, _), height in zip(where, heights):
        bands[level] = max(bands.get(level, BAND), height)
    centers, top = {}, 6.0
    for level in sorted(bands):
        centers[level] = top + bands[level] / 2
        top += bands[level] + BETWEEN
    blocks, x = [], 0.0
    for (level, side), count, height, step in zip(where, channels, heights, [*steps, 0.0]):
        width = max(SMALLEST, scale * count)
        blocks.append(Block(x, centers[level] - height / 2, width, height, level, side))
        x += width + step
    return blocks, (x, top - BETWEEN + 6)


def as_json(block: Block) -> dict[str, Any]:
    """Returns a block for the page, rounded to a hundredth."""
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in block._asdict().items()}
