"""COCO documents: what stands in them, and that they can be read again."""

import json

import numpy as np
import pytest

from minunet.data.panoptic_ids import to_panoptic
from minunet.inference.coco import ImageObjects, categories_json, instances_json, panoptic_json, read_instances

CATEGORIES = categories_json(["cat", "dog"], ids=[17, 18])
SEGMENTS = np.array(
    [
        [7, 7, 7, 0, 0],
        [7, 0, 7, 9, 9],
        [7, 7, 7, 9, 65535],
    ],
    np.uint16,
)
CATS = ImageObjects("cats.png", SEGMENTS, {7: 17, 9: 18})
EMPTY = ImageObjects("empty.png", np.zeros((2, 2), np.uint8))


def annotations(**options):
    return instances_json([EMPTY, CATS], CATEGORIES, **options)["annotations"]


def test_a_document_of_instances():
    document = instances_json([EMPTY, CATS], CATEGORIES)
    assert document["images"] == [
        {"id": 1, "file_name": "empty.png", "height": 2, "width": 2},
        {"id": 2, "file_name": "cats.png", "height": 3, "width": 5},
    ]
    assert document["categories"] == [
        {"id": 17, "name": "cat", "supercategory": "cat"},
        {"id": 18, "name": "dog", "supercategory": "dog"},
    ]
    ring, corner, ignored = document["annotations"]
    assert (ring["id"], ring["image_id"], ring["category_id"]) == (1, 2, 17)
    assert (ring["area"], ring["bbox"], ring["iscrowd"]) == (8, [0, 0, 3, 3], 0)
    assert ring["segmentation"] == {"size": [3, 5], "counts": "04105"}  # by pycocotools 2.0.11
    assert (corner["id"], corner["category_id"], corner["area"], corner["bbox"]) == (2, 18, 3, [3, 1, 2, 2])
    assert (ignored["iscrowd"], ignored["area"], ignored["bbox"]) == (1, 1, [4, 2, 1, 1])
    assert json.loads(json.dumps(document)) == document


def test_categories_are_numbered_from_1_unless_they_have_numbers():
    made = [[entry["id"] for entry in categories_json(["a", "b", "c"], ids)] for ids in (None, [7, 5, 9])]
    assert made == [[1, 2, 3], [7, 5, 9]]


def test_outlines_as_polygons():
    ring, corner, ignored = annotations(polygons=True)
    assert corner["segmentation"] == [[3, 1, 5, 1, 5, 2, 4, 2, 4, 3, 3, 3]]
    assert isinstance(ring["segmentation"], dict)  # it has a hole, which polygons cannot say
    assert isinstance(ignored["segmentation"], dict)


@pytest.mark.parametrize("polygons", [False, True])
def test_documents_can_be_read_again(polygons):
    text = json.dumps(instances_json([EMPTY, CATS], CATEGORIES, polygons))
    empty, cats = read_instances(json.loads(text))
    assert (empty.file_name, cats.file_name) == ("empty.png", "cats.png")
    assert not empty.segments.any() and empty.categories == {}
    np.testing.assert_array_equal(cats.segments, [[1, 1, 1, 0, 0], [1, 0, 1, 2, 2], [1, 1, 1, 2, 65535]])
    assert cats.segments.dtype == np.uint16
    assert cats.categories == {1: 17, 2: 18}


def test_smaller_objects_lie_on_top_and_crowds_below():
    def rectangle(category, x, y, w, h, **more):
        corners = [x, y, x + w, y, x + w, y + h, x, y + h]
        return {"id": category, "image_id": 5, "category_id": category, "segmentation": [corners]} | more

    document = {
        "images": [{"id": 5, "file_name": "a.jpg", "width": 6, "height": 2}],
        "annotations": [
            rectangle(1, 1, 0, 1, 1),
            rectangle(2, 0, 0, 4, 2, iscrowd=0),
            rectangle(3, 2, 0, 1, 1),  # covered by the next one, which is as small
            rectangle(4, 2, 0, 1, 1),
            rectangle(5, 3, 0, 2, 2, iscrowd=1),
        ],
    }
    (image,) = read_instances(document)
    np.testing.assert_array_equal(image.segments, [[2, 1, 4, 2, 65535, 0], [2, 2, 2, 2, 65535, 0]])
    assert image.categories == {1: 1, 2: 2, 4: 4}


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [2, 2], "counts": [4]},  # of another image
        {"size": [3, 5], "counts": [4]},
        {"size": [3, 5], "counts": "~~"},
        {"size": [3, 5]},
        {"size": 15, "counts": [15]},
        [[1, 2, 3]],
        [1, 2, 3, 4, 5, 6],
        None,
    ],
)
def test_a_broken_annotation_is_named(segmentation):
    document = instances_json([CATS], CATEGORIES)
    document["annotations"][1]["segmentation"] = segmentation
    with pytest.raises(ValueError, match="annotation 2"):
        read_instances(document)


def test_what_does_not_fit_is_refused():
    document = instances_json([CATS], CATEGORIES)
    document["annotations"][1]["image_id"] = 77
    with pytest.raises(ValueError, match="annotation 2 .*77"):
        read_instances(document)
    with pytest.raises(ValueError, match="object 9 .* None: the categories are"):
        instances_json([CATS._replace(categories={7: 17})], CATEGORIES)
    with pytest.raises(ValueError, match="object 7 .* 3: the categories are"):
        instances_json([CATS._replace(categories={7: 3, 9: 17})], CATEGORIES)


def test_a_panoptic_document():
    classes, segments = np.array([[0, 0, 1, 1], [0, 255, 1, 1]]), np.array([[0, 0, 1, 1], [0, 0, 2, 2]])
    categories = categories_json(["grass", "cat"], ids=[3, 17], things=[False, True])
    ids, info = to_panoptic(classes, segments, (3, 17), (False, True))
    document = panoptic_json([("a.jpg", "a.png", ids, info)], categories)
    assert document["images"] == [{"id": 1, "file_name": "a.jpg", "height": 2, "width": 4}]
    assert [category["isthing"] for category in document["categories"]] == [0, 1]
    (annotation,) = document["annotations"]
    assert (annotation["image_id"], annotation["file_name"]) == (1, "a.png")
    assert [segment["area"] for segment in annotation["segments_info"]] == [3, 2, 2]
    assert json.loads(json.dumps(document)) == document
