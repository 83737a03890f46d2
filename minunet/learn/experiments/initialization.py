"""Initialization: the same network from weights that are too small, right, and too large, layer by layer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from minunet import metrics, nn, ops
from minunet.autograd import Tensor, no_grad
from minunet.data.drawn_pets import DrawnPets
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.learn.small_training import BATCH, arrays, train
from minunet.models import UNet
from minunet.nn.init import he_normal
from minunet.nn.module import forward_hook
from minunet.training.plots import INK

DEPTH, WIDTH = 4, 8
LEARNED = 0.5  # of the IoU: whoever is above has found the pets


def scaled(factor: float) -> Callable[[UNet, np.random.Generator], None]:
    """Returns a start: the model's own Glorot-uniform kernels, times a factor."""

    def start(model: UNet, rng: np.random.Generator) -> None:
        for layer in kernels(model):
            layer.kernel.data = layer.kernel.data * np.float32(factor)

    return start


def he(model: UNet, rng: np.random.Generator) -> None:
    """Draws all kernels anew, normal with √(2 / fan_in).

    A number that a transposed convolution of stride 2 computes has one tap of each channel coming in, not four.
    """
    for layer in kernels(model):
        taps = 1 if isinstance(layer, nn.ConvTranspose2D) else layer.kernel_size[0] * layer.kernel_size[1]
        layer.kernel.data = he_normal(layer.kernel.shape, taps * layer.in_channels, rng)


STARTS = {"Glorot x 0.1": scaled(0.1), "Glorot": scaled(1), "Glorot x 3": scaled(3), "He": he}
COLORS = {"Glorot x 0.1": "#6a51a3", "Glorot": "#2f6db3", "Glorot x 3": "#e0792a", "He": "#7a9a01"}


def kernels(model: UNet) -> list[Any]:
    """Returns the layers that have a kernel, in the order of the calls."""
    return [layer for layer in model.modules() if isinstance(layer, (nn.Conv2D, nn.ConvTranspose2D))]


class Course(NamedTuple):
    """What one start leads to.

    forward: {layer: standard deviation of what it computes}, before training; backward: {layer: root mean square of the
    gradient of its kernel}. losses: (seeds, epochs), the mean of each epoch; iou: (seeds,), on other images.
    """

    forward: dict[str, float]
    backward: dict[str, float]
    losses: NDArray
    iou: NDArray


def measure(
    seeds: Sequence[int], images: int, others: int, epochs: int, size: int = 64, depth: int = DEPTH
) -> dict[str, Course]:
    """Trains a network for each start and seed. Forward and backward are those of the first seed."""
    x, t = arrays(DrawnPets(images, size))
    other_x, other_t = arrays(DrawnPets(others, size, first=images))
    found = {}
    with tqdm(total=len(STARTS) * len(seeds) * epochs, desc="epochs", disable=None, leave=False) as bar:
        for name, start in STARTS.items():
            losses, scores, spreads = [], [], []
            for seed in seeds:
                model = UNet(depth=depth, width=WIDTH, seed=seed)
                start(model, np.random.default_rng(seed))
                spreads.append(spread_by_layer(model, x[:BATCH], t[:BATCH]))
                losses.append(train(model, x, t, epochs, seed, bar))
                with no_grad():
                    scores.append(metrics.iou(model(other_x).numpy(), other_t))
            found[name] = Course(*spreads[0], np.array(losses), np.array(scores))
    return found


def spread_by_layer(model: UNet, x: NDArray, t: NDArray) -> tuple[dict[str, float], dict[str, float]]:
    """Returns ({layer: standard deviation of its output}, {layer: root mean square of its kernel's gradient})."""
    outputs: dict[str | None, Tensor] = {}
    with forward_hook(lambda layer, inputs, y: outputs.update({layer.name: y})):
        z = model.logits(Tensor(x))
    ops.binary_cross_entropy_with_logits(z, t).backward()
    forward, backward = {}, {}
    for layer in sorted(kernels(model), key=lambda layer: list(outputs).index(layer.name)):
        forward[layer.name] = float(outputs[layer.name].numpy().std(dtype=np.float64))
        backward[layer.name] = float(np.sqrt(np.mean(np.square(layer.kernel.grad, dtype=np.float64))))
    for parameter in model.parameters():
        parameter.grad = None
    return forward, backward


def learned(found: Mapping[str, Course]) -> list[str]:
    """Returns the starts from which the networks find the pets, on average over the seeds."""
    return [name for name, course in found.items() if course.iou.mean() > LEARNED]


def run(seed: int) -> Result:
    """Returns what the experiment finds with this seed: its answer, explanation and picture."""
    return report(measure([seed, seed + 1, seed + 2], images=200, others=60, epochs=6))


