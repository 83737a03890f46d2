"""multiclass_dice_loss_with_logits: areas counted by hand, classes that are nowhere, weights, ignored pixels."""

import numpy as np
import pytest

from minunet import Tensor, ops
from minunet.device import to_numpy

loss_of = ops.multiclass_dice_loss_with_logits
# Two images of two pixels, three classes. First: class 0 has I 3/4, areas 5/4 and 1; class 1 I 1/4, areas 1/2 and 1;
# class 2 is predicted with 1/4 and is not there. Second: both pixels class 2, I 1, areas 1 and 2; 1/2 for 0 and for 1.
P = np.array([[[3 / 4, 1 / 4, 1e-300], [1 / 2, 1 / 4, 1 / 4]], [[1 / 4, 1 / 4, 1 / 2], [1 / 4, 1 / 4, 1 / 2]]])
Z, CLASSES = np.log(P), np.array([[0, 1], [2, 2]], np.uint8)
SCORES = np.array(
    [
        [(2 * 3 / 4 + 1) / (5 / 4 + 1 + 1), (2 * 1 / 4 + 1) / (1 / 2 + 1 + 1), 1 / (1 / 4 + 1)],
        [1 / (1 / 2 + 1), 1 / (1 / 2 + 1), (2 + 1) / (1 + 2 + 1)],
    ]
)


def value_and_gradient(put, z, classes, weights=None, class_weights=None, smooth=1.0, dtype="float64"):
    z = Tensor(put(np.array(z, dtype)), requires_grad=True)
    weights = None if weights is None else put(np.array(weights, dtype))
    y = loss_of(z, put(np.array(classes)), weights, class_weights, smooth)
    y.backward()
    assert y.shape == () and y.dtype == z.grad.dtype == dtype
    return y.item(), to_numpy(z.grad)


def by_loops(z, classes, weights, class_weights, smooth):
    """The loss of (N, P, K) logits, one image and class after another."""
    N, K, loss = len(z), z.shape[-1], 0.0
    p = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    for n in range(N):
        for k in range(K):
            both = predicted = truth = 0.0
            for i in np.ndindex(classes.shape[1:]):
                if classes[(n, *i)] == 255:
                    continue
                w = weights[(n, *i)]
                predicted += w * p[(n, *i, k)]
                truth += w * (classes[(n, *i)] == k)
                both += w * p[(n, *i, k)] * (classes[(n, *i)] == k)
            loss += class_weights[k] * (1 - (2 * both + smooth) / (predicted + truth + smooth))
    return loss / N / sum(class_weights)


def test_by_hand(xp_array):
    assert value_and_gradient(xp_array, Z, CLASSES)[0] == pytest.approx(1 - SCORES.mean(), rel=1e-13)
    value, _ = value_and_gradient(xp_array, Z, CLASSES, None, [1, 2, 5])
    assert value == pytest.approx(((1 - SCORES) * [1, 2, 5]).sum() / 8 / 2, rel=1e-13)


def test_the_example_in_the_text(xp_array):
    z = np.log([[[3 / 4, 1 / 4], [1 / 2, 1 / 2]]])
    value, _ = value_and_gradient(xp_array, z, [[0, 1]])
    assert value == pytest.approx(1 - (2.5 / 3.25 + 2 / 2.75) / 2, rel=1e-14) and round(value, 4) == 0.2517


def test_two_equal_logits_by_hand(xp_array):
    """One pixel of class 0, p = (1/2, 1/2): class 0 (1 + 1) / 2.5, class 1 1 / 1.5; the gradient through both."""
    value, gradient = value_and_gradient(xp_array, np.zeros((1, 1, 2)), [[0]])
    assert value == pytest.approx(1 - (2 / 2.5 + 1 / 1.5) / 2, rel=1e-14)
    gp = np.array([-(2 * 2.5 - 2) / 2.5**2, 1 / 1.5**2]) / 2
    np.testing.assert_allclose(gradient[0, 0], (gp - gp.mean()) / 2, rtol=1e-13)


