"""Where the memory of a training step goes: counted from the graph, and measured while the step runs."""

import itertools
import tracemalloc
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from minunet import ops
from minunet.autograd import Tensor
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.models import UNet
from minunet.nn.costs import LayerCosts, layer_costs, training_costs
from minunet.nn.module import forward_hook
from minunet.training.plots import INK, TRAIN, VALIDATION

SIZE, BATCHES = 128, (1, 2, 4, 8, 16, 32)


class Step(NamedTuple):
    """What was measured in a training step, in bytes: held after each layer's forward, after all, and at the worst."""

    after_layer: list[int]
    kept: int
    peak: int


class Level(NamedTuple):
    """The layers that follow each other and have outputs of one size: side in pixels, parameters, bytes kept."""

    side: int
    parameters: int
    predicted: int
    measured: int


class Memory(NamedTuple):
    """levels, for the largest batch; per batch size, the measured Step; predicted bytes kept and at the worst moment
    for one image; bytes of the parameters."""

    levels: list[Level]
    steps: dict[int, Step]
    kept: int
    peak: int
    parameters: int


def measure(model: UNet, size: int, batches: tuple[int, ...], seed: int) -> Memory:
    """Runs a training step for each batch size on images of size x size, and predicts the same from one image."""
    rng = np.random.default_rng(seed)
    steps = {}
    for batch in tqdm(batches, "batch sizes", disable=None, leave=False):
        x = rng.random((batch, size, size, 3), np.float32)
        t = (rng.random((batch, size, size, 1)) < 0.5).astype(np.float32)
        traced_step(model, x, t)  # the threads' scratch memory is made in the first step, and stays
        steps[batch] = traced_step(model, x, t)
    costs = training_costs(model, (size, size))
    levels = by_level(layer_costs(model, (size, size)), steps[max(batches)].after_layer, max(batches))
    return Memory(levels, steps, costs.kept, costs.peak, sum(p.data.nbytes for p in model.parameters()))


def traced_step(model: UNet, x: Any, t: Any) -> Step:
    """Returns how many bytes Python and NumPy hold on behalf of a step: forward, loss, backward."""
    after_layer = []
    tracemalloc.start()
    try:
        images = Tensor(x.copy())
        with forward_hook(lambda *call: after_layer.append(tracemalloc.get_traced_memory()[0])):
            z = model.logits(images)
        loss = ops.binary_cross_entropy_with_logits(z, t)
        del images, z
        kept = tracemalloc.get_traced_memory()[0]
        loss.backward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        for parameter in model.parameters():
            parameter.grad = None
    return Step(after_layer, kept, peak)


def by_level(rows: list[LayerCosts], after_layer: list[int], batch: int) -> list[Level]:
    """Adds up the layers with outputs of one size, way down, bottleneck and way up.

    Layer by layer, prediction and measurement would disagree: a pooled image is made by the pooling, which does not
    need it, and held by the convolution after it. Both have the same size.
    """
    levels, first, before = [], 0, 0
    for (H, _), group in itertools.groupby(rows, key=lambda row: row.shape[:2]):
        layers = list(group)
        first += len(layers)
        after = after_layer[first - 1]
        predicted = batch * sum(layer.kept for layer in layers)
        levels.append(Level(H, sum(layer.parameters for layer in layers), predicted, after - before))
        before = after
    return levels


def run(seed: int) -> Result:
    """Returns what the experiment finds with this seed: its answer, explanation and picture."""
    found = measure(UNet(seed=seed), SIZE, BATCHES, seed)
    batch, levels = max(found.steps), found.levels
    all_kept, all_parameters = sum(a.measured for a in levels), sum(a.parameters for a in levels)
    middle = len(levels) // 2
    outer, inner = (levels[0], levels[-1]), levels[middle - 1 : middle + 2]
    shares = [sum(a.measured for a in part) / all_kept for part in (inner, outer)]
    answer = shares.index(max(shares)) if max(shares) > 0.5 else 2
    kept = found.steps[batch].kept
    measured = (
        f"The first and the last level, {SIZE}x{SIZE} pixels, hold {shares[1]:.0%} of the bytes and "
        f"{sum(a.parameters for a in outer) / all_parameters:.2%} of the parameters; the bottleneck and the levels "
        f"beside it hold {shares[0]:.1%} of the bytes and {sum(a.parameters for a in inner) / all_parameters:.0%} of "
        f"the parameters. A batch of {batch} keeps {_mb(kept)} MB, where {_mb(batch * found.kept)} MB were predicted."
    )
    header = ("level", "parameters", "of all", "kept, predicted", "kept, measured", "of all")
    rows = [
        (
            _name(i, levels),
            f"{a.parameters:,}",
            f"{a.parameters / all_parameters:.2%}",
            f"{_mb(a.predicted)} MB",
            f"{_mb(a.measured)} MB",
            f"{a.measured / all_kept:.1%}",
        )
        for i, a in enumerate(levels)
    ]
    return Result(measured, answer, header, tuple(rows), _explanation(found), _figure(found))


