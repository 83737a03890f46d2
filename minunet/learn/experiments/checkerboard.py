"""The patterns that a transposed convolution paints into a constant image, with windows of 3x3 and of 2x2."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from minunet import ops, optim
from minunet.autograd import no_grad
from minunet.data.drawn_pets import DrawnPets
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.nn import ConvTranspose2D
from minunet.training.plots import INK, TRAIN, VALIDATION

KERNELS = (2, 3)
IMAGES, SIZE, STEPS, SEEDS, DRAWS = 64, 32, 400, 3, 500
BATCH, LR = 8, 0.3
A_PATTERN = 0.01  # less than a hundredth of the numbers' size cannot be seen


class Painted(NamedTuple):
    """What a window of one size paints into a constant image, stride 2.

    equal    (8,8), all weights and all pixels 1: the counts of the windows over each pixel.
    random   (8,8), the first draw of random weights, in units of the smallest root mean square in `sizes`.
    sizes    (2,2), root mean square over all draws at the four places of a tile, the smallest being 1.
    draws    `pattern` for each draw.
    curves   (seeds, steps + 1), `pattern` during the training of one layer to double the size of images.
    trained  the last of the trained kernels, (3,3) or (2,2).
    """

    equal: NDArray[Any]
    random: NDArray[Any]
    sizes: NDArray[Any]
    draws: NDArray[Any]
    curves: NDArray[Any]
    trained: NDArray[Any]


def pattern(y: NDArray[Any]) -> NDArray[Any]:
    """Returns how much of the numbers' size is a pattern that repeats every 2x2 pixels, per channel: (C,), 0 to 1.

    It is the standard deviation of the four places' means over their root mean square: 0 for a constant image.
    y: array (1,H,W,C); two pixels at each edge, where other windows overlap, are left out.
    """
    H, W, C = y[0, 2:-2, 2:-2].shape
    places = y[0, 2:-2, 2:-2].reshape(H // 2, 2, W // 2, 2, C).mean(axis=(0, 2)).reshape(4, C)
    return places.std(axis=0) / np.sqrt((places**2).mean(axis=0))


def measure(kernel: int, images: int, size: int, steps: int, seeds: Iterable[int], draws: int) -> Painted:
    """Measures windows of kernel x kernel: without a training, and during one on `images` gray drawings."""
    seeds = list(seeds)
    constant = np.ones((1, 4, 4, 1), np.float32)
    equal = ops.conv_transpose2d(constant, np.ones((kernel, kernel, 1, 1), np.float32)).numpy()
    with no_grad():  # each channel of the output has random weights of its own
        y = ConvTranspose2D(1, draws, kernel, rng=seeds[0])(constant).numpy()
    sizes = np.sqrt((y[0, 2:4, 2:4] ** 2).mean(axis=2))
    y, sizes = y / sizes.min(), sizes / sizes.min()
    pets = DrawnPets(images, size, seed=seeds[0])
    target = np.stack([pets[i][0] for i in range(images)]).mean(axis=3, keepdims=True, dtype=np.float32) / 255
    trained = [train(kernel, target, steps, seed) for seed in seeds]
    curves, kernels = zip(*trained)
    return Painted(equal[0, :, :, 0], y[0, :, :, 0], sizes, pattern(y), np.array(curves), kernels[-1][:, :, 0, 0])


def train(kernel: int, target: NDArray[Any], steps: int, seed: int) -> tuple[list[float], NDArray[Any]]:
    """Returns the pattern before each step and after the last, and the trained kernel.

    One layer learns to double images of half the size: the mean of 2x2 pixels is given, the pixels are wanted.
    """
    N, H, W, _ = target.shape
    half = target.reshape(N, H // 2, 2, W // 2, 2, 1).mean(axis=(2, 4))
    gray = np.full_like(half[:1], 0.5)
    layer = ConvTranspose2D(1, 1, kernel, rng=seed)
    optimizer = optim.SGD(layer.parameters(), lr=LR)
    rng, curve = np.random.default_rng(seed), []
    for _ in tqdm(range(steps), f"{kernel}x{kernel}", disable=None, leave=False):
        with no_grad():
            curve.append(pattern(layer(gray).numpy()).item())
        chosen = rng.integers(N, size=BATCH)
        error = layer(half[chosen]) - target[chosen]
        (error * error).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    with no_grad():
        curve.append(pattern(layer(gray).numpy()).item())
    return curve, layer.kernel.numpy()


def run(seed: int) -> Result:
    """Returns what the experiment finds with this seed: its answer, explanation and picture."""
    two, three = found = [measure(k, IMAGES, SIZE, STEPS, range(seed, seed + SEEDS), DRAWS) for k in KERNELS]
    equal = [pattern(a.equal[None, :, :, None]).item() for a in found]
    if equal[1] > A_PATTERN:
        answer = 1 if np.median(two.draws) > A_PATTERN else 0
    else:
        answer = 2
    begin, end = (np.median([a.curves[:, i] for a in found], axis=1) for i in (0, -1))
    measured = (
        f"With all weights 1, windows of 2x2 paint {_values(two.equal)} and windows of 3x3 {_values(three.equal)}. "
        f"With random weights, the places of a 2x2 tile differ by {np.median(two.draws):.0%} for 2x2 and by "
        f"{np.median(three.draws):.0%} for 3x3 (their standard deviation over their root mean square; medians of "
        f"{DRAWS} draws). {STEPS} steps of training bring this from {begin[0]:.0%} to {end[0]:.1%} for 2x2 and from "
        f"{begin[1]:.0%} to {end[1]:.1%} for 3x3."
    )
    header = ("", "2x2", "3x3")
    rows = (
        ("overlaps along a line", _line(two.equal), _line(three.equal)),
        ("root mean square at the 4 places, random weights", _places(two.sizes), _places(three.sizes)),
        ("pattern, all weights 1", *(f"{value:.0%}" for value in equal)),
        (f"pattern, random weights, median of {DRAWS}", *(f"{np.median(a.draws):.0%}" for a in found)),
        *(
            (f"pattern after {step} steps, {SEEDS} seeds", *(_spread(a.curves[:, step]) for a in found))
            for step in (0, 20, 100, STEPS)
        ),
    )
    return Result(measured, answer, header, rows, _explanation(three.trained), _figure(found))


def _explanation(w):
    across, down = w[1, 0] + w[1, 2], w[0, 1] + w[2, 1]
    corners = w[0, 0] + w[0, 2] + w[2, 0] + w[2, 2]
    return (
        "Every input pixel paints its window, and the windows start two pixels apart. 2x2 windows lie side by side: "
        "each output pixel is painted once. 3x3 windows overlap by one row and one column: along a line 1 1 2 1 2 1 2 "
        "windows lie over a pixel, and in the plane, where rows and columns multiply, 1, 2, 2 or 4. That is the "
        "well-known checkerboard.\n\n"
        "But overlap is only half of it. Before training the weights are random, and so each place of the 2x2 tile has "
        "its own value, whether one window painted it or four: y = x w[0,0], x w[0,1], x w[1,0], x w[1,1] with 2x2. "
        "What 3x3 adds is an order: sums of 1, 2 and 4 random weights have a root mean square as 1 to √2 to 2, and the "
        "place that gets 4 is the same one in every channel.\n\n"
        "To leave a constant image constant, training must meet three equations in either case. 2x2: all four weights "
        "are equal. 3x3: the center is the sum of left and right, of upper and lower, and of the four corners; in the "
        f"last kernel trained here {w[1, 1]:.2f} against {across:.2f}, {down:.2f} and {corners:.2f}. No window is free "
        "of patterns by itself, and none is bound to have them; 2x2 has the simpler equations, needs 4 products "
        "for an input pixel instead of 9, and the convolutions after it in the U-Net can smooth what is left. The "
        "gradient of a 3x3 convolution with stride 2 with respect to its image is the same operation, and has the "
        "pattern 1 2 4 too. Read "
        "minunet/ops/conv_transpose2d.py and minunet/ops/windows.py."
    )


def _figure(found):
    """Counts and random weights as images with numbers, and the patterns during the training."""
    figure = Figure(figsize=(11, 5.8), dpi=110, layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 1, 1.25))
    for row, (kernel, a) in enumerate(zip(KERNELS, found)):
        for column, (title, values, digits) in enumerate(
            (
                ("painted, all weights 1", a.equal, 0),
                ("painted, random weights", a.random, 1),
                ("a trained kernel", a.trained, 2),
            )
        ):
            axes = figure.add_subplot(grid[row, column])
            _draw_numbers(axes, values, digits)
            axes.set_title(title, color=INK, fontsize=10)
            if column == 0:
                axes.set_ylabel(f"{kernel}x{kernel}, stride 2", color=INK, fontsize=11)
    axes = figure.add_subplot(grid[:, 3])
    for kernel, color, a in zip(KERNELS, (TRAIN, VALIDATION), found):
        steps = np.arange(a.curves.shape[1])
        axes.fill_between(steps, 100 * a.curves.min(axis=0), 100 * a.curves.max(axis=0), color=color, alpha=0.25)
        axes.plot(steps, 100 * np.median(a.curves, axis=0), color=color, label=f"{kernel}x{kernel}")
    axes.set_yscale("log")
    axes.set_yticks((0.1, 1, 10, 100), ("0.1", "1", "10", "100"))
    axes.set_xlabel("steps of training")
    axes.set_ylabel("pattern: standard deviation / root mean square, %")
    axes.set_title(f"pattern on gray: median, range of {len(found[0].curves)} seeds", color=INK, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.legend(frameon=False, labelcolor=INK)
    return figure


def _draw_numbers(axes, values, digits):
    """A small array as shades of gray, symmetric about 0, with its numbers."""
    largest = np.abs(values).max()
    axes.imshow(values, cmap="PuOr_r", vmin=-largest, vmax=largest)
    for (i, j), value in np.ndenumerate(values):
        color = "white" if abs(value) > 0.6 * largest else INK
        axes.text(j, i, f"{value:.{digits}f}", ha="center", va="center", color=color, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])


def _values(a):
    return ", ".join(f"{value:g}" for value in np.unique(a))


def _line(a):
    """The counts along the first row, in which only columns overlap."""
    return " ".join(f"{value:g}" for value in a[0])


def _places(sizes):
    return ", ".join(f"{value:.2f}" for value in sizes.ravel())


def _spread(values):
    return f"{np.median(values):.1%} ({values.min():.1%} to {values.max():.1%})"


EXPERIMENT = Experiment(
    name="checkerboard",
    question=(
        "A transposed convolution with stride 2, not trained yet, doubles the size of a constant image, with windows "
        "of 2x2 or of 3x3. When does it paint a pattern?"
    ),
    guesses=(
        "with 3x3 windows only, equal weights or random ones: 2x2 windows do not overlap",
        "with random weights in both cases; with equal weights only with 3x3 windows",
        "with random weights in both cases; with equal weights in neither",
    ),
    seconds=10,
    run=run,
)
