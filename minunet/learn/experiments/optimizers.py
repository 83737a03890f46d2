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
STEEPNESS, TURN = 100.0, 45.0
ARRIVED = 0.01  # of the height that one started from
SADDLE_START, SADDLE_RATE, LEFT_AT = (1.0, 0.001), 0.1, 0.5
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
    """Returns L = ½ (u² + κ v²), turned counter-clockwise."""
    along, across = rotation(degrees).T

    def surface(w: Tensor) -> Tensor:
        u, v = (w * along).sum(), (w * across).sum()
        return (u * u + steepness * (v * v)) * 0.5

    return surface


def saddle_surface(w: Tensor) -> Tensor:
    """L = ½ x² - ½ y² + ¼ y⁴."""
    x, y = w[0], w[1]
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
            *(f"{x:.3f}, {y:.3f}" for x, y in w.path[1:4]),
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
    counts = ", ".join(f"{name} {_count(w.steps)} and {_count(w.turned_steps)}" for name, w in walks.items())
    same = max((w.deviation for name, w in walks.items() if name not in changed), default=0.0)
    other = ", ".join(f"{name} by {walks[name].deviation:.2g}" for name in OPTIMIZERS if name in changed)
    return (
        f"Turned back, the path of {' and '.join(n for n in OPTIMIZERS if n not in changed) or 'none'} is the same "
        f"(to {same:.0e}); others deviate: {other or 'none'}. "
        f"Steps to 1 % of the height, straight and turned, each with its best rate: {counts}."
    )


def _explanation(start, walks):
    x, y = start
    sgd, rms = walks["SGD"], walks["RMSprop"]
    return (
        f"The first step by hand, from ({x:g}, {y:g}), where the gradient is (x, {STEEPNESS:g} y) = "
        f"({x:g}, {STEEPNESS * y:g}). SGD with rate {sgd.lr:g}: x = {x:g} - {sgd.lr:g} · {x:g} = {sgd.path[1][0]:.3f}. "
        "RMSprop's v is 0.1 g² after one step, so that both parameters move by rate / √0.1 = 3.16 rates, whatever "
        f"their gradients: {rms.lr:g} · 3.16 = {rms.lr / 0.1**0.5:.3f}. Adam's first step is one rate.\n\n"
        f"SGD multiplies v by 1 - {STEEPNESS:g} lr at each step, so that lr must stay below 2 / {STEEPNESS:g} = "
        f"{2 / STEEPNESS:g}. Along the ravine u then shrinks by only lr per step: it crawls. Momentum adds up the "
        "steps that agree, to 1 / (1 - 0.9) = 10 of them. RMSprop and Adam divide each parameter's gradient by its "
        "own recent size. That levels out a ravine along the axes. Turned by 45 degrees, both parameters have a "
        "share of the steep slope: dividing x by one number and y by another is then no cure. SGD and momentum "
        "only add up gradients, and those turn with the surface.\n\n"
        f"Off the saddle, all with rate {SADDLE_RATE:g}: there the gradient of y is almost 0, SGD's step is a fraction "
        "of it, and RMSprop's and Adam's first steps do not depend on its size. To read next: minunet/optim.py, whose "
        "first lines are these rules; the experiment learning-rate, for the limit 2 / λ."
    )


def draw(walks: dict[str, Walk]) -> Figure:
    """Returns the figure: the paths over contour lines, in the ravine, in the turned one, and on the saddle."""
    figure = Figure(figsize=(13, 4.6), dpi=110)
    panels = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.04, right=0.99, top=0.86, bottom=0.2, wspace=0.14)
    titles = (
        f"A ravine, {STEEPNESS:g} times as steep across",
        f"The same, turned by {TURN:g} degrees",
        f"A saddle, all with rate {SADDLE_RATE:g}",
    )
    surfaces = (ravine(STEEPNESS), ravine(STEEPNESS, TURN), saddle_surface)
    for panel, title, surface in zip(panels, titles, surfaces):
        panel.set_title(title, loc="left", fontsize=11)
        panel.set_xlabel("x")
        panel.set_ylabel("y", labelpad=-2)
    for name, w in walks.items():
        for panel, path in zip(panels, (w.path, w.turned_path, w.saddle[: (w.saddle_steps or 0) + 20])):
            panel.plot(*path.T, color=COLORS[name], marker="o", markersize=2.5, linewidth=1.3, label=name)
    for panel, surface in zip(panels, surfaces):
        _contours(panel, surface)
    for panel in panels:
        panel.plot(*panel.lines[0].get_xydata()[0], "o", color="black", markersize=7, zorder=4)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncols=4, frameon=False)
    return figure


def _contours(panel, surface):
    """Contour lines of the surface, over the part of the plane that the paths have taken."""
    (left, right), (bottom, top) = panel.get_xlim(), panel.get_ylim()
    x, y = np.meshgrid(np.linspace(left, right, 80), np.linspace(bottom, top, 80))
    heights = np.array([surface(Tensor(point)).item() for point in np.stack([x.ravel(), y.ravel()], axis=1)])
    # as many lines near the ground as high up: equal steps of the root
    levels = heights.min() + (heights.max() - heights.min()) * np.linspace(0, 1, 14)[1:] ** 2
    panel.contour(x, y, heights.reshape(x.shape), levels, colors="#b0b0b0", linewidths=0.7, zorder=0)


EXPERIMENT = Experiment(
    name="optimizers",
    question=(
        "SGD, momentum, RMSprop and Adam walk down a ravine, 100 times as steep across as along. Then the ravine is "
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
