"""Receptive field: what an output pixel could see, beside what it looks at, before training and after."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from tqdm import tqdm

from minunet.data.drawn_pets import DrawnPets
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.learn.receptive_field import Box, effective_field, receptive_fields
from minunet.learn.small_training import arrays, train
from minunet.models import UNet

DEPTH, WIDTH = 3, 8
LAYERS = ("Conv_Down_2_2", "Conv_Down_3_2", "Conv_Bottle_2", "Conv_Out")
NEAR = 9  # rows and columns that an output pixel sees through the topmost skip: 1 + 2 + 2 down, + 2 + 2 up
MASS = 0.95
MUCH, CHANGED = 0.5, 1.5  # of the box; how many times as much area is a change


class Seen(NamedTuple):
    """What the middle of a layer sees: in theory, and before and after training.

    box: the receptive field, in pixels. untrained, trained: the gradient, added up over images, networks and channels,
    (H, W); shares: (untrained, trained) of each network, which part of the box's area holds 95% of its gradient.
    """

    box: Box
    untrained: NDArray
    trained: NDArray
    shares: NDArray


def measure(seeds: Sequence[int], size: int, images: int, epochs: int, watched: int) -> dict[str, Seen]:
    """Trains a network for each seed, and returns {layer: what its middle position sees}.

    size: of the images; images: to train with; watched: other images, whose gradients are added up.
    """
    pets, others = DrawnPets(images, size), DrawnPets(watched, size, first=images)
    boxes: dict[str, Box] = {}
    before: list[dict[str, NDArray]] = []
    after: list[dict[str, NDArray]] = []
    with tqdm(total=len(seeds) * epochs, desc="epochs", disable=None, leave=False) as bar:
        for seed in seeds:
            model = UNet(depth=DEPTH, width=WIDTH, batch_norm=True, seed=seed)
            for layer, field in receptive_fields(model, (size, size)).items():
                boxes[layer] = field.clipped(*_middle(size, field.jump))
            before.append(gradients(model, others))
            train(model, *arrays(pets), epochs, seed, bar)
            after.append(gradients(model, others))
    seen = {}
    for layer in LAYERS:
        box, fields = boxes[layer], [(u[layer], t[layer]) for u, t in zip(before, after)]
        shares = np.array([[area_share(field, box) for field in pair] for pair in fields])
        untrained, trained = np.sum(fields, axis=0)
        seen[layer] = Seen(box, untrained, trained, shares)
    return seen


def gradients(model: UNet, pets: DrawnPets) -> dict[str, NDArray]:
    """Returns {layer: (H, W)}, the effective fields of its middle position, each scaled to a sum of 1, added up."""
    size = pets.size
    jumps = {layer: field.jump for layer, field in receptive_fields(model, (size, size)).items()}
    total = {layer: np.zeros((size, size)) for layer in LAYERS}
    for i in range(len(pets)):
        for layer in LAYERS:
            field = effective_field(model, pets[i][0], layer, _middle(size, jumps[layer]))
            total[layer] += field / max(float(field.sum()), 1e-30)
    return total


def _middle(size: int, jump: tuple[int, int]) -> tuple[int, int]:
    return size // 2 // jump[0], size // 2 // jump[1]


def area_share(field: NDArray, box: Box, mass: float = MASS) -> float:
    """Returns the area of the fewest pixels that hold `mass` of the field, as a fraction of the box's area.

    >>> area_share(np.array([[0.0, 8.0], [1.0, 1.0]]), (0, 0, 2, 2), mass=0.75)
    0.25
    """
    largest_first = np.sort(field.ravel())[::-1].cumsum()
    pixels = np.searchsorted(largest_first, mass * largest_first[-1]) + 1
    top, left, bottom, right = box
    return float(pixels / ((bottom - top) * (right - left)))


def near_share(field: NDArray) -> float:
    """Returns which part of an output pixel's field lies in the 9x9 pixels around it."""
    middle, reach = field.shape[0] // 2, NEAR // 2
    near = slice(middle - reach, middle + reach + 1)
    return float(field[near, near].sum() / field.sum())


def answer_to(untrained: float, trained: float) -> int:
    """Returns which guess is right, from the two shares of the area."""
    if trained > CHANGED * untrained:
        return 2
    if untrained > CHANGED * trained:
        return 3
    return 0 if trained >= MUCH else 1


