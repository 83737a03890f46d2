"""Bottleneck: what a U-Net loses when the two convolutions at the bottom of the U are narrow, or missing."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from minunet import metrics, nn, ops
from minunet.autograd import Tensor, no_grad
from minunet.data.drawn_pets import DrawnPets
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.learn.experiments.skips import near_outlines
from minunet.learn.receptive_field import receptive_fields
from minunet.learn.small_training import arrays, train
from minunet.models import SegmentationModel
from minunet.models.double_conv import DoubleConv
from minunet.models.unet import Down, Up
from minunet.training.plots import FAINT, INK

DEPTH, WIDTH, LR = 3, 4, 5e-3
FULL = WIDTH * 2**DEPTH  # the channels of the bottleneck in the lecture's network: twice those of the level above
CHANNELS = {"as in the lecture": FULL, "narrow": 2, "none": 0}
STEP = 4  # pixels: distances to the lamp are counted in steps of four
COLORS = {"as in the lecture": "#2f6db3", "narrow": "#7a9a01", "none": "#e0792a"}


class OtherBottleneck(SegmentationModel):
    """The lecture's U-Net with a bottleneck of `channels`; 0: none, the last pooling goes straight up again."""

    def __init__(self, channels: int, seed: int) -> None:
        self.in_channels, self.depth = 3, DEPTH
        rng = np.random.default_rng(seed)
        filters = [WIDTH * 2**level for level in range(DEPTH)]  # 4, 8, 16
        before = [self.in_channels, *filters]
        self.encoder = [Down(before[k], filters[k], k + 1, rng, batch_norm=True) for k in range(DEPTH)]
        self.bottleneck: nn.Module = nn.ReLU("none")  # it changes nothing: what comes down the U is not negative
        if channels:
            self.bottleneck = DoubleConv(filters[-1], channels, "Conv_Bottle", rng, batch_norm=True)
        skips, after = filters[::-1], [*filters[:0:-1], 2 * WIDTH]  # 16, 8, 4 and 16, 8, 8
        below = [channels or filters[-1], *after]
        self.decoder = [
            Up(below[k], skips[k], after[k], f"{k}", f"Conv_Up_{k + 1}", rng, batch_norm=True) for k in range(DEPTH)
        ]
        self.out = nn.Conv2D(after[-1], 1, 1, name="Conv_Out", rng=rng)

    def forward(self, x):
        skips = []
        for down in self.encoder:
            x, skip = down(x)
            skips.append(skip)
        x = self.bottleneck(x)
        for up in self.decoder:
            x = up.convolutions(up.join(x, skips.pop()))
        return self.out(x)

    def logits(self, x):
        return self.forward(x)


class Lamps(NamedTuple):
    """Images that are gray but for a lamp; every pixel is to say whether the lamp is blue (1) or red (0).

    x: images (N, H, W, 3); t: answers (N, H, W, 1); distance: (N, H, W, 1), of each pixel to its image's lamp.
    """

    x: NDArray
    t: NDArray
    distance: NDArray


def lamps(count: int, size: int, rng: np.random.Generator) -> Lamps:
    """Returns images with a lamp of 6x6 pixels somewhere. Distances are the larger one of rows and columns."""
    x = rng.normal(0.5, 0.05, (count, size, size, 3)).astype(np.float32)
    t = np.empty((count, size, size, 1), np.float32)
    distance = np.empty((count, size, size, 1), np.int64)
    rows, columns = np.mgrid[:size, :size]
    for n in range(count):
        blue = rng.integers(2)
        i, j = rng.integers(3, size - 2, 2)
        x[n, i - 3 : i + 3, j - 3 : j + 3] = (0.1, 0.2, 0.9) if blue else (0.9, 0.1, 0.1)
        t[n] = blue
        distance[n, ..., 0] = np.maximum(abs(rows - i), abs(columns - j))
    return Lamps(x, t, distance)


class Found(NamedTuple):
    """What networks with one kind of bottleneck reach, the mean over all seeds.

    by_distance: accuracy at each step of distance to the lamp. image, shown: one image and what one network answers.
    reach: how far a pixel of the output sees. iou, outlines: of drawn pets, all over and near the outlines, (seeds,).
    """

    by_distance: NDArray
    image: NDArray
    shown: NDArray
    reach: int
    parameters: int
    iou: NDArray
    outlines: NDArray


