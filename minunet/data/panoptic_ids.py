"""COCO's panoptic format: one number per segment, in a PNG's colors, and a list that says what each segment is.

    PNG              id = R + 256 G + 65536 B for each pixel; 0 is void
    segments_info    of each id: category_id, area, bbox [x, y, width, height], iscrowd

and the form that minunet works with, two arrays (H, W) per image (see metrics/panoptic.py):

    classes          class index, 0 to K-1, or 255 where a pixel is void
    segments         the number of each thing, 1, 2, 3 … in this image; 0 on stuff and void, and on *crowd*: a group of
                     things that nobody has told apart, whose class is known

Pure functions; reading and writing files is for others.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.data.labels import IGNORE, MOST_OBJECTS

Segment = dict[str, Any]  # an entry of segments_info
MOST_IDS = 256**3 - 1


def colors_to_ids(colors: NDArray) -> NDArray[np.uint32]:
    """Returns the id of each pixel, uint32 (H, W). colors: uint8 (H, W, 3). Raises ValueError for anything else.

    >>> colors_to_ids(np.array([[[1, 0, 0], [44, 1, 0], [0, 0, 2]]], np.uint8))
    array([[     1,    300, 131072]], dtype=uint32)
    """
    if colors.dtype != np.uint8 or colors.ndim != 3 or colors.shape[2] != 3:
        raise ValueError(f"the PNG is {colors.dtype} {colors.shape}: a panoptic PNG has 8-bit colors, (H, W, 3)")
    return colors.astype(np.uint32) @ np.array([1, 256, 65536], np.uint32)


def ids_to_colors(ids: NDArray) -> NDArray[np.uint8]:
    """Returns ids, integers (H, W), 0 to 16777215, as colors, uint8 (H, W, 3). Raises ValueError for other ids.

    >>> ids_to_colors(np.array([[1, 300, 131072]])).tolist()
    [[[1, 0, 0], [44, 1, 0], [0, 0, 2]]]
    """
    if ids.size and not 0 <= ids.min() <= ids.max() <= MOST_IDS:
        raise ValueError(f"ids are {ids.min()} to {ids.max()}: three bytes hold 0 to {MOST_IDS}")
    return np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


def from_panoptic(
    ids: NDArray, segments_info: Iterable[Mapping[str, Any]], table: Mapping[int, int], things: Sequence[bool]
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Returns (classes uint8 (H, W), segments uint16 (H, W)) of one image.

    ids: integers (H, W); segments_info: what each is, of which `id`, `category_id` and `iscrowd` (0 if it is not given)
    are read; table: {category_id: class index, or 255}; things: for each class, whether it is countable. Things are
    numbered in the order of segments_info. Raises ValueError if image and list contradict each other, for categories
    that the table does not have, and for more things than 16 bits can number.

    >>> info = [{"id": 9, "category_id": 3}, {"id": 5, "category_id": 8}, {"id": 6, "category_id": 8}]
    >>> from_panoptic(np.array([[9, 9, 5, 6, 0]]), info, {3: 0, 8: 1}, things=(False, True))
    (array([[  0,   0,   1,   1, 255]], dtype=uint8), array([[0, 0, 1, 2, 0]], dtype=uint16))
    """
    present, index = np.unique(np.append(ids, 0), return_inverse=True)  # 0, void, is always among them
    classes, numbers = np.full(len(present), IGNORE), np.zeros(len(present), np.int64)
    listed = {0}
    count = 0
    for segment in segments_info:
        number, category = int(segment["id"]), segment["category_id"]
        place = int(np.searchsorted(present, number))
        if number in listed or place == len(present) or present[place] != number:
            reason = "is listed twice, or is 0, which is void" if number in listed else "is on no pixel of the PNG"
            raise ValueError(f"segment {number} of segments_info {reason}")
        if category not in table:
            raise ValueError(f"segment {number} has category_id {category}: the categories are {sorted(table)}")
        listed.add(number)
        classes[place] = table[category]
        if table[category] != IGNORE and things[table[category]] and not segment.get("iscrowd", 0):
            count += 1
            numbers[place] = count
    unlisted = sorted(set(present.tolist()) - listed)
    if unlisted:
        raise ValueError(f"the PNG has pixels of segment {unlisted[0]}, which segments_info does not list")
    if count > MOST_OBJECTS:
        raise ValueError(
            f"the image has {count} things: a 16-bit label image can hold {MOST_OBJECTS}; cut it into tiles"
        )
    index = index[:-1].reshape(ids.shape)
    return classes.astype(np.uint8)[index], numbers.astype(np.uint16)[index]


def to_panoptic(
    classes: NDArray, segments: NDArray, category_ids: Sequence[int], things: Sequence[bool]
) -> tuple[NDArray[np.uint32], list[Segment]]:
    """Returns (ids uint32 (H, W), segments_info) of one image: 1, 2, 3 … by class, and within it by number.

    classes: integers (H, W), 0 to K-1, or 255 (void); segments: integers (H, W). category_ids, things: of each of the K
    classes. A class of stuff is one segment; so are the pixels of a class of things that have the number 0, which
    become a crowd. Raises ValueError for a class that there is not, or if the sizes differ.

    >>> ids, info = to_panoptic(np.array([[0, 0, 1, 1, 255]]), np.array([[0, 0, 1, 2, 0]]), (3, 8), (False, True))
    >>> ids
    array([[1, 1, 2, 3, 0]], dtype=uint32)
    >>> info[2]
    {'id': 3, 'category_id': 8, 'area': 1, 'bbox': [3, 0, 1, 1], 'iscrowd': 0}
    """
    if classes.shape != segments.shape or classes.ndim != 2:
        raise ValueError(f"classes are {classes.shape}, segments {segments.shape}: they must both be (H, W)")
    void = classes == IGNORE
    if classes.size and not ((classes[~void] >= 0) & (classes[~void] < len(category_ids))).all():
        raise ValueError(f"classes hold {np.unique(classes)}: they must be 0 to {len(category_ids) - 1}, or {IGNORE}")
    is_thing = np.array([*things, *[False] * (IGNORE + 1 - len(things))])
    codes = np.where(void, 0, (classes.astype(np.int64) + 1 << 16) + np.where(is_thing[classes], segments, 0))
    present, index, areas = np.unique(np.append(codes, 0), return_inverse=True, return_counts=True)
    ids = index[:-1].reshape(classes.shape)
    boxes = _boxes(ids, len(present))
    return ids.astype(np.uint32), [
        {
            "id": place,
            "category_id": int(category_ids[(code >> 16) - 1]),
            "area": int(areas[place]),
            "bbox": boxes[place],
            "iscrowd": int(is_thing[(code >> 16) - 1] and code & 0xFFFF == 0),
        }
        for place, code in enumerate(present.tolist())
        if place > 0
    ]


def _boxes(ids, count):
    """Returns the box [x, y, width, height] of each id from 0 to count - 1."""
    y, x = np.indices(ids.shape).reshape(2, -1)
    low, high = np.full((count, 2), max(ids.shape, default=0)), np.zeros((count, 2), np.int64)
    for axis, place in enumerate((x, y)):
        np.minimum.at(low[:, axis], ids.ravel(), place)
        np.maximum.at(high[:, axis], ids.ravel(), place + 1)
    return [[*map(int, corner), *map(int, size)] for corner, size in zip(low, high - low)]
