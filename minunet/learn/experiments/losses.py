"""What a small object weighs in the gradient of binary cross entropy, of Dice, and of both."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from minunet import ops
from minunet.autograd import Tensor
from minunet.device import to_numpy
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.training.plots import INK

SIZE, SIDE = 100, 10  # an object of 10x10 pixels is 1% of an image of 100x100
LOSSES = {
    "BCE": ops.binary_cross_entropy_with_logits,
    "Dice": lambda z, t: ops.dice_loss(ops.sigmoid(z), t),
    "both": ops.bce_dice_loss,
}
EVERYWHERE = "0.5 everywhere"  # what an untrained network says, about


class Gradient(NamedTuple):
    """∂L/∂z of every pixel (H,W), and what it comes to: the mean on the object and off it, the object's share of
    Σ |∂L/∂z|, and Σ ∂L/∂z, which is the gradient of the last layer's bias."""

    pixels: NDArray[Any]
    on_object: float
    off_object: float
    share: float
    total: float


def measure(
    size: int, side: int, corner: tuple[int, int]
) -> tuple[NDArray[Any], dict[str, NDArray[Any]], dict[tuple[str, str], Gradient]]:
    """Returns the true mask (size,size), what the network says, by name, and the Gradient for each of these and each
    loss.

    The object is a square of side x side pixels; corner: its first row and column.
    """
    t = np.zeros((size, size))
    t[corner[0] : corner[0] + side, corner[1] : corner[1] + side] = 1
    answers = predictions(t, corner, side)
    gradients = {}
    for answer, p in answers.items():
        for loss, function in LOSSES.items():
            z = Tensor(np.log(p / (1 - p))[None, :, :, None], requires_grad=True)
            function(z, t[None, :, :, None]).backward()
            gradients[answer, loss] = summed_up(to_numpy(z.grad)[0, :, :, 0], t == 1)
    return t, answers, gradients


def predictions(t: NDArray[Any], corner: tuple[int, int], side: int) -> dict[str, NDArray[Any]]:
    """Returns probabilities that networks may give, by name; t: the true mask."""
    rows, columns = np.ogrid[: len(t), : len(t)]
    center = corner[0] + side / 2 - 0.5, corner[1] + side - 0.5  # on the object's right edge
    distance = np.hypot(rows - center[0], columns - center[1])
    return {
        EVERYWHERE: np.full_like(t, 0.5),
        "0.01 everywhere": np.full_like(t, 0.01),
        "0.0001 everywhere": np.full_like(t, 0.0001),
        "a blurred blob beside it": 0.0001 + 0.9998 / (1 + np.exp(2 * (distance - side / 2))),
        "0.99 on it, 0.01 off it": np.where(t == 1, 0.99, 0.01),
    }


def summed_up(gradient: NDArray[Any], on_object: NDArray[Any]) -> Gradient:
    """Returns the Gradient for an array ∂L/∂z (H,W) and a bool array (H,W), True on the object."""
    size = np.abs(gradient)
    share = size[on_object].sum() / size.sum()
    return Gradient(gradient, gradient[on_object].mean(), gradient[~on_object].mean(), share, gradient.sum())


def run(seed: int) -> Result:
    """Returns what the experiment finds with this seed: its answer, explanation and picture."""
    corner = tuple(np.random.default_rng(seed).integers(20, SIZE - SIDE - 20, 2).tolist())
    t, answers, gradients = measure(SIZE, SIDE, corner)
    bce, dice = (gradients[EVERYWHERE, loss].share for loss in ("BCE", "Dice"))
    answer = 0 if max(bce, dice) < 0.1 else 1 if bce < 0.1 and dice < 0.75 else 2 if bce < 0.1 else 3
    sure = [gradients["0.0001 everywhere", loss].on_object for loss in ("BCE", "Dice")]
    measured = (
        f"Where the network says {EVERYWHERE}, the object's share of the gradient is {bce:.1%} with BCE and {dice:.1%} "
        f"with Dice. But where it is sure that there is nothing (0.0001), the gradient on a pixel of the object is "
        f"{sure[0] / sure[1]:.0f} times smaller with Dice than with BCE."
    )
    header = ("the network says", "loss", "10⁶ ∂L/∂z on the object", "off the object", "object's share", "Σ ∂L/∂z")
    rows = [
        (
            name,
            loss,
            f"{1e6 * g.on_object:.3g}",
            f"{1e6 * g.off_object:.3g}",
            f"{g.share:.1%}",
            f"{round(g.total, 4) + 0.0:.4f}",
        )
        for (name, loss), g in gradients.items()
    ]
    return Result(measured, answer, header, tuple(rows), EXPLANATION, _figure(t, answers, gradients, corner))


