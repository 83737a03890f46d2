"""Panoptic segmentation: targets, loss and answers by hand."""

import numpy as np
import pytest

from minunet.autograd import Tensor
from minunet.data.classes import Classes
from minunet.tasks.centers import HEAT_UNIT, OFFSET_UNIT, with_centers
from minunet.tasks.panoptic import Panoptic, PanopticAnswer, _without_small

CLASSES = Classes(("grass", "cat", "dog"), things=(False, True, True))


def test_lengths_are_rescaled_each_along_its_axis():
    outputs = np.tile(np.array([0.1, 0.2, 0.7, 0.5, 2, 3], np.float32), (2, 2, 1))
    rescaled = Panoptic(CLASSES).rescale(outputs, (10, 100))
    np.testing.assert_allclose(rescaled[1, 1], [0.1, 0.2, 0.7, 0.5, 20, 300], rtol=1e-6)
    assert outputs[1, 1, 4] == 2  # what was given stays
    assert np.array_equal(Panoptic(CLASSES, "boundaries").rescale(outputs[..., :4], (10, 100)), outputs[..., :4])


def test_what_is_too_small_becomes_void():
    classes = np.array([[0, 0, 0, 1, 1, 1, 1, 2, 2]], np.uint8)
    segments = np.array([[0, 0, 0, 5, 5, 9, 9, 9, 9]])  # 9 has pixels of two classes: two objects
    kept = _without_small(classes, segments, 2, 3)
    assert kept.classes.tolist() == classes.tolist()
    assert kept.segments.tolist() == [[0, 0, 0, 1, 1, 2, 2, 3, 3]]
    kept = _without_small(classes, segments, 2, 4)
    assert kept.classes.tolist() == [[255, 255, 255, 1, 1, 1, 1, 2, 2]]
    kept = _without_small(classes, segments, 3, 3)
    assert kept.classes.tolist() == [[0, 0, 0] + [255] * 6] and not kept.segments.any()
    task = Panoptic(CLASSES)
    assert (task.smallest, task.smallest_stuff) == (32, 128)


def test_more_things_than_16_bits_can_number():
    classes, segments = np.ones((256, 256), np.uint8), np.arange(1, 65537).reshape(256, 256)
    with pytest.raises(ValueError, match="65536 objects.*65534"):
        _without_small(classes, segments, 1, 1)
    classes[0, :2] = 0
    segments[0, :2] = 0
    assert _without_small(classes, segments, 1, 1).segments.max() == 65534


@pytest.mark.parametrize("method", ["centers", "boundaries"])
def test_objects_of_two_classes_that_touch_are_two(method):
    """A cat beside a dog, each sure of its class."""
    classes = np.repeat([[0, 1, 1, 1, 1, 2, 2, 2, 2]], 8, axis=0)
    segments = np.repeat([[0, 1, 1, 1, 1, 2, 2, 2, 2]], 8, axis=0)
    task = Panoptic(CLASSES, method, smallest=1, smallest_stuff=1)
    labels = np.stack([classes, segments], -1).astype(np.uint16)
    _, targets, _ = task.targets(np.zeros((1, 8, 9, 3), np.uint8), task.encode(labels)[None])
    if method == "centers":
        outputs = np.concatenate([np.eye(3)[classes], targets[1][0] / HEAT_UNIT, targets[2][0] / OFFSET_UNIT], -1)
    else:
        outputs = 0.9 * np.eye(4)[targets[0, ..., 0]] + 0.05 * np.eye(4)[classes]
    answer = task.answer(outputs)
    assert np.array_equal(answer.classes, classes)
    assert {(a, b) for a, b in zip(segments.ravel(), answer.segments.ravel())} == {(0, 0), (1, 1), (2, 2)}
    assert task.describe(answer).startswith("1 cat, 1 dog; 44.4% cat, 44.4% dog, 11.1% grass")


def test_a_pixel_without_an_answer_is_in_no_cell_of_the_confusion_matrix():
    evaluation = Panoptic(CLASSES).evaluation()
    labels = np.array([[[0, 0], [0, 0], [1, 1], [255, 0]]], np.uint16)
    answer = PanopticAnswer(np.array([[0, 255, 2, 0]], np.uint8), np.array([[0, 0, 1, 0]], np.uint16))
    evaluation.update(answer, labels)
    names, matrix = evaluation.confusion()
    assert names == CLASSES.names and matrix.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_targets_survive_16_bits():
    """Offsets of long objects and small heats, as they come back from labels: to 1/32 pixel and 1/65535."""
    labels = np.zeros((3, 400, 2), np.uint16)
    labels[:, 5:380] = 1
    task = Panoptic(CLASSES)
    _, (_, heat, offsets, seen, things), _ = task.targets(np.zeros((1, 3, 400, 3), np.uint8), task.encode(labels)[None])
    x = np.arange(400)
    inside = (x >= 5) & (x < 380)
    np.testing.assert_allclose(offsets[0, 1, :, 1], np.where(inside, 192 - x, 0), atol=1 / 32)
    np.testing.assert_allclose(offsets[0, :, 192, 0], [1, 0, -1], atol=1 / 32)
    np.testing.assert_allclose(heat[0, 1, 185:200, 0], np.exp(-((x[185:200] - 192) ** 2) / 32), atol=1e-5)
    assert np.array_equal(things[0, 1, :, 0], inside) and seen.all()


def test_the_loss_of_classes_centers_and_offsets_by_hand():
    """Three pixels: a thing, stuff, and one that is ignored."""
    rng = np.random.default_rng(1)
    z = rng.standard_normal((1, 1, 3, 5))
    heat, offsets = rng.random((1, 1, 3, 1)), 10 * rng.standard_normal((1, 1, 3, 2))
    seen, things = np.array([1.0, 1, 0]).reshape(1, 1, 3, 1), np.array([1.0, 0, 0]).reshape(1, 1, 3, 1)
    given = []

    def class_loss(z, classes, weights):
        given.append((z.data, classes, weights))
        return Tensor(np.array(7.0))

    loss = with_centers(class_loss)(Tensor(z), ("classes", heat, offsets, seen, things), "weights").item()
    by_heat = np.mean([(HEAT_UNIT * z[0, 0, i, 2] - heat[0, 0, i, 0]) ** 2 for i in (0, 1)])
    by_offset = np.mean([abs(OFFSET_UNIT * z[0, 0, 0, 3 + k] - offsets[0, 0, 0, k]) for k in (0, 1)])
    assert loss == pytest.approx(7 + 200 * by_heat + 0.01 * by_offset)
    assert np.array_equal(given[0][0], z[..., :2]) and given[0][1:] == ("classes", "weights")


def test_outputs_of_any_size_have_an_answer():
    """e to the power of 1000 is no number; only differences between channels count."""
    task = Panoptic(Classes(("sky", "car"), things=(False, True)), "boundaries", smallest=1, smallest_stuff=1)
    outputs = np.zeros((4, 6, task.out_channels), np.float32)
    outputs[:, :3, 0], outputs[:, 3:, 1] = 9, 9
    small, large = task.answer(outputs), task.answer(outputs + 1000)
    assert np.array_equal(small.classes, large.classes) and np.array_equal(small.segments, large.segments)
    assert small.classes.tolist() == [[0, 0, 0, 1, 1, 1]] * 4 and set(small.segments[:, 3:].ravel().tolist()) == {1}


def test_only_boundaries_need_packages():
    classes = Classes(("sky", "car"), things=(False, True))
    centers, boundaries = (Panoptic(classes, method).packages for method in ("centers", "boundaries"))
    assert centers == () and any("scipy" in name for name in boundaries) and len(boundaries) == 2