def measure(
    seeds: Sequence[int], size: int, scenes: int, pets: int, epochs: int, kinds: Mapping[str, int] = CHANNELS
) -> dict[str, Found]:
    """Trains two networks for each kind of bottleneck and seed, one on lamps and one on pets.

    kinds: {name: channels of the bottleneck}.
    """
    found = {}
    learn = lamps(scenes, size, np.random.default_rng([0, seeds[0]]))
    test = lamps(100, size, np.random.default_rng([1, seeds[0]]))
    bins = np.minimum(test.distance, size - 5) // STEP  # the few pixels beyond count with the last ones before
    cornered = int((test.distance * test.t).mean(axis=(1, 2, 3)).argmax())  # a blue lamp, as near to a corner as any
    (x, t), (other_x, other_t) = arrays(DrawnPets(pets, size)), arrays(DrawnPets(40, size, first=pets))
    near = near_outlines(other_t)
    with tqdm(total=2 * epochs * len(seeds) * len(kinds), desc="epochs", disable=None, leave=False) as bar:
        for name, channels in kinds.items():
            right, scores, answers = [], [], np.empty(0)
            for seed in seeds:
                model = OtherBottleneck(channels, seed)
                train(model, learn.x, learn.t, epochs, seed, bar, LR)
                answers = answer(model, test.x)
                correct = (answers > 0.5) == (test.t > 0.5)
                right.append([correct[bins == k].mean() for k in range(bins.max() + 1)])
                model = OtherBottleneck(channels, seed)
                train(model, x, t, epochs, seed, bar, LR)
                p = answer(model, other_x)
                scores.append((metrics.iou(p, other_t), metrics.iou(p, near)))
            ious, outlines = np.transpose(scores)
            parameters = sum(p.size for p in model.parameters())
            image, shown = test.x[cornered], answers[cornered, ..., 0]
            found[name] = Found(np.mean(right, axis=0), image, shown, reach(model, size), parameters, ious, outlines)
    return found


def answer(model: OtherBottleneck, x: NDArray) -> NDArray:
    """Returns the probabilities, (N, H, W, 1)."""
    model.eval()
    with no_grad():
        return ops.sigmoid(model(Tensor(x))).numpy()


def reach(model: OtherBottleneck, size: int) -> int:
    """Returns how many rows an output pixel sees above and below it, the fewest of all pixels and both directions."""
    large = 3 * size  # so large that the middle of the image is far from its edges
    field = receptive_fields(model, (large, large))["Conv_Out"]
    boxes = [(i, field.box(i, i)) for i in range(size, size + 2**DEPTH)]
    return min(min(i - top, bottom - 1 - i) for i, (top, _, bottom, _) in boxes)


