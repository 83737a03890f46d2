"""What a loss compares with: the true mask, and which of its pixels count."""

from minunet.autograd import Tensor, TensorLike
from minunet.device import Array, device_of


def target_arrays(
    operation: str, prediction: Array, t: TensorLike, weights: TensorLike | None
) -> tuple[Array, Array | None]:
    """Returns (t, weights) as plain arrays of the prediction's dtype; weights None stays None.

    t        the truth, 0 to 1, Tensor or array shaped like the prediction.
    weights  how much each element counts; 0 ignores it (the unclassified boundary in a trimap).
    Raises ValueError where a shape differs: NumPy would silently broadcast (N,H,W) against (N,H,W,1), to
    an array far too large.
    """
    return _array(operation, "t", t, prediction), _array(operation, "weights", weights, prediction)


def _array(operation, name, values, prediction):
    if values is None:
        return None
    array = Tensor(values).data
    if device_of(array) != device_of(prediction):
        raise ValueError(
            f"{operation}: {name} is on {device_of(array)}, the prediction on {device_of(prediction)}: "
            "move one of them, minunet.device.to_device(array, device)"
        )
    if array.shape != prediction.shape:
        raise ValueError(
            f"{operation}: {name} has shape {array.shape}, the prediction {prediction.shape}: they must be equal; "
            "masks are (N,H,W,1)"
        )
    return array.astype(prediction.dtype, copy=False)
