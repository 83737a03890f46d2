"""Skips: what a U-Net loses without its skip connections, and which one alone brings back the most."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from minunet import metrics
from minunet.autograd import Tensor, no_grad
from minunet.data.drawn_pets import DrawnPets
from minunet.data.labels import IGNORE
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.learn.receptive_field import receptive_fields
from minunet.learn.small_training import arrays, train
from minunet.models import UNet
from minunet.tasks.outline import outline
from minunet.training.plots import FAINT, INK, TRAIN, VALIDATION

SIZE, DEPTH, WIDTH = 64, 4, 8
CHOICES = ((1, 2, 3, 4), (), (1,), (2,), (3,), (4,))
BAND = 2  # pixels on each side of an outline that count as near it
SHOWN = 1  # the image in the picture


class SomeSkips(UNet):
    """The lecture's U-Net in which only the skip connections of some levels carry anything; the others carry zeros.

    levels: 1 is the topmost, as large as the image. Every convolution keeps its size, so that nothing else changes.
    """

    def __init__(self, levels: Sequence[int], depth: int, width: int, seed: int) -> None:
        super().__init__(depth=depth, width=width, seed=seed, batch_norm=True)
        self.levels = levels

    def _encoded(self, x):
        x, skips = super()._encoded(x)
        zeros = (Tensor(np.zeros(skip.shape, skip.dtype)) for skip in skips)
        return x, [skip if level in self.levels else zero for level, (skip, zero) in enumerate(zip(skips, zeros), 1)]


class Scores(NamedTuple):
    """What networks with the same skips reach on images that they have not seen.

    iou, outlines: over all pixels, and over those near the outlines, one for each seed. shown: an answer, (H, W).
    """

    iou: NDArray
    outlines: NDArray
    shown: NDArray


def measure(
    seeds: Sequence[int],
    images: int,
    others: int,
    epochs: int,
    choices: Sequence[tuple[int, ...]] = CHOICES,
    width: int = WIDTH,
    lr: float = 1e-3,
) -> dict[tuple[int, ...], Scores]:
    """Trains a network for each seed and each choice of skips. Returns {levels with a skip: Scores}.

    images: how many to train with; others: how many to test with.
    """
    x, t = arrays(DrawnPets(images, SIZE))
    other_x, other_t = arrays(DrawnPets(others, SIZE, first=images))
    near = near_outlines(other_t)
    found = {}
    with tqdm(total=len(choices) * len(seeds) * epochs, desc="epochs", disable=None, leave=False) as bar:
        for chosen in choices:
            scores, p = [], np.empty(0)
            for seed in seeds:
                model = SomeSkips(chosen, DEPTH, width, seed)
                train(model, x, t, epochs, seed, bar, lr)
                with no_grad():
                    p = model(other_x).numpy()
                scores.append((metrics.iou(p, other_t), metrics.iou(p, near)))
            ious, outlines = np.transpose(scores)
            found[chosen] = Scores(ious, outlines, p[SHOWN, ..., 0])
    return found


def near_outlines(masks: NDArray, pixels: int = BAND) -> NDArray:
    """Returns masks (N, H, W, 1) in which only pixels near the outline count: the others are 255, "ignore".

    >>> near_outlines(np.array([0.0, 0, 0, 1, 1, 1]).reshape(1, 1, 6, 1), pixels=1).ravel()
    array([255., 255.,   0.,   1., 255., 255.])
    """
    inside = masks[..., 0] > 0.5
    near = np.stack([outline(mask, pixels) | outline(~mask, pixels) for mask in inside])
    return np.where(near[..., None], masks, IGNORE)


def brought_back(found: Mapping[tuple[int, ...], Scores]) -> dict[int, float]:
    """Returns {level: how much of what is lost near the outlines without skips its skip alone brings back}.

    1 is all of it. From the means over all seeds.
    """
    singles = [levels for levels in found if len(levels) == 1]
    every, none = max(found, key=len), ()
    lost = found[every].outlines.mean() - found[none].outlines.mean()
    return {level[0]: float((found[level].outlines.mean() - found[none].outlines.mean()) / lost) for level in singles}


def run(seed: int) -> Result:
    """Returns what the experiment finds with this seed: its answer, explanation and picture."""
    found = measure([seed, seed + 1], images=200, others=60, epochs=5)
    return report(found)


def report(found: Mapping[tuple[int, ...], Scores]) -> Result:
    """Returns what was measured in words, as a table and as a picture."""
    every, none = found[max(found, key=len)], found[()]
    back = brought_back(found)
    best = max(back, key=lambda level: back[level])
    measured = (
        f"Near the outlines the IoU falls from {every.outlines.mean():.2f} to {none.outlines.mean():.2f} without skip "
        f"connections, and over all pixels from {every.iou.mean():.2f} to {none.iou.mean():.2f}. The skip of level "
        f"{best} alone brings back {100 * back[best]:.0f}% of what is lost near the outlines; the others "
        + ", ".join(f"{100 * back[level]:.0f}% (level {level})" for level in back if level != best)
        + f". {lead(found, best)}"
    )
    rows = tuple((skip_name(levels), *(spread(s) for s in found[levels][:2])) for levels in found)
    header = ("skip connections", "IoU", "IoU near outlines")
    return Result(measured, best - 1, header, rows, explain(found), draw(found))


def lead(found: Mapping[tuple[int, ...], Scores], best: int) -> str:
    """Returns whether the best single skip leads by more than networks with the same skip differ from their mean."""
    singles = {levels[0]: scores.outlines for levels, scores in found.items() if len(levels) == 1}
    ahead = singles[best].mean() - max(values.mean() for level, values in singles.items() if level != best)
    widest = max(np.ptp(values) / 2 for values in singles.values())
    if ahead > widest:
        return f"It leads by {ahead:.3f}, more than networks with the same skip differ from their mean."
    return f"It leads by {ahead:.3f} only: networks with the same skip differ from their mean by up to {widest:.3f}."


def skip_name(levels: Sequence[int]) -> str:
    """Returns what a choice of skips is called in the table and in the picture."""
    if len(levels) == 1:
        return f"level {levels[0]} alone"
    return "all" if levels else "none"


def spread(values: NDArray) -> str:
    """Returns a mean, and half of the distance between the largest and the smallest value."""
    return f"{values.mean():.3f} ± {np.ptp(values) / 2:.3f}"


def explain(found: Mapping[tuple[int, ...], Scores]) -> str:
    """Returns the explanation, with the numbers that were found."""
    every, none = found[max(found, key=len)], found[()]
    near = 1 - none.outlines.mean() / every.outlines.mean()
    anywhere = 1 - none.iou.mean() / every.iou.mean()
    fields = receptive_fields(UNet(depth=DEPTH, width=1), (SIZE, SIZE))
    sizes = [fields[f"Conv_Down_{level}_2"].size[0] for level in range(1, DEPTH + 1)]
    seen = ", ".join(f"{size}x{size}" for size in sizes[:-1]) + f" and {sizes[-1]}x{sizes[-1]}"
    return f"""\
