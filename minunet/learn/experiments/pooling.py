"""Where the maxima of a pooling come from, where there are none, and what the gradient makes of it."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from tqdm import tqdm

from minunet import ops, optim
from minunet.autograd import Tensor, no_grad
from minunet.data.drawn_pets import DrawnPets
from minunet.device import to_numpy
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.models import UNet
from minunet.nn import MaxPool2D
from minunet.nn.module import forward_hook
from minunet.training.plots import INK, TRAIN, VALIDATION

IMAGES, TESTED, SIZE, STEPS, SEEDS = 80, 20, 64, 60, 3
BATCH, DEPTH, WIDTH, LR = 8, 3, 8, 2e-3
SHOWN = 12  # pixels of a feature map in the picture


class Windows(NamedTuple):
    """Fractions of what a 2x2 pooling sees in maps (N,H,W,C) that come from a ReLU.

    zeros        numbers that are 0.
    empty        windows in which all four are 0.
    independent  what `empty` would be if the zeros of each map were scattered over it at random: the mean of q⁴.
    ties         windows with a positive maximum that occurs twice or more.
    places       (4,), at which place the maximum is, row by row, of the windows that are not empty.
    reached      Σ |gx| / Σ |gy|: how much of a random gradient passes pooling and ReLU.
    unchanged    windows, not empty, that have the same maximum one column further to the right.
    """

    zeros: float
    empty: float
    independent: float
    ties: float
    places: NDArray[Any]
    reached: float
    unchanged: float


def look_at(maps: NDArray[Any], rng: np.random.Generator) -> Windows:
    """Returns the Windows of maps (N,H,W,C), H and W even."""
    windows = in_windows(maps)
    largest = windows.max(axis=4, keepdims=True)
    empty = largest[..., 0] == 0
    ties = ((windows == largest).sum(axis=4) > 1) & ~empty
    places = np.bincount(windows.argmax(axis=4)[~empty], minlength=4) / max((~empty).sum(), 1)
    q = (maps == 0).mean(axis=(0, 1, 2))

    x = Tensor(maps, requires_grad=True)
    y = ops.max_pool2d(ops.relu(x), 2)
    gy = rng.standard_normal(y.shape).astype(maps.dtype)
    y.backward(gy)
    reached = np.abs(to_numpy(x.grad)).sum() / np.abs(gy).sum()

    here, further = largest[:, :, :-1, :, 0], in_windows(maps[:, :, 1:-1]).max(axis=4)
    unchanged = (here == further)[here > 0].mean()
    return Windows(q.mean(), empty.mean(), (q**4).mean(), ties.mean(), places, reached, unchanged)


def in_windows(maps: NDArray[Any]) -> NDArray[Any]:
    """Returns maps (N,H,W,C) cut into windows of 2x2 pixels: (N,H/2,W/2,C,4)."""
    N, H, W, C = maps.shape
    return maps.reshape(N, H // 2, 2, W // 2, 2, C).transpose(0, 1, 3, 5, 2, 4).reshape(N, H // 2, W // 2, C, 4)


def pooled_maps(model: UNet, images: NDArray[Any]) -> list[NDArray[Any]]:
    """Returns what each pooling layer gets to see, from the first to the deepest: arrays (N,H,W,C)."""
    maps = []

    def keep(layer, inputs, y):
        if isinstance(layer, MaxPool2D):
            maps.append(inputs[0].numpy())

    with no_grad(), forward_hook(keep):
        model(images)
    return maps


def train(model: UNet, images: NDArray[Any], masks: NDArray[Any], steps: int, seed: int) -> None:
    """Trains the model for so many steps."""
    optimizer, rng = optim.Adam(model.parameters(), lr=LR), np.random.default_rng(seed)
    for _ in tqdm(range(steps), "training", disable=None, leave=False):
        chosen = rng.integers(len(images), size=BATCH)
        ops.binary_cross_entropy_with_logits(model.logits(images[chosen]), masks[chosen]).backward()
        optimizer.step()
        optimizer.zero_grad()


def measure(
    images: int, tested: int, size: int, steps: int, seed: int
) -> tuple[list[Windows], list[Windows], NDArray[Any], NDArray[Any]]:
    """Returns the Windows of each pooling layer before and after a short training, an image, and its first level.

    The first level is what the trained network's first pooling gets to see of the image: (size,size,WIDTH).
    """
    pets = DrawnPets(images + tested, size, seed)
    x, t = (np.stack(arrays).astype(np.float32) for arrays in zip(*(pets[i] for i in range(len(pets)))))
    x /= 255
    model, rng = UNet(depth=DEPTH, width=WIDTH, seed=seed), np.random.default_rng(seed)
    before = [look_at(maps, rng) for maps in pooled_maps(model, x[images:])]
    train(model, x[:images], t[:images], steps, seed)
    maps = pooled_maps(model, x[images:])
    return before, [look_at(a, rng) for a in maps], x[images], maps[0][0]


def run(seed: int) -> Result:
    """Returns what the experiment finds with this seed: its answer, explanation and picture."""
    runs = [measure(IMAGES, TESTED, SIZE, STEPS, s) for s in range(seed, seed + SEEDS)]
    untrained, trained = [a[0] for a in runs], [a[1] for a in runs]
    empty = np.array([[layer.empty for layer in layers] for layers in trained])  # (seeds, layers)
    reached = np.array([[layer.reached for layer in layers] for layers in trained])
    share = float(np.median(empty))
    answer = 0 if share < 0.03 else 1 if share < 0.15 else 2
    measured = (
        f"After {STEPS} steps of training, all four numbers are 0 in {share:.0%} of the windows (the median of {DEPTH} "
        f"pooling layers and {SEEDS} seeds, from {empty.min():.0%} to {empty.max():.0%}). The gradient of these "
        f"is lost: of a random one, {np.median(reached):.0%} gets through the pooling and the ReLU before it."
    )
    header = (
        "pooling",
        "zeros",
        "empty windows",
        "if zeros were scattered",
        "other ties",
        "maximum at the places",
        "same one column on",
    )
    rows = [
        (
            f"level {level + 1}, {state}",
            *(_percent(layers, name, level) for name in ("zeros", "empty", "independent")),
            f"{np.median([a[level].ties for a in layers]):.2%}",
            " ".join(f"{100 * share:.0f}" for share in np.mean([a[level].places for a in layers], axis=0)) + "%",
            _percent(layers, "unchanged", level),
        )
        for state, layers in (("untrained", untrained), ("trained", trained))
        for level in range(DEPTH)
    ]
    return Result(measured, answer, header, tuple(rows), EXPLANATION, _figure(runs))


EXPLANATION = (
    "If each number were 0 half of the time, whatever its neighbors are, a window would be empty once in 16. But some "
    "feature maps are 0 nearly everywhere, others hardly anywhere: with the zeros of each map scattered over it, most "
    "of the empty windows would be there already. And neighbors are alike, so zeros come in areas, which adds the "
    "rest.\n\n"
    "In an empty window all four are equal, and the derivative of the maximum is not defined. By convention the first "
    "in row-major order gets the gradient: x = 0 0 / 0 0 and gy = 1 give gx = 1 0 / 0 0. Here it does not matter "
    "which: the ReLU before lets no gradient pass where its output is 0. The convention decides only among equal "
    "positive numbers, and these are rare, as the column of other ties shows: they need equal neighborhoods in the "
    "image.\n\n"
    "Where there is a maximum, it is at each of the four places about as often: two bits that pooling forgets. A skip "
    "connection brings them back, with the three smaller numbers. For the same reason a pooled map is another one when "
    "what it pools moves by one pixel: most windows get another maximum, as the last column shows. When it moves by "
    "two, all maxima move along, by one. Read minunet/ops/max_pool2d.py and minunet/ops/relu.py."
)


def _figure(runs):
    figure = Figure(figsize=(11, 7.2), dpi=110, layout="constrained")
    grid = figure.add_gridspec(2, 6, height_ratios=(1.3, 1))
    photo, here, further = (figure.add_subplot(grid[0, 2 * i : 2 * i + 2]) for i in range(3))
    _, _, image, maps = runs[0]
    channel, top, left = _where_both_occur(maps)
    photo.imshow(image)
    photo.add_patch(Rectangle((left - 0.5, top - 0.5), SHOWN, SHOWN, fill=False, color=VALIDATION, linewidth=1.5))
    photo.set_title("an image, and the part shown beside it", color=INK, fontsize=10)
    part = maps[top : top + SHOWN, left : left + SHOWN, channel]
    _draw_maxima(here, part, 0)
    here.set_title("the windows of one feature map", color=INK, fontsize=10)
    here.set_xlabel("dots: maxima, which get the gradient; crosses: empty", color=INK)
    _draw_maxima(further, part, 1)
    further.set_title("the windows one column further", color=INK, fontsize=10)
    for axes in (photo, here, further):
        axes.set_xticks([])
        axes.set_yticks([])

    for state, title in enumerate(("untrained", f"after {STEPS} steps of training")):
        axes = figure.add_subplot(grid[1, 3 * state : 3 * state + 3])
        _draw_shares(axes, [a[state] for a in runs])
        axes.set_title(f"{title}: median and range of {len(runs)} seeds", color=INK, fontsize=10)
        if state == 0:
            axes.set_ylabel("empty windows, %")
            axes.legend(frameon=False, labelcolor=INK, loc="upper right")
    return figure


def _where_both_occur(maps):
    """Returns the channel, the first row and the first column (both even) of a part that is half empty, about."""
    candidates = [
        (abs((maps[top : top + SHOWN, left : left + SHOWN, c] == 0).mean() - 0.5), c, top, left)
        for c in range(maps.shape[2])
        for top in range(0, maps.shape[0] - SHOWN, 4)
        for left in range(0, maps.shape[1] - SHOWN, 4)
    ]
    return min(candidates)[1:]


def _draw_maxima(axes, part, shift):
    """A part of a feature map, its 2x2 windows from column `shift` on, and in each the pixel that gets the gradient."""
    axes.imshow(part, cmap="gray", vmin=0)
    windows = in_windows(part[None, :, shift : SHOWN - shift, None])[0, :, :, 0]
    for (i, j), largest in np.ndenumerate(windows.max(axis=2)):
        corner = 2 * j + shift - 0.5, 2 * i - 0.5
        axes.add_patch(Rectangle(corner, 2, 2, fill=False, color=TRAIN, linewidth=0.8))
        k, l = divmod(int(windows[i, j].argmax()), 2)
        axes.plot(2 * j + shift + l, 2 * i + k, "o" if largest > 0 else "x", color=VALIDATION, markersize=5)


def _draw_shares(axes, layers):
    """Two bars for each pooling layer, the median over the seeds: measured, and with scattered zeros."""
    places = np.arange(len(layers[0]))
    for shift, color, name, label in (
        (-0.2, TRAIN, "empty", "measured"),
        (0.2, VALIDATION, "independent", "if each map's zeros were scattered"),
    ):
        values = 100 * np.array([[getattr(layer, name) for layer in seed] for seed in layers])
        middle = np.median(values, axis=0)
        spread = np.abs(np.array([values.min(axis=0), values.max(axis=0)]) - middle)
        axes.bar(places + shift, middle, 0.4, yerr=spread, capsize=3, color=color, ecolor=INK, label=label)
    axes.axhline(100 / 16, color="#8a8a8a", linestyle="--", label="1 in 16")
    axes.set_xticks(places, [f"pooling {level + 1}" for level in places])
    axes.set_ylim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)


def _percent(layers, name, level):
    return f"{np.median([getattr(a[level], name) for a in layers]):.0%}"


EXPERIMENT = Experiment(
    name="pooling",
    question=(
        "A U-Net pools feature maps that come from a ReLU. In how many of the 2x2 windows are all four numbers 0, so "
        "that there is no largest one?"
    ),
    guesses=(
        "hardly any: fewer than 3%",
        "about one in 16, since each of the four is 0 half of the time",
        "many more than one in 16: where one number is 0, the others are likely to be 0 too",
    ),
    seconds=15,
    run=run,
)
