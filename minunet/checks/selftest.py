"""Does this machine's device compute what it should? `minunet selftest --device gpu`

Every operation, loss and optimizer runs forward and backward on the same random numbers, and is compared:

    on a GPU     against the NumPy kernels of `kernels/cpu/`
    on the CPU   against the plain loops of `kernels/reference/`

The error is that of a whole array, ‖a - b‖ / ‖b‖. Sums in another order differ in the last digits; a single wrong
pixel among a million shows.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet import optim
from minunet.autograd import Tensor
from minunet.checks.gradient_cases import Case, all_cases
from minunet.clipping import clip_gradients
from minunet.device import Array, to_device, to_numpy
from minunet.kernels import use_kernels
from minunet.metrics import ConfusionScores, MaskScores
from minunet.ops import conv2d, conv_transpose2d, cross_entropy_with_logits, max_pool2d
from minunet.tasks import Binary

ALLOWED = {"float32": 1e-5, "float64": 1e-10}
NETWORK_ALLOWED = 1e-3  # float32, a whole network: where the sum before a ReLU is nearly 0, its sign is undetermined


class Check(NamedTuple):
    """A computation that must not depend on the device: answers(device, dtype) is a list of arrays."""

    operation: str
    label: str
    answers: Callable[[str, str], list[Array]]

    def error(self, device: str, dtype: str) -> float:
        """Returns the largest relative error of an array on `device`; infinite for another shape or dtype."""
        with use_kernels("reference" if device == "cpu" else "cpu"):
            expected = self.answers("cpu", dtype)
        found = self.answers(device, dtype)
        pairs = zip(map(to_numpy, found), map(to_numpy, expected), strict=True)
        return max(relative_error(a, b) for a, b in pairs)

    def allowed(self, dtype: str) -> float:
        """Returns the largest error that rounding explains."""
        return NETWORK_ALLOWED if self.operation.startswith("UNet") and dtype == "float32" else ALLOWED[dtype]


def relative_error(a: NDArray, b: NDArray) -> float:
    """Returns ‖a - b‖ / ‖b‖; infinite for another shape or dtype, and for NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    length = np.linalg.norm(b.astype(np.float64).ravel())
    error = np.linalg.norm(a.astype(np.float64).ravel() - b.astype(np.float64).ravel()) / (length or 1.0)
    return float("inf") if np.isnan(error) else float(error)


def all_checks(quick: bool = False) -> list[Check]:
    """Returns every Check, the same ones each time. quick: without those at the sizes that training has."""
    rng = np.random.default_rng(0)
    cases = [*all_cases(), *([] if quick else full_size_cases(rng))]
    checks = [Check(case.operation, case.label, _of_case(case)) for case in cases]
    for name, make in OPTIMIZERS.items():
        checks.append(Check("optimizer", name, _of_optimizer(make)))
    return [
        *checks,
        Check("clipped gradients", "", _clipped),
        Check("batch to float32", "", _batch),
        Check("scores", "", _scores),
        Check("confusion matrix", "", _confusion),
    ]


def full_size_cases(rng: np.random.Generator) -> Iterator[Case]:
    """Yields layers of the lecture's U-Net on images of 256 x 256, and one so large that P(x) takes several blocks."""
    layers = [(256, 3, 8), (256, 8, 8), (256, 10, 16), (128, 16, 16), (32, 128, 64), (4, 256, 512)]
    for side, channels, filters in layers:
        x, w = rng.standard_normal((4, side, side, channels)), rng.standard_normal((3, 3, channels, filters)) / 9
        yield Case("conv2d", f"{side}x{side}, {channels} to {filters}", conv2d, [x, w, rng.standard_normal(filters)])
    x, w = rng.standard_normal((4, 256, 256, 16)), rng.standard_normal((1, 1, 16, 1))
    yield Case("conv2d", "256x256, 1x1", conv2d, [x, w, rng.standard_normal(1)])
    x, w = rng.standard_normal((40, 128, 128, 8)), rng.standard_normal((3, 3, 8, 8)) / 9
    yield Case("conv2d", "many images", conv2d, [x, w])
    for side, channels, filters in [(128, 16, 2), (4, 512, 64)]:
        x, w = rng.standard_normal((4, side, side, channels)), rng.standard_normal((2, 2, filters, channels))
        yield Case(
            "conv_transpose2d",
            f"{side}x{side}, {channels} to {filters}",
            lambda x, w, b: conv_transpose2d(x, w, b, stride=2),
            [x, w, rng.standard_normal(filters)],
        )
    z, classes = rng.standard_normal((4, 256, 256, 11)), rng.integers(0, 11, (4, 256, 256))
    yield Case("cross_entropy_with_logits", "256x256, 11 classes", cross_entropy_with_logits, [z, classes])
    x = rng.permutation(4 * 256 * 256 * 8).reshape(4, 256, 256, 8) / 2.0**20  # distinct, in float32 too
    yield Case("max_pool2d", "256x256", max_pool2d, [x])


