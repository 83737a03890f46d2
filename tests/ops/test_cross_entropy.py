"""cross_entropy_with_logits: values by hand, weights, ignored pixels, classes that do not exist, memory."""

import math
import tracemalloc

import numpy as np
import pytest

from minunet import Tensor, ops, use_kernels
from minunet.data.labels import IGNORE
from minunet.device import to_numpy
from minunet.kernels.reference.classes import IGNORED

# Two pixels, p = (1/8, 2/8, 5/8) of class 1 and p = (1/2, 1/4, 1/4) of class 0
Z, CLASSES = np.log([[1.0, 2.0, 5.0], [4.0, 2.0, 2.0]]), np.array([1, 0], np.uint8)
LOSSES = np.array([math.log(4), math.log(2)])
ERRORS = np.array([[1 / 8, -6 / 8, 5 / 8], [-1 / 2, 1 / 4, 1 / 4]])


def value_and_gradient(put, z, classes, weights=None, class_weights=None, dtype="float64", gy=1.0):
    z = Tensor(put(np.array(z, dtype)), requires_grad=True)
    weights = None if weights is None else put(np.array(weights, dtype))
    y = ops.cross_entropy_with_logits(z, put(np.array(classes)), weights, class_weights)
    y.backward(put(np.array(gy, dtype)))
    assert y.shape == () and y.dtype == z.grad.dtype == dtype
    return y.item(), to_numpy(z.grad)


def random_case(shape=(2, 3, 5), K=4, seed=0):
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, K, shape).astype(np.uint8)
    classes[rng.random(shape) < 0.3] = IGNORE
    return 3 * rng.standard_normal((*shape, K)), classes, rng.uniform(0, 2, shape), rng.uniform(0.5, 2, K)


def by_loops(z, classes, weights, class_weights):
    """Σ w l / Σ w and its gradient, one pixel after another."""
    total = loss = 0.0
    gradient = np.zeros(z.shape)
    for index in np.ndindex(classes.shape):
        t = int(classes[index])
        if t == 255:
            continue
        w = weights[index] * class_weights[t]
        powers = [math.exp(v) for v in z[index]]
        loss -= w * math.log(powers[t] / sum(powers))
        total += w
        for k, power in enumerate(powers):
            gradient[(*index, k)] = w * (power / sum(powers) - (k == t))
    return loss / total, gradient / total


def test_by_hand(xp_array):
    value, gradient = value_and_gradient(xp_array, Z, CLASSES)
    assert value == pytest.approx(LOSSES.mean(), rel=1e-14)
    np.testing.assert_allclose(gradient, ERRORS / 2, rtol=1e-13)
    value, gradient = value_and_gradient(xp_array, Z, CLASSES, [1, 3], gy=2.0)
    assert value == pytest.approx((LOSSES * [1, 3]).sum() / 4, rel=1e-14)
    np.testing.assert_allclose(gradient, 2 * ERRORS * [[1 / 4], [3 / 4]], rtol=1e-13)
    value, gradient = value_and_gradient(xp_array, Z, CLASSES, [1, 3], [2, 1, 7])
    assert value == pytest.approx((LOSSES * [1, 6]).sum() / 7, rel=1e-14)
    np.testing.assert_allclose(gradient, ERRORS * [[1 / 7], [6 / 7]], rtol=1e-13)


def test_the_example_in_the_text(xp_array):
    z = [[1, 2, 3], [0, 0, 0]]
    value, gradient = value_and_gradient(xp_array, z, CLASSES)
    assert value == pytest.approx(1.2531, abs=5e-5)
    np.testing.assert_allclose(2 * gradient, [[0.0900, -0.7553, 0.6652], [-2 / 3, 1 / 3, 1 / 3]], atol=5e-5)
    assert value_and_gradient(xp_array, z, CLASSES, None, [3, 1, 1])[0] == pytest.approx(1.1759, abs=5e-5)