def report(found: Mapping[str, Course]) -> Result:
    """Returns what was measured in words, as a table and as a picture."""
    names = learned(found)
    measured = (
        f"{len(names)} of 4 have found the pets after {found['He'].losses.shape[1]} epochs"
        + (f" ({', '.join(names)})" if names else "")
        + ": the IoU on other images is "
        + ", ".join(f"{course.iou.mean():.2f} ({name})" for name, course in found.items())
        + f", the mean of {len(found['He'].iou)} networks each."
    )
    rows = tuple(
        (
            name,
            f"{course.forward['Conv_Down_1_1']:.2g}",
            f"{course.forward['Conv_Bottle_1']:.2g}",
            f"{course.backward['Conv_Bottle_1']:.1g}",
            f"{course.losses[:, 0].mean():.3g}",
            f"{course.losses[:, -1].mean():.3g}",
            f"{course.iou.mean():.2f} ({course.iou.min():.2f} to {course.iou.max():.2f})",
        )
        for name, course in found.items()
    )
    header = ("start", "std, first layer", "std, bottleneck", "gradient there", "loss, 1st epoch", "last", "IoU")
    return Result(measured, min(4 - len(names), 3), header, rows, explain(found), draw(found))


def explain(found: Mapping[str, Course]) -> str:
    """Returns the explanation, with the numbers that were found."""
    layers = [name for name in found["Glorot"].forward if name.startswith(("Conv_Down", "Conv_Bottle"))]
    factors = {
        name: (course.forward[layers[-1]] / course.forward[layers[0]]) ** (1 / (len(layers) - 1))
        for name, course in found.items()
    }
    each = ", ".join(f"{factor:.2g} ({name})" for name, factor in factors.items())
    dead = found["Glorot x 0.1"].backward["Conv_Bottle_1"]
    gone = "is exactly 0, too small for float32" if dead == 0 else f"is {dead:.0e}"
    largest = found["Glorot x 3"].losses[:, 0].mean()
    return f"""\
While all biases are 0, a factor on the weights passes through ReLU unchanged, so after l layers it is there l times. On
the way down, each layer multiplies the standard deviation by {each}, on average.

The gradient of a layer's weights is a product of what came in and of what comes back, and both carry such powers. At
the bottleneck of the smallest start it {gone}: the layers there cannot learn
yet. The largest start begins with huge logits, and so with huge losses: {largest:,.0f} on average over the first epoch.

A sum of fan_in products has fan_in times the variance of one, and ReLU halves the mean square that it passes on:

    He      std(w) = √(2 / fan_in)               keeps the mean square from layer to layer
    Glorot  std(w) = √(2 / (fan_in + fan_out))   is a third of that in variance where channels double

Batch normalization makes the scale of a layer's weights irrelevant for what comes after it. See minunet/nn/init.py and
minunet/ops/batch_norm.py."""


def draw(found: Mapping[str, Course]) -> Figure:
    """Returns the standard deviations and the gradients by layer, and the losses by epoch."""
    figure = Figure(figsize=(9.6, 6.4), dpi=110)
    grid = figure.add_gridspec(2, 2, left=0.08, right=0.985, top=0.9, bottom=0.09, hspace=0.42, wspace=0.22)
    forward, backward, losses, scores = (figure.add_subplot(grid[place]) for place in np.ndindex(2, 2))
    for name, course in found.items():
        style: dict[str, Any] = {"color": COLORS[name], "label": name, "marker": "o", "markersize": 3}
        forward.plot(list(course.forward.values()), **style)
        gradients = np.array(list(course.backward.values()))
        backward.plot(np.where(gradients > 0, gradients, np.nan), **style)
        epochs = range(1, course.losses.shape[1] + 1)
        losses.plot(epochs, course.losses.mean(axis=0), **style)
    layers = list(found["He"].forward)
    bottleneck = layers.index("Conv_Bottle_1")
    for axes, words in (
        (forward, "Standard deviation of what a layer computes"),
        (backward, "Gradient of its weights, root mean square"),
    ):
        axes.set_title(words, loc="left", fontsize=10, color=INK)
        axes.set_xticks([0, bottleneck, len(layers) - 1], ["first layer", "bottleneck", "last"])
        axes.set_yscale("log")
    losses.set_title("Training loss", loc="left", fontsize=10, color=INK)
    losses.set_yscale("log")
    losses.set_xlabel("epoch")
    losses.set_xticks(list(epochs))
    scores.set_title("IoU on other images, one point for each seed", loc="left", fontsize=10, color=INK)
    for place, (name, course) in enumerate(found.items()):
        scores.plot([place] * len(course.iou), course.iou, "o", color=COLORS[name])
    scores.set_xticks(range(len(found)), list(found))
    scores.set_xlim(-0.5, len(found) - 0.5)
    scores.set_ylim(-0.03, 1)
    for axes in (forward, backward, losses, scores):
        axes.grid(color="#e6e6e6")
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
    figure.legend(*forward.get_legend_handles_labels(), loc="upper center", ncols=4, frameon=False)
    return figure


EXPERIMENT = Experiment(
    name="initialization",
    question=(
        "A U-Net without batch normalization starts from Glorot's weights, from the same times 0.1 and times 3, and "
        "from He's. From how many of these four starts does it find the pets after six epochs, with an IoU above 0.5 "
        "on other images?"
    ),
    guesses=(
        "All four: training makes up for the start.",
        "Three.",
        "Two.",
        "One or none: few epochs are enough only if everything is right.",
    ),
    seconds=120,
    run=run,
)