def run(seed: int) -> Result:
    """Returns what the experiment finds with this seed: its answer, explanation and picture."""
    seen = measure([seed, seed + 1, seed + 2], size=96, images=150, epochs=5, watched=16)
    out = seen["Conv_Out"]
    (low, low_trained), (high, high_trained) = out.shares.min(axis=0), out.shares.max(axis=0)
    untrained, trained = out.shares.mean(axis=0)
    side = out.box[2] - out.box[0]
    measured = (
        f"An output pixel can see {side}x{side} pixels. 95% of its gradient lies in {percent(untrained)} of this area "
        f"before training ({percent(low)} to {percent(high)} in three networks), and in {percent(trained)} "
        f"after five epochs ({percent(low_trained)} to {percent(high_trained)})."
    )
    rows = tuple(
        (layer, f"{box[2] - box[0]}x{box[3] - box[1]}", *map(percent, shares.mean(axis=0)))
        for layer, (box, _, _, shares) in seen.items()
    )
    answer = answer_to(untrained, trained)
    header = ("layer", "can see", "95% in, untrained", "95% in, trained")
    return Result(measured, answer, header, rows, explain(seen, answer), draw(seen))


def explain(seen: dict[str, Seen], answer: int) -> str:
    """Returns the explanation, with the numbers that were found."""
    before, after = seen["Conv_Bottle_2"].shares.mean(axis=0)
    near, near_trained = near_share(seen["Conv_Out"].untrained), near_share(seen["Conv_Out"].trained)
    listens = ": training makes the output listen to the levels below" if answer == 2 else ""
    return f"""\
The theoretical field says what can matter. A layer adds k - 1 steps of the map that it reads:

    r_l = r_(l-1) + (k_l - 1) j_(l-1)        j_l = j_(l-1) s_l

The gradient says how much each pixel does matter, to first order. Many paths lead from the middle of the window to the
number, and few from its rim, so the gradient falls off toward the rim: at the bottleneck 95% of it lies in
{percent(before)} of the box before training, and in {percent(after)} after it.

Paths of different lengths lead to an output pixel. The shortest, through the topmost skip, comes from {NEAR}x{NEAR}
pixels only. In the untrained networks {percent(near)} of the gradient lies within them, in the trained ones
{percent(near_trained)}{listens}. See minunet/learn/receptive_field.py and minunet/models/unet.py."""


def percent(share: float) -> str:
    """Returns a share of 1 as text, in percent."""
    return f"{100 * share:.{0 if share > 0.1 else 1}f}%"


def draw(seen: dict[str, Seen]) -> Figure:
    """Returns the fields of all layers in columns, untrained above trained, with the theoretical boxes."""
    figure = Figure(figsize=(9.6, 5.4), dpi=110)
    grid = figure.subplots(2, len(seen))
    figure.subplots_adjust(left=0.04, right=0.995, top=0.86, bottom=0.03, wspace=0.04, hspace=0.16)
    figure.suptitle(
        "Gradient of the middle position with respect to the image (colors: its square root); white: what it can see",
        fontsize=11,
    )
    for column, (layer, each) in enumerate(seen.items()):
        for axes, field, words, share in zip(
            grid[:, column], (each.untrained, each.trained), ("untrained", "trained"), each.shares.mean(axis=0)
        ):
            axes.imshow(np.sqrt(field / field.max()), cmap="magma", vmin=0, vmax=1)
            top, left, bottom, right = each.box
            axes.add_patch(
                Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor="white")
            )
            axes.set_xlabel(f"95% in {percent(share)} of the box", fontsize=9, labelpad=2)
            if column == 0:
                axes.set_ylabel(words, fontsize=11)
            axes.set_xticks([])
            axes.set_yticks([])
        grid[0, column].set_title(f"{layer}\n{right - left}x{bottom - top} pixels", fontsize=10)
    return figure


EXPERIMENT = Experiment(
    name="receptive-field",
    question=(
        "An output pixel of a small U-Net can see a window of 92x92 pixels. How much of that area holds 95% of its "
        "gradient with respect to the image, and what does training change?"
    ),
    guesses=(
        "At least half, before training and after: every pixel of the window can matter.",
        "Less than half, before training and after.",
        "Training spreads it over more of the window: at least 1.5 times the area.",
        "Training narrows it to the part that matters: at most two thirds of the area.",
    ),
    seconds=40,
    run=run,
)
