"""Answers to many images in one JSON file, as COCO has it: of objects, or of panoptic segments."""

import json
from pathlib import Path
from typing import Any

from minunet.data.panoptic_ids import Segment, to_panoptic
from minunet.files import atomic_write
from minunet.inference.coco import ImageObjects, categories_json, instances_json, panoptic_json
from minunet.inputs import parse_json, read_file, user_path
from minunet.tasks import Instance, Panoptic, Task

Document = dict[str, Any]
MARK = "minunet predict"


def is_answers(path: Path) -> bool:
    """Returns whether the file at `path` was written by a CocoFile."""
    try:
        return bool(parse_json(read_file(path))["info"]["description"] == MARK)
    except (OSError, ValueError, KeyError, TypeError):
        return False


class CocoFile:
    """Collects answers, and writes them as one file. Raises ValueError for a task that COCO has no file for."""

    def __init__(self, task: Task, polygons: bool = False) -> None:
        if not isinstance(task, (Instance, Panoptic)):
            raise ValueError(f"COCO's files hold objects or panoptic segments, and this is {task.name}")
        self.task = task
        self.polygons = polygons
        self._objects: list[ImageObjects] = []
        self._panoptic: list[tuple[str, str, Any, list[Segment]]] = []

    def add(self, file_name: str, png_name: str, answer: Any) -> None:
        """Adds the answer to one image. png_name: the file that holds its panoptic segments as colors."""
        if isinstance(self.task, Instance):
            self._objects.append(ImageObjects(file_name, answer))
            return
        classes = self.task.classes
        ids, info = to_panoptic(answer.classes, answer.segments, classes.values, classes.things)
        self._panoptic.append((file_name, png_name, ids, info))

    def document(self) -> Document:
        """Returns what has been added, ready for JSON."""
        if isinstance(self.task, Instance):
            document = instances_json(self._objects, categories_json([self.task.object_name]), self.polygons)
        else:
            classes = self.task.classes
            categories = categories_json(classes.names, classes.values, classes.things)
            document = panoptic_json(self._panoptic, categories)
        return {"info": {"description": MARK}, **document}

    def write(self, path: str | Path) -> None:
        """Writes the document, completely or not at all. Raises OSError."""
        atomic_write(user_path(path), json.dumps(self.document()) + "\n")
