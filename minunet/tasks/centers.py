"""Objects by their centers: each pixel says where the center of its object lies, and pixels that agree belong together.

Targets, from the numbers of the objects. The center of an object is the mean of its pixels, (cy, cx); there lies a
Gaussian, h = exp(-((y - cy)² + (x - cx)²) / 2σ²), and where several overlap, the largest counts: the *heat map*. The
*offset* of a pixel of an object leads to the center, (cy - y, cx - x).

Answers, the other way round. Centers are where the heat map is a local maximum and above a threshold: a pixel that max
pooling over a window around it leaves unchanged. A pixel (y, x) with the offset (dy, dx) belongs to the center nearest
to (y + dy, x + dx).

    three pixels in a row, x = 2, 3, 4    cx = 3, offsets 1, 0, -1, heat (σ = 1) at x = 1 … 5: .14 .61 1 .61 .14

Loss: that of the classes, plus 200 times the mean squared error of the heat map, plus 0.01 times the mean absolute
error of the offsets where there are things; the weights are those of Panoptic-DeepLab. The heat map is 0 nearly
everywhere and at most 1, and offsets are tens of pixels: the weights bring the three to the same size. For the same
reason the network answers in units of its own, 1/16 of heat and 16 pixels: a new network says numbers of about 1, and
200 times the square of such a number, in the first steps, would leave Adam's running averages so large that nothing
else is learned for ten epochs.

Objects that are long and branch, as nerve cells do, have their centers outside, or two have one in common; then these
fail, and boundaries do better (panoptic.py has both). Source: Cheng et al., "Panoptic-DeepLab", 2020.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from minunet.autograd import Tensor, no_grad
from minunet.device import Array, array_module, to_numpy
from minunet.ops import max_pool2d, mean_absolute_error, mean_squared_error

SIGMA = 4.0  # pixels
HEAT_WEIGHT, OFFSET_WEIGHT = 200.0, 0.01
HEAT_UNIT, OFFSET_UNIT = 1 / 16, 16.0  # a heat, and a number of pixels, for which the network has to say 1
THRESHOLD, WINDOW, MOST = 0.1, 7, 200  # of the heat map's maxima; how many of them are kept, the highest
BLOCK = 1 << 22  # distances computed at a time


def center_targets(segments: NDArray, sigma: float = SIGMA) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the heat map (H, W) and the offsets (H, W, 2), down and right in pixels, of object numbers (H, W).

    0 is no object; there the offsets are 0.
    """
    heat = np.zeros(segments.shape, np.float32)
    offsets = np.zeros((*segments.shape, 2), np.float32)
    rows, columns = np.nonzero(segments)
    if not len(rows):
        return heat, offsets
    numbers, inverse, counts = np.unique(segments[rows, columns], return_inverse=True, return_counts=True)
    cy, cx = (np.bincount(inverse, place) / counts for place in (rows, columns))
    offsets[rows, columns, 0] = cy[inverse] - rows
    offsets[rows, columns, 1] = cx[inverse] - columns
    reach = int(np.ceil(4 * sigma))  # farther out, h is below 0.0004
    for y, x in zip(cy, cx):
        ys = np.arange(max(0, int(y) - reach), min(segments.shape[0], int(y) + reach + 1))
        xs = np.arange(max(0, int(x) - reach), min(segments.shape[1], int(x) + reach + 1))
        gaussian = np.exp(-((ys[:, None] - y) ** 2 + (xs - x) ** 2) / (2 * sigma**2))
        window = heat[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
        np.maximum(window, gaussian, out=window)
    return heat, offsets


def with_centers(class_loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Returns the loss of all K + 3 channels, from that of the K classes."""

    def loss(z, targets, weights):
        classes, heat, offsets, seen, things = targets
        K = z.shape[-1] - 3
        by_heat = mean_squared_error(HEAT_UNIT * z[..., K : K + 1], heat, seen)
        by_offset = mean_absolute_error(OFFSET_UNIT * z[..., K + 1 :], offsets, things)
        return class_loss(z[..., :K], classes, weights) + HEAT_WEIGHT * by_heat + OFFSET_WEIGHT * by_offset

    return loss


def find_centers(heat: Array, threshold: float = THRESHOLD, window: int = WINDOW, most: int = MOST) -> Array:
    """Returns the centers (n, 2) as pixels (y, x), highest first, of a heat map (H, W), on its device.

    Of several equal pixels in one window, each is a center.

    >>> heat = np.zeros((5, 9))
    >>> heat[2, 1], heat[2, 2], heat[3, 7] = 0.5, 0.9, 0.3
    >>> find_centers(heat, window=3).tolist()
    [[2, 2], [3, 7]]
    """
    xp = array_module(heat)
    with no_grad():
        pooled = max_pool2d(Tensor(heat[None, :, :, None]), window, 1, "same").data[0, :, :, 0]
    y, x = xp.nonzero((heat == pooled) & (heat > threshold))
    highest = xp.asarray(np.argsort(-to_numpy(heat[y, x]), kind="stable")[:most])  # so few that the host sorts them
    return xp.stack([y[highest], x[highest]], axis=1)


def group(offsets: Array, centers: Array, things: Array) -> Array:
    """Returns the number of the nearest center, 1 to n, for each pixel of an object: int32 (H, W), 0 elsewhere.

    offsets (H, W, 2); centers (n, 2); things bool (H, W), where there are objects; all on one device. Where there is no
    center, all is 0.

    >>> offsets = np.zeros((1, 6, 2))
    >>> offsets[0, :, 1] = [1, 0, 9, 9, 0, -1]
    >>> group(offsets, np.array([[0, 1], [0, 4]]), np.array([[1, 1, 0, 0, 1, 1]], bool))
    array([[1, 1, 0, 0, 2, 2]], dtype=int32)
    """
    xp = array_module(offsets)
    numbers = xp.zeros(things.shape, "int32")
    if not len(centers):
        return numbers
    y, x = xp.nonzero(things)
    aim = xp.stack([y, x], axis=1) + offsets[y, x]
    nearest = []
    step = max(1, BLOCK // len(centers))
    for start in range(0, len(aim), step):
        distance = ((aim[start : start + step, None] - centers[None]) ** 2).sum(axis=-1)
        nearest.append(distance.argmin(axis=1) + 1)
    if nearest:
        numbers[y, x] = xp.concatenate(nearest)
    return numbers


def majority(classes: Array, segments: Array, things: Array) -> Array:
    """Returns the classes (H, W) after each segment has taken the class that most of its pixels of things have.

    Of two that are equally frequent, the first.

    >>> majority(np.array([[3, 4, 4, 0]], np.uint8), np.array([[1, 1, 1, 0]]), np.array([[1, 1, 1, 0]], bool))
    array([[4, 4, 4, 0]], dtype=uint8)
    """
    xp = array_module(classes)
    counted = things & (segments > 0)
    votes = xp.bincount(segments[counted].astype("int64") * 256 + classes[counted], minlength=256)
    votes = xp.concatenate([votes, xp.zeros(-len(votes) % 256, votes.dtype)]).reshape(-1, 256)
    return xp.where(counted, votes.argmax(axis=1)[xp.where(counted, segments, 0)], classes).astype("uint8")
