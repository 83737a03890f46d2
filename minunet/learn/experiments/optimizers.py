"""Four optimizers walk down the same two-dimensional surfaces, step by step.

    w = (x, y)                                          the two parameters
    ravine    L = ½ (u² + κ v²)                         u along the ravine, v across it; κ times as steep across
    saddle    L = ½ x² - ½ y² + ¼ y⁴                    flat in the middle, y = 0; the ground is at y = ±1

u = x and v = y, until the ravine is turned: then u and v are x and y as someone sees them who has turned with it.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from minunet.autograd import Tensor
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.optim import SGD, Adam, Optimizer, RMSprop
from minunet.training.plots import INK

Surface = Callable[[Tensor], Tensor]
Maker = Callable[[list[Tensor], float], Optimizer]

OPTIMIZERS: dict[str, Maker] = {
    "SGD": lambda params, lr: SGD(params, lr),
    "momentum": lambda params, lr: SGD(params, lr, momentum=0.9),
    "RMSprop": lambda params, lr: RMSprop(params, lr),
    "Adam": lambda params, lr: Adam(params, lr),
}
COLORS = {"SGD": "#0072b2", "momentum": "#d55e00", "RMSprop": "#009e73", "Adam": "#cc79a7"}
RATES = tuple(digit * 10.0**power for power in (-3, -2, -1) for digit in (1, 2, 5)) + (1.0,)
STEEPNESS, TURN = 80.0, 45.0
ARRIVED = 0.01  # of the height that one started from
SADDLE_START, SADDLE_RATE, LEFT_AT = (1.0, 0.01), 0.1, 0.5
SAME = 1e-6  # two paths that differ by less than this are the same, up to rounding


class Walk(NamedTuple):
    """What one optimizer did. A path is an array (steps + 1, 2); steps are None where it did not arrive."""

    lr: float  # with which it took the fewest steps
    path: NDArray
    steps: int | None
    turned_lr: float
    turned_path: NDArray
    turned_steps: int | None
    deviation: float  # how far the path in the turned ravine, turned back, is from `path`, both at `lr`
    saddle: NDArray
    saddle_steps: int | None  # until |y| > ½


def measure(start: tuple[float, float], steepness: float = STEEPNESS, most: int = 500) -> dict[str, Walk]:
    """Returns the Walk of each optimizer from (x, y) = start, with at most so many steps."""
    walks = {}
    turn = rotation(TURN)
    ravines = [(ravine(steepness), np.array(start)), (ravine(steepness, TURN), turn @ start)]
    for name, make in tqdm(OPTIMIZERS.items(), desc="optimizers", disable=None, leave=False):
        straight, turned = (fewest_steps(surface, w0, make, most) for surface, w0 in ravines)
        lr, path, steps = straight
        same_rate, _ = walk(*ravines[1], make, lr, len(path) - 1)
        saddle, _ = walk(saddle_surface, np.array(SADDLE_START), make, SADDLE_RATE, most)
        away = np.flatnonzero(abs(saddle[:, 1]) > LEFT_AT)
        walks[name] = Walk(
            *(lr, path, steps),
            *turned,
            deviation=float(np.linalg.norm(same_rate @ turn - path, axis=1).max()),  # the rows of w @ turn are turnᵀ w
            saddle=saddle,
            saddle_steps=int(away[0]) if len(away) else None,
        )
    return walks


def walk(surface: Surface, start: NDArray, make: Maker, lr: float, steps: int) -> tuple[NDArray, NDArray]:
    """Returns the positions, (steps + 1, 2), and the heights there, (steps + 1,); fewer where it leaves the map."""
    w = Tensor(start.astype(float), requires_grad=True)
    optimizer = make([w], lr)
    path, heights = [w.data.copy()], [surface(w).item()]
    for _ in range(steps):
        surface(w).backward()
        optimizer.step()
        optimizer.zero_grad()
        path.append(w.data.copy())
        heights.append(surface(w).item())
        if not heights[-1] < 1e6:
            break
    return np.array(path), np.array(heights)


def fewest_steps(surface: Surface, start: NDArray, make: Maker, most: int) -> tuple[float, NDArray, int | None]:
    """Returns the best of RATES, the path that it takes, and the number of steps until it is down to stay."""
    walks = {}
    for lr in RATES:
        path, heights = walk(surface, start, make, lr, most)
        steps = steps_until(heights, ARRIVED * heights[0])
        walks[lr] = path, steps, math.inf if steps is None else steps, float(heights[-1])
    lr = min(walks, key=lambda rate: walks[rate][2:])
    path, steps, *_ = walks[lr]
    return lr, path[: steps + 1] if steps is not None else path, steps


def steps_until(heights: Sequence[float] | NDArray, height: float) -> int | None:
    """Returns after how many steps all heights are at most this one, or None.

    >>> steps_until([9, 1, 3, 1, 0], 2)
    3
    """
    above = np.flatnonzero(~(np.asarray(heights) <= height))
    first = int(above[-1]) + 1 if len(above) else 0
    return first if first < len(heights) else None


def ravine(steepness: float, degrees: float = 0.0) -> Surface:
    """Returns L = ½ (u² + κ v²), turned counter-clockwise, of points w (..., 2)."""
    along, across = rotation(degrees).T

    def surface(w: Tensor) -> Tensor:
        u, v = (w * along).sum(axis=-1), (w * across).sum(axis=-1)
        return (u * u + steepness * (v * v)) * 0.5

    return surface


def saddle_surface(w: Tensor) -> Tensor:
    """L = ½ x² - ½ y² + ¼ y⁴."""
    x, y = w[..., 0], w[..., 1]
    return (x * x - y * y) * 0.5 + y * y * y * y * 0.25


def rotation(degrees: float) -> NDArray:
    """Returns the matrix that turns (x, y) counter-clockwise."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s], [s, c]])


