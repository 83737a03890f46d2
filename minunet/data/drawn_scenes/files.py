"""Drawn scenes as files, for every kind of segmentation.

images/NAME.png       the image
classes/NAME.png      the number of each pixel's class, in a palette of the classes' colors
instances/NAME.png    16 bits: the number of each animal, 0 elsewhere
panoptic/NAME.png     COCO's panoptic format: the number of each pixel's segment in three bytes,
panoptic.json         and which class, area and box each segment has
classes.txt           a line per class: its number, name, whether it is a thing or stuff, its color
train.txt, test.txt   the names of the scenes, a line each
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from minunet.data.drawn_pets.compose import check_seeds
from minunet.data.drawn_pets.files import check_counts, flushed, new_folder
from minunet.data.drawn_scenes.classes import CLASSES
from minunet.data.drawn_scenes.compose import check_size, draw_scene
from minunet.data.drawn_scenes.dataset import name_of
from minunet.data.panoptic_ids import ids_to_colors, to_panoptic


def write_scenes(folder: str | Path, trainval: int, test: int, size: int = 256, seed: int = 0) -> None:
    """Draws trainval + test scenes into `folder`, with their classes, instances and panoptic segments.

    The scenes are numbered 0 … trainval - 1, and those to test with from there on, as for DrawnScenes.
    The folder appears once everything is written, or not at all. Raises FileExistsError if it exists and is not empty,
    ValueError for an argument out of range, OSError if it cannot be written.
    """
    trainval, test = check_counts(trainval, test)
    size = check_size(size)
    check_seeds(0, seed)
    with new_folder(Path(folder)) as draft:
        _write_files(draft, trainval, test, size, seed)


def _write_files(folder: Path, trainval: int, test: int, size: int, seed: int) -> None:
    """Writes the images, the labels and the lists."""
    for inner in ("images", "classes", "instances", "panoptic"):
        (folder / inner).mkdir()
    annotations = []
    for number in tqdm(range(trainval + test), desc="drawing", unit=" scenes", disable=None):
        name = name_of(number)
        image, classes, segments = draw_scene(number, seed, size)
        ids, segments_info = to_panoptic(classes, segments, CLASSES.values, CLASSES.things)
        annotations.append({"image_id": number, "file_name": f"{name}.png", "segments_info": segments_info})
        pictures = {
            "images": Image.fromarray(image),
            "classes": _with_palette(classes),
            "instances": Image.fromarray(segments),
            "panoptic": Image.fromarray(ids_to_colors(ids)),
        }
        for inner, picture in pictures.items():
            with flushed(folder / inner / f"{name}.png") as file:
                picture.save(file, "PNG")
    names = [name_of(number) for number in range(trainval + test)]
    lists = {"train": names[:trainval], "test": names[trainval:], "classes": _class_lines()}
    texts = {f"{name}.txt": _lines(entries) for name, entries in lists.items()}
    texts["panoptic.json"] = json.dumps(_document(annotations, size))
    for name, text in texts.items():
        with flushed(folder / name) as file:
            file.write(text.encode())


def _with_palette(classes: NDArray[np.uint8]) -> Image.Image:
    """The numbers of the classes as an image that shows their colors."""
    picture = Image.fromarray(CLASSES.to_values(classes))
    picture.putpalette(CLASSES.palette())
    return picture


def _class_lines() -> list[str]:
    kinds = ["thing" if thing else "stuff" for thing in CLASSES.things]
    rows = zip(CLASSES.values, CLASSES.names, kinds, CLASSES.colors)
    return [f"{value} {name} {kind} #{bytes(color).hex()}" for value, name, kind, color in rows]


def _lines(entries: Iterable[str]) -> str:
    return "".join(f"{entry}\n" for entry in entries)


def _document(annotations: list[dict[str, Any]], size: int) -> dict[str, Any]:
    """COCO's panoptic document."""
    images = [
        {"id": entry["image_id"], "file_name": entry["file_name"], "height": size, "width": size}
        for entry in annotations
    ]
    rows = zip(CLASSES.values, CLASSES.names, CLASSES.things, CLASSES.colors)
    categories = [
        {"id": value, "name": name, "supercategory": name, "isthing": int(thing), "color": color}
        for value, name, thing, color in rows
    ]
    return {"images": images, "annotations": annotations, "categories": categories}
