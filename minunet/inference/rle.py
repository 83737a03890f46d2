r"""Run-length encoding, as COCO writes masks: how long the mask stays 0, then 1, then 0, and so on, down the columns.

    mask   0 1 1     column by column:  0 0  1 0  1 1     counts: [2, 1, 1, 2]
           0 0 1     (a mask whose first pixel is 1 begins with a count of 0)

The compressed form is a text. Each count after the third is replaced by its difference from the count two before it,
which is small where neighboring columns are alike. Each number is written in groups of 5 bits, the lowest first, until
the rest is all sign; a group is the character 48 + its 5 bits + 32 if more groups follow:

    2 = 00010 → "2"      16 = 10000, whose highest bit would read as a sign, so 10000 + more, 00000 → "`0"

Source of the format: the COCO API, common/maskApi.c (rleEncode, rleToString). The counts are those of all pixels, so
that a decoder can check them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minunet.data.labels import IGNORE_OBJECT, as_segments

MOST_GROUPS = 7  # of 5 bits: differences of counts below 2^32


def encode(mask: NDArray) -> list[int]:
    """Returns the counts of a mask, bool or 0/1 (H, W).

    >>> encode(np.array([[0, 1, 1], [0, 0, 1]]))
    [2, 1, 1, 2]
    """
    flat = np.asarray(mask).astype(bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    return [0, *counts] if flat[:1].any() else counts


def encode_segments(segments: NDArray) -> dict[int, list[int]]:
    """Returns the counts of every object, {number: counts}, in rising order; one pass over the pixels for all of them.

    segments: integers (H, W), 0 where there is no object, 65535 where pixels are ignored.

    >>> encode_segments(np.array([[0, 7, 7], [0, 3, 7]]))
    {3: [3, 1, 2], 7: [2, 1, 1, 2]}
    """
    flat = as_segments(segments, ignore=True).ravel(order="F")
    starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] + 1))  # where a run begins; unsigned, so 65535 + 1 is 0
    ends = np.append(starts[1:], flat.size)
    numbers = flat[starts]
    order = np.argsort(numbers, kind="stable")
    present, first = np.unique(numbers[order], return_index=True)
    encoded = {}
    for number, runs in zip(present.tolist(), np.split(order, first[1:])):
        if number not in (0, IGNORE_OBJECT):
            edges = np.stack([starts[runs], ends[runs]], axis=1).ravel()  # 0s up to here, 1s up to here …
            counts = np.diff([0, *edges, flat.size]).tolist()
            encoded[number] = counts if counts[-1] else counts[:-1]
    return encoded


def decode(counts: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Returns the mask, bool (H, W), of counts. size: (H, W). Raises ValueError if they do not cover just as much.

    >>> decode([2, 1, 1, 2], (2, 3)).astype(int)
    array([[0, 1, 1],
           [0, 0, 1]])
    """
    lengths = np.asarray(counts, np.int64)
    if (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        raise ValueError(f"the counts add up to {lengths.sum()}: an image of {size[0]} x {size[1]} has another size")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size, order="F")


def compress(counts: Sequence[int]) -> str:
    """Returns counts in the compressed form.

    >>> compress([2, 1, 1, 2]), compress([16])
    ('2111', '`0')
    """
    text = []
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            group, value = value & 31, value >> 5  # >> keeps the sign: of -1, -1 is left
            more = value != (-1 if group & 16 else 0)
            text.append(chr(48 + group + 32 * more))
    return "".join(text)


def decompress(text: str) -> list[int]:
    """Returns the counts of the compressed form. Raises ValueError for a text that is none.

    >>> decompress("2111")
    [2, 1, 1, 2]
    """
    counts: list[int] = []
    value, shift = 0, 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64 or shift >= 5 * MOST_GROUPS:
            raise ValueError(f"{text[:40]!r} is no compressed run-length encoding: it may only hold the signs 0 to o")
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            value -= (group & 16) << (shift - 4)  # a negative number, all of whose higher bits are 1
            counts.append(value + counts[-2] if len(counts) > 2 else value)
            value, shift = 0, 0
    if shift or min(counts, default=0) < 0:
        raise ValueError(f"{text[:40]!r} is no compressed run-length encoding: it ends early, or has a count below 0")
    return counts


def decode_json(segmentation: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Returns the mask, bool (H, W), of {"size": [H, W], "counts": list or text}, as it stands in COCO's files."""
    H, W = segmentation["size"]
    counts = segmentation["counts"]
    return decode(decompress(counts) if isinstance(counts, str) else counts, (int(H), int(W)))
