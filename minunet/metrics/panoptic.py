r"""Panoptic quality: one number for "each object found, each pixel in its class".

Kirillov et al., "Panoptic Segmentation", CVPR 2019. Each image is cut into *segments*: a segment is one object of a
class of things (a cat), or all pixels of a class of stuff (grass). A true segment T and a predicted one P of the same
class match where their IoU is above 0.5, which makes matches unique (see instances.py). Of each class, over all images
together,

    TP   pairs that match          FP   predicted segments without a match         FN   true ones without a match

    SQ = Σ_TP IoU / TP                  segmentation quality: how well the matched ones fit
    RQ = TP / (TP + FP/2 + FN/2)        recognition quality: how many were matched, the F1 score
    PQ = SQ · RQ = Σ_TP IoU / (TP + FP/2 + FN/2)

Then the mean over the classes that occur (TP + FP + FN > 0), over those of them that are things, and over those that
are stuff. The mean SQ times the mean RQ is in general not the mean PQ.

What nobody has marked counts as in COCO's evaluation (panopticapi):
    void    true pixels of class 255. They do not count in the union of a pair.
    crowd   true pixels of a class of things with the segment number 0: objects that nobody has told apart. They are no
            segment, so nothing can match them, and nothing is missed.
A predicted segment that matches nothing is no false positive if more than half of it lies on void and on crowd of its
own class. Predicted pixels of class 255, or of a thing with the number 0, belong to no segment.

By hand: a row of 10 pixels; class 0 is stuff (grass, g), class 1 things (cats, numbered); v is void.

    pixel       0 1 2 3 4 5 6 7 8 9
    true        g g g g 1 1 1 1 v v
    predicted   g g g 1 1 1 1 2 2 2

    >>> true_classes  = np.array([[0, 0, 0, 0, 1, 1, 1, 1, 255, 255]])
    >>> true_segments = np.array([[0, 0, 0, 0, 1, 1, 1, 1, 0, 0]])
    >>> classes       = np.array([[0, 0, 0, 1, 1, 1, 1, 1, 1, 1]])
    >>> segments      = np.array([[0, 0, 0, 1, 1, 1, 1, 2, 2, 2]])
    >>> scores = PanopticScores(things=(False, True))
    >>> scores.update(true_classes, true_segments, classes, segments)

Grass: 3 of 4 pixels, IoU 0.75, TP 1, so its PQ is 0.75. The true cat 1 and the predicted cat 1 share 3 pixels of 5: IoU
0.6, TP 1. The predicted cat 2 matches nothing, but 2 of its 3 pixels are void: it is no false positive. So the PQ of
cats is 0.6, and the mean 0.675.

    >>> scores.per_class()["pq"]
    array([0.75, 0.6 ])
    >>> round(scores.result()["pq"], 3)
    0.675
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from minunet.data.labels import IGNORE, as_segments
from minunet.device import Array, to_numpy
from minunet.metrics.overlaps import overlaps

VOID = 0  # the code of pixels that belong to no segment
NUMBERS = 65536  # a pixel's code is (class + 1) · NUMBERS + segment number


class PanopticScores:
    """Adds up the panoptic quality of many images.

    things: for each class, whether it is countable (bool, one per class, 1 to 255 of them).
    """

    def __init__(self, things: Sequence[bool]) -> None:
        self.things = np.array(things, bool)
        if self.things.ndim != 1 or not 1 <= len(self.things) <= IGNORE:
            raise ValueError(
                f"things has shape {self.things.shape}: it must be one bool per class, 1 to {IGNORE} of them"
            )
        self._iou = np.zeros(len(self.things))  # Σ IoU of the matches
        self._counts = np.zeros((len(self.things), 3), np.int64)  # TP, FP, FN
        self._images = 0

    def update(self, true_classes: Array, true_segments: Array, classes: Array, segments: Array) -> None:
        """Counts one image.

        true_classes, classes: integers (H, W), 0 to K-1, or 255 (void). true_segments, segments: integers (H, W), the
        number of each thing; on stuff and void they mean nothing. Arrays of any device. A number that has pixels of two
        classes is two segments. Raises ValueError or TypeError for anything else.
        """
        true, crowd = self._codes("true_", true_classes, true_segments)
        found, unnumbered = self._codes("", classes, segments)
        if true.shape != found.shape:
            raise ValueError(f"the truth is {true.shape}, the answer {found.shape}: they must have the same size")
        found[unnumbered] = VOID
        o = overlaps(true, found)
        is_crowd = self._is_crowd(o.true)
        iou, i, j = self._matches(o, is_crowd)
        missed = np.delete(o.true, i)[~np.delete((o.true == VOID) | is_crowd, i)]
        wrong = np.delete(o.found, j)[~np.delete((o.found == VOID) | self._excused(o, is_crowd), j)]
        self._iou += np.bincount(_class(o.true[i]), iou, len(self.things))
        for column, codes in enumerate((o.true[i], wrong, missed)):
            self._counts[:, column] += np.bincount(_class(codes), minlength=len(self.things))
        self._images += 1

    def _codes(self, kind, classes, segments):
        """Returns the code of each pixel's segment, int64 (H, W), and where it is a thing without a number, bool."""
        classes, segments = to_numpy(classes), as_segments(to_numpy(segments))
        if classes.shape != segments.shape or classes.dtype.kind not in "uib":
            raise ValueError(
                f"{kind}classes are {classes.dtype} {classes.shape}, {kind}segments {segments.shape}: they must be "
                "integers of the same shape (H, W)"
            )
        void = classes == IGNORE
        known = void | ((classes >= 0) & (classes < len(self.things)))
        if not known.all():
            strange, last = classes[~known].flat[0], len(self.things) - 1
            raise ValueError(f"{kind}classes hold {strange}: they must be 0 to {last}, or {IGNORE} (void)")
        index = np.where(void, 0, classes).astype(np.int64)
        thing = self.things[index]
        codes = np.where(void, VOID, (index + 1) * NUMBERS + np.where(thing, segments, 0))
        return codes, ~void & thing & (segments == 0)

    def _is_crowd(self, codes):
        """Returns which true segments are crowd: things with the number 0."""
        return (codes != VOID) & (codes % NUMBERS == 0) & self.things[_class(codes)]

    def _matches(self, o, is_crowd):
        """Returns the IoU of the pairs that match, and the indices of their true and predicted segments."""
        in_void = _pixels(o, o.true[o.i] == VOID)
        unions = o.unions() - in_void[o.j]
        candidates = (o.true[o.i] != VOID) & ~is_crowd[o.i] & (_class(o.true[o.i]) == _class(o.found[o.j]))
        candidates &= o.found[o.j] != VOID
        iou = o.common / np.maximum(unions, 1)  # a union without void is empty only for void itself
        matched = candidates & (iou > 0.5)
        return iou[matched], o.i[matched], o.j[matched]

    def _excused(self, o, is_crowd):
        """Returns which predicted segments lie by more than half on void and on crowd of their own class."""
        own_crowd = is_crowd[o.i] & (_class(o.true[o.i]) == _class(o.found[o.j]))
        return 2 * _pixels(o, (o.true[o.i] == VOID) | own_crowd) > o.found_areas

    def per_class(self) -> dict[str, NDArray]:
        """Returns {"pq", "sq", "rq": float (K,); "tp", "fp", "fn": int (K,)}.

        PQ, SQ and RQ are NaN for a class that neither occurs nor is predicted. SQ is 0 where nothing matches.
        """
        tp, fp, fn = self._counts.T
        occurs = tp + fp + fn > 0
        size = np.where(occurs, tp + fp / 2 + fn / 2, np.nan)
        sq = np.where(occurs, self._iou / np.maximum(tp, 1), np.nan)
        return {"pq": self._iou / size, "sq": sq, "rq": tp / size, "tp": tp, "fp": fp, "fn": fn}

    def result(self) -> dict[str, float]:
        """Returns {"pq", "sq", "rq", the same of things ("pq_things" …) and of stuff ("pq_stuff" …), "images"}.

        They are means over the classes that occur or are predicted, NaN if there are none of that kind. Raises
        ValueError if there are none at all.
        """
        classes = self.per_class()
        occurs = ~np.isnan(classes["pq"])
        if not occurs.any():
            raise ValueError("there is nothing to score: no image so far has a segment that is not void")
        result: dict[str, float] = {}
        for suffix, chosen in (("", occurs), ("_things", occurs & self.things), ("_stuff", occurs & ~self.things)):
            for name in ("pq", "sq", "rq"):
                result[name + suffix] = float(classes[name][chosen].mean()) if chosen.any() else float("nan")
        result["images"] = self._images
        return result

    def state_dict(self) -> dict[str, NDArray]:
        """Returns {"iou": float (K,), "counts": int (K, 3), "images": int ()}, which is enough to continue later."""
        return {"iou": self._iou.copy(), "counts": self._counts.copy(), "images": np.array(self._images)}

    def load_state_dict(self, state: Mapping[str, NDArray]) -> None:
        """Restores a state_dict. Raises ValueError for one of another number of classes."""
        iou, counts = np.array(state["iou"], np.float64), np.array(state["counts"], np.int64)
        if iou.shape != self._iou.shape or counts.shape != self._counts.shape:
            raise ValueError(f"the scores are of {len(iou)} classes: there must be {len(self.things)}")
        self._iou, self._counts, self._images = iou, counts, int(state["images"])


def panoptic_quality(
    true_classes: Array, true_segments: Array, classes: Array, segments: Array, things: Sequence[bool]
) -> float:
    """Returns the PQ of one image, a float in [0, 1]. Arguments and errors as PanopticScores.

    >>> road, car = np.array([[0, 0, 1, 1]]), np.array([[0, 0, 1, 1]])
    >>> panoptic_quality(road, car, road, car, things=(False, True))
    1.0
    """
    scores = PanopticScores(things)
    scores.update(true_classes, true_segments, classes, segments)
    return scores.result()["pq"]


def _class(codes):
    """Returns the class of each code; for void, any (0)."""
    return np.maximum(codes // NUMBERS - 1, 0)


def _pixels(o, pairs):
    """Returns how many pixels of each predicted segment lie in the chosen pairs. pairs: bool (P,)."""
    return np.bincount(o.j, o.common * pairs, minlength=len(o.found)).astype(np.int64)
