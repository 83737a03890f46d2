"""gradcheck must be able to fail: here it meets derivatives that are wrong in many ways."""

import re

import numpy as np
import pytest

from minunet import Function, Tensor, gradcheck, ops
from minunet.autograd.gradcheck import GradientError

BOTH_FORMS = pytest.mark.parametrize("directions", [None, 3], ids=["elements", "directions"])


class Tripled(Function):
    """y = 3x; its backward is passed in."""

    def __init__(self, backward):
        self.answer = backward

    def forward(self, x):
        return 3 * x

    def backward(self, gy):
        return self.answer(gy)


def tripled(backward):
    return lambda x: Tripled(backward)(x)


def too_large_at(index):
    def backward(gy):
        gx = 3 * gy
        gx[index] *= 1.5
        return gx

    return backward


def swapped(gy):
    gx = 3 * gy
    gx[0, [0, 1]] = gx[0, [1, 0]]
    return gx


X = np.random.default_rng(0).standard_normal((2, 3))


@BOTH_FORMS
def test_a_correct_gradient_passes(directions):
    report = gradcheck(tripled(lambda gy: 3 * gy), X, directions)
    assert report.worst_relative_error < 1e-8
    assert report.checked == (6 if directions is None else 3)


@BOTH_FORMS
@pytest.mark.parametrize(
    "backward",
    [
        too_large_at((1, 2)),
        swapped,
        lambda gy: -3 * gy,
        lambda gy: gy,
        lambda gy: 3 * gy[::-1],
        lambda gy: 0 * gy,
        lambda gy: 3 * gy + 1e-4,
        lambda gy: 3 * np.ones_like(gy),
    ],
    ids=["one element", "swapped", "sign", "factor", "flipped", "zero", "a little", "ignores gy"],
)
def test_a_wrong_gradient_is_caught(backward, directions):
    with pytest.raises(GradientError):
        gradcheck(tripled(backward), X, directions)


def test_the_error_names_input_index_and_both_values():
    with pytest.raises(GradientError) as caught:
        gradcheck(lambda a, b: a + Tripled(too_large_at((1, 2)))(b), [X, X])
    assert "input 1" in str(caught.value) and "index (1, 2)" in str(caught.value)
    values = re.search(r"says (\S+), differences say (\S+) ", str(caught.value))
    backward, differences = map(float, values.groups())
    assert backward / differences == pytest.approx(1.5, rel=1e-6)


def test_an_error_below_a_millionth_of_the_largest_derivative_passes():
    """The second derivative is 3e-7 and backward says 0: all of it is missing, and nothing shows."""

    def f(x):
        return Tripled(lambda gy: 3 * gy * np.array([1.0, 0.0]))(x * np.array([1.0, 1e-7]))

    gradcheck(f, np.array([1.0, 1.0]))
    with pytest.raises(GradientError, match=r"index \(1,\)"):
        gradcheck(f, np.array([1.0, 1.0]), tolerance=1e-9)


def test_what_an_upstream_gradient_of_ones_would_not_show():
    """Two taps of a 2x2 transposed convolution, swapped in its backward; a multiple of a softmax's gradient."""
    rng = np.random.default_rng(0)
    x, w, z = rng.standard_normal((2, 3, 4, 2)), rng.standard_normal((2, 2, 3, 2)), rng.standard_normal((3, 5))

    def gradients(kernel, upstream):
        leaves = Tensor(x, requires_grad=True), Tensor(kernel, requires_grad=True)
        y = ops.conv_transpose2d(*leaves)
        y.backward(upstream if np.ndim(upstream) else np.full(y.shape, upstream))
        return [leaf.grad for leaf in leaves]

    def with_taps_swapped(kernel):
        return kernel[::-1].copy()

    for upstream, the_same in ((1.0, True), (rng.standard_normal((2, 6, 8, 3)), False)):
        gx, gw = gradients(w, upstream)
        swapped_gx, _ = gradients(with_taps_swapped(w), upstream)
        assert np.allclose(gx, swapped_gx) == np.allclose(gw, with_taps_swapped(gw)) == the_same

    logits = Tensor(z, requires_grad=True)
    ops.softmax(logits).backward(np.ones_like(z))
    np.testing.assert_allclose(logits.grad, 0, atol=1e-15)


def test_the_worst_of_several_wrong_elements_is_named():
    def backward(gy):
        gx = 3 * gy
        gx[0, 0] += 1e-3
        gx[1, 1] += 10
        return gx

    with pytest.raises(GradientError, match=r"index \(1, 1\)"):
        gradcheck(tripled(backward), X)


