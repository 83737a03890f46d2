"""The rows of scores, one per finished epoch: as a table for people, and read back from a checkpoint.

A row is what `Trainer.epochs` yields: {"epoch": 1, "train_loss": …, "val_loss": …, "lr": …, "seconds": …}.
"""

import math
from collections.abc import Sequence
from typing import Any

from minunet.inputs import parse_json
from minunet.tasks import Binary

LARGEST = 1e12  # what no score comes near, and a plot can still show


def row_names(score_names: Sequence[str]) -> list[str]:
    """Returns the names of a row's scores, in the order of the table."""
    return [f"{part}_{name}" for name in ("loss", *score_names) for part in ("train", "val")]


def history_csv(history: list[dict[str, float]], score_names: Sequence[str] = Binary.score_names) -> str:
    """Returns the rows as text: a header, then a line per epoch. score_names: those of the task.

    Scores have six decimals, "lr" has six significant digits.

    >>> history_csv([]).split(",")[:5]
    ['epoch', 'train_loss', 'val_loss', 'train_iou', 'val_iou']
    """
    names = row_names(score_names)
    lines = [",".join(["epoch", *names, "lr"])]
    for row in history:
        scores = [f"{row[name]:.6f}" for name in names]
        lines.append(",".join([str(row["epoch"]), *scores, f"{row['lr']:.6g}"]))
    return "\n".join(lines) + "\n"


def read_rows(text: str, score_names: Sequence[str]) -> list[dict[str, float]]:
    """Returns the rows that a checkpoint holds as JSON. A file may come from anybody, and they reach tables and plots.

    Raises ValueError unless they are those of epochs 1, 2, 3 … with a number for each score.

    >>> read_rows("[1]", ("iou",))
    Traceback (most recent call last):
    ValueError: row 1 of the history is 1: it must hold a number for each score
    """
    rows: Any = parse_json(text)
    if not isinstance(rows, list):
        raise ValueError(f"the history is {rows!r:.40}: it must be a list of rows")
    names = ["epoch", *row_names(score_names), "lr", "seconds"]
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not all(map(_is_score, row.values())):
            raise ValueError(f"row {number} of the history is {row!r:.60}: it must hold a number for each score")
        missing = [name for name in names if name not in row]
        if missing or row["epoch"] != number:
            raise ValueError(f"row {number} of the history is of epoch {row.get('epoch')} and lacks {missing}")
        if not all(0 <= row[name] < math.inf for name in ("lr", "seconds")):
            raise ValueError(f"row {number} of the history has lr {row['lr']} and {row['seconds']} s")
    return rows


def _is_score(value: object) -> bool:
    """Whether it is a number as training writes it, which a table and a plot can show; NaN is a score of nothing."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and (value != value or abs(value) < LARGEST)
