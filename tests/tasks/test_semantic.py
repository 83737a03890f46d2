"""Semantic segmentation: class maps in words and files, and the scores of constant answers, by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from minunet.data.classes import Classes
from minunet.tasks.semantic import Semantic, class_counts, class_image, constant_scores


def test_the_three_largest_classes_are_named_the_largest_first():
    task = Semantic(Classes(("sky", "road", "car", "tree", "sign")))
    assert task.describe(np.array([[3, 1, 1, 1, 0, 0, 2, 0, 1, 0]], np.uint8)) == "40.0% sky, 40.0% road, 10.0% car"
    assert task.describe(np.array([[4, 4, 4, 2]], np.uint8)) == "75.0% sign, 25.0% car"


@pytest.mark.parametrize(
    "classes, mode, stored",
    [
        (Classes(("a", "b"), values=(3, 200)), "P", [3, 200]),
        (Classes(("a", "b"), values=(3, 300)), "I;16", [3, 300]),
        (Classes(("a", "b"), values=(0, 65535)), "I;16", [0, 65535]),
        (Classes(("a", "b"), values=(3, 4), also={300: 1}), "L", [3, 4]),  # nothing of what is written is 300
    ],
)
def test_files_hold_the_numbers_of_the_files_trained_on(classes, mode, stored):
    file = io.BytesIO()
    class_image(np.array([[0, 1]], np.uint8), classes).save(file, "PNG")
    with Image.open(file) as image:
        assert image.mode.startswith(mode) and np.asarray(image).tolist() == [stored]
        if mode == "P":
            palette = np.reshape(image.getpalette(), (-1, 3))
            assert [tuple(palette[value]) for value in stored] == list(classes.colors)


def test_counts_and_constant_answers():
    labels = np.array([0, 0, 0, 1, 255, 255], np.uint8).reshape(1, 2, 3, 1)
    assert class_counts([labels, labels], 3).tolist() == [6, 2, 0]
    assert constant_scores(np.array([6, 2, 0]), 0) == {"mean_iou": 0.375, "accuracy": 0.75}
    assert constant_scores(np.array([6, 2, 0]), 2) == {"mean_iou": 0.0, "accuracy": 0.0}
    assert Semantic(Classes(("a", "b", "c"))).baselines([labels]) == {"all a": {"mean_iou": 0.375, "accuracy": 0.75}}