@pytest.mark.parametrize("shape, K", [((2, 3, 5), 4), ((1, 7), 11), ((3, 1, 1), 2)])
def test_against_loops(xp_array, shape, K):
    rng = np.random.default_rng(K)
    z, classes, weights = rng.standard_normal((*shape, K)), rng.integers(0, K, shape), rng.uniform(0, 2, shape)
    classes[rng.random(shape) < 0.3] = 255
    of_classes = rng.uniform(0.5, 2, K)
    value, _ = value_and_gradient(xp_array, z, classes.astype(np.uint8), weights, of_classes, smooth=0.3)
    assert value == pytest.approx(by_loops(z, classes, weights, of_classes, 0.3), rel=1e-12)


def test_a_perfect_answer_and_classes_that_are_nowhere(xp_array):
    z = np.full((1, 2, 2, 4), -1e4)
    classes = np.array([[[0, 1], [1, 1]]])
    for index in np.ndindex(2, 2):
        z[(0, *index, classes[(0, *index)])] = 1e4
    assert value_and_gradient(xp_array, z, classes)[0] == 0  # 2 and 3 are nowhere: s/s


def test_ignored_pixels_are_as_if_they_were_not_there(xp_array):
    rng = np.random.default_rng(2)
    z, classes = rng.standard_normal((1, 6, 3)), np.array([[0, 255, 2, 1, 255, 0]], np.uint8)
    value, gradient = value_and_gradient(xp_array, z, classes)
    valid = classes[0] != 255
    kept = value_and_gradient(xp_array, z[:, valid], classes[:, valid])
    assert value == pytest.approx(kept[0], rel=1e-13)
    np.testing.assert_allclose(gradient[:, valid], kept[1], rtol=1e-11)
    assert not gradient[:, ~valid].any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_counts(xp_array, dtype):
    for classes, weights in (([[255, 255], [255, 255]], None), (CLASSES, [[0, 0], [0, 0]])):
        value, gradient = value_and_gradient(xp_array, Z, np.array(classes, np.uint8), weights, dtype=dtype)
        assert value == 0 and not gradient.any()


def test_an_image_does_not_depend_on_the_others(xp_array):
    alone = [value_and_gradient(xp_array, Z[n : n + 1], CLASSES[n : n + 1])[0] for n in (0, 1)]
    assert value_and_gradient(xp_array, Z, CLASSES)[0] == pytest.approx(sum(alone) / 2, rel=1e-13)


def test_a_class_that_does_not_exist_is_nan_on_a_gpu(array_on):
    put = array_on("gpu")
    assert np.isnan(loss_of(put(Z), put(np.array([[0, 1], [2, 3]]))).item())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"smooth": 0}, "smooth is 0: it must be positive"),
        ({"smooth": float("nan")}, "smooth is nan"),
        ({"z": Z[0, 0], "classes": CLASSES[0, 0]}, r"z has shape \(3,\): it must be \(N, …, K\), images first"),
        ({"classes": CLASSES + 1}, "2 pixels have class 3: with 3 classes"),
        ({"classes": CLASSES[0]}, r"classes has shape \(2,\), the logits \(2, 2, 3\)"),
        ({"class_weights": [1, 2]}, r"class_weights has shape \(2,\)"),
    ],
)
def test_errors_name_the_values_and_the_fix(change, message):
    with pytest.raises(ValueError, match=f"multiclass_dice_loss_with_logits: {message}"):
        loss_of(**({"z": Z, "classes": CLASSES} | change))


def test_logits_of_pixels_in_a_row():
    """(images, K) has no pixels along an axis of their own: each image is one pixel, and p = 1/2 for both classes.

    Dice of a class in an image that is it: 2 · 1/2 / (1/2 + 1), of the other: 0 / (1/2 + 0)."""
    z, classes = np.zeros((1, 1, 2)), np.array([[0]])
    loss = ops.multiclass_dice_loss_with_logits(Tensor(z), classes).item()
    assert loss == pytest.approx(1 - (2 / 2.5 + 1 / 1.5) / 2)  # with s = 1 above and below
    assert ops.multiclass_dice_loss_with_logits(Tensor(z[0]), classes[0]).item() == pytest.approx(loss)
