"""Answers to several images in one file of COCO."""

import json

import numpy as np
import pytest

from minunet.data.classes import Classes
from minunet.data.panoptic_ids import from_panoptic, to_panoptic
from minunet.inference.coco import read_instances
from minunet.inference.coco_file import CocoFile
from minunet.tasks import Binary, Instance, Panoptic, Semantic
from minunet.tasks.panoptic import PanopticAnswer

CLASSES = Classes(("road", "car"), values=(7, 26), things=(False, True))
ONE = np.array([[0, 1, 1, 0], [2, 1, 0, 3], [2, 2, 0, 3]], np.uint16)
TWO = np.array([[5, 5, 0]], np.uint16)


@pytest.mark.parametrize("polygons", [False, True])
def test_objects_come_back(polygons, tmp_path):
    file = CocoFile(Instance(object_name="nucleus"), polygons)
    for name, segments in (("a.png", ONE), ("deep/b.png", TWO)):
        file.add(name, "unused", segments)
    file.write(tmp_path / "objects.json")
    document = json.loads((tmp_path / "objects.json").read_text())
    assert [category["name"] for category in document["categories"]] == ["nucleus"]
    assert [annotation["area"] for annotation in document["annotations"]] == [3, 3, 2, 2]
    assert {type(annotation["segmentation"]) for annotation in document["annotations"]} == {list if polygons else dict}
    for (name, segments), image in zip((("a.png", ONE), ("deep/b.png", TWO)), read_instances(document), strict=True):
        assert image.file_name == name
        assert {(a, b) for a, b in zip(segments.ravel(), image.segments.ravel())} == {
            (number, place) for place, number in enumerate(np.unique([0, *segments.ravel()]))
        }


def test_panoptic_segments_come_back(tmp_path):
    classes = np.where(ONE > 0, 1, 0).astype(np.uint8)
    classes[0, 0] = 255
    file = CocoFile(Panoptic(CLASSES))
    file.add("a.jpg", "a.panoptic.png", PanopticAnswer(classes, ONE))
    document = file.document()
    assert [(c["id"], c["name"], c["isthing"]) for c in document["categories"]] == [(7, "road", 0), (26, "car", 1)]
    (annotation,) = document["annotations"]
    assert annotation["file_name"] == "a.panoptic.png"
    ids, _ = to_panoptic(classes, ONE, CLASSES.values, CLASSES.things)
    again = from_panoptic(ids, annotation["segments_info"], CLASSES.table(), CLASSES.things)
    assert np.array_equal(again[0], classes) and np.array_equal(again[1], ONE)


@pytest.mark.parametrize("task", [Binary(), Semantic(CLASSES)])
def test_a_task_without_objects_has_no_such_file(task):
    with pytest.raises(ValueError, match=task.name):
        CocoFile(task)
