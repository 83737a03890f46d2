"""The kinds of segmentation, one file each.

A task knows what the training loop, prediction and the plots need not know: how many channels the network has, what it
is trained toward, how its outputs become an answer, how that is scored and drawn.

    task.py              the interface that every task offers
    binary.py            object or background, by one probability per pixel
    semantic.py          a class for each pixel
    instance.py          a number for each object
    panoptic.py          both
    weight_map.py        the U-Net paper's weights: narrow gaps between objects count more
    regions.py           connected components, watershed, distances: from SciPy and scikit-image
    centers.py           objects told apart by their centers
    options.py           checks of what a task is made with
    outline.py, class_drawing.py, instance_drawing.py    answers drawn on images
    instance_files.py                                    answers as label images and tables
"""

from collections.abc import Mapping
from typing import Any

from minunet.data.classes import Classes
from minunet.tasks.binary import Binary
from minunet.tasks.instance import Instance
from minunet.tasks.panoptic import Panoptic
from minunet.tasks.semantic import Semantic
from minunet.tasks.task import Evaluation, Panel, Scores, Task

__all__ = ["TASKS", "Binary", "Evaluation", "Instance", "Panel", "Panoptic", "Scores", "Semantic", "Task"]

Kind = type[Binary] | type[Semantic] | type[Instance] | type[Panoptic]
KINDS: tuple[Kind, ...] = (Binary, Semantic, Instance, Panoptic)
TASKS: dict[str, Kind] = {kind.name: kind for kind in KINDS}


def from_metadata(metadata: Mapping[str, Any]) -> Task:
    """Returns the task that a weights file was trained for, from what its metadata says; binary if that is nothing.

    Raises ValueError for a task that is not known here, or for options that do not fit it.

    >>> from_metadata(Instance(boundary=2).metadata()).boundary
    2
    """
    name = metadata.get("task", "binary")
    if not isinstance(name, str) or name not in TASKS:
        raise ValueError(f"the task is {name!r}: it must be one of {', '.join(TASKS)}")
    options = {key: value for key, value in metadata.items() if key in OPTIONS[name]}
    if "classes" in options:
        options["classes"] = Classes.from_json(options["classes"])
    try:
        return TASKS[name](**options)
    except TypeError as error:
        raise ValueError(f"these are not options of the task {name}: {error}") from error


OPTIONS = {
    "binary": ("object_name",),
    "semantic": ("classes",),
    "instance": ("boundary", "weigh", "separate_by", "smallest", "object_name"),
    "panoptic": ("classes", "separate_by", "sigma", "boundary", "smallest", "smallest_stuff"),
}