# ---- what is told of it ------------------------------------------------------------------------------------


def run(seed: int) -> Result:
    """Walks down from a start that the seed draws, and tells whose path the turn has changed."""
    rng = np.random.default_rng(seed)
    start = round(float(rng.uniform(-10, -8)), 1), round(float(rng.uniform(0.5, 1.5)), 1)
    walks = measure(start)
    changed = {name for name, w in walks.items() if w.deviation > SAME}
    rows = tuple(
        (
            name,
            f"{w.lr:g}",
            *(f"{x:.3f}, {y:.3f}" for x, y in w.path[1:4].round(3) + 0.0),  # + 0.0: no "-0.000"
            *map(_count, (w.steps, w.turned_steps, w.saddle_steps)),
        )
        for name, w in walks.items()
    )
    return Result(
        measured=_measured(walks, changed),
        answer=_answer(changed),
        header=("optimizer", "rate", "step 1", "step 2", "step 3", "steps", "turned", "off saddle"),
        rows=rows,
        explanation=_explanation(start, walks),
        figure=draw(walks),
    )


def _answer(changed):
    """Which of the guesses is right, if these optimizers walk another path in the turned ravine."""
    groups = {
        frozenset(): 0,
        frozenset({"SGD", "momentum"}): 1,
        frozenset({"RMSprop", "Adam"}): 2,
        frozenset(OPTIMIZERS): 3,
    }
    return groups[frozenset(changed)]


def _count(steps):
    return "never" if steps is None else str(steps)


def _measured(walks, changed):
    same = [name for name in walks if name not in changed]
    groups = []
    if same:
        off = max(walks[name].deviation for name in same)
        groups.append(f"{' and '.join(same)} walk the same path, turned (to {off:.0e})")
    if changed:
        off = " and ".join(f"{walks[name].deviation:.1f}" for name in walks if name in changed)
        groups.append(f"{' and '.join(name for name in walks if name in changed)} stray from theirs by {off}")
    counts = ", ".join(f"{name} {_count(w.steps)} and {_count(w.turned_steps)}" for name, w in walks.items())
    return (
        f"{'; '.join(groups)}. Steps down to {100 * ARRIVED:g} % of the height, each with its best rate, before "
        f"and after the turn: {counts}."
    )


