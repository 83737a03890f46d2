"""Learning rates over decades: where a network learns slowly, where best, and where it breaks.

On a quadratic the limit can be computed. Its gradient is g(w) = H (w - w*), so a step of SGD gives

    w - w*  ←  (I - lr H) (w - w*)

Along each eigenvector of H, with eigenvalue λ, the distance from the minimum w* is multiplied by 1 - lr λ. This shrinks
as long as |1 - lr λ| < 1 for each of them:  lr < 2 / λmax.

One convolution with the mean squared error is such a quadratic, however many images there are. The loss of a U-Net is
none: its Hessian changes as it learns, and nobody knows the limit beforehand. There one tries.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from minunet import ops
from minunet.autograd import Tensor
from minunet.data.drawn_pets import DrawnPets
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.models import UNet
from minunet.nn.layers import Conv2D
from minunet.optim import SGD, Optimizer, RMSprop
from minunet.training.plots import INK

Maker = Callable[[list[Tensor], float], Optimizer]

OPTIMIZERS: dict[str, Maker] = {
    "momentum": lambda params, lr: SGD(params, lr, momentum=0.9),
    "RMSprop": lambda params, lr: RMSprop(params, lr),
}
COLORS = {"momentum": "#0072b2", "RMSprop": "#d55e00"}
RATES = tuple(10 ** (power / 2) for power in range(-10, 3))  # 1e-5 to 10, two to a decade
FACTORS = (0.1, 0.5, 0.95, 1.05)  # of the limit
SIZE, IMAGES, BATCH = 32, 48, 8
LEARNED = 0.97  # of the best constant answer's loss


class Quadratic(NamedTuple):
    """SGD on one convolution, by `FACTORS` of the limit."""

    largest: float  # λmax
    limit: float  # 2 / λmax
    losses: dict[float, list[float]]  # above that of the minimum


class Sweep(NamedTuple):
    """The U-Net: losses by optimizer and rate, (seeds, steps), NaN from where they are not finite."""

    constant: float  # the loss of the best answer that does not look at the image
    losses: dict[str, dict[float, NDArray]]


def measure_quadratic(images: NDArray, masks: NDArray, steps: int = 200) -> Quadratic:
    """Returns the limit of one convolution's mean squared error, and what SGD does around it.

    images: float64 (N, H, W, 3), masks: (N, H, W, 1). All images are one batch, so nothing is random.
    """
    layer = Conv2D(3, 1, 3, rng=0).astype(np.float64)

    def loss_and_gradient(w):
        kernel, bias = layer.parameters()
        kernel.data, bias.data = w[:-1].reshape(kernel.shape).copy(), w[-1:].copy()
        loss = ops.mean_squared_error(layer(images), masks)
        kernel.grad = bias.grad = None
        loss.backward()
        return loss.item(), np.append(kernel.grad, bias.grad)

    n = sum(p.size for p in layer.parameters())
    _, at_zero = loss_and_gradient(np.zeros(n))
    # H (e - 0) is the difference of two gradients: a column of H for each unit vector e
    hessian = np.stack([loss_and_gradient(e)[1] - at_zero for e in np.eye(n)], axis=1)
    largest = float(np.linalg.eigvalsh(hessian)[-1])
    least, _ = loss_and_gradient(np.linalg.solve(hessian, -at_zero))
    losses: dict[float, list[float]] = {}
    for factor in FACTORS:
        loss_and_gradient(np.zeros(n))  # the start
        optimizer = SGD(layer.parameters(), lr=factor * 2 / largest)
        losses[factor] = []
        for _ in range(steps):
            loss = ops.mean_squared_error(layer(images), masks)
            losses[factor].append(loss.item() - least)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return Quadratic(largest, 2 / largest, losses)


def measure_sweep(
    images: NDArray, masks: NDArray, rates: Sequence[float] = RATES, seeds: Sequence[int] = (0, 1, 2), steps: int = 100
) -> Sweep:
    """Returns the losses of a small U-Net with each optimizer, rate and seed; arrays float32 as of `drawn`."""
    share = float(masks.mean())
    constant = -share * np.log(share) - (1 - share) * np.log(1 - share)
    losses: dict[str, dict[float, NDArray]] = {name: {} for name in OPTIMIZERS}
    runs = [(name, rate) for name in OPTIMIZERS for rate in rates]
    for name, rate in tqdm(runs, desc="learning rates", disable=None, leave=False):
        losses[name][rate] = np.array([train(images, masks, OPTIMIZERS[name], rate, seed, steps) for seed in seeds])
    return Sweep(float(constant), losses)


def train(images: NDArray, masks: NDArray, make: Maker, rate: float, seed: int, steps: int) -> list[float]:
    """Returns the loss of each batch; NaN from the first that is not finite."""
    rng = np.random.default_rng(seed)
    model = UNet(depth=3, width=4, seed=seed)
    optimizer = make(model.parameters(), rate)
    losses = [float("nan")] * steps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # overflow is what a rate that is too large does
        for step in range(steps):
            batch = rng.choice(len(images), BATCH, replace=False)
            loss = ops.binary_cross_entropy_with_logits(model.logits(images[batch]), masks[batch])
            if not np.isfinite(loss.item()):
                break
            losses[step] = loss.item()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return losses


def drawn(number: int, size: int, dtype: type = np.float32) -> tuple[NDArray, NDArray]:
    """Returns images (N, H, W, 3) from 0 to 1, and masks (N, H, W, 1) of 0 and 1."""
    pets = DrawnPets(number, size=size)
    images, masks = (np.stack(arrays) for arrays in zip(*(pets[i] for i in range(number))))
    return images.astype(dtype) / 255, masks.astype(dtype)


def final(losses: NDArray, last: int = 20) -> float:
    """Returns the median over the seeds of the mean loss of the last batches; infinite where that is NaN.

    >>> final(np.array([[0.7, 0.5], [0.7, 0.6], [0.7, np.nan]]), last=1)
    0.6
    """
    means = losses[:, -last:].mean(axis=1)
    return float(np.median(np.where(np.isfinite(means), means, np.inf)))


def best_and_broken(losses: dict[float, NDArray], constant: float) -> tuple[float, float | None]:
    """Returns the best rate, and the first above it with which nothing is learned (None: there is none)."""
    finals = {rate: final(losses[rate]) for rate in sorted(losses)}
    best = min(finals, key=lambda rate: finals[rate])
    broken = [rate for rate, loss in finals.items() if rate > best and not loss < LEARNED * constant]
    return best, broken[0] if broken else None


# ---- what is told of it ------------------------------------------------------------------------------------


def run(seed: int) -> Result:
    """Finds the limit of the quadratic, then sweeps the rates of the U-Net."""
    quadratic = measure_quadratic(*drawn(8, SIZE, np.float64))
    sweep = measure_sweep(*drawn(IMAGES, SIZE), seeds=(seed, seed + 1, seed + 2))
    found = {name: best_and_broken(losses, sweep.constant) for name, losses in sweep.losses.items()}
    best, broken = found["RMSprop"]
    return Result(
        measured=_measured(sweep, found, quadratic),
        answer=_answer(best, broken),
        header=("rate", *OPTIMIZERS),
        rows=tuple((_short(rate), *(_cell(sweep, name, rate, found) for name in OPTIMIZERS)) for rate in RATES),
        explanation=_explanation(quadratic, sweep, found),
        figure=draw(quadratic, sweep, found),
    )


def _answer(best, broken):
    """Which of the guesses is right; the rates are √10 apart, and the borders lie between two of them."""
    factor = np.inf if broken is None else broken / best
    return 0 if factor < 56 else 1 if factor < 560 else 2  # 3, 10, 30 · 100, 300 · 1000 …


def _short(rate):
    return f"{rate:.1e}".replace(".0e", "e").replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def _cell(sweep, name, rate, found):
    """The loss at the end, and what is to be said of it."""
    losses, best = sweep.losses[name][rate], found[name][0]
    value, lost = final(losses), int(np.isnan(losses).any(axis=1).sum())
    if np.isinf(value):
        return f"diverged ({lost} of {len(losses)} to NaN)"
    peak = float(np.nanmax(losses))
    if peak > 10 * sweep.constant:
        return f"{value:.3f} after a peak of {_short(peak)}" if value < 1000 else f"{_short(value)}"
    if rate == best:
        return f"{value:.3f} best"
    nothing = not value < LEARNED * sweep.constant
    return f"{value:.3f}" + (" too slow" if nothing and rate < best else " nothing learned" if nothing else "")


def _measured(sweep, found, quadratic):
    told = {}
    for name, (best, broken) in found.items():
        loss = final(sweep.losses[name][best])
        beyond = "none of these breaks it" if broken is None else f"{_short(broken)} is the first that breaks it"
        told[name] = f"{name} learns best with a rate of {_short(best)} (loss {loss:.2f}), and {beyond}"
    rising = quadratic.losses[FACTORS[-1]]
    return (
        f"{told['RMSprop']}; {told['momentum']}. An answer that ignores the image gets {sweep.constant:.2f}. (Medians "
        f"of three seeds.) On a quadratic, SGD's loss falls 5 % below the limit 2 / λmax = {quadratic.limit:.4f}, and "
        f"5 % above it grows by a factor of {rising[-1] / rising[-2]:.3f} per step."
    )


def _explanation(quadratic, sweep, found):
    spread = sweep.losses["RMSprop"][found["RMSprop"][0]][:, -20:].mean(axis=1)
    return (
        "One convolution with the mean squared error is a quadratic in its 28 weights. A step of SGD multiplies the "
        "distance from the minimum, along each eigenvector of the Hessian H, by 1 - lr λ. It shrinks as long as "
        "|1 - lr λ| < 1, so that the largest eigenvalue sets the limit. A column of H is the difference of two "
        "gradients, and 29 backward passes give all of it:\n\n"
        f"    lr < 2 / λmax = 2 / {quadratic.largest:.2f} = {quadratic.limit:.4f}\n"
        "    at 1.05 of it: 1 - 2.1 = -1.1 per step, and the loss, a square, grows by 1.21\n\n"
        "Below the limit, smaller is only slower: along the eigenvectors with small λ, a step takes away lr λ of the "
        "distance. So the best rate is close below the limit. The loss of a U-Net is no quadratic, and its Hessian "
        "changes as it learns; there one has to try. RMSprop divides by the size of the gradients: most weights move "
        "by something like lr per step, however small their gradients are, and a lr that is not small beside "
        "the weights themselves destroys what they had learned.\n\n"
        f"The three seeds with RMSprop's best rate end between {spread.min():.2f} and {spread.max():.2f}. With "
        "other seeds a rate next to it may win, and with more steps a smaller one. To read next: minunet/optim.py (the "
        "rules), minunet/training/schedules.py (large rates first, small ones later), and the experiment optimizers."
    )


def draw(quadratic: Quadratic, sweep: Sweep, found: dict[str, tuple[float, float | None]]) -> Figure:
    """Returns the figure: the quadratic around its limit, RMSprop's loss over steps, and the U-Net's over the rates."""
    figure = Figure(figsize=(10, 8), dpi=110, layout="constrained")
    grid = figure.add_gridspec(2, 2)
    left, right, sweeps = (figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :]))
    left.set_title("a quadratic, SGD: rates beside the limit 2 / λmax", color=INK, fontsize=11)
    for factor, color in zip(FACTORS, ("#56b4e9", "#0072b2", "#009e73", "#d55e00")):
        left.semilogy(quadratic.losses[factor], color=color, label=f"{factor:g} of the limit")
    left.set_ylim(1e-3, 1e5)
    left.set_ylabel("loss above the minimum")

    right.set_title("the U-Net, RMSprop, one seed", color=INK, fontsize=11)
    best, broken = found["RMSprop"]
    rates = sorted(sweep.losses["RMSprop"])
    slow = max([rate for rate in rates if rate < best / 20], default=rates[0])
    chosen = [(slow, "too slow"), (best, "best"), (broken, "learns nothing"), (rates[-1], "the largest")]
    for (rate, word), color in zip(chosen, ("#56b4e9", "#009e73", "#e69f00", "#d55e00")):
        if rate is not None:
            right.semilogy(sweep.losses["RMSprop"][rate][0], color=color, label=f"{_short(rate)}, {word}")
    right.set_ylim(0.2, 30)
    right.set_ylabel("loss of the batch")

    sweeps.set_title("the U-Net: loss at the end, by rate; large dots: median of the seeds", color=INK, fontsize=11)
    top = 1.25 * sweep.constant
    for name, color in COLORS.items():
        x = np.array(sorted(sweep.losses[name]))
        ends = np.array([sweep.losses[name][rate][:, -20:].mean(axis=1) for rate in x])
        medians = np.array([final(sweep.losses[name][rate]) for rate in x])
        inside = medians <= top
        sweeps.semilogx(x, np.where(ends <= top, ends, np.nan), ".", color=color, markersize=4)
        sweeps.semilogx(x[inside], medians[inside], "o-", color=color, label=name)
        sweeps.semilogx(x[~inside], np.full((~inside).sum(), top), "x", color=color, markersize=9)
    sweeps.axhline(sweep.constant, color="#8a8a8a", linestyle="--", linewidth=1, label="ignoring the image")
    sweeps.plot([], [], "x", color="#8a8a8a", label="far above, or NaN")
    sweeps.set_xlabel("learning rate")
    sweeps.set_ylabel("loss")
    for panel in (left, right):
        panel.set_xlabel("step")
    for panel in (left, right, sweeps):
        panel.legend(frameon=False, fontsize=9)
        panel.grid(color="#e6e6e6", linewidth=0.7)
    return figure


EXPERIMENT = Experiment(
    name="learning-rate",
    question=(
        "RMSprop's learning rate for a small U-Net is raised from 0.00001 to 10, in steps of √10. How far below the "
        "first rate with which the network learns nothing is the best one?"
    ),
    guesses=(
        "close: a factor of 3 to 30",
        "farther: a factor of 100 to 300",
        "very far: a factor of 1000 or more",
    ),
    seconds=90,
    run=run,
)
