"""Answers as COCO writes them: a JSON of instances, and a panoptic JSON with a PNG per image; and such JSON as arrays.

    instances   images, annotations (one per object: area, bbox [x, y, width, height], segmentation), categories
    panoptic    images, annotations (one per image: file_name of its PNG, segments_info), categories (with isthing)

A segmentation is RLE (rle.py), which says any mask, or polygons (polygons.py), which cannot say holes. COCO's format is
described at https://cocodataset.org/#format-data. Everything here is a plain dict, ready for json.dumps.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.data.labels import IGNORE_OBJECT, as_segments
from minunet.data.panoptic_ids import Segment
from minunet.inference.polygons import fill, to_polygons
from minunet.inference.rle import compress, decode_json, encode_segments
from minunet.metrics.objects import measure

Document = dict[str, Any]


class ImageObjects(NamedTuple):
    """The objects of one image.

    file_name   of the image
    segments    integers (H, W), 0 where there is no object, 65535 where pixels are ignored
    categories  {number of an object: its category's id}; None: all have the first category
    """

    file_name: str
    segments: NDArray
    categories: Mapping[int, int] | None = None


def categories_json(
    names: Sequence[str], ids: Sequence[int] | None = None, things: Sequence[bool] | None = None
) -> list[Document]:
    """Returns the categories of a document. ids: by default 1, 2, 3 …; things: of a panoptic document, which count.

    >>> categories_json(["cell"])
    [{'id': 1, 'name': 'cell', 'supercategory': 'cell'}]
    """
    ids = range(1, len(names) + 1) if ids is None else ids
    entries: list[Document] = [{"id": int(i), "name": n, "supercategory": n} for i, n in zip(ids, names, strict=True)]
    if things is not None:
        entries = [entry | {"isthing": int(thing)} for entry, thing in zip(entries, things, strict=True)]
    return entries


# ---- instances ----


def instances_json(images: Iterable[ImageObjects], categories: Sequence[Document], polygons: bool = False) -> Document:
    """Returns a document of instances. Images and annotations are numbered from 1.

    polygons: write outlines along the edges of the pixels, except for objects with holes, which stay RLE.
    Ignored pixels become one annotation with iscrowd 1, of the first category, so that they are ignored again.

    >>> document = instances_json([ImageObjects("a.png", np.array([[0, 7, 7], [0, 0, 7]]))], categories_json(["cell"]))
    >>> document["annotations"][0]["segmentation"], document["annotations"][0]["bbox"]
    ({'size': [2, 3], 'counts': '2111'}, [1, 0, 2, 2])
    """
    entries: list[Document] = []
    annotations: list[Document] = []
    for image_id, image in enumerate(images, 1):
        H, W = image.segments.shape
        entries.append({"id": image_id, "file_name": image.file_name, "height": H, "width": W})
        for annotation in _annotations(image, categories, polygons):
            annotations.append({"id": len(annotations) + 1, "image_id": image_id} | annotation)
    return {"images": entries, "annotations": annotations, "categories": list(categories)}


def _annotations(image, categories, polygons) -> Iterator[Document]:
    """Yields the annotations of an image, without their numbers."""
    segments = as_segments(image.segments, ignore=True)
    yield from _describe(segments, image.categories, categories, polygons, crowd=0)
    ignored = segments == IGNORE_OBJECT
    if ignored.any():
        yield from _describe(ignored.astype(np.uint16), None, categories, False, crowd=1)


def _describe(segments, chosen, categories, polygons, crowd):
    objects, counts = measure(segments), encode_segments(segments)
    known = {category["id"] for category in categories}
    for number, area, (x0, y0, x1, y1) in zip(objects.numbers.tolist(), objects.areas.tolist(), objects.boxes.tolist()):
        category = categories[0]["id"] if chosen is None else chosen.get(number)
        if category not in known:
            raise ValueError(f"object {number} has the category {category}: the categories are {sorted(known)}")
        segmentation: Any = {"size": list(segments.shape), "counts": compress(counts[number])}
        if polygons:
            outlines, holes = to_polygons(segments[y0:y1, x0:x1] == number, x0, y0)
            segmentation = segmentation if holes else outlines
        yield {
            "category_id": int(category),
            "segmentation": segmentation,
            "area": area,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "iscrowd": crowd,
        }


def read_instances(document: Mapping[str, Any]) -> list[ImageObjects]:
    """Returns the objects of every image of a document of instances, in its order.

    Objects are numbered 1, 2, 3 … in the order of the annotations. Where they overlap, the smaller one is on top; one
    that is covered altogether is not among the categories. A crowd (iscrowd 1) is ignored, 65535, where no object lies.
    Raises ValueError, which names the annotation, for what is no mask.

    >>> segments = np.array([[0, 7, 7], [0, 0, 7]])
    >>> document = instances_json([ImageObjects("a.png", segments)], categories_json(["cell"]))
    >>> read_instances(document)[0].segments
    array([[0, 1, 1],
           [0, 0, 1]], dtype=uint16)
    """
    of_image: dict[Any, list[Mapping[str, Any]]] = {image["id"]: [] for image in document["images"]}
    for annotation in document["annotations"]:
        if annotation["image_id"] not in of_image:
            raise ValueError(
                f"annotation {annotation.get('id')} is of image {annotation['image_id']}, which is not listed"
            )
        of_image[annotation["image_id"]].append(annotation)
    return [_read_image(image, of_image[image["id"]]) for image in document["images"]]


def _read_image(image, annotations):
    size = int(image["height"]), int(image["width"])
    numbers, crowd = np.zeros(size, np.int64), np.zeros(size, bool)
    objects, categories = [], {}
    for annotation in annotations:
        mask = _mask(annotation, size)
        if annotation.get("iscrowd", 0):
            crowd |= mask
        else:
            objects.append((int(mask.sum()), len(objects) + 1, np.flatnonzero(mask)))
            categories[len(objects)] = int(annotation["category_id"])
    for _, number, pixels in sorted(objects, key=lambda entry: (-entry[0], entry[1])):  # the smaller ones on top
        numbers.flat[pixels] = number
    segments = as_segments(numbers)
    segments[crowd & (segments == 0)] = IGNORE_OBJECT
    visible = set(np.unique(segments).tolist())
    return ImageObjects(image["file_name"], segments, {n: c for n, c in categories.items() if n in visible})


def _mask(annotation, size):
    """Returns the mask of an annotation, bool (H, W)."""
    segmentation = annotation["segmentation"]
    try:
        mask = decode_json(segmentation) if isinstance(segmentation, Mapping) else fill(segmentation, size)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"annotation {annotation.get('id')}: {error}") from error
    if mask.shape != size:
        raise ValueError(f"annotation {annotation.get('id')} is of an image of {mask.shape}: its image is {size}")
    return mask


# ---- panoptic ----


def panoptic_json(
    images: Iterable[tuple[str, str, NDArray, list[Segment]]], categories: Sequence[Document]
) -> Document:
    """Returns a panoptic document.

    images: per image its file name, the file name of its PNG, and what data.panoptic_ids.to_panoptic returned for it:
    ids and segments_info. The PNG holds ids_to_colors(ids). categories: with `isthing`.
    """
    entries: list[Document] = []
    annotations: list[Document] = []
    for image_id, (file_name, png_name, ids, segments_info) in enumerate(images, 1):
        H, W = ids.shape
        entries.append({"id": image_id, "file_name": file_name, "height": H, "width": W})
        annotations.append({"image_id": image_id, "file_name": png_name, "segments_info": segments_info})
    return {"images": entries, "annotations": annotations, "categories": list(categories)}
