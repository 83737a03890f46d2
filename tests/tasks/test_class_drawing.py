"""Classes in color, and their key."""

import numpy as np

from minunet.data.classes import Classes
from minunet.tasks.class_drawing import blend, with_key

CLASSES = Classes(("sea", "land", "cloud"), colors=((0, 0, 200), (0, 200, 0), (250, 250, 250)))


def test_half_of_each():
    image, colors = np.full((2, 3, 3), 10, np.uint8), np.full((2, 3, 3), 201, np.uint8)
    assert blend(image, colors).tolist() == np.full((2, 3, 3), 106).tolist()  # 105.5, rounded up
    assert np.array_equal(blend(image, colors, 0), image) and np.array_equal(blend(image, colors, 1), colors)


def test_the_key_shows_the_classes_that_are_there():
    pixels = np.full((80, 120, 3), 128, np.uint8)
    present = np.array([1] * 9 + [0] * 5 + [255])
    drawn = with_key(pixels, CLASSES, present)
    assert (pixels == 128).all()  # the image is not changed

    def rows_of(color):
        return np.flatnonzero((drawn == color).all(axis=2).any(axis=1))

    assert len(rows_of(CLASSES.colors[0])) and len(rows_of(CLASSES.colors[1])) and not len(rows_of(CLASSES.colors[2]))
    assert rows_of(CLASSES.colors[1]).max() < rows_of(CLASSES.colors[0]).min()  # the larger one first
    assert (drawn[60:] == 128).all() and (drawn[:, 90:] == 128).all()


def test_no_room_or_nothing_to_say():
    small = np.full((8, 9, 3), 5, np.uint8)
    assert np.array_equal(with_key(small, CLASSES, np.array([0, 1])), small)
    large = np.full((80, 90, 3), 5, np.uint8)
    assert np.array_equal(with_key(large, CLASSES, np.full((3, 3), 255)), large)
