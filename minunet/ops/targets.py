"""What a loss compares with: the true mask or the true classes, and how much each pixel counts."""

from numpy.typing import ArrayLike

from minunet.autograd import Tensor, TensorLike
from minunet.data.labels import IGNORE
from minunet.device import Array, array_module, device_of, to_device


def target_arrays(
    operation: str, prediction: Array, t: TensorLike, weights: TensorLike | None
) -> tuple[Array, Array | None]:
    """Returns (t, weights) as plain arrays of the prediction's dtype; weights None stays None.

    t        the truth, 0 to 1, Tensor or array shaped like the prediction.
    weights  how much each element counts; 0 ignores it (the unclassified boundary in a trimap).
    Raises ValueError for a t outside 0 to 1 (on the CPU; a GPU would have to wait) and where a shape differs: NumPy
    would silently broadcast a mask (1,256,256) without its last axis against (1,256,256,1), to (1,256,256,256).
    """
    truth = _array(operation, "t", t, prediction)
    _check_range(operation, "t", truth, "a mask of 0 and 255 is mask / 255, and pixels to ignore get the weight 0")
    return truth, _array(operation, "weights", weights, prediction)


def check_probabilities(operation: str, p: Array) -> None:
    """Raises ValueError, on the CPU, for what cannot be probabilities."""
    _check_range(operation, "p", p, "of logits, give ops.sigmoid(z), or take a loss that is called ..._with_logits")


def check_logits(operation: str, z: TensorLike) -> None:
    """Raises ValueError for probabilities where it can be told: for what sigmoid or softmax has just made."""
    made_by = z.creator.operation if isinstance(z, Tensor) and z.creator is not None else ""
    if made_by.lower() in ("sigmoid", "softmax"):
        raise ValueError(
            f"{operation}: z comes out of {made_by}: it must be logits, what goes into it (model.logits(x)); "
            "or take a loss on probabilities, such as binary_cross_entropy"
        )


def _check_range(operation, name, array, fix):
    if device_of(array) != "cpu" or array.size == 0:
        return
    low, high = array.min(), array.max()
    if low < 0 or high > 1:
        raise ValueError(f"{operation}: {name} holds {low:g} to {high:g}: it must be 0 to 1; {fix}")


def regression_arrays(
    operation: str, y: Array, t: TensorLike, weights: TensorLike | None
) -> tuple[Array, Array | None]:
    """Returns (t, weights) as `target_arrays` does, with any numbers in t.

    A last axis of 1 in weights holds for all numbers along y's.
    Raises ValueError where a shape differs, TypeError unless y is floating-point.
    """
    if y.dtype.kind != "f":
        raise TypeError(f'{operation}: y is {y.dtype}: it must be floating-point; give array.astype("float32")')
    if weights is not None and y.ndim and Tensor(weights).shape == (*y.shape[:-1], 1):
        weights = array_module(Tensor(weights).data).broadcast_to(Tensor(weights).data, y.shape)
    return _array(operation, "t", t, y), _array(operation, "weights", weights, y)


def class_arrays(
    operation: str,
    z: Array,
    classes: TensorLike,
    weights: TensorLike | None,
    class_weights: TensorLike | ArrayLike | None,
) -> tuple[Array, Array | None, Array | None]:
    """Returns (classes (…), weights (…), class_weights (K,)) for logits z (…, K), the weights in z's dtype or None.

    classes        integers 0 … K - 1 or 255 (ignore), (…) or (…, 1); their dtype stays.
    weights        None, or how much each pixel counts, (…) or (…, 1).
    class_weights  None, or how much each class counts, K numbers; they are moved to z's device.

    Raises ValueError for other shapes or devices and, on the CPU, for other classes; TypeError for other dtypes.
    """
    if z.dtype.kind != "f":
        raise TypeError(f'{operation}: z is {z.dtype}: it must be floating-point; give array.astype("float32")')
    if z.ndim == 0 or not 2 <= z.shape[-1] <= IGNORE:
        raise ValueError(
            f"{operation}: z has shape {z.shape}: it must be (…, K) with 2 to {IGNORE} classes, since class {IGNORE} "
            "means ignore; for one channel take binary_cross_entropy_with_logits"
        )
    K = z.shape[-1]
    truth = _per_pixel(operation, "classes", classes, z)
    if truth.dtype.kind not in "iu":
        raise TypeError(f'{operation}: classes are {truth.dtype}: they must be integers; give array.astype("uint8")')
    if device_of(truth) == "cpu":  # a GPU would have to wait here: there the kernels turn such a pixel into NaN
        check_classes(operation, truth, K)
    of_pixels = None if weights is None else _per_pixel(operation, "weights", weights, z).astype(z.dtype, copy=False)
    if class_weights is None:
        return truth, of_pixels, None
    of_classes = to_device(Tensor(class_weights).data, device_of(z)).astype(z.dtype, copy=False)
    if of_classes.shape != (K,):
        raise ValueError(
            f"{operation}: class_weights has shape {of_classes.shape}: it must be ({K},), one for each class"
        )
    return truth, of_pixels, of_classes


def check_classes(operation: str, classes: Array, K: int) -> None:
    """Raises ValueError, with the values, unless all classes are 0 … K - 1 or 255 (ignore)."""
    wrong = (classes >= K) & (classes != IGNORE)
    if classes.dtype.kind == "i":
        wrong |= classes < 0
    if wrong.any():
        found = array_module(classes).unique(classes[wrong]).tolist()
        values = ", ".join(map(str, found[:5])) + (", …" if len(found) > 5 else "")
        count = int(wrong.sum())
        raise ValueError(
            f"{operation}: {count} {'pixel has' if count == 1 else 'pixels have'} class {values}: "
            f"with {K} classes it must be 0 to {K - 1}, or {IGNORE} for a pixel that is ignored"
        )


def weighted_mean(values: Array, weights: Array | None) -> Array:
    """Returns Σ w v / Σ w: the plain mean without weights, 0 if all weights are 0."""
    if weights is None:
        return values.mean()
    total = weights.sum()
    return (values * weights).sum() / (total + (total == 0))


def mean_weights(values: Array, weights: Array | None) -> Array | float:
    """Returns ∂(weighted mean)/∂v for each v: 1/n, or w / Σ w."""
    if weights is None:
        return 1 / values.size
    total = weights.sum()
    return weights / (total + (total == 0))


def _array(operation, name, values, prediction):
    if values is None:
        return None
    array = Tensor(values).data
    _check_device(operation, name, array, prediction)
    if array.shape != prediction.shape:
        raise ValueError(
            f"{operation}: {name} has shape {array.shape}, the prediction {prediction.shape}: they must be equal; "
            "masks are (N,H,W,1)"
        )
    return array.astype(prediction.dtype, copy=False)


def _per_pixel(operation, name, values, z):
    """Returns the array of `values`, one for each pixel of z (…, K), as (…)."""
    array = Tensor(values).data
    _check_device(operation, name, array, z)
    if array.shape not in (z.shape[:-1], (*z.shape[:-1], 1)):
        raise ValueError(
            f"{operation}: {name} has shape {array.shape}, the logits {z.shape}: it must be {z.shape[:-1]}, or "
            f"{(*z.shape[:-1], 1)}"
        )
    return array.reshape(z.shape[:-1])


def _check_device(operation, name, array, prediction):
    if device_of(array) != device_of(prediction):
        raise ValueError(
            f"{operation}: {name} is on {device_of(array)}, the prediction on {device_of(prediction)}: "
            "move one of them, minunet.device.to_device(array, device)"
        )