def test_the_error_of_the_directions_names_both_values():
    with pytest.raises(GradientError, match=r"direction 0.*backward says -?\d.*differences say -?\d"):
        gradcheck(tripled(lambda gy: gy), X, directions=1)


@BOTH_FORMS
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_caught(bad, directions):
    def backward(gy):
        gx = 3 * gy
        gx[0, 1] = bad
        return gx

    with pytest.raises(GradientError), np.errstate(all="ignore"):
        gradcheck(tripled(backward), X, directions)


@BOTH_FORMS
def test_a_forward_that_is_nan_is_caught(directions):
    with pytest.raises(GradientError), np.errstate(all="ignore"):
        gradcheck(lambda x: x.log(), np.array([1.0, -1.0]), directions)


@BOTH_FORMS
def test_lost_history_is_caught(directions):
    with pytest.raises(GradientError):
        gradcheck(lambda x: x * x.detach(), X, directions)


@BOTH_FORMS
def test_a_wrong_gradient_of_one_input_among_several(directions):
    with pytest.raises(GradientError):
        gradcheck(lambda a, b, c: a * b + Tripled(too_large_at((0, 0)))(c), [X, X + 1, X + 2], directions)


@BOTH_FORMS
def test_outputs_of_any_shape(directions):
    gradcheck(lambda x: (x * x).sum(), X, directions)
    gradcheck(lambda x: (x * x).reshape(3, 1, 2), X, directions)
    gradcheck(lambda x: x * x, np.array(1.5), directions)


@BOTH_FORMS
def test_an_input_that_is_not_used_has_gradient_zero(directions):
    assert gradcheck(lambda a, b: a * 2, [X, X], directions).worst_relative_error < 1e-8


def test_tensors_that_require_no_gradient_are_held_constant():
    def f(a, b):
        return a * Tripled(lambda gy: gy)(b)  # wrong for b

    a, b = Tensor(X, requires_grad=True), Tensor(X)
    assert gradcheck(f, [a, b]).checked == 6
    assert gradcheck(f, [a, X]).checked == 6
    assert gradcheck(f, [a, Tensor(X.astype("float32"))]).checked == 6
    with pytest.raises(GradientError):
        gradcheck(f, [X, X])


def test_integers_are_held_constant():
    assert gradcheck(lambda x, n: x * n, [X, np.array([1, 2, 3])]).checked == 6


def test_inputs_are_left_unchanged():
    x = Tensor(X.copy(), requires_grad=True)
    gradcheck(lambda x: x * x, [x])
    gradcheck(lambda x: x * x, [x], directions=2)
    assert x.grad is None
    np.testing.assert_array_equal(x.data, X)


def test_the_same_seed_gives_the_same_check():
    results = [gradcheck(lambda x: x * x * x, X, seed=seed).worst_relative_error for seed in (1, 1, 2)]
    assert results[0] == results[1] != results[2]


def test_the_tolerance_decides():
    def off_by_a_millionth(gy):
        return 3 * gy * (1 + 1e-5)

    gradcheck(tripled(off_by_a_millionth), X, tolerance=1e-4)
    with pytest.raises(GradientError, match="allowed 1e-06"):
        gradcheck(tripled(off_by_a_millionth), X)


@pytest.mark.parametrize(
    "inputs", [X.astype("float32"), [X, X.astype("float32")], Tensor(X.astype("float16"), requires_grad=True)]
)
def test_smaller_dtypes_are_refused(inputs):
    with pytest.raises(TypeError, match="input . is float.*: it must be float64"):
        gradcheck(lambda *x: x[0] * 1, inputs)


def test_nothing_to_check():
    with pytest.raises(TypeError, match="nothing to check"):
        gradcheck(lambda n: n * 2.0, np.array([1, 2]))


def test_zero_directions_are_refused():
    with pytest.raises(ValueError, match="directions"):
        gradcheck(tripled(lambda gy: gy), X, directions=0)


def test_on_the_device(xp_array):
    gradcheck(lambda a, b: (a * b).exp(), [xp_array(X), xp_array(X[0])])
    gradcheck(lambda a, b: (a * b).exp(), [xp_array(X), xp_array(X[0])], directions=2)
    with pytest.raises(GradientError):
        gradcheck(tripled(lambda gy: gy), xp_array(X))


def test_an_input_without_elements_has_no_wrong_gradient():
    report = gradcheck(lambda x: x * 2, np.ones((0, 3)))
    assert report.worst_relative_error == 0