def between(found: Mapping[str, Found]) -> slice:
    """Returns the steps of distance at which the lecture's network still sees the lamp and the one without does not."""
    return slice(-(-found["none"].reach // STEP) + 1, found["as in the lecture"].reach // STEP)


def lost(found: Mapping[str, Found]) -> tuple[float, float]:
    """Returns what is lost without a bottleneck: of the accuracy far away, and of the IoU near the outlines of pets.

    Networks that differ in their seed alone differ a lot near the outlines. So there the worst network with a
    bottleneck is compared with the best without: what is lost is lost with every seed.
    """
    whole, without = found["as in the lecture"], found["none"]
    far = whole.by_distance[between(found)].mean() - without.by_distance[between(found)].mean()
    return float(far), float(whole.outlines.min() - without.outlines.max())


def answer_to(far: float, outlines: float) -> int:
    """Returns which guess is right. Less than a tenth is hardly anything."""
    return {(False, True): 0, (True, False): 1, (True, True): 2, (False, False): 3}[far >= 0.1, outlines >= 0.1]


def run(seed: int) -> Result:
    """Returns what the experiment finds with this seed: its answer, explanation and picture."""
    return report(measure([seed, seed + 1, seed + 2], size=64, scenes=200, pets=160, epochs=5))


def report(found: Mapping[str, Found]) -> Result:
    """Returns what was measured in words, as a table and as a picture."""
    whole, without = found["as in the lecture"], found["none"]
    far, outlines = lost(found)
    steps = between(found)
    away = f"{steps.start * STEP} to {steps.stop * STEP} pixels"
    right, guessed = (percent(each.by_distance[steps].mean()) for each in (whole, without))
    with_it, none = (f"{each.outlines.min():.2f} to {each.outlines.max():.2f}" for each in (whole, without))
    measured = (
        f"{away} away from the lamp, {right} of the pixels are right with the lecture's bottleneck and {guessed} "
        "without one, where guessing gives 50%. Near the outlines of pets the IoU is "
        f"{with_it} with it and {none} without (three networks each)."
    )
    rows = tuple(
        (
            name,
            f"{each.parameters:,}",
            f"{each.reach}",
            *(percent(each.by_distance[part].mean()) for part in (slice(0, steps.start - 2), steps)),
            f"{each.iou.mean():.2f}",
            f"{each.outlines.mean():.2f} ({each.outlines.min():.2f} to {each.outlines.max():.2f})",
        )
        for name, each in found.items()
    )
    near = f"up to {STEP * (steps.start - 2)} pixels"
    header = ("bottleneck", "parameters", "sees", near, away, "pets, IoU", "near outlines")
    return Result(measured, answer_to(far, outlines), header, rows, explain(found), draw(found))


def percent(share: float) -> str:
    """Returns a share of 1 as text, in percent."""
    return f"{100 * share:.0f}%"


def explain(found: Mapping[str, Found]) -> str:
    """Returns the explanation, with the numbers that were found."""
    whole, narrow, without = found.values()
    step, few = 2**DEPTH, CHANNELS["narrow"]
    widest = max(np.ptp(each.iou) for each in found.values())
    bit = percent(narrow.by_distance[between(found)].mean())
    return f"""\
At the bottom of the U neighbors are {step} pixels apart. So two 3x3 convolutions there widen what an output pixel sees
by 2·{step} pixels to each side, more than those of any other level:

    on every side at least {without.reach} pixels without them, {whole.reach} pixels with them

Beyond that a network can only guess, whatever it learns. So the bottleneck is there for what is far away and large;
outlines come across the skips (`minunet experiment skips`).

How wide it must be depends on what has to come through. Whether a lamp is red or blue is one bit: with {few} channels
in place of {FULL}, {bit} of the pixels far away are right. On pets the IoU is {whole.iou.mean():.2f} with {FULL}
channels, {narrow.iou.mean():.2f} with {few}, and {without.iou.mean():.2f} without a bottleneck; networks of one kind,
trained from different seeds, differ by up to {widest:.2f}. See minunet/learn/receptive_field.py and
minunet/models/unet.py."""


def draw(found: Mapping[str, Found]) -> Figure:
    """Returns one lamp with the answers to it, beside the accuracy by distance."""
    figure = Figure(figsize=(9.6, 5.8), dpi=110)
    grid = figure.add_gridspec(2, 4, height_ratios=(1, 1.2), wspace=0.06)
    figure.subplots_adjust(left=0.07, right=0.985, top=0.94, bottom=0.1)
    pictures = {"image": found["none"].image.clip(0, 1), **{n: each.shown for n, each in found.items()}}
    for column, (title, pixels) in enumerate(pictures.items()):
        axes = figure.add_subplot(grid[0, column])
        axes.imshow(pixels, cmap="RdYlBu", vmin=0, vmax=1)
        axes.set_title(title if column == 0 else f"bottleneck: {title}", fontsize=10, color=INK)
        if column == 1:
            axes.set_xlabel("answers: blue for a blue lamp, red for a red one", fontsize=9, color=INK, loc="left")
        axes.set_xticks([])
        axes.set_yticks([])
    axes = figure.add_subplot(grid[1, :])
    for name, each in found.items():
        middles = STEP * (np.arange(len(each.by_distance)) + 0.5)
        axes.plot(middles, each.by_distance, "o-", color=COLORS[name], markersize=4, label=f"bottleneck: {name}")
    for name in ("as in the lecture", "none"):
        reach = found[name].reach
        axes.axvline(reach, color=COLORS[name], linestyle=(0, (4, 3)), linewidth=1)
        axes.text(reach + 0.4, 0.31, f"sees {reach} pixels", color=COLORS[name], fontsize=9)
    axes.axhline(0.5, color=FAINT, linewidth=1)
    axes.text(0, 0.51, "guessing", color=FAINT, fontsize=9, va="bottom")
    axes.set_xlabel("distance from the lamp in pixels")
    axes.set_ylabel("pixels that are right")
    axes.set_ylim(0.28, 1.03)
    axes.grid(color="#e6e6e6")
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", frameon=False, fontsize=9)
    axes.tick_params(length=0)
    return figure


EXPERIMENT = Experiment(
    name="bottleneck",
    question=(
        "A U-Net loses the two convolutions at the bottom of the U: what the last pooling has made goes straight up "
        "again. It learns to find pets, and to answer at every pixel which color the one lamp in the image has. What "
        "does it do worse?"
    ),
    guesses=(
        "The outlines: the masks of pets become blurred.",
        "What is far away: a pixel no longer knows about a lamp on the other side of the image.",
        "Both: these layers hold more than half of the parameters.",
        "Hardly anything is lost: the other levels do their work.",
    ),
    seconds=80,
    run=run,
)
