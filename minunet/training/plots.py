"""The pictures of a run: its curves, and a sheet of predictions; and sheets of any pictures with their masks.

Figures are drawn through matplotlib's object interface, without pyplot, so that no window opens, no setting
of the caller changes and nothing is kept after the file is written.
"""

import io
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from minunet.data.labels import IGNORE
from minunet.files import atomic_write
from minunet.metrics import iou

TRAIN, VALIDATION = "#2f6db3", "#e0792a"  # blue, orange: told apart also by colour-blind readers
INK, FAINT = "#2b2b2b", "#8a8a8a"
OUTLINE = (255, 64, 96)


def save_curves(path, history, baseline=None):
    """Writes curves.png: the loss and the pixel IoU of each epoch, of training and validation.

    history: a list of dicts, one per epoch, with the keys epoch, train_loss, val_loss, train_iou, val_iou; it
    may be empty. baseline: the pixel IoU that answering "pet" everywhere gets on the validation set, drawn as
    a line to beat.
    """
    figure = Figure(figsize=(10, 4.2), dpi=120)
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.06, right=0.975, top=0.9, bottom=0.13, wspace=0.16)
    _curve(left, history, "loss", "Loss")
    _curve(right, history, "iou", "Pixel IoU")
    left.set_ylim(0, 1.08 * left.dataLim.ymax if history else 1)
    right.set_ylim(0, 1)
    if baseline is not None:
        right.axhline(baseline, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        right.annotate(
            "everything is pet",
            (1, baseline),
            xycoords=("axes fraction", "data"),
            xytext=(-3, -4),
            textcoords="offset points",
            ha="right",
            va="top",
            color=FAINT,
            fontsize=9,
        )
    _write(figure, path)


def _curve(axes, history, key, title):
    """One panel: train and validation over the epochs."""
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


def save_predictions(path, images, masks, probabilities, names=None, title=None):
    """Writes predictions.png: a row per picture, picture | true mask | probability | predicted outline.

    images: uint8 (N, H, W, 3); masks: uint8 (N, H, W, 1), values 0, 1, and 255 to ignore (grey);
    probabilities: float (N, H, W, 1) in [0, 1]; all NumPy. names: N strings to tell the pictures by; title:
    one line.
    """
    rows, inch, top = len(images), 2.0, 0.75 if title else 0.45
    height = rows * (inch + 0.08) + top + 0.45
    figure = Figure(figsize=(4 * (inch + 0.08) + 0.6, height), dpi=110)
    grid = figure.subplots(rows, 4, squeeze=False)
    figure.subplots_adjust(left=0.045, right=0.995, top=1 - top / height, bottom=0.45 / height)
    figure.subplots_adjust(wspace=0.03, hspace=0.04)

    for axes, heading in zip(grid[0], ("picture", "true mask", "probability of pet", "predicted outline")):
        axes.set_title(heading, color=INK, fontsize=11, pad=6)
    for i, row in enumerate(grid):
        p, t = probabilities[i, ..., 0], masks[i, ..., 0]
        row[0].imshow(images[i])
        row[1].imshow(_mask_colours(t))
        heat = row[2].imshow(p, cmap="magma", vmin=0, vmax=1)
        row[3].imshow(overlay(images[i], p > 0.5))
        row[3].text(
            0.03,
            0.03,
            _score(p, t),
            transform=row[3].transAxes,
            color="white",
            fontsize=9,
            bbox={"facecolor": INK, "edgecolor": "none", "boxstyle": "round,pad=0.25", "alpha": 0.85},
        )
        name = names[i] if names is not None else ""
        row[0].set_ylabel(name, color=INK, fontsize=8, labelpad=5, parse_math=False)
        for axes in row:
            _bare(axes)
    _colour_bar(figure, heat, grid[-1][2], height)
    if title:
        figure.text(0.045, 1 - 0.12 / height, title, color=INK, fontsize=12, va="top")
    _write(figure, path)


def save_sheet(path, images, masks, titles, columns=4):
    """Writes pictures, each with its mask's outline and a title above, row by row; a .jpg or a .png.

    images: N arrays uint8 (H, W, 3), N from 1 on; masks: N arrays uint8 (H, W, 1), 1 inside;
    titles: N strings.
    """
    rows, inch = -(-len(images) // columns), 1.8
    figure = Figure(figsize=(columns * (inch + 0.08) + 0.1, rows * (inch + 0.3) + 0.08), dpi=110)
    grid = figure.subplots(rows, columns, squeeze=False)
    top = 1 - 0.25 / figure.get_figheight()
    figure.subplots_adjust(left=0.01, right=0.99, top=top, bottom=0.01, wspace=0.04, hspace=0.3 / inch)
    for axes in grid.flat:
        _bare(axes)
    for axes, image, mask, title in zip(grid.flat, images, masks, titles):
        axes.imshow(overlay(image, mask == 1))
        axes.set_title(title, color=INK, fontsize=10, pad=3, parse_math=False)
    _write(figure, path)


def overlay(image, mask, color=OUTLINE, thickness=None):
    """The picture with the outline of the mask drawn over it.

    image: uint8 (H, W, 3); mask: bool or 0/1, (H, W) or (H, W, 1); color: three values of 0 to 255;
    thickness: width of the line in pixels, by default about one in 80 of the picture. Returns a new uint8 (H,
    W, 3).
    Raises ValueError if the sizes differ.
    """
    mask = np.asarray(mask).reshape(np.shape(mask)[:2]).astype(bool)
    if image.shape != (*mask.shape, 3):
        raise ValueError(f"picture {image.shape} and mask {mask.shape} must be (H, W, 3) and (H, W)")
    thickness = thickness or max(1, round(max(mask.shape) / 80))
    drawn = image.copy()
    drawn[outline(mask, thickness)] = color
    return drawn


def outline(mask, thickness=1):
    """The pixels of the mask that lie within `thickness` steps (up, down, left, right) of a pixel outside it.

    mask: bool or 0/1 (H, W). Returns bool (H, W). The frame of the picture is no border: a pet that leaves
    the picture gets no line there.

    >>> outline(np.array([[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0]])).astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 1, 1, 1, 0],
           [0, 1, 0, 1, 0],
           [0, 1, 0, 1, 0]])
    """
    inside = mask = np.asarray(mask).astype(bool)
    for _ in range(thickness):
        p = np.pad(inside, 1, mode="edge")
        inside = inside & p[:-2, 1:-1] & p[2:, 1:-1] & p[1:-1, :-2] & p[1:-1, 2:]
    return mask & ~inside


def _score(p, t):
    return f"IoU {iou(p, t):.2f}" if (t != IGNORE).any() else "no pixel counts"


def _mask_colours(mask):
    """A mask (H, W) as a picture: pet light, background dark, ignored pixels grey."""
    colours = np.full((*mask.shape, 3), 24, np.uint8)
    colours[mask == 1] = 240
    colours[mask == IGNORE] = 128
    return colours


def _bare(axes):
    """Only the picture: no ticks, no frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def _colour_bar(figure, heat, above, height):
    """What the colours of the probabilities mean, in a thin bar under their column."""
    box = above.get_position()
    axes = figure.add_axes([box.x0, box.y0 - 0.17 / height, box.width, 0.09 / height])
    bar = figure.colorbar(heat, cax=axes, orientation="horizontal", ticks=[0, 0.5, 1])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8, colors=INK, pad=2)


def _write(figure, path):
    picture, canvas = io.BytesIO(), FigureCanvasAgg(figure)
    if Path(path).suffix.lower() in (".jpg", ".jpeg"):
        canvas.print_jpg(picture, pil_kwargs={"quality": 80})
    else:
        canvas.print_png(picture)
    atomic_write(path, picture.getvalue())