EXPLANATION = """\
    BCE     ∂L/∂z = (p - t) / n
    Dice    ∂L/∂z = (-2 t / D + (2 I + s) / D²) · p (1 - p)      I = Σ p t,  D = Σ p + Σ t + s,  s = 1

For BCE every pixel counts the same. At p = 0.5 each pulls with 0.5 / 10000, 100 of them up and 9900 down. At p = 0.01 \
everywhere the two sides are equal, 100 · 0.99 = 9900 · 0.01, and the sum is 0: the last bias has nothing more to \
learn. A network that can tell nothing apart rests there, with a mask that is black at any threshold above 0.01. Its \
loss there is 0.056, less than a tenth of the 0.693 of p = 0.5.

For Dice, only the object's pixels have the first term. At p = 0.5, D = 5000 + 100 + 1 and 2 I + s = 101, so the \
bracket is -2/5101 + 101/5101² = -3.88e-4 on the object and 3.88e-6 off it: a hundred times as much for a hundredth of \
the pixels. Without the small s, the object's pixels together would pull harder than all the others for every constant \
p and every size of the object. The factor p (1 - p) is the sigmoid's derivative. In BCE it cancels; here it stays, \
and where p is 0.0001, so is p (1 - p): Dice hardly corrects what is confidently wrong. In the picture its gradient \
fades on both sides of the blob's edge.

So the two are added, here half of each: BCE corrects what is wrong with confidence, Dice keeps a small object from \
drowning. Read minunet/ops/binary_cross_entropy.py, minunet/ops/dice.py and minunet/ops/bce_dice.py."""


def _figure(t, answers, gradients, corner):
    """A column for each answer: what the network says, and below it, for each loss, where descent moves the logits."""
    figure = Figure(figsize=(11, 9.4), dpi=100, layout="constrained")
    grid = figure.subplots(1 + len(LOSSES), len(answers))
    norm = SymLogNorm(linthresh=1e-8, vmin=-1e-3, vmax=1e-3)
    for column, (name, p) in zip(grid.T, answers.items()):
        column[0].imshow(p, cmap="gray", vmin=0, vmax=1)
        column[0].set_title(name, fontsize=9, color=INK)
        for axes, loss in zip(column[1:], LOSSES):
            g = gradients[name, loss]
            axes.imshow(-g.pixels, cmap="PuOr_r", norm=norm)
            axes.set_title(f"object: {g.share:.1%} of Σ|∂L/∂z|", fontsize=9, color=INK)
        for axes in column:
            axes.contour(t, (0.5,), colors=INK if axes is not column[0] else "#e0792a", linewidths=0.8)
            axes.set_xlim(corner[1] - 14, corner[1] + 24)
            axes.set_ylim(corner[0] + 24, corner[0] - 14)
            axes.set_xticks([])
            axes.set_yticks([])
    for axes, label in zip(grid[:, 0], ("the network says", *LOSSES)):
        axes.set_ylabel(label, color=INK, fontsize=11)
    figure.colorbar(grid[0, 0].images[0], ax=grid[0], label="probability")
    bar = figure.colorbar(
        grid[1, 0].images[0],
        ax=grid[1:],
        label="-∂L/∂z: descent moves the logit up (orange) or down (violet); the scale is logarithmic",
        shrink=0.8,
    )
    bar.set_ticks([-1e-3, -1e-5, -1e-7, 0, 1e-7, 1e-5, 1e-3])
    return figure


EXPERIMENT = Experiment(
    name="losses",
    question=(
        "An object covers 1% of an image, and an untrained network says 0.5 everywhere. How much of the gradient with "
        "respect to the logits, summed up without signs, comes from the object's pixels?"
    ),
    guesses=(
        "1% with cross entropy and with Dice: every pixel counts the same",
        "1% with cross entropy, about half with Dice",
        "1% with cross entropy, more than three quarters with Dice",
        "more than 10% with both: the object's pixels are the ones that are wrong",
    ),
    seconds=2,
    run=run,
)