def _explanation(start, walks):
    x, y = start
    sgd, rms = walks["SGD"], walks["RMSprop"]
    limit = 2 / STEEPNESS
    return (
        f"The first step can be checked by hand. At ({x:g}, {y:g}) the gradient is (x, {STEEPNESS:g} y):\n\n"
        f"    SGD      x = {x:g} - {sgd.lr:g} · ({x:g}) = {sgd.path[1][0]:.3f}\n"
        f"             y = {y:g} - {sgd.lr:g} · {STEEPNESS * y:g} = {sgd.path[1][1]:.3f}\n"
        f"    RMSprop  v = 0.1 g², so that x and y both move by rate / √0.1 = {rms.lr:g} / 0.316 = "
        f"{rms.lr / 0.1**0.5:.3f}\n"
        "    Adam     x and y both move by one rate\n\n"
        f"SGD multiplies y by 1 - {STEEPNESS:g} lr at each step: lr must stay below 2 / {STEEPNESS:g} = {limit:g}, "
        f"and then x loses less than {100 * limit:g} % per step. Momentum adds up the steps that agree; where they go "
        "on agreeing, it moves 1 / (1 - 0.9) = 10 times as far. RMSprop and Adam divide each parameter's gradient by "
        "its own recent size, which levels out a ravine along the axes.\n\n"
        "Turned by 45 degrees, x and y have equal shares of the steep slope, and dividing one by this and the other by "
        "that levels out nothing: it is another walk, longer or shorter. SGD and momentum only add up gradients, and "
        "those turn with the surface. On the saddle, where the gradient of y is almost 0, SGD's step is a fraction "
        "of it; the first steps of RMSprop and Adam hardly depend on its size. To read next: minunet/optim.py, which "
        "begins with these rules; the experiment learning-rate, for the limit."
    )


def draw(walks: dict[str, Walk]) -> Figure:
    """Returns the figure: the paths over contour lines, in the ravine, in the turned one, and off the saddle."""
    figure = Figure(figsize=(11, 8.2), dpi=110, layout="constrained")
    first, second, plane, falling = figure.subplots(2, 2).flat
    ravines = first, second
    second.sharex(first)
    second.sharey(first)
    turn = rotation(TURN)
    for name, w in walks.items():
        style = {"color": COLORS[name], "marker": "o", "markersize": 2.5, "linewidth": 1.3, "label": name}
        ravines[0].plot(*w.path.T, **style)
        ravines[1].plot(*(w.turned_path @ turn).T, **style)
        end = len(w.saddle) if w.saddle_steps is None else w.saddle_steps + 20
        plane.plot(*w.saddle[:end].T, **style)
        falling.semilogy(abs(w.saddle[:end, 1]), **style)
    for panel in ravines:
        _contours(panel, ravine(STEEPNESS))
    _contours(plane, saddle_surface)
    for panel, title, x, y in (
        (ravines[0], f"a ravine, {STEEPNESS:g} times as steep across", "x (along)", "y (across)"),
        (ravines[1], f"turned by {TURN:g} degrees, seen by someone who has turned, too", "u (along)", "v (across)"),
        (plane, f"off a saddle, all with rate {SADDLE_RATE:g}", "x", "y"),
        (falling, "the same: distance from the ridge y = 0", "step", "|y|"),
    ):
        panel.set_title(title, color=INK, fontsize=11)
        panel.set_xlabel(x)
        panel.set_ylabel(y)
    for panel in (*ravines, plane):
        panel.plot(*panel.lines[0].get_xydata()[0], "o", color="black", markersize=7, zorder=4)
    ravines[0].legend(frameon=False, fontsize=9, loc="lower right")
    return figure


def _contours(panel, surface):
    """Contour lines of the surface, over the part of the plane that the panel shows."""
    x, y = np.meshgrid(np.linspace(*panel.get_xlim(), 80), np.linspace(*panel.get_ylim(), 80))
    heights = surface(Tensor(np.stack([x, y], axis=-1))).data
    # as many lines near the ground as high up: equal steps of the root
    levels = heights.min() + (heights.max() - heights.min()) * np.linspace(0, 1, 14)[1:] ** 2
    panel.contour(x, y, heights, levels, colors="#b0b0b0", linewidths=0.7, linestyles="-", zorder=0)


EXPERIMENT = Experiment(
    name="optimizers",
    question=(
        "SGD, momentum, RMSprop and Adam walk down a ravine, 80 times as steep across as along. Then the ravine is "
        "turned by 45 degrees, and the start with it. Whose path is no longer the same?"
    ),
    guesses=(
        "nobody's: it is the same surface, only turned",
        "SGD's and momentum's: they go where the gradient points",
        "RMSprop's and Adam's: they scale x and y, each by itself",
        "everybody's",
    ),
    seconds=10,
    run=run,
)
