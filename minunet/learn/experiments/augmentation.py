"""What each kind of augmentation is worth to a network that has few images: on others like them, and on changed ones.

Every network starts from the same weights as the one without augmentation, and sees as many batches, drawn in the same
order. So their scores are compared in pairs, and over several seeds, each with images of its own:

    difference d_s = score with - score without, for seed s of S

    mean ± standard error        standard error = √(Σ (d_s - mean)² / (S - 1)) / √S

A mean of less than `CLEAR` standard errors is called a difference within the spread: other seeds may turn it around.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from minunet import metrics, ops
from minunet.autograd import no_grad
from minunet.data.augment import (
    Augmentation,
    Brightness,
    Contrast,
    Elastic,
    Flip,
    Rotate,
    Saturation,
    Scale,
    Shift,
    Tint,
    Transform,
)
from minunet.data.drawn_pets import DrawnPets
from minunet.data.warp import Plan
from minunet.learn.experiments.experiment import Experiment, Result
from minunet.models import UNet
from minunet.optim import RMSprop
from minunet.training.plots import INK, TRAIN

Pairs = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # images (N, H, W, 3) and masks (N, H, W, 1)


@dataclass(frozen=True)
class HalfTheLight(Transform):
    """All values, times ½."""

    def add_to(self, plan: Plan, rng: np.random.Generator) -> None:
        plan.recolor(np.diag([0.5, 0.5, 0.5, 1]))


KINDS: dict[str, tuple[Transform, ...]] = {
    "none": (),
    "flip": (Flip(probability=0.5),),
    "move": (Rotate(20), Scale(0.3), Shift(0.1)),
    "elastic": (Elastic(0.03),),
    "light": (Brightness(1.0), Contrast(0.3)),
    "color": (Saturation(0.5), Tint(0.07)),
}
KINDS["all"] = tuple(transform for kind in KINDS.values() for transform in kind)
TESTS: dict[str, tuple[Transform, ...]] = {
    "as drawn": (),
    "flipped": (Flip(),),
    "moved": KINDS["move"],
    "half the light": (HalfTheLight(),),
}
SIZE, IMAGES, HELD_OUT, BATCH = 32, 20, 100, 8
RATE = 5e-3  # at first
FIRST_HELD_OUT = 10_000  # a number that no training image has
CLEAR = 3.0  # standard errors
SHOWN = 25  # a seed with which each kind can be seen


def measure(
    kinds: Sequence[str] = tuple(KINDS), seeds: Sequence[int] = (0, 1, 2, 3, 4), steps: int = 250, images: int = IMAGES
) -> dict[str, NDArray]:
    """Returns the mean IoU of each kind: {kind: (seeds, tests)}, the tests in the order of TESTS."""
    held_out = drawn(HELD_OUT, FIRST_HELD_OUT)
    tests = [changed(held_out, transforms) for transforms in TESTS.values()]
    scores: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    runs = [(kind, seed) for seed in seeds for kind in kinds]
    for kind, seed in tqdm(runs, desc="training", disable=None, leave=False):
        training = drawn(images, first=seed * images)
        scores[kind].append(train_and_test(training, tests, KINDS[kind], seed, steps))
    return {kind: np.array(rows) for kind, rows in scores.items()}


def train_and_test(
    training: Pairs, tests: Sequence[Pairs], transforms: Sequence[Transform], seed: int, steps: int
) -> list[float]:
    """Returns the mean IoU on each of the tests, after a training with these transforms."""
    images, masks = training
    model = UNet(depth=3, width=4, seed=seed)
    optimizer = RMSprop(model.parameters(), lr=RATE)
    augment = Augmentation(*transforms)
    order, rng = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    for step in range(steps):
        optimizer.lr = RATE * (1 - step / steps)  # to 0: where a training ends shall not depend on its last batches
        batch = order.choice(len(images), BATCH, replace=False)
        x, t = as_floats([augment(images[i], masks[i], rng) for i in batch])
        ops.binary_cross_entropy_with_logits(model.logits(x), t).backward()
        optimizer.step()
        optimizer.zero_grad()
    scores = []
    for x, t in (as_floats(zip(*test)) for test in tests):
        with no_grad():
            scores.append(metrics.mean_iou(model(x), t))
    return scores


def drawn(number: int, first: int) -> Pairs:
    """Returns drawings number `first` and following."""
    pets = DrawnPets(number, size=SIZE, first=first)
    images, masks = zip(*(pets[i] for i in range(number)))
    return np.stack(images), np.stack(masks)


def changed(pairs: Pairs, transforms: Sequence[Transform], seed: int = 0) -> Pairs:
    """Returns each image with its mask, changed by the transforms."""
    augment, rng = Augmentation(*transforms), np.random.default_rng(seed)
    images, masks = zip(*(augment(image, mask, rng) for image, mask in zip(*pairs)))
    return np.stack(images), np.stack(masks)


def as_floats(pairs):
    """Returns images from 0 to 1 and masks of 0 and 1, as float32 arrays with a first axis."""
    images, masks = (np.stack(arrays).astype(np.float32) for arrays in zip(*pairs))
    return images / 255, masks


def differences(scores: Mapping[str, NDArray], kind: str) -> tuple[NDArray, NDArray]:
    """Returns mean and standard error of the score with this kind less that without any: (tests,) each."""
    d = scores[kind] - scores["none"]
    return d.mean(axis=0), d.std(axis=0, ddof=1) / len(d) ** 0.5


def clear(scores: Mapping[str, NDArray], kind: str) -> NDArray[np.int_]:
    """Returns, for each test, whether this kind clearly helps (1), clearly harms (-1), or neither (0)."""
    mean, error = differences(scores, kind)
    return (np.sign(mean) * (abs(mean) > CLEAR * error)).astype(int)


# ---- what is told of it ------------------------------------------------------------------------------------


def run(seed: int) -> Result:
    """Trains with each kind and with all of them, for five seeds."""
    scores = measure(seeds=range(5 * seed, 5 * seed + 5))
    return Result(
        measured=_measured(scores),
        answer=_answer(clear(scores, "light")),
        header=("augmentation", *TESTS),
        rows=tuple((kind, *_cells(scores, kind)) for kind in scores),
        explanation=_explanation(scores),
        figure=draw(scores),
    )


def _answer(light):
    """Which of the guesses is right about "light", by what it clearly does to images as drawn and at half the light."""
    ordinary, dark = light[0], light[-1]
    if dark > 0:
        return 0 if ordinary > 0 else 1
    return 2


def _cells(scores, kind):
    if kind == "none":
        return tuple(f"{value:.2f}" for value in scores[kind].mean(axis=0))
    mean, error = differences(scores, kind)
    marks = {1: " better", -1: " worse", 0: ""}
    return tuple(f"{m:+.2f} ± {e:.2f}{marks[mark]}" for m, e, mark in zip(mean, error, clear(scores, kind).tolist()))


def _measured(scores):
    mean, error = differences(scores, "light")
    told = f"Changing the light while training adds {mean[0]:+.2f} ± {error[0]:.2f} to the mean IoU"
    return (
        f"{told} on images as drawn, and {mean[-1]:+.2f} ± {error[-1]:.2f} at half the light, where a network without "
        f"augmentation falls from {scores['none'].mean(axis=0)[0]:.2f} to {scores['none'].mean(axis=0)[-1]:.2f}. "
        f"(Five seeds, mean ± standard error. Anything less than {CLEAR:g} standard errors is within the spread.)"
    )


def _explanation(scores):
    kinds = [kind for kind in scores if kind != "none"]
    marks = {kind: dict(zip(TESTS, clear(scores, kind).tolist())) for kind in kinds}
    plain = dict(zip(TESTS, scores["none"].mean(axis=0).tolist()))
    seeds = scores["none"][:, 0]

    def told(test):
        better, worse = ([kind for kind in kinds if marks[kind][test] == sign] for sign in (1, -1))
        parts = [f"{' and '.join(names)} {verb}" for names, verb in ((better, "helped"), (worse, "harmed")) if names]
        return f"{test}: {', '.join(parts) or 'none stood out'}"

    return (
        "The convolution of an image at half the light is half as large, apart from the bias: the biases, learned in "
        "full light, then weigh twice as much as they should. Brightness(1), a factor between 1/2 and 2, and "
        "Contrast(0.3) show the network numbers of several sizes while it learns. In general an augmentation says what "
        "does not matter for the answer. It can help only as far as that is true of the images to come.\n\n"
        f"Which differences were beyond {CLEAR:g} standard errors? {'; '.join(map(told, TESTS))}. All others are "
        f"within the spread: other seeds may turn them around. Each seed has {IMAGES} images of its own, and the seeds "
        f"differ: without augmentation, their IoU as drawn runs from {seeds.min():.2f} to {seeds.max():.2f}. Only the "
        f"pairs, with and without, can be compared. On flipped images a network without augmentation reaches "
        f"{plain['flipped']:.2f}, as drawn {plain['as drawn']:.2f}.\n\n"
        "All had the same number of steps. Augmented images are harder to learn, so that more steps may change the "
        "picture. To read next: minunet/data/augment.py (the transforms, and the presets of --augment), "
        "minunet/data/warp.py (how several of them become one reading of the image)."
    )


def draw(scores: Mapping[str, NDArray]) -> Figure:
    """Returns the figure: an image under each kind, and what each kind adds on each test, seed by seed."""
    kinds = [kind for kind in scores if kind != "none"]
    figure = Figure(figsize=(11, 5.4), dpi=110, layout="constrained")
    halves = figure.add_gridspec(2, 1, height_ratios=(1, 1.9))
    image, mask = DrawnPets(1, size=128, first=20)[0]
    shown = [(kind, KINDS[kind]) for kind in scores] + [("half the light", TESTS["half the light"])]
    above = halves[0].subgridspec(1, len(shown))
    for number, (title, transforms) in enumerate(shown):
        panel = figure.add_subplot(above[number])
        panel.imshow(Augmentation(*transforms)(image, mask, np.random.default_rng(SHOWN))[0])
        panel.set_title(title, color=INK, fontsize=10)
        panel.set_xticks([])
        panel.set_yticks([])
    places = np.arange(len(kinds))[::-1]
    below = halves[1].subgridspec(1, len(TESTS))
    for number, test in enumerate(TESTS):
        panel = figure.add_subplot(below[number])
        for height, kind in zip(places, kinds):
            d = (scores[kind] - scores["none"])[:, number]
            mean, error = (a[number] for a in differences(scores, kind))
            panel.plot(d, np.full(len(d), height), "o", color="#8a8a8a", markersize=3.5)
            panel.errorbar(mean, height, xerr=error, fmt="D", color=TRAIN, markersize=6, capsize=3)
        panel.axvline(0, color=INK, linewidth=0.8)
        panel.set_yticks(places, kinds if number == 0 else [""] * len(kinds))
        panel.set_title(f"{test}: {scores['none'].mean(axis=0)[number]:.2f} without", color=INK, fontsize=10)
        panel.set_xlabel("difference of mean IoU")
        panel.grid(axis="x", color="#e6e6e6", linewidth=0.7)
    return figure


EXPERIMENT = Experiment(
    name="augmentation",
    question=(
        "A U-Net learns from 20 drawings, whose brightness and contrast are changed at random. What is that worth on "
        "held-out drawings as they are, and on the same at half the light?"
    ),
    guesses=(
        "it helps clearly on both",
        "it helps clearly on the dark ones only",
        "it does not help clearly on the dark ones",
    ),
    seconds=120,
    run=run,
)