@pytest.mark.parametrize("K", [2, 3, 11, 70, 255])
def test_against_loops(xp_array, K):
    z, classes, weights, of_classes = random_case((2, 3, 5), K, seed=K)
    value, gradient = value_and_gradient(xp_array, z, classes[..., None], weights[..., None], of_classes)
    expected = by_loops(z, classes, weights, of_classes)
    assert value == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-10, atol=1e-14)


def test_two_classes_are_the_binary_cross_entropy(xp_array):
    z, t = np.linspace(-4, 4, 6), np.array([0, 1, 1, 0, 1, 0])
    value, gradient = value_and_gradient(xp_array, np.stack([0 * z, z], axis=1), t)
    p = 1 / (1 + np.exp(-z))
    assert value == pytest.approx(np.mean(-t * np.log(p) - (1 - t) * np.log(1 - p)), rel=1e-13)
    np.testing.assert_allclose(gradient[:, 1], (p - t) / 6, rtol=1e-12)
    np.testing.assert_allclose(gradient[:, 0], (t - p) / 6, rtol=1e-12)


def test_ignored_pixels_count_nowhere(xp_array):
    z, classes, weights, of_classes = random_case()
    value, gradient = value_and_gradient(xp_array, z, classes, weights, of_classes)
    valid = classes != 255
    assert 0 < valid.sum() < classes.size
    kept = value_and_gradient(xp_array, z[valid], classes[valid], weights[valid], of_classes)
    assert value == pytest.approx(kept[0], rel=1e-13)
    np.testing.assert_allclose(gradient[valid], kept[1], rtol=1e-12)
    assert not gradient[~valid].any()
    assert IGNORED == IGNORE


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_counts(xp_array, dtype):
    for classes, weights in (([255, 255], None), ([1, 0], [0, 0]), ([255, 0], [1, 0])):
        value, gradient = value_and_gradient(xp_array, Z, np.array(classes, np.uint8), weights, dtype=dtype)
        assert value == 0 and not gradient.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits(xp_array, dtype):
    """Warnings are errors in these tests: nothing overflows, and no logarithm of 0 is taken."""
    z = [[1e4, 0, -1e4], [1e4, 0, -1e4]]
    value, gradient = value_and_gradient(xp_array, z, [0, 2], dtype=dtype)
    assert value == 1e4  # (0 + 2e4) / 2: confidently wrong, and still a gradient
    assert gradient.tolist() == [[0, 0, 0], [0.5, 0, -0.5]]


@pytest.mark.parametrize("integer", ["uint8", "int16", "uint16", "int32", "int64"])
def test_any_integers(xp_array, integer):
    assert value_and_gradient(xp_array, Z, CLASSES.astype(integer))[0] == pytest.approx(LOSSES.mean(), rel=1e-14)


def test_the_order_of_the_axes_in_memory_does_not_matter(xp_array):
    z, classes, weights, of_classes = random_case((4, 3, 5))
    expected = value_and_gradient(xp_array, z, classes, weights, of_classes)
    tensor = Tensor(xp_array(z).transpose(1, 0, 2, 3), requires_grad=True)
    arrays = (xp_array(a).swapaxes(0, 1) for a in (classes, weights))
    loss = ops.cross_entropy_with_logits(tensor, *arrays, of_classes)
    loss.backward()
    assert loss.item() == pytest.approx(expected[0], rel=1e-13)
    np.testing.assert_allclose(to_numpy(tensor.grad).swapaxes(0, 1), expected[1], rtol=1e-12)


# ---- classes that do not exist -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "classes, message",
    [
        (np.array([1, 3], np.uint8), "1 pixel has class 3: with 3 classes it must be 0 to 2, or 255"),
        (np.array([-1, 256]), "2 pixels have class -1, 256:"),
        (np.array([254, 255], np.uint8), "1 pixel has class 254:"),
    ],
)
def test_on_the_cpu_they_are_named(classes, message):
    with pytest.raises(ValueError, match=f"cross_entropy_with_logits: {message}"):
        ops.cross_entropy_with_logits(Z, classes)


