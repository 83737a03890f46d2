r"""How well are the objects of an image found, each for itself?

A true object T and a found object P *match* where their IoU, |T ∩ P| / |T ∪ P|, is above a threshold. Then

    TP   true positives: pairs that match        precision   TP / (TP + FP)    of what was found, how much is true
    FP   false positives: found, match nothing   recall      TP / (TP + FN)    of what is true, how much was found
    FN   false negatives: true, match nothing    AP          TP / (TP + FP + FN)

AP is called average precision in the 2018 Data Science Bowl, and so it is here, though there is no curve to average
over: the objects carry no confidence. It is not the average precision of COCO's object detection.

Matches are unique for thresholds of at least 0.5: the objects of one image do not overlap, so where more than half of
T ∪ P lies in both, less than half of T, and of P, is left for any other pair. Below 0.5 pairs are taken greedily, the
largest IoU first (of equal ones, the lowest true number, then the lowest found number).

The aggregated Jaccard index (Kumar et al., "A Dataset and a Technique for Generalized Nuclear Segmentation for
Computational Pathology", IEEE Transactions on Medical Imaging 36, 2017, algorithm 1) needs no threshold. P(T) is the
found object with the largest IoU with T (empty if none meets T), and R are the found objects that no T has chosen:

    AJI = Σ_T |T ∩ P(T)| / ( Σ_T |T ∪ P(T)| + Σ_R |R| )

By hand: a row of 12 pixels with three true objects and three found ones.

    true    1 1 1 1 2 2 2 2 0 3 3 0      1 and 4 share 3 pixels of 4: IoU 0.75
    found   4 4 4 0 0 5 5 5 5 0 0 6      2 and 5 share 3 pixels of 5: IoU 0.6;  3 is missed, 6 is wrong

    above 0.5:  TP 2, FP 1, FN 1:  AP = 2/4 = 0.5, precision = recall = 2/3      above 0.7:  TP 1:  AP = 1/5 = 0.2
    mean of the AP over 0.5, 0.55 … 0.95:  (0.5 + 0.5 + 0.2 + 0.2 + 0.2 + 0 + 0 + 0 + 0 + 0) / 10 = 0.16
    AJI = (3 + 3 + 0) / (4 + 5 + 2 + 1) = 0.5      Dice of the foreground = 2·6 / (10 + 8) = 0.667

Pixels whose true number is 65535 (ignore) are cut out of both images first, so they count nowhere. An image without
true and without found objects was answered perfectly, and its AP and its AJI are 1: otherwise no network could reach
full marks where there are images without objects. An image that has only true objects, or only found ones, scores 0.
One whose pixels are all ignored says nothing, and is left out of the means.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minunet.data.labels import IGNORE_OBJECT, as_segments
from minunet.device import Array, to_numpy
from minunet.metrics.overlaps import overlaps

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))  # 0.5, 0.55 … 0.95, as in the Data Science Bowl


class Matches(NamedTuple):
    """What matches and what does not, as numbers of objects, each in rising order.

    true, found   int (TP,), (TP,): true[k] and found[k] are a pair
    iou           float (TP,): their IoU
    missed        int (FN,): true objects that match nothing
    wrong         int (FP,): found objects that match nothing
    """

    true: NDArray
    found: NDArray
    iou: NDArray
    missed: NDArray
    wrong: NDArray


def match(true: Array, found: Array, threshold: float = 0.5) -> Matches:
    """Returns which found objects match which true ones: those with an IoU above `threshold`, 0 <= threshold < 1.

    true, found: segments, integers (H, W), 0 where there is no object; in `true`, 65535 is ignored.
    Raises ValueError or TypeError for anything else.

    >>> true = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 0, 3, 3, 0]])
    >>> found = np.array([[4, 4, 4, 0, 0, 5, 5, 5, 5, 0, 0, 6]])
    >>> m = match(true, found)
    >>> [*zip(m.true.tolist(), m.found.tolist(), m.iou.tolist())], m.missed, m.wrong
    ([(1, 4, 0.75), (2, 5, 0.6)], array([3]), array([6]))
    """
    if not 0 <= threshold < 1:
        raise ValueError(f"threshold is {threshold}: it must be at least 0 and below 1")
    objects = _Objects(true, found)
    i, j, iou = objects.match(threshold)
    return Matches(
        objects.true[i], objects.found[j], iou, np.delete(objects.true, i), np.delete(objects.found, np.sort(j))
    )


def average_precision(true: Array, found: Array, threshold: float | Sequence[float] = 0.5) -> float:
    """Returns TP / (TP + FP + FN) of one image; of several thresholds, such as THRESHOLDS, the mean.

    Arguments and errors as `match`. Without true and found objects, 1.

    >>> true = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 0, 3, 3, 0]])
    >>> found = np.array([[4, 4, 4, 0, 0, 5, 5, 5, 5, 0, 0, 6]])
    >>> average_precision(true, found), round(average_precision(true, found, THRESHOLDS), 2)
    (0.5, 0.16)
    """
    matches = [match(true, found, t) for t in np.atleast_1d(threshold)]
    return float(np.mean([_ratio(len(m.true), len(m.true) + len(m.missed) + len(m.wrong)) for m in matches]))


def aggregated_jaccard_index(true: Array, found: Array) -> float:
    """Returns the AJI of one image, a float in [0, 1]. Arguments and errors as `match`.

    >>> true = np.array([[1, 1, 1, 1, 2, 2, 2, 2, 0, 3, 3, 0]])
    >>> found = np.array([[4, 4, 4, 0, 0, 5, 5, 5, 5, 0, 0, 6]])
    >>> aggregated_jaccard_index(true, found)
    0.5
    """
    return _ratio(*_Objects(true, found).aggregated_jaccard())


class InstanceScores:
    """Adds up the scores of many images.

    `ap50`, `ap75`, `ap` (the mean over THRESHOLDS) and `aji` are means over images: each image weighs the same, as in
    the Data Science Bowl. `precision50`, `recall50` and `dice` are taken over the objects, and the pixels, of all
    images together.

    >>> scores = InstanceScores()
    >>> scores.update(np.array([[1, 1, 0, 2, 2]]), np.array([[1, 1, 0, 0, 0]]))    # one of two found
    >>> scores.update(np.array([[0, 0, 0, 0, 0]]), np.array([[0, 0, 0, 0, 0]]))    # nothing there, nothing found
    >>> result = scores.result()
    >>> result["ap50"], result["precision50"], result["recall50"], result["objects"], result["found"]
    (0.75, 1.0, 0.5, 2, 1)
    """

    def __init__(self) -> None:
        self._counts: list[NDArray] = []  # per image: see _count

    def update(self, true: Array, found: Array) -> None:
        """Counts one image: segments, integers (H, W), of any device. Errors as `match`."""
        self._counts.append(_count(_Objects(true, found)))

    def state_dict(self) -> dict[str, NDArray]:
        """Returns {"counts": int (images, COLUMNS)}, which is enough to continue counting later."""
        return {"counts": self._per_image()}

    def load_state_dict(self, state: Mapping[str, NDArray]) -> None:
        """Restores a state_dict. Raises ValueError for anything else."""
        counts = np.array(state["counts"], np.int64)
        if counts.ndim != 2 or counts.shape[1] != COLUMNS:
            raise ValueError(f"counts has shape {counts.shape}: it must be (images, {COLUMNS})")
        self._counts = list(counts)

    def _per_image(self):
        return np.array(self._counts, np.int64).reshape(-1, COLUMNS)

    def result(self) -> dict[str, float]:
        """Returns the scores so far, a dict of Python numbers.

        Besides the scores above: "objects" and "found", how many are true and how many were found, "images", how many
        images were counted. Raises ValueError if no pixel was counted.
        """
        counts = self._per_image()
        counts = counts[counts[:, 0] > 0]  # not the images whose pixels are all ignored
        if not len(counts):
            raise ValueError(
                "there is nothing to score: call update(true, found) with an image that is not all ignored"
            )
        _, true, found, common, both, either, t, p = (counts[:, k] for k in range(8))
        tp = counts[:, 8:]
        ap = _ratios(tp, (true + found)[:, None] - tp)
        return {
            "ap50": float(ap[:, THRESHOLDS.index(0.5)].mean()),
            "ap75": float(ap[:, THRESHOLDS.index(0.75)].mean()),
            "ap": float(ap.mean()),
            "precision50": _ratio(tp[:, 0].sum(), found.sum()),
            "recall50": _ratio(tp[:, 0].sum(), true.sum()),
            "aji": float(_ratios(both, either).mean()),
            "dice": _ratio(2 * common.sum(), (t + p).sum()),
            "objects": int(true.sum()),
            "found": int(found.sum()),
            "images": len(counts),
        }


COLUMNS = 8 + len(THRESHOLDS)


def _count(objects):
    """Returns one image's counts, int (COLUMNS,).

    Pixels; true objects, found objects; pixels of the foreground in both; the numerator and the denominator of the AJI;
    pixels of the true foreground, of the found foreground; then the true positives at each of THRESHOLDS.
    """
    both, either = objects.aggregated_jaccard()
    positives = [len(objects.match(threshold)[0]) for threshold in THRESHOLDS]
    areas = [objects.true_areas.sum(), objects.found_areas.sum()]
    sizes = [objects.pixels, len(objects.true), len(objects.found), objects.common.sum()]
    return np.array([*sizes, both, either, *areas, *positives], np.int64)


class _Objects:
    """The objects of a true and a found image, without background and ignored pixels, and the IoU of those that meet.

    true, found; true_areas, found_areas: numbers and pixels of the objects. i, j: pairs that share a pixel, as indices
    into these; common, unions, iou: of each pair.
    """

    def __init__(self, true, found):
        true, found = as_segments(to_numpy(true), ignore=True), as_segments(to_numpy(found))
        if true.shape != found.shape:
            raise ValueError(f"true segments are {true.shape}, found ones {found.shape}: they must have the same size")
        counted = true != IGNORE_OBJECT
        o = overlaps(true[counted], found[counted])
        self.pixels = int(counted.sum())
        # Background comes first where there is any: indices of objects move down by as much.
        no_true, no_found = int(0 in o.true[:1]), int(0 in o.found[:1])
        objects = (o.true[o.i] > 0) & (o.found[o.j] > 0)
        self.true, self.true_areas = o.true[no_true:], o.true_areas[no_true:]
        self.found, self.found_areas = o.found[no_found:], o.found_areas[no_found:]
        self.i, self.j, self.common = o.i[objects] - no_true, o.j[objects] - no_found, o.common[objects]
        self.unions = o.unions()[objects]
        self.iou = self.common / self.unions

    def match(self, threshold):
        """Returns (i, j, iou) of the pairs that match."""
        above = np.flatnonzero(self.iou > threshold)
        if threshold < 0.5:
            above = self._greedy(above)
        return self.i[above], self.j[above], self.iou[above]

    def _greedy(self, pairs):
        """Returns those of `pairs` that are left when the largest IoU is taken first and no object is taken twice."""
        free_true, free_found = np.ones(len(self.true), bool), np.ones(len(self.found), bool)
        taken = []
        for pair in pairs[np.lexsort((self.j[pairs], self.i[pairs], -self.iou[pairs]))]:
            i, j = self.i[pair], self.j[pair]
            if free_true[i] and free_found[j]:
                free_true[i] = free_found[j] = False
                taken.append(pair)
        return np.sort(np.array(taken, np.intp))

    def aggregated_jaccard(self):
        """Returns the numerator and the denominator of the AJI, in pixels."""
        order = np.lexsort((self.j, -self.iou, self.i))  # by true object, the largest IoU first
        choosing, first = np.unique(self.i[order], return_index=True)
        best = order[first]
        missed = np.delete(self.true_areas, choosing)
        unchosen = np.delete(self.found_areas, np.unique(self.j[best]))
        return int(self.common[best].sum()), int(self.unions[best].sum() + missed.sum() + unchosen.sum())


def _ratio(a, b):
    """Returns a / b as a float, and 1 for 0 / 0: where nothing was to be done, nothing was done wrong."""
    return float(_ratios(a, b))


def _ratios(a, b):
    return np.where(np.equal(b, 0), 1.0, a / np.maximum(b, 1))
