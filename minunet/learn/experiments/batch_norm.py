"""Batch normalization: how far the statistics of a batch are from those of the data, and what that does to a network.

    x_i          the pixels of one channel in image i; m images are a batch
    μ, v         mean and variance of that channel over all images
    d_i, q_i     the means of (x - μ) and of (x - μ)² over the pixels of image i

A batch's mean is that of its d_i, so with images drawn independently it scatters around μ by

    σ_d / √m            σ_d² = mean of d_i² over the images

The pixels of an image do not count one by one: they are alike. Its variance is the mean of its q_i, less the square of
the mean of its d_i. On average this is too little,

    v - σ_d² / m

and it scatters by about σ_q / √m where m is large enough for the square to be small.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from minunet import metrics, ops
from minunet.autograd import no_grad
from minunet.data.drawn_pets import DrawnPets
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.models import UNet
from minunet.nn import BatchNorm, Conv2D
from minunet.optim import RMSprop
from minunet.training.plots import INK, TRAIN, VALIDATION

SIZES = (1, 4, 32)  # of the batches from which statistics are taken
STEP = 32  # images in each step of the training, whatever the statistics are taken from
REACH = 320  # images over which a running average reaches back, about


class Scatter(NamedTuple):
    """Statistics of batches of one size, with √v as the unit (mean) or v (variance), over several channels.

    naive: what the mean would scatter by, if all pixels were independent.
    """

    mean: float
    mean_theory: float
    naive: float
    variance: float  # on average
    variance_theory: float
    variance_scatter: float
    variance_scatter_theory: float


class Trained(NamedTuple):
    """A network whose statistics came from so many images, on held-out images.

    own: mean IoU in train mode, each batch with its own statistics. running: in eval mode. lagging: in eval mode, with
    the running averages as the last step left them.
    company: how far the probability of a pixel moves, in train mode, with the other images in its batch (a standard
    deviation). maps: probabilities of the first held-out image (1 + 2,H,W,1): eval mode, train mode in two batches.
    """

    own: float
    running: float
    lagging: float
    company: float
    maps: NDArray


def measure_scatter(x: NDArray, sizes: Sequence[int] = SIZES, draws: int = 2000, seed: int = 0) -> list[Scatter]:
    """Returns the Scatter of each batch size, over batches drawn with replacement; x: maps of images, (N, H, W, C)."""
    x = (x - x.mean(axis=(0, 1, 2))) / x.std(axis=(0, 1, 2))  # μ = 0, v = 1
    d, q = x.mean(axis=(1, 2)), (x * x).mean(axis=(1, 2))  # (N, 8)
    spread_d, spread_q = _rms(d), _rms(q - 1)
    rng, found = np.random.default_rng(seed), []
    for m in sizes:
        batches = rng.integers(len(x), size=(draws, m))
        means = d[batches].mean(axis=1)  # (draws, 8)
        variances = q[batches].mean(axis=1) - means**2
        found.append(
            Scatter(
                mean=_rms(means),
                mean_theory=spread_d / m**0.5,
                naive=(m * x.shape[1] * x.shape[2]) ** -0.5,
                variance=float(variances.mean()),
                variance_theory=1 - spread_d**2 / m,
                variance_scatter=_rms(variances - variances.mean(axis=0)),
                variance_scatter_theory=spread_q / m**0.5,
            )
        )
    return found


def first_maps(images: NDArray, seed: int = 0) -> NDArray:
    """Returns 8 channels that a convolution with random weights makes of images (N, H, W, 3): float64 (N, H, W, 8)."""
    with no_grad():
        return Conv2D(3, 8, 3, rng=seed)(images).numpy().astype(np.float64)


def measure_training(
    training: tuple[NDArray, NDArray], held_out: tuple[NDArray, NDArray], m: int, seed: int, steps: int = 60
) -> Trained:
    """Trains a small U-Net with statistics of m images at a time.

    Every step uses the gradient of the same 32 images, which are sent through the network in 32 / m groups. Only what
    the groups are normalized with differs. training, held_out: images (N, H, W, 3) from 0 to 1, masks (N, H, W, 1).
    """
    images, masks = training
    rng = np.random.default_rng(seed)
    model = UNet(depth=3, width=4, seed=seed, batch_norm=True)
    for layer in model.modules():
        if isinstance(layer, BatchNorm):
            layer.momentum = 1 - m / REACH  # small batches update more often: all averages reach back equally far
    optimizer = RMSprop(model.parameters(), lr=3e-3)
    for _ in range(steps):
        chosen = rng.choice(len(images), STEP, replace=False)
        for group in chosen.reshape(-1, m):
            loss = ops.binary_cross_entropy_with_logits(model.logits(images[group]), masks[group])
            (loss * (m / STEP)).backward()  # gradients add up over the groups
        optimizer.step()
        optimizer.zero_grad()
    held_out_images, held_out_masks = held_out
    with no_grad():
        lagging = metrics.mean_iou(model.eval()(held_out_images), held_out_masks)
        model.train()  # the weights have moved on: let the averages catch up
        for group in rng.choice(len(images), 2 * REACH).reshape(-1, m):
            model(images[group])
    return evaluate(model, *held_out, m)._replace(lagging=lagging)


def evaluate(model: UNet, images: NDArray, masks: NDArray, m: int, batches: int = 8) -> Trained:
    """Returns how the model does with the statistics of batches of m held-out images, and with its running averages."""
    n = len(images)
    with no_grad():
        running = model.eval()(images).numpy()  # first: in train mode, the running averages change
        model.train()
        own = np.concatenate([model(images[i : i + m]).numpy() for i in range(0, n, m)])
        company = np.random.default_rng(0).integers(1, n, size=(batches, m - 1))  # of the first image, each time other
        first = np.stack([model(images[np.append(0, others)]).numpy()[0] for others in company])
    moved, score = float(np.sqrt(first.var(axis=0).mean())), metrics.mean_iou(running, masks)
    return Trained(metrics.mean_iou(own, masks), score, score, moved, np.stack([running[0], first[0], first[1]]))


def drawn(number: int, size: int, first: int, seed: int) -> tuple[NDArray, NDArray]:
    """Returns images float32 (N, H, W, 3) from 0 to 1, and masks (N, H, W, 1)."""
    pets = DrawnPets(number, size=size, seed=seed, first=first)
    images, masks = (np.stack(arrays).astype(np.float32) for arrays in zip(*(pets[i] for i in range(number))))
    return images / 255, masks


def _rms(a):
    return float(np.sqrt((a**2).mean()))


# ---- what is told of it ------------------------------------------------------------------------------------


def run(seed: int) -> Result:
    """Measures the statistics of batches, then trains with them."""
    maps = first_maps(drawn(256, 64, 0, seed)[0], seed)
    scatter = measure_scatter(maps, seed=seed)
    training, held_out = drawn(256, 32, 0, seed), drawn(64, 32, 1000, seed)
    runs = [(m, s) for m in SIZES for s in range(seed, seed + 3)]
    trained: dict[int, list[Trained]] = {m: [] for m in SIZES}
    for m, s in tqdm(runs, desc="training", disable=None, leave=False):
        trained[m].append(measure_training(training, held_out, m, s))
    return Result(
        measured=_measured(scatter, trained),
        answer=0 if scatter[0].mean < 0.05 else 1 if scatter[0].mean < 0.2 else 2,
        header=("", *(f"batch {m}" for m in SIZES)),
        rows=_rows(scatter, trained),
        explanation=_explanation(scatter, trained),
        figure=draw(maps, held_out[0][0], trained, seed),
    )


def _rows(scatter, trained):
    def numbers(text, name):
        return (text, *(f"{getattr(s, name):.3f}" for s in scatter))

    def scores(text, name, digits=2):
        return (text, *(_spread([getattr(t, name) for t in trained[m]], digits) for m in SIZES))

    return (
        numbers("the mean scatters by (in √v)", "mean"),
        numbers("  theory, σ_d / √m", "mean_theory"),
        numbers("  if all pixels were independent", "naive"),
        numbers("the variance, on average (in v)", "variance"),
        numbers("  theory, 1 - σ_d² / m", "variance_theory"),
        numbers("the variance scatters by", "variance_scatter"),
        numbers("  theory for large m, σ_q / √m", "variance_scatter_theory"),
        scores("held-out IoU, train mode", "own"),
        scores("held-out IoU, eval mode", "running"),
        scores("  as the last step left it", "lagging"),
        scores("a probability moves with its batch by", "company", 3),
    )


def _spread(values, digits):
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _measured(scatter, trained):
    means = ", ".join(f"{s.mean:.2f}" for s in scatter)
    ious = "; ".join(
        f"{m}: {np.mean([t.running for t in trained[m]]):.2f} against {np.mean([t.own for t in trained[m]]):.2f}"
        for m in SIZES
    )
    return (
        f"In batches of 1, 4 and 32 images, the mean of a channel lies {means} standard deviations from that of all "
        f"images (root mean square): the 4096 pixels of an image are worth {scatter[0].mean ** -2:.0f} independent "
        f"ones. IoU in eval mode against train mode, for networks whose statistics came from so many images, {ious}."
    )


def _explanation(scatter, trained):
    def told(of, less):
        gaps = {m: [getattr(t, of) - getattr(t, less) for t in trained[m]] for m in SIZES}
        return ", ".join(f"{np.mean(g):+.3f} ({min(g):+.3f} to {max(g):+.3f}) for {m}" for m, g in gaps.items())

    return (
        "An image is light or dark, reddish or gray as a whole: its pixels are not independent draws. What counts is "
        f"how many images are in the batch, σ_d / √m, with σ_d = {scatter[0].mean_theory:.2f} here. And the variance "
        f"within a batch misses part of the differences between images, all of them at m = 1: on average it is "
        f"1 - σ_d² = {scatter[0].variance_theory:.2f} of that of the data.\n\n"
        "    y = γ (x - μ) / √(v + ε) + β\n"
        "    train mode: μ and v of this batch         eval mode: running averages of them\n\n"
        "In train mode the answer for an image depends on the others in its batch: the last row says how much. With a "
        "batch of one there are no others. But then each image is brought to mean 0 and variance 1 by itself, also "
        "while the network learns, which takes away how light it is as a whole. In eval mode nothing depends on the "
        "batch, and nothing scatters. IoU in eval mode less that in train mode, with statistics of m images: "
        f"{told('running', 'own')}.\n\n"
        "The running averages have to keep up with the weights. As the last step left them they had not: compared with "
        "the same network after some more batches without a step, IoU in eval mode was different by "
        f"{told('lagging', 'running')}. All networks took the same steps, each with the gradient of 32 images, which "
        "went through them 1, 4 or 32 at a time: adding up the gradients of small batches is not the same as one large "
        "batch if there is batch normalization.\n\n"
        "To read next: minunet/ops/batch_norm.py (formula and gradient), BatchNorm in "
        "minunet/nn/layers.py (the running averages)."
    )


def draw(x: NDArray, image: NDArray, trained: dict[int, list[Trained]], seed: int) -> Figure:
    """Returns the figure: the scatter by size of the batch, the IoU in both modes, and one image in several batches."""
    figure = Figure(figsize=(11, 4.4), dpi=110, layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=(2.2, 1.9, 1, 1))
    left, middle = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[:, 1])

    sizes = [1, 2, 4, 8, 16, 32]
    scatter = measure_scatter(x, sizes, seed=seed)
    for name, color, label in (("mean", TRAIN, "mean"), ("variance_scatter", VALIDATION, "variance")):
        for ending, style, word in (("", "o", "measured"), ("_theory", "-", "∝ 1/√m")):
            values = [getattr(s, name + ending) for s in scatter]
            left.loglog(sizes, values, style, color=color, label=f"{label}, {word}")
    left.loglog(sizes, [s.naive for s in scatter], "--", color="#8a8a8a", label="mean, if pixels were independent")
    left.set_title("a batch's statistics scatter by", color=INK, fontsize=10)
    left.set(xlabel="images in the batch, m", ylabel="√v (mean), v (variance)", ylim=(1e-4, 1))
    left.set_xticks(sizes, map(str, sizes))
    left.minorticks_off()
    left.legend(frameon=False, fontsize=9, loc="lower left")

    places = np.arange(len(SIZES))
    bars = (("own", TRAIN, "train mode"), ("running", VALIDATION, "eval mode"), ("lagging", "#f2c49b", "eval, lagging"))
    for shift, (name, color, label) in zip((-0.27, 0, 0.27), bars):
        scores = np.array([[getattr(t, name) for t in trained[m]] for m in SIZES])
        middle.bar(places + shift, scores.mean(axis=1), 0.26, color=color, label=label)
        for column in scores.T:
            middle.plot(places + shift, column, "o", color=INK, markersize=3)
    middle.set_xticks(places, map(str, SIZES))
    middle.set(xlabel="images in a batch with its own statistics", ylabel="mean IoU of held-out images", ylim=(0, 1))
    middle.set_title("IoU after training; dots: seeds", color=INK, fontsize=10)
    middle.legend(frameon=False, fontsize=9, ncols=2, loc="upper center")

    maps = trained[SIZES[1]][0].maps[..., 0]
    titles = ("an image", "eval mode", f"in a batch of {SIZES[1]}", "in another")
    for k, (title, pixels) in enumerate(zip(titles, (image, *maps))):
        panel = figure.add_subplot(grid[k // 2, 2 + k % 2])
        panel.imshow(pixels, cmap="magma", vmin=0, vmax=1)
        panel.set_title(title, color=INK, fontsize=10)
        panel.set_xticks([])
        panel.set_yticks([])
    return figure


EXPERIMENT = Experiment(
    name="batch-norm",
    question=(
        "A convolution makes 4096 numbers per channel of an image of 64x64 pixels, and these are the whole batch. How "
        "far is their mean from the channel's mean over all images, in standard deviations of the channel?"
    ),
    guesses=(
        "about 1/64, at any rate less than 0.05: 4096 numbers are plenty",
        "about 0.1: from 0.05 to 0.2",
        "more than 0.2: the pixels of an image are too much alike",
    ),
    seconds=90,
    run=run,
)
