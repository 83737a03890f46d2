"""Checking a derivative: the gradient from `backward` against differences of the forward alone.

Let u be a random upstream gradient, and L(x) = ⟨u, f(x)⟩. The chain rule says ∇L = Jᵀu, which is what backward
returns. Two ways to check it:

Element by element. The central difference  (L(x + εe_i) - L(x - εe_i)) / 2ε  is ∂L/∂x_i up to O(ε²) and rounding,
about 1e-16 · |L| / ε. For numbers around 1 and ε = 1e-6 that is about 1e-12 and 1e-10: a smaller ε makes it worse. Two
forward passes for each element: complete, for small inputs.

By directions. For a random direction v,  ⟨Jᵀu, v⟩ = ⟨u, Jv⟩  and Jv = (f(x + εv) - f(x - εv)) / 2ε. Two forward passes
for all elements together, so a whole network can be checked. An error e in element i changes the left side by e·v_i. It
shows if that is more than the tolerance times ‖Jᵀu‖, and v_i is rarely small: below 0.1 in 8 of 100 cases, which is why
one takes several directions. What it does not say is which element is wrong.

Both measure an error by the largest derivatives: one below a millionth of them passes, even where it is the whole of a
small derivative.

u is random and never all ones, since u = 1 hides mistakes. A 2x2 transposed convolution of stride 2 then has gw[k,l] =
Σ x for every tap and gx = Σ w for every pixel, so a backward that swaps two taps passes. The gradient of a softmax is 0
for u = 1 (its outputs add up to 1 whatever the inputs are), so any multiple of the right backward passes.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.autograd.kinks import Kink, find_kink
from minunet.autograd.tensor import Tensor, TensorLike, no_grad
from minunet.device import array_module, to_numpy


class Comparison(NamedTuple):
    """A gradient beside the differences of its forward; `where` is "input 0", or "direction 0"."""

    where: str
    analytic: NDArray[Any]
    numeric: NDArray[Any]
    error: float  # the largest relative error, that at `place`
    place: tuple[int, ...]


class GradientError(AssertionError):
    """A gradient disagrees with the differences of its forward pass; `wrong` has the Comparison of each that does.

    kink: that of the function at the first of them, if it has one there; see kinks.py.
    """

    def __init__(self, wrong: list[Comparison], tolerance: float, kink: Kink | None = None) -> None:
        self.wrong = wrong
        self.kink = kink
        first = wrong[0]
        super().__init__(
            f"{first.where}: the worst gradient is at index {first.place}: backward says "
            f"{first.analytic[first.place] + 0.0:.9g}, differences say {first.numeric[first.place]:.9g} "
            f"(relative error {first.error:.2e}, allowed {tolerance:.0e})" + (f". {kink}" if kink else "")
        )


class GradcheckReport(NamedTuple):
    """worst_relative_error: largest |analytic - numeric| / scale; checked: how many derivatives were compared."""

    worst_relative_error: float
    checked: int


def gradcheck(
    f: Callable[..., Tensor],
    inputs: TensorLike | Sequence[TensorLike],
    directions: int | None = None,
    eps: float = 1e-6,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> GradcheckReport:
    """Raises GradientError unless the backward of `f` agrees with central differences; returns a GradcheckReport.

    f           takes as many Tensors as there are inputs and returns one Tensor of any shape. It must be
                deterministic and smooth at the inputs (no ReLU input within eps of 0, no ties in a maximum).
    inputs      an array or Tensor, or a list of them, in float64. Tensors without requires_grad are held constant
                if another input is a Tensor with it.
    directions  None: every element on its own. An int: that many random directions, for large inputs.
    eps         half the step of the difference, for one element or for every element along a random direction.
    tolerance   largest error allowed, relative to the largest derivative of the same input.
    seed        decides the random upstream gradient and the directions.

    The error names the input, the worst index and both values; and where the inputs lie at a kink, the operation that
    has it. Raises TypeError unless the inputs are float64.

    >>> gradcheck(lambda a, b: a * b, [np.array([1.0, 2.0]), np.array([3.0, 4.0])]).checked
    4
    """
    if directions is not None and directions < 1:
        raise ValueError(f"gradcheck: directions is {directions}: it must be at least 1, or nothing would be checked")
    arrays, checked = _as_float64_arrays(inputs)
    rng = np.random.default_rng(seed)
    leaves = [Tensor(a, requires_grad=i in checked) for i, a in enumerate(arrays)]
    y = f(*leaves)
    u = array_module(y.data).asarray(rng.standard_normal(y.shape))
    y.backward(u)
    analytic = {i: _gradient_of(leaves[i]) for i in checked}
    del y, leaves

    def loss(changed):
        with no_grad():
            return float((f(*(Tensor(a) for a in changed)).data * u).sum())

    if directions is None:
        comparisons = _compare_elements(loss, arrays, analytic, eps)
        moves = [{i: _one_at(c.place, c.analytic.shape)} for i, c in zip(analytic, comparisons)]
    else:
        vectors = [{i: rng.standard_normal(g.shape) for i, g in analytic.items()} for _ in range(directions)]
        comparisons = _compare_directions(loss, arrays, analytic, vectors, eps)
        moves = vectors
    wrong = [k for k, comparison in enumerate(comparisons) if comparison.error > tolerance]
    if wrong:
        first = comparisons[wrong[0]]
        kink = find_kink(f, lambda s: _moved(arrays, moves[wrong[0]], s), u, float(first.analytic[first.place]), eps)
        raise GradientError([comparisons[k] for k in wrong], tolerance, kink)
    worst = max((comparison.error for comparison in comparisons), default=0.0)
    return GradcheckReport(worst, sum(g.size for g in analytic.values()) if directions is None else directions)


def _as_float64_arrays(inputs):
    """Returns copies of the inputs as a list of arrays, and the indices of those to differentiate."""
    inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    marked = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    arrays = [x.data if isinstance(x, Tensor) else x for x in inputs]
    arrays = [(x if array_module(x) is not np else np.asarray(x)).copy() for x in arrays]
    checked = marked or [i for i, x in enumerate(arrays) if x.dtype.kind == "f"]
    for i in checked:
        if arrays[i].dtype != np.float64:
            raise TypeError(
                f"gradcheck: input {i} is {arrays[i].dtype}: it must be float64, since differences of smaller dtypes "
                'are mostly rounding error; give array.astype("float64")'
            )
    if not checked:
        raise TypeError("gradcheck: there is nothing to check: no input is floating-point")
    return arrays, checked


def _gradient_of(leaf):
    return np.zeros(leaf.shape) if leaf.grad is None else to_numpy(leaf.grad)


def numerical_gradient(loss: Callable[[list[Any]], float], arrays: list[Any], i: int, eps: float) -> NDArray[Any]:
    """Returns (L(x + εe) - L(x - εe)) / 2ε for every element of x = arrays[i], which is the same again afterwards.

    >>> numerical_gradient(lambda arrays: float((arrays[0] ** 2).sum()), [np.array([1.0, 3.0])], 0, 1e-6).round(6)
    array([2., 6.])
    """
    numeric = np.zeros(arrays[i].shape)
    for index in np.ndindex(numeric.shape):
        before = float(arrays[i][index])
        arrays[i][index] = before + eps
        above = loss(arrays)
        arrays[i][index] = before - eps
        below = loss(arrays)
        arrays[i][index] = before
        numeric[index] = (above - below) / (2 * eps)
    return numeric


def compare(analytic: NDArray[Any], numeric: NDArray[Any], where: str, scale: float = 0.0) -> Comparison:
    """Returns the Comparison of two arrays of one shape, relative to the largest number in either, or to `scale`."""
    error = relative_errors(analytic, numeric, scale)
    if error.size == 0:
        return Comparison(where, analytic, numeric, 0.0, ())
    place = tuple(int(k) for k in np.unravel_index(np.argmax(error), error.shape))
    return Comparison(where, analytic, numeric, float(error[place]), place)


def relative_errors(analytic: NDArray[Any], numeric: NDArray[Any], scale: float = 0.0) -> NDArray[Any]:
    """Returns |analytic - numeric|, divided by the largest number in either or by `scale`; infinite for NaN."""
    scale = max(scale, np.abs(analytic).max(initial=0), np.abs(numeric).max(initial=0), 1e-9)
    with np.errstate(invalid="ignore"):  # ∞ - ∞
        error = np.abs(analytic - numeric) / scale
    return np.where(np.isnan(error), np.inf, error)


def _compare_elements(loss, arrays, analytic, eps):
    """Compares each ∂L/∂x_i with the central difference in x_i. Returns a Comparison for each input."""
    return [
        compare(gradient, numerical_gradient(loss, arrays, i, eps), f"input {i}") for i, gradient in analytic.items()
    ]


def _compare_directions(loss, arrays, analytic, vectors, eps):
    """Compares ⟨Jᵀu, v⟩ with ⟨u, Jv⟩ for vectors v over all inputs at once. Returns a Comparison for each.

    Both are sums of many terms of either sign, so the error is relative to the length of Jᵀu, the size that the sum has
    for a typical v.
    """
    comparisons = []
    length = np.sqrt(sum(float((g * g).sum()) for g in analytic.values()))
    for k, v in enumerate(vectors):
        above, below = (loss(_moved(arrays, v, sign * eps)) for sign in (1, -1))
        numeric = (above - below) / (2 * eps)
        dot = sum(float((g * v[i]).sum()) for i, g in analytic.items())
        comparisons.append(compare(np.array(dot), np.array(numeric), f"direction {k}", length))
    return comparisons


def _moved(arrays, v, s):
    """Returns the arrays, those that v has a direction for moved by s along it."""
    return [a + array_module(a).asarray(s * v[i]) if i in v else a for i, a in enumerate(arrays)]


def _one_at(place, shape):
    v = np.zeros(shape)
    v[place] = 1.0
    return v