def test_many_of_them_are_shortened():
    with pytest.raises(ValueError, match="8 pixels have class 3, 4, 5, 6, 7, …: with 3 classes"):
        ops.cross_entropy_with_logits(np.zeros((8, 3)), np.arange(3, 11))


@pytest.mark.parametrize("wrong", [3, 200, -1, 300])
def test_on_a_gpu_the_loss_is_nan(array_on, wrong):
    put = array_on("gpu")
    for classes in (np.array([1, wrong]), np.array([wrong, 255])):
        loss = ops.cross_entropy_with_logits(put(Z), put(classes))
        assert math.isnan(loss.item())


# ---- memory ------------------------------------------------------------------------------------------------


def test_memory_is_that_of_one_array_like_z(one_thread):
    """The error is scaled in place: forward and backward together allocate it, and little else."""
    z = Tensor(np.zeros((2, 512, 512, 11), np.float32), requires_grad=True)
    classes = np.zeros((2, 512, 512, 1), np.uint8)
    tracemalloc.start()
    try:
        ops.cross_entropy_with_logits(z, classes).backward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert z.data.nbytes <= peak < 1.3 * z.data.nbytes


def test_an_error_is_used_up_by_its_backward():
    """Scaling it in place a second time would be wrong; the engine refuses a second backward anyway."""
    z = Tensor(Z, requires_grad=True)
    loss = ops.cross_entropy_with_logits(z, CLASSES)
    loss.backward()
    first = z.grad.copy()
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()
    np.testing.assert_array_equal(z.grad, first)
    # used twice in one graph, both gradients add up, though each was scaled in place
    z.grad = None
    (ops.cross_entropy_with_logits(z, CLASSES) * 2 + ops.cross_entropy_with_logits(z, CLASSES)).backward()
    np.testing.assert_allclose(z.grad, 3 * first, rtol=1e-14)


# ---- errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"z": Z[:, :1]}, ValueError, r"z has shape \(2, 1\): it must be \(…, K\) with 2 to 255 classes.*binary_cross"),
        ({"z": np.ones((2, 256))}, ValueError, r"z has shape \(2, 256\)"),
        ({"z": np.array(1.0)}, ValueError, r"z has shape \(\)"),
        ({"z": Z.astype(int)}, TypeError, "z is int64: it must be floating-point"),
        ({"classes": CLASSES[:1]}, ValueError, r"classes has shape \(1,\), the logits \(2, 3\): it must be \(2,\), or"),
        ({"classes": CLASSES[None]}, ValueError, r"classes has shape \(1, 2\)"),
        (
            {"classes": CLASSES * 1.0},
            TypeError,
            'classes are float64: they must be integers; give array.astype."uint8"',
        ),
        ({"classes": CLASSES == 1}, TypeError, "classes are bool"),
        ({"weights": np.ones((2, 3))}, ValueError, r"weights has shape \(2, 3\)"),
        ({"class_weights": [1, 2]}, ValueError, r"class_weights has shape \(2,\): it must be \(3,\)"),
    ],
)
def test_errors_name_the_values_and_the_fix(change, error, message):
    with pytest.raises(error, match=f"cross_entropy_with_logits: {message}"):
        ops.cross_entropy_with_logits(**({"z": Z, "classes": CLASSES} | change))


@pytest.mark.parametrize("which", ["classes", "weights"])
def test_arrays_on_another_device_are_refused(which, elsewhere):
    arrays = {"classes": CLASSES, "weights": np.ones(2)}
    arrays[which] = elsewhere(arrays[which])
    with pytest.raises(ValueError, match=f"{which} is on gpu:7, the prediction on cpu"):
        ops.cross_entropy_with_logits(Z, **arrays)


def test_the_plain_kernels_agree():
    z, classes, weights, of_classes = random_case()
    fast = value_and_gradient(np.asarray, z, classes, weights, of_classes)
    with use_kernels("reference"):
        plain = value_and_gradient(np.asarray, z, classes, weights, of_classes)
    assert plain[0] == pytest.approx(fast[0], rel=1e-13)
    np.testing.assert_allclose(plain[1], fast[1], rtol=1e-11, atol=1e-15)