def _explanation(found):
    batch, one = max(found.steps), min(found.steps)
    large = training_costs(UNet(), (256, 256))
    return (
        "One level down there are a quarter of the pixels and twice the channels: the arrays halve, while a 3x3 "
        "kernel has four times the weights, 9·2C·2C instead of 9·C·C. So bytes crowd at the top of the U and "
        "parameters at the bottom. Arithmetic does neither: a quarter of the windows times four times the weights "
        "is as much work on each level of the encoder but the first.\n\n"
        "What is kept is what backward will ask for: of a convolution its input, for gW, and its output, for the "
        "ReLU. The output is the next layer's input, so it is held once. A pooling keeps a byte for each maximum, a "
        "concatenation nothing: the convolution after it holds both of its parts, of which one is a skip, and there "
        "already. All of this is proportional to the number of images; the parameters are not. "
        f"They, their gradients and the one array of RMSprop take 3 times {_mb(found.parameters)} MB, whether the "
        f"batch is {one} or {batch}. The worst moment of a small batch therefore comes at the end of backward, when "
        "the gradients of all parameters are there; that of a large one at its beginning, when the whole graph is "
        "still held, and beside it the gradients of the largest arrays.\n\n"
        f"At 256x256 an image has four times the pixels and keeps {_mb(large.kept)} MB. When memory runs out, smaller "
        "batches or smaller images help, and fewer parameters hardly do. The prediction of the peak allows for three "
        "arrays of the largest size beside the graph, which is more than this measurement needs: one of the graph's "
        "own arrays is freed in time. Read minunet/nn/costs.py, and in minunet/ops/conv2d.py what forward stores and "
        "when backward lets go of it."
    )


def _figure(found):
    figure = Figure(figsize=(11, 4.6), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _draw_levels(left, found.levels)
    _draw_batches(right, found)
    right.set_ylim(top=8 * right.get_ylim()[1])  # room for the legend, on a logarithmic axis
    for axes in (left, right):
        axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, labelcolor=INK, loc="upper left")
    return figure


def _draw_levels(axes, levels):
    """Two bars for each level, in percent: of the bytes and of the parameters."""
    places = np.arange(len(levels))
    for shift, color, label, values in (
        (-0.2, TRAIN, "bytes kept for backward (measured)", [a.measured for a in levels]),
        (0.2, VALIDATION, "parameters", [a.parameters for a in levels]),
    ):
        axes.bar(places + shift, 100 * np.array(values) / sum(values), 0.4, color=color, label=label)
    predicted = np.array([a.predicted for a in levels])
    axes.plot(places - 0.2, 100 * predicted / sum(predicted), "_", color=INK, markersize=11, label="bytes, predicted")
    axes.set_xticks(places, [str(a.side) for a in levels])
    axes.set_xlabel("side of the level's feature maps in pixels, from image to mask")
    axes.set_ylabel("% of the whole network")
    axes.set_ylim(0, 70)
    axes.set_title("Bytes are at the top of the U, parameters at the bottom", color=INK, loc="left")


def _draw_batches(axes, found):
    """Megabytes over the batch size: dots are measured, lines predicted."""
    batches = np.array(sorted(found.steps))
    for color, what, one, values in (
        (TRAIN, "kept after forward", found.kept, [found.steps[n].kept for n in batches]),
        (VALIDATION, "at the worst moment", found.peak, [found.steps[n].peak for n in batches]),
    ):
        axes.plot(batches, batches * one / 1e6, color=color, linewidth=1.5, label=f"{what}, predicted")
        axes.plot(batches, np.array(values) / 1e6, "o", color=color, label=f"{what}, measured")
    axes.axhline(
        found.parameters / 1e6,
        color="#8a8a8a",
        linestyle="--",
        label="the parameters' gradients, not in the prediction",
    )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_yticks((10, 30, 100, 300), ("10", "30", "100", "300"))
    axes.minorticks_off()
    axes.set_xticks(batches, [str(n) for n in batches])
    axes.set_xlabel("images in a batch")
    axes.set_ylabel("MB")
    axes.set_title(f"A training step, images of {SIZE}x{SIZE}", color=INK, loc="left")


def _name(i, levels):
    middle = len(levels) // 2
    where = "bottleneck" if i == middle else "down" if i < middle else "up"
    return f"{where}, {levels[i].side}x{levels[i].side}"


def _mb(size):
    return f"{size / 1e6:.1f}" if size >= 1e6 else f"{size / 1e6:.2f}"


EXPERIMENT = Experiment(
    name="memory",
    question=(
        "Forward keeps arrays until backward has used them. Which part of the lecture's network holds most of these "
        "bytes?"
    ),
    guesses=(
        "the bottleneck and the levels beside it, where most of the parameters are",
        "the two levels at full resolution, the first and the last",
        "no part: where the size halves the channels double, so each level holds about as much",
    ),
    seconds=15,
    run=run,
)