What the decoder gets from below has passed through all poolings. It knows that there is a pet, but hardly where in a
tile of {2**DEPTH}x{2**DEPTH} pixels it ends. Without skips, {near:.0%} of the IoU near the outlines is lost, and
{anywhere:.0%} of that over all pixels.

A skip trades position for knowledge. Those of levels 1 to {DEPTH} place what they know to the nearest 1, 2, 4 and 8
pixels, and know it from windows of {seen} pixels. The first has every pixel, but has
looked at it through two convolutions only; the last has seen most of the image, but on a coarse grid. How much each is
worth depends on the images and on their size.

The ± is half of the distance between the two networks of each row. See minunet/models/unet.py and
minunet/ops/concatenate.py; `SomeSkips` in this experiment's file is the network with zeros in place of some skips."""


def draw(found: Mapping[tuple[int, ...], Scores]) -> Figure:
    """Returns an answer with each choice of skips, above the scores."""
    figure = Figure(figsize=(9.6, 5.2), dpi=110)
    columns = len(found)
    grid = figure.add_gridspec(
        2, columns, hspace=0.08, wspace=0.1, height_ratios=(1, 1.6), left=0.06, right=0.99, top=0.95, bottom=0.08
    )
    for column, (levels, scores) in enumerate(found.items()):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(scores.shown, cmap="magma", vmin=0, vmax=1)
        axes.set_title(skip_name(levels), fontsize=10, color=INK)
        axes.set_xticks([])
        axes.set_yticks([])
    axes = figure.add_subplot(grid[1, :])
    positions = np.arange(columns)
    for shift, values, color, words in (
        (-0.17, [scores.iou for scores in found.values()], TRAIN, "all pixels"),
        (0.17, [scores.outlines for scores in found.values()], VALIDATION, f"within {BAND} pixels of the outline"),
    ):
        axes.bar(positions + shift, [each.mean() for each in values], 0.32, color=color, label=words)
        for position, each in zip(positions + shift, values):
            axes.plot([position] * len(each), each, "o", color=INK, markersize=3)
    axes.set_xticks(positions, [skip_name(levels) for levels in found])
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylabel("IoU on other images")
    axes.set_ylim(0, 1)
    axes.grid(axis="y", color="#e6e6e6")
    axes.set_axisbelow(True)
    axes.legend(loc="upper right", ncols=2, frameon=False, fontsize=9)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_color(FAINT)
    return figure


EXPERIMENT = Experiment(
    name="skips",
    question=(
        "A U-Net is trained with all of its four skip connections, with none, and with a single one. Which one alone "
        "brings back the most of what is lost near the outlines of the pets?"
    ),
    guesses=(
        "Level 1, the topmost: it alone has every pixel of the 64x64.",
        "Level 2, 32x32.",
        "Level 3, 16x16.",
        "Level 4, 8x8: its features know the most about the pet.",
    ),
    seconds=120,
    run=run,
)
