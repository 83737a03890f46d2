"""What is measured of each object, against loops over the objects."""

import numpy as np
import pytest

from minunet.metrics import bounding_box
from minunet.metrics.objects import mean_intensities, measure, object_classes


def test_objects_measured_one_by_one(cells):
    _, segments = cells(0)  # numbers with gaps
    segments[:3] = 65535
    image = np.random.default_rng(0).integers(0, 256, (*segments.shape, 3), np.uint8)
    objects, brightness = measure(segments), mean_intensities(segments, image)
    numbers = [n for n in np.unique(segments).tolist() if n not in (0, 65535)]
    assert objects.numbers.tolist() == numbers and len(objects) == len(numbers) > 10
    for place, number in enumerate(numbers):
        mask = segments == number
        y, x = np.nonzero(mask)
        assert objects.areas[place] == mask.sum()
        np.testing.assert_allclose(objects.centroids[place], (y.mean(), x.mean()))
        assert tuple(objects.boxes[place].tolist()) == bounding_box(mask)
        red, green, blue = image[mask].mean(axis=0)
        assert brightness[place] == pytest.approx(0.299 * red + 0.587 * green + 0.114 * blue)


def test_gray_images_keep_their_units():
    segments = np.array([[4, 4, 2]])
    assert mean_intensities(segments, np.array([[100, 40000, 7]], np.uint16)).tolist() == [7, 20050]
    assert mean_intensities(segments, np.array([[[0.5], [0.25], [1.0]]])).tolist() == [1, 0.375]


def test_the_class_of_most_pixels():
    segments, classes = np.array([[1, 1, 1, 3, 3, 65535, 0]]), np.array([[255, 2, 2, 9, 4, 1, 1]], np.uint8)
    assert object_classes(segments, classes).tolist() == [2, 4]


@pytest.mark.parametrize("segments", [np.zeros((3, 4), int), np.full((3, 4), 65535), np.zeros((0, 4), int)])
def test_images_without_objects(segments):
    objects = measure(segments)
    assert len(objects) == 0
    assert objects.boxes.shape == (0, 4) and objects.centroids.shape == (0, 2)
    assert mean_intensities(segments, segments).shape == object_classes(segments, segments % 255).shape == (0,)


def test_one_object_that_fills_the_image_and_one_pixel():
    objects = measure(np.full((3, 4), 65534))
    assert (objects.areas.tolist(), objects.centroids.tolist(), objects.boxes.tolist()) == (
        [12],
        [[1, 1.5]],
        [[0, 0, 4, 3]],
    )
    objects = measure(np.array([[1]]))
    assert (objects.areas.tolist(), objects.centroids.tolist(), objects.boxes.tolist()) == (
        [1],
        [[0, 0]],
        [[0, 0, 1, 1]],
    )


def test_another_size_is_refused():
    segments = np.ones((3, 4), int)
    for image in (np.ones((4, 3)), np.ones((3, 4, 2))):
        with pytest.raises(ValueError, match="same size"):
            mean_intensities(segments, image)
    with pytest.raises(ValueError, match="same size"):
        object_classes(segments, np.ones((4, 3), int))
