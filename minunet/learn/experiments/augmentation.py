"""What each kind of augmentation is worth to a network that has few images: on others like them, and on changed ones.

Every network starts from the same weights as the one without augmentation, and gets the same batches in the same order.
So their scores are compared in pairs, seed by seed, each seed with images of its own:

    d_s = score with - score without, for seed s

Only where all d_s have the same sign is the difference called clear. If a kind made no difference, so that each sign
were a toss of a coin, all six would agree once in 32 times.
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
    "light": (Brightness(1.0), Contrast(0.3), Saturation(0.5), Tint(0.07)),
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
SHOWN = 25  # a seed with which each kind can be seen


def measure(
    kinds: Sequence[str] = tuple(KINDS), seeds: Sequence[int] = range(6), steps: int = 250, images: int = IMAGES
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


def differences(scores: Mapping[str, NDArray], kind: str) -> NDArray:
    """Returns d: the score with this kind less that without any, (seeds, tests)."""
    return scores[kind] - scores["none"]


def clear(d: NDArray) -> NDArray[np.int_]:
    """Returns whether each column of d is positive throughout (1), negative throughout (-1), or neither (0).

    >>> clear(np.array([[0.1, 0.1, -0.2], [0.3, -0.1, -0.1]])).tolist()
    [1, 0, -1]
    """
    return (d > 0).all(axis=0).astype(int) - (d < 0).all(axis=0).astype(int)


# ---- what is told of it ------------------------------------------------------------------------------------


def run(seed: int) -> Result:
    """Trains with each kind and with all of them, for six seeds."""
    scores = measure(seeds=range(6 * seed, 6 * seed + 6))
    return Result(
        measured=_measured(scores),
        answer=_answer(differences(scores, "all")),
        header=("augmentation", *TESTS),
        rows=tuple((kind, *_cells(scores, kind)) for kind in scores),
        explanation=_explanation(scores),
        figure=draw(scores),
    )


def _answer(d):
    """Which of the guesses is right about "all": is it clearly better as drawn, and where the images are changed?"""
    ordinary, changed_ones = clear(d[:, 0]), clear(d[:, 2:].mean(axis=1))
    if changed_ones > 0:
        return 0 if ordinary > 0 else 1
    return 2 if ordinary > 0 else 3


def _cells(scores, kind):
    if kind == "none":
        return tuple(f"{value:.2f}" for value in scores[kind].mean(axis=0))
    d = differences(scores, kind)
    words = {1: ", better", -1: ", worse", 0: ""}
    marks = [words[mark] for mark in clear(d).tolist()]
    return tuple(f"{_range(column)}{mark}" for column, mark in zip(d.T, marks))


def _range(d):
    return f"{d.mean():+.2f} ({d.min():+.2f} to {d.max():+.2f})"


def _measured(scores):
    d = differences(scores, "all")
    told = "; ".join(
        f"{test} by {_range(d[:, i])}, from {scores['none'][:, i].mean():.2f}"
        for i, test in enumerate(TESTS)
        if test != "flipped"
    )
    return (
        f"All augmentations together change the mean IoU of held-out images: {told}. (Mean of {len(d)} seeds, least "
        "and most. A difference is called clear only if all seeds agree on its sign; of the changed images, the mean "
        "of those moved and those at half the light.)"
    )


def _explanation(scores):
    kinds = [kind for kind in scores if kind != "none"]
    marks = {kind: dict(zip(TESTS, clear(differences(scores, kind)).tolist())) for kind in kinds}
    plain = scores["none"].mean(axis=0)

    def told(test):
        better, worse = ([kind for kind in kinds if marks[kind][test] == sign] for sign in (1, -1))
        parts = [f"{word} with {', '.join(names)}" for names, word in ((better, "better"), (worse, "worse")) if names]
        return f"{test}: {', '.join(parts) or 'none'}"

    return (
        "An augmentation says what does not matter for the answer, and it can help only as far as that is true of the "
        "images to come. Images as drawn resemble those of the training; moved or darker ones do not, unless "
        "augmentation has shown such images to the network. The convolution of an image at half the light, for "
        "example, is half as large, apart from the bias: the biases, learned in full light, then weigh twice as much "
        "as they should. Brightness(1), a factor between 1/2 and 2, shows the network numbers of all these sizes.\n\n"
        f"Which differences are clear, with all {len(scores['none'])} seeds? {'; '.join(map(told, TESTS))}. All others "
        "are within the spread: other seeds may turn them around. If augmentation did nothing, one "
        "difference in 32 would still look clear by chance. To a network without augmentation, flipped "
        f"images are like any others ({plain[1]:.2f} against {plain[0]:.2f}), so that there was little to gain.\n\n"
        "All networks took the same number of steps. Augmented images are harder to learn, and more steps may change "
        "the picture. To read next: minunet/data/augment.py (the transforms, and the presets of --augment), "
        "minunet/data/warp.py (how several of them become one reading of the image)."
    )


def draw(scores: Mapping[str, NDArray]) -> Figure:
    """Returns the figure: an image under each kind, and what each kind adds on each test, seed by seed.

    What is clear is blue, what is within the spread gray.
    """
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
            d = differences(scores, kind)[:, number]
            color = TRAIN if clear(d) else "#8a8a8a"
            panel.plot((d.min(), d.max()), (height, height), color=color, linewidth=1.5)
            panel.plot(d, np.full(len(d), height), "o", color=color, markersize=3.5)
            panel.plot(d.mean(), height, "D", color=color, markersize=8)
        panel.axvline(0, color=INK, linewidth=0.8)
        panel.set_yticks(places, kinds if number == 0 else [""] * len(kinds))
        panel.set_title(f"{test}: {scores['none'].mean(axis=0)[number]:.2f} without", color=INK, fontsize=10)
        panel.set_xlabel("difference of mean IoU")
        panel.locator_params(axis="x", nbins=3)
        panel.grid(axis="x", color="#e6e6e6", linewidth=0.7)
    return figure


EXPERIMENT = Experiment(
    name="augmentation",
    question=(
        "A U-Net learns from 20 drawings, which are flipped, moved, deformed, and lit in other ways at random. Does "
        "that help on held-out drawings as they are, and on the same when they are moved, or at half the light?"
    ),
    guesses=(
        "clearly on both",
        "clearly on the changed ones only",
        "clearly on those as they are only",
        "on neither: other seeds say otherwise",
    ),
    seconds=120,
    run=run,
)
