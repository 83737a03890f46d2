"""The task's answers as pictures that lie over the image, and as label maps whose pixels can be compared."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.data.labels import IGNORE
from minunet.learn.explain.encoding import data_url
from minunet.tasks import Binary, Instance, Panoptic, Semantic, Task
from minunet.tasks.instance_drawing import color_instances

COLOR = (255, 64, 96)
FILL, LINE = 120, 255  # opacity of 255
HIGHLIGHT, DARKENED = [255, 90, 190, 255], [0, 0, 0, 150]


def label_map(task: Task, answer: Any) -> NDArray:
    """Returns an answer as a map (H, W) in which each pixel has a class: object or not, where objects have numbers."""
    if isinstance(task, Panoptic):
        return answer.classes
    return answer > 0 if isinstance(task, Instance) else answer


def transparent(task: Task, answer: Any) -> str:
    """Returns an answer as a PNG to be laid over the image, a data URL: colors, fully opaque along edges."""
    if isinstance(task, Binary):
        areas, colors = answer.astype(np.int64), np.full((*answer.shape, 3), COLOR, np.uint8)
    elif isinstance(task, Instance):
        areas, colors = answer.astype(np.int64), color_instances(answer)
    elif isinstance(task, Panoptic):
        areas = np.where(answer.classes == IGNORE, 0, 1 + answer.classes.astype(np.int64) * 65536 + answer.segments)
        colors = task.classes.colorize(answer.classes)
    else:
        assert isinstance(task, Semantic)
        areas, colors = 1 + answer.astype(np.int64), task.classes.colorize(answer)
    opacity = np.where(areas > 0, FILL, 0).astype(np.uint8)
    opacity[edges(areas) & (areas > 0)] = LINE
    return data_url(Image.fromarray(np.dstack([colors, opacity])))


def highlighted(pixels: NDArray[np.bool_]) -> str:
    """Returns a PNG to be laid over the image, a data URL: these pixels (H, W) in one color, the others darkened."""
    colors = np.array([DARKENED, HIGHLIGHT], np.uint8)[pixels.astype(int)]
    return data_url(Image.fromarray(colors))


def edges(areas: NDArray) -> NDArray[np.bool_]:
    """Returns the pixels of (H, W) whose neighbor above, below, left or right belongs to another area.

    >>> edges(np.array([[0, 0, 0, 7, 7]])).astype(int)
    array([[0, 0, 1, 1, 0]])
    """
    p = np.pad(areas, 1, mode="edge")
    around = (p[:-2, 1:-1], p[2:, 1:-1], p[1:-1, :-2], p[1:-1, 2:])
    return np.any([areas != other for other in around], axis=0)


def key(task: Task) -> list[tuple[str, str]]:
    """Returns [(name, color)] of the classes, for the legend."""
    if isinstance(task, Binary):
        return [(task.object_name, _css(COLOR))]
    if isinstance(task, Instance):
        return []
    assert isinstance(task, (Semantic, Panoptic))
    return [(name, _css(color)) for name, color in zip(task.classes.names, task.classes.colors)]


def channels(task: Task) -> list[str]:
    """Returns what each channel of the network stands for."""
    if isinstance(task, Binary):
        return [task.object_name]
    assert isinstance(task, (Semantic, Instance, Panoptic))
    names = list(task.classes.names)
    if isinstance(task, Panoptic):
        names += ["center", "offset down", "offset right"] if task.separate_by == "centers" else ["boundary"]
    return names


def _css(color):
    return "#{:02x}{:02x}{:02x}".format(*color)