def _of_case(case):
    """Returns a function for a Case: its output and the gradients of its inputs, for a random upstream gradient."""

    def answers(device, dtype):
        inputs = [np.asarray(x) for x in case.inputs]
        floating = [x.dtype.kind == "f" for x in inputs]
        tensors = [
            Tensor(to_device(x.astype(dtype) if f else x, device), requires_grad=f) for x, f in zip(inputs, floating)
        ]
        y = case.f(*tensors)
        gy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
        y.backward(to_device(gy, y.device))
        return [y.data, *(t.grad for t, f in zip(tensors, floating) if f)]

    return answers


OPTIMIZERS = {
    "SGD": lambda params: optim.SGD(params, lr=0.1),
    "SGD with momentum": lambda params: optim.SGD(params, lr=0.1, momentum=0.9),
    "RMSprop": lambda params: optim.RMSprop(params, lr=0.1),
    "Adam": lambda params: optim.Adam(params, lr=0.1),
    "Adam with weight decay": lambda params: optim.Adam(params, lr=0.1, weight_decay=0.1),
}


def _clipped(device, dtype):
    """Returns the gradients of two parameters, clipped to norm 1 together."""
    rng = np.random.default_rng(3)
    params = [Tensor(to_device(np.zeros(shape, dtype), device), requires_grad=True) for shape in [(3, 3, 5, 7), (7,)]]
    for p in params:
        p.grad = to_device(rng.standard_normal(p.shape).astype(dtype), device)
    clip_gradients(params, 1.0)
    return [p.grad for p in params]


def _of_optimizer(make):
    """Returns a function for an optimizer: two parameters after three steps with random gradients."""

    def answers(device, dtype):
        rng = np.random.default_rng(2)
        params = [
            Tensor(to_device(rng.standard_normal(shape).astype(dtype), device), requires_grad=True)
            for shape in [(3, 3, 5, 7), (7,)]
        ]
        optimizer = make(params)
        for _ in range(3):
            for p in params:
                p.grad = to_device(rng.standard_normal(p.shape).astype(dtype), device)
            optimizer.step()
        return [p.data for p in params]

    return answers


def _batch(device, dtype):
    """Returns a batch as it enters the network: float32, whatever `dtype` is."""
    rng = np.random.default_rng(3)
    images, masks = rng.integers(0, 256, (2, 9, 7, 3), np.uint8), _masks(rng, 2)
    return [*Binary().targets(to_device(images, device), to_device(masks, device))]


def _scores(device, dtype):
    """Returns all scores of two batches."""
    rng, scores = np.random.default_rng(4), MaskScores()
    for count in (3, 2):
        p, masks = rng.uniform(0, 1, (count, 9, 7, 1)).astype(dtype), _masks(rng, count)
        scores.update(to_device(p, device), to_device(masks, device))
    return [np.array(list(scores.result().values()))]


def _confusion(device, dtype):
    """Returns the confusion matrix of two batches; the outputs have more channels than there are classes."""
    rng, scores = np.random.default_rng(5), ConfusionScores(5)
    for count in (3, 2):
        outputs, labels = rng.standard_normal((count, 9, 7, 8)).astype(dtype), rng.integers(0, 5, (count, 9, 7, 1))
        labels[:, 0] = 255
        scores.update(to_device(outputs, device), to_device(labels.astype(np.uint8), device))
    return [scores.matrix()]


def _masks(rng, count):
    return rng.choice(np.array([0, 1, 255], np.uint8), (count, 9, 7, 1))


class Row(NamedTuple):
    """One operation: the number of checks, {dtype: worst error}, and a line about each check that failed."""

    operation: str
    checks: int
    worst: dict[str, float]
    failed: list[str]


def run(
    checks: Iterable[Check], device: str, watch: Callable[[Iterable[Check]], Iterable[Check]] = lambda checks: checks
) -> list[Row]:
    """Returns the Rows, in the order of the checks. watch(checks) yields the same checks, maybe with a progress bar."""
    rows: dict[str, Row] = {}
    for check in watch(checks):
        row = rows.setdefault(check.operation, Row(check.operation, 0, dict.fromkeys(ALLOWED, 0.0), []))
        for dtype in ALLOWED:
            try:
                error, why = check.error(device, dtype), ""
            except MemoryError:
                raise
            except Exception as found:  # whatever a broken kernel makes the libraries raise: the table goes on
                error, why = float("inf"), f" ({type(found).__name__}: {found})"
            row.worst[dtype] = _worse(row.worst[dtype], error, check.allowed(dtype))
            if error > check.allowed(dtype):
                row.failed.append(f"{check.operation} {check.label}, {dtype}: relative error {error:.1e}{why}")
        rows[check.operation] = row._replace(checks=row.checks + 1)
    return list(rows.values())


def _worse(a, b, allowed):
    """Returns the larger of two errors; but one that is a number, if it is too large, says more than infinity."""
    numbers = [error for error in (a, b) if allowed < error < float("inf")]
    return max(numbers, default=max(a, b))
