"""The figures of a run: its curves, and a sheet of predictions; and sheets of any images with their masks.

Figures are drawn through matplotlib's object interface, without pyplot, so that no window opens, no setting of the
caller changes, and nothing is kept once the file is written.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from minunet.files import atomic_write
from minunet.tasks import Panel
from minunet.tasks.outline import overlay

TRAIN, VALIDATION = "#2f6db3", "#e0792a"  # blue and orange, which color-blind readers can tell apart
SCORES = {"iou": "Pixel IoU", "mean_iou": "Mean IoU", "dice": "Dice", "accuracy": "Accuracy"}
MOST_NAMED = 40  # classes of a confusion matrix with names and numbers
INK, FAINT = "#2b2b2b", "#8a8a8a"


def save_curves(
    path: str | Path,
    history: Sequence[Mapping[str, float]],
    baseline: tuple[str, float] | None = None,
    score: str = "iou",
) -> None:
    """Writes curves.png: the loss and a score of each epoch, of training and validation.

    history: one dict per epoch, with the keys epoch, train_loss, val_loss, train_SCORE, val_SCORE; it may be empty.
    baseline: (answer, its score), such as that of "all pet" on the validation set, drawn as a line to beat.
    score: one of SCORES.
    """
    figure = Figure(figsize=(10, 4.2), dpi=120)
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.06, right=0.975, top=0.9, bottom=0.13, wspace=0.16)
    _curve(left, history, "loss", "Loss")
    _curve(right, history, score, SCORES[score])
    left.set_ylim(0, 1.08 * left.dataLim.ymax if history else 1)
    right.set_ylim(0, 1)
    if baseline is not None:
        answer, value = baseline
        right.axhline(value, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        right.annotate(
            answer,
            (1, value),
            xycoords=("axes fraction", "data"),
            xytext=(-3, -4),
            textcoords="offset points",
            ha="right",
            va="top",
            color=FAINT,
            fontsize=9,
            parse_math=False,
        )
    _write(figure, path)


def _curve(axes, history, key, title):
    """One panel: training and validation over the epochs."""
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) <= 40 else None  # a single epoch would be invisible as a line
    for name, prefix, color in (("training", "train_", TRAIN), ("validation", "val_", VALIDATION)):
        values = [row[prefix + key] for row in history]
        axes.plot(epochs, values, color=color, label=name, linewidth=1.8, marker=marker, markersize=4)
    axes.set_title(title, loc="left", color=INK, fontsize=12)
    above = {"loc": "lower right", "bbox_to_anchor": (1.02, 0.985), "ncols": 2}
    axes.legend(**above, frameon=False, labelcolor=INK, fontsize=10)
    axes.set_xlabel("epoch", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(epochs) < 2:  # a lone point in the middle
        axes.set_xticks(epochs)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def save_panels(
    path: str | Path, rows: Sequence[Sequence[Panel]], names: Sequence[str] | None = None, title: str | None = None
) -> None:
    """Writes a row of panels per image, such as image | true mask | probability | predicted outline.

    rows: at least one, as `Task.panels` returns them, all with the same titles; names: one for each row; title: a line.
    """
    columns = len(rows[0])
    inch, top = 2.0, 0.75 if title else 0.45
    height = len(rows) * (inch + 0.08) + top + 0.45
    figure = Figure(figsize=(columns * (inch + 0.08) + 0.6, height), dpi=110)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    figure.subplots_adjust(left=0.045, right=0.995, top=1 - top / height, bottom=0.45 / height)
    figure.subplots_adjust(wspace=0.03, hspace=0.04)

    for axes, panel in zip(grid[0], rows[0]):
        axes.set_title(panel.title, color=INK, fontsize=11, pad=6, parse_math=False)
    for i, panels in enumerate(rows):
        for axes, panel in zip(grid[i], panels):
            _draw_panel(axes, panel)
        grid[i][0].set_ylabel(
            names[i] if names is not None else "", color=INK, fontsize=8, labelpad=5, parse_math=False
        )
    for axes in grid[-1]:
        if any(drawn.get_array().ndim == 2 for drawn in axes.get_images()):
            _color_bar(figure, axes, height)
    if title:
        figure.text(0.045, 1 - 0.12 / height, title, color=INK, fontsize=12, va="top", parse_math=False)
    _write(figure, path)


def _draw_panel(axes, panel):
    """The pixels of a panel, with its caption in the lower left corner."""
    axes.imshow(panel.pixels, cmap="magma", vmin=0, vmax=1)
    if panel.caption:
        box = {"facecolor": INK, "edgecolor": "none", "boxstyle": "round,pad=0.25", "alpha": 0.85}
        style = {"color": "white", "fontsize": 9, "bbox": box, "parse_math": False}
        axes.text(0.03, 0.03, panel.caption, transform=axes.transAxes, **style)
    _bare(axes)


def save_confusion(path: str | Path, names: Sequence[str], matrix: NDArray) -> None:
    """Writes a confusion matrix as an image: row by row, what the pixels of a class were taken for, in percent.

    names: of the K classes; matrix: int (K, K), [true, predicted]. A class without pixels has an empty row. Of more
    than 40 classes, only colors are drawn: nobody could read names and numbers.
    """
    counts = np.asarray(matrix, np.float64)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    readable = len(names) <= MOST_NAMED
    side = 1.4 + 0.55 * min(len(names), MOST_NAMED)
    figure = Figure(figsize=(side, side), dpi=110)
    axes = figure.subplots()
    figure.subplots_adjust(left=1.25 / side, right=1 - 0.1 / side, top=1 - 0.1 / side, bottom=1.25 / side)
    axes.imshow(fractions, cmap="magma", vmin=0, vmax=1)
    for (i, j), fraction in np.ndenumerate(fractions):
        if readable and counts[i].sum():
            color = "white" if fraction < 0.7 else INK
            axes.text(j, i, f"{100 * fraction:.0f}", ha="center", va="center", color=color, fontsize=9)
    for axis, label in ((axes.xaxis, "predicted"), (axes.yaxis, "true")):
        shown = names if readable else ()
        axis.set_ticks(range(len(shown)), shown, color=INK, fontsize=9, parse_math=False)
        axis.set_label_text(label, color=INK)
    axes.tick_params(axis="x", rotation=90, length=0)
    axes.tick_params(axis="y", length=0)
    _write(figure, path)


def save_sheet(
    path: str | Path, images: Sequence[NDArray], masks: Sequence[NDArray], titles: Sequence[str], columns: int = 4
) -> None:
    """Writes images, each with the outline of its mask and a title above, row by row; as a .jpg or a .png.

    images: at least one array uint8 (H, W, 3); masks: as many arrays uint8 (H, W, 1), 1 inside; titles: as many
    strings.
    """
    rows, inch = -(-len(images) // columns), 1.8
    figure = Figure(figsize=(columns * (inch + 0.08) + 0.1, rows * (inch + 0.3) + 0.08), dpi=110)
    grid = figure.subplots(rows, columns, squeeze=False)
    top = 1 - 0.25 / figure.get_figheight()
    figure.subplots_adjust(left=0.01, right=0.99, top=top, bottom=0.01, wspace=0.04, hspace=0.3 / inch)
    for axes in grid.flat:
        _bare(axes)
    for axes, image, mask, title in zip(grid.flat, images, masks, titles):
        axes.imshow(overlay(image, np.asarray(mask) == 1))
        axes.set_title(title, color=INK, fontsize=10, pad=3, parse_math=False)
    _write(figure, path)


def _bare(axes):
    """Only the image: no ticks, no frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def _color_bar(figure, above, height):
    """What the colors of a heat map mean, in a thin bar under its column."""
    box = above.get_position()
    axes = figure.add_axes([box.x0, box.y0 - 0.17 / height, box.width, 0.09 / height])
    bar = figure.colorbar(above.get_images()[0], cax=axes, orientation="horizontal", ticks=[0, 0.5, 1])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, colors=INK, pad=2)


def _write(figure: Any, path: str | Path) -> None:
    content, canvas = io.BytesIO(), FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # names in scripts that matplotlib's font lacks
        if Path(path).suffix.lower() in (".jpg", ".jpeg"):
            canvas.print_jpg(content, pil_kwargs={"quality": 80})
        else:
            canvas.print_png(content)
    atomic_write(path, content.getvalue())
