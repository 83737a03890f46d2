"""The tables of losses, as the command line chooses them."""

import tracemalloc

import numpy as np
import pytest

from minunet import Tensor, UNet, gradcheck, ops
from minunet.ops.losses import CLASS_LOSSES, LOSSES, cross_entropy_dice_loss
from minunet.ops.targets import target_arrays


def test_the_names():
    assert set(LOSSES) == {"bce", "dice", "bce+dice"}
    assert set(CLASS_LOSSES) == {"ce", "dice", "ce+dice", "focal"}


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_each_takes_logits_classes_and_weights(name, xp_array):
    rng = np.random.default_rng(0)
    z, classes = (
        xp_array(rng.standard_normal((2, 3, 4, 5))),
        xp_array(rng.integers(0, 5, (2, 3, 4, 1)).astype(np.uint8)),
    )
    loss = CLASS_LOSSES[name]
    plain = loss(z, classes).item()
    assert 0 < plain < 5
    assert loss(z, classes, xp_array(np.ones((2, 3, 4, 1)))).item() == pytest.approx(plain, rel=1e-13)
    assert loss(z, classes, None, np.full(5, 3)).item() == pytest.approx(plain, rel=1e-13)
    ignored = xp_array(np.full((2, 3, 4, 1), 255, np.uint8))
    assert loss(z, ignored).item() == 0


def test_cross_entropy_and_dice_are_halved(xp_array):
    z, classes = xp_array(np.log([[[3.0, 1.0], [1.0, 1.0]]])), xp_array(np.array([[0, 1]]))
    expected = ((np.log(4 / 3) + np.log(2)) / 2 + 1 - (2.5 / 3.25 + 2 / 2.75) / 2) / 2
    assert cross_entropy_dice_loss(z, classes).item() == pytest.approx(expected, rel=1e-13)
    parts = [f(z, classes, None, [3, 1]).item() for f in (ops.cross_entropy_with_logits, CLASS_LOSSES["dice"])]
    assert cross_entropy_dice_loss(z, classes, None, [3, 1]).item() == pytest.approx(sum(parts) / 2, rel=1e-13)


def peak_of_a_step(channels, loss, labels):
    """The most bytes that forward and backward of a U-Net of three levels, so one with few parameters, allocate."""
    model, x = UNet(out_channels=channels, depth=3, seed=0), Tensor(np.zeros((2, 128, 128, 3), np.float32))
    weights = np.ones(labels.shape, np.float32)

    def step():
        z = model.logits(x)
        loss(z, labels, weights).backward()
        for p in model.parameters():
            p.grad = None

    step()  # fills the scratch memory, which stays
    tracemalloc.start()
    try:
        step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_eleven_classes_take_little_more_memory_than_one(one_thread, name):
    binary = peak_of_a_step(1, LOSSES["bce"], np.zeros((2, 128, 128, 1), np.float32))
    classes = peak_of_a_step(11, CLASS_LOSSES[name], np.zeros((2, 128, 128, 1), np.uint8))
    assert classes < 1.15 * binary


@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits", "dice_loss"])
def test_masks_of_0_and_255_are_refused(name):
    """The loss would be -33.7, or the like, and fall without an end."""
    p, t = np.full((1, 2, 2, 1), 0.5), np.array([0.0, 255, 0, 255]).reshape(1, 2, 2, 1)
    with pytest.raises(ValueError, match=rf"{name}: t holds 0 to 255: it must be 0 to 1; .* is mask / 255"):
        getattr(ops, name)(p, t)
    getattr(ops, name)(p, t / 255)


@pytest.mark.parametrize("name", ["binary_cross_entropy", "dice_loss"])
def test_logits_in_place_of_probabilities_are_refused(name):
    z, t = np.array([-3.0, 0.5, 2.0, 1.0]).reshape(1, 2, 2, 1), np.ones((1, 2, 2, 1))
    with pytest.raises(ValueError, match=rf"{name}: p holds -3 to 2: .* of logits, give ops.sigmoid"):
        getattr(ops, name)(z, t)
    getattr(ops, name)(ops.sigmoid(z), t)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [-1.0, -0.01, 1.01, 255.0])
def test_masks_outside_of_0_to_1_are_refused(name, value):
    z, t = np.zeros((1, 2, 2, 1)), np.array([0, 1, value, 0]).reshape(1, 2, 2, 1)
    with pytest.raises(ValueError, match="t holds .*it must be 0 to 1"):
        LOSSES[name](Tensor(z), t, None)


@pytest.mark.parametrize("name", CLASS_LOSSES)
@pytest.mark.parametrize(
    "classes, error", [([0, 1, -1], ValueError), ([0, 1, 3], ValueError), ([0.0, 1, 1], TypeError)]
)
def test_classes_that_are_none_are_refused(name, classes, error):
    with pytest.raises(error, match="class"):
        CLASS_LOSSES[name](Tensor(np.zeros((1, 3, 3))), np.array([classes]), None)


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_of_each_reaches_the_logits(name):
    rng = np.random.default_rng(0)
    z, t = rng.standard_normal((2, 3, 4, 1)), rng.integers(0, 2, (2, 3, 4, 1))
    weights = rng.integers(0, 3, z.shape)
    report = gradcheck(LOSSES[name], [z, t, weights])
    assert report.checked == z.size
    leaf = Tensor(z, requires_grad=True)
    LOSSES[name](leaf, Tensor(t.astype(float)), Tensor(weights.astype(float))).backward()
    assert (leaf.grad != 0)[weights > 0].all() and not leaf.grad[weights == 0].any()


@pytest.mark.parametrize("name", LOSSES)
def test_the_message_names_operation_and_argument(name):
    operation = "dice_loss" if name == "dice" else "binary_cross_entropy_with_logits"
    for t, weights, argument in [(np.ones((1, 2)), None, "t"), (np.ones((2, 2)), np.ones((1, 2)), "weights")]:
        with pytest.raises(ValueError, match=rf"^{operation}: {argument} has shape \(1, 2\), the prediction \(2, 2\)"):
            LOSSES[name](Tensor(np.zeros((2, 2))), t, weights)


def test_a_batch_without_pixels_has_arrays_too():
    empty = np.zeros((0, 2, 2, 1), np.float32)
    t, weights = target_arrays("loss", empty, empty, empty)
    assert t.shape == weights.shape == empty.shape and target_arrays("loss", empty, empty, None)[1] is None


@pytest.mark.parametrize("name", LOSSES)
def test_probabilities_of_one_channel_are_refused(name):
    z, t = Tensor(np.ones((1, 2, 2, 1)), requires_grad=True), np.ones((1, 2, 2, 1))
    assert LOSSES[name](z, t).item() > 0
    with pytest.raises(ValueError, match=r"z comes out of Sigmoid: it must be logits.*model\.logits"):
        LOSSES[name](ops.sigmoid(z), t)


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_probabilities_of_classes_are_refused(name):
    z, classes = Tensor(np.ones((1, 2, 2, 3)), requires_grad=True), np.ones((1, 2, 2), np.uint8)
    assert CLASS_LOSSES[name](ops.relu(z), classes).item() > 0
    with pytest.raises(ValueError, match="z comes out of Softmax: it must be logits"):
        CLASS_LOSSES[name](ops.softmax(z), classes)
