"""The JSON file of COCO's panoptic format: which classes there are, and which segments each image has."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from minunet.data import DataError
from minunet.data.classes import IGNORE_NAMES, Classes, voc_color
from minunet.data.labels import IGNORE
from minunet.data.panoptic_ids import MOST_IDS
from minunet.data.skipped import listed
from minunet.inputs import LARGEST_TEXT, parse_json, read_file

COCO_OBJECTS = (
    "COCO's list of objects, with their outlines: pycocotools (COCO.annToMask) makes label images of them, for --masks"
)


class Entry(NamedTuple):
    """An image that the document lists: where it and its PNG lie in their folders, and what its segments are."""

    image: str
    png: str
    segments: list[dict[str, int]]  # of each: id, category_id, iscrowd


class Document(NamedTuple):
    """What a panoptic JSON file says."""

    classes: Classes
    entries: dict[str, Entry]  # by the image's name, without its extension
    skipped: list[str]  # entries that make no sense, each with the reason


def read_document(path: Path) -> Document:
    """Returns what a panoptic JSON file says. Raises DataError if it cannot be read, or has no sensible categories."""
    try:
        content = parse_json(read_file(path))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path} is not a JSON file: {error}") from error
    missing = [key for key in ("categories", "images", "annotations") if not isinstance(_get(content, key), list)]
    if missing:
        raise DataError(
            f"{path} has no list {' and no list '.join(map(repr, missing))}: a panoptic file of COCO has categories, "
            "images and annotations"
        )
    if content["annotations"] and _get(content["annotations"][0], "segments_info") is None:
        if _get(content["annotations"][0], "segmentation") is not None:
            raise DataError(f"{path} is {COCO_OBJECTS}")
    try:
        classes = _classes(content["categories"])
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    entries, skipped = _entries(content["images"], content["annotations"])
    return Document(classes, entries, [f"{path.name}: {reason}" for reason in skipped])


def about_json(place: Path) -> str:
    """Returns what to do about JSON files where label images were expected, in words; "" where there are none.

    place: a file, or a folder, of which the first JSON file is looked at.
    """
    files = sorted(place.glob("*.json")) if place.is_dir() else [place][: place.suffix.lower() == ".json"]
    try:
        content = parse_json(read_file(files[0], LARGEST_TEXT)) if files else None
    except (OSError, ValueError):
        return ""
    if isinstance(_get(content, "shapes"), list):
        return f"{files[0].name} is LabelMe's: labelme2voc.py, of its examples, makes label images of them"
    annotations = _get(content, "annotations")
    if not isinstance(annotations, list) or not annotations:
        return ""
    if _get(annotations[0], "segments_info") is not None:
        return f"{files[0].name} is COCO's panoptic file: give it as --panoptic-json, with its PNGs and --task panoptic"
    if _get(annotations[0], "segmentation") is not None:
        return f"{files[0].name} is {COCO_OBJECTS}"
    return ""


def _get(record: Any, key: str) -> Any:
    return record.get(key) if isinstance(record, Mapping) else None


def _integer(record: Any, key: str, default: int | None = None) -> int:
    value = _get(record, key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int):  # True and False are 1 and 0, as some programs write isthing
        raise ValueError(f"{key} is {value!r}: it must be an integer")
    return int(value)


def _text(record: Any, key: str) -> str:
    value = _get(record, key)
    if not isinstance(value, str):
        raise ValueError(f"{key} is {value!r}: it must be text")
    return value


# ---- categories ----


def _classes(categories: list[Any]) -> Classes:
    """The categories as classes, in their order; one that is called void or ignore counts in nothing."""
    names, values, things, colors, also = [], [], [], [], []
    for place, category in enumerate(categories):
        try:
            number, name = _integer(category, "id"), _text(category, "name")
            if name.lower() in IGNORE_NAMES:
                also.append((number, IGNORE))
                continue
            values.append(number)
            names.append(name)
            things.append(bool(_integer(category, "isthing")))
            colors.append(_color(category, number))
        except ValueError as error:
            raise ValueError(f"category {place + 1} of {len(categories)}: {error}") from error
    return Classes(tuple(names), tuple(values), tuple(colors), tuple(things), tuple(also))


def _color(category: Any, number: int) -> Any:
    color = _get(category, "color")
    if color is None:
        return voc_color(number)
    if not isinstance(color, list) or len(color) != 3 or not all(type(channel) is int for channel in color):
        raise ValueError(f"color is {color!r}: it must be [red, green, blue], integers from 0 to 255")
    return tuple(color)


# ---- images ----


def _entries(images: list[Any], annotations: list[Any]) -> tuple[dict[str, Entry], list[str]]:
    """Returns {name: entry} in the order of `images`, and what makes no sense."""
    skipped: list[str] = []
    of_image: dict[int, tuple[str, list[dict[str, int]]]] = {}
    for place, annotation in enumerate(annotations):
        try:
            number, png = _integer(annotation, "image_id"), _file_name(annotation)
            if number in of_image:
                raise ValueError(f"image_id {number} has been annotated before")
            of_image[number] = png, _segments(_get(annotation, "segments_info"))
        except ValueError as error:
            skipped.append(f"annotation {place + 1}: {error}")
    entries: dict[str, Entry] = {}
    for place, image in enumerate(images):
        try:
            number, file_name = _integer(image, "id"), _file_name(image)
            name = PurePosixPath(file_name).stem
            if number not in of_image:
                raise ValueError(f"{file_name} (id {number}) has no annotation, or has been listed before")
            if name in entries:
                raise ValueError(f"{file_name}: {entries[name].image} has the same name")
            entries[name] = Entry(file_name, *of_image.pop(number))
        except ValueError as error:
            skipped.append(f"image {place + 1}: {error}")
    if of_image:
        skipped.append(f"image_id {listed(sorted(of_image))}: annotated, but not among the images")
    return entries, skipped


def _file_name(record: Any) -> str:
    """The file name of a record, which must not lead out of its folder."""
    name = _text(record, "file_name")
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or not name.isprintable() or "\\" in name:
        raise ValueError(f"file_name is {name[:60]!r}: it must be the name of a file in the folder")
    return name


def _segments(records: Any) -> list[dict[str, int]]:
    if not isinstance(records, list):
        raise ValueError(f"segments_info is {type(records).__name__}: it must be a list")
    segments = [
        {"id": _integer(r, "id"), "category_id": _integer(r, "category_id"), "iscrowd": _integer(r, "iscrowd", 0)}
        for r in records
    ]
    for segment in segments:
        if not 0 < segment["id"] <= MOST_IDS:
            raise ValueError(f"segment id {segment['id']}: it must be between 1 and {MOST_IDS}, in three bytes")
    return segments
