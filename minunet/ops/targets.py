"""The other side of a loss: the true mask, and which of its pixels count."""

from minunet.autograd import Tensor
from minunet.device import device_of


def target_arrays(operation, prediction, t, weights):
    """(t, weights) as plain arrays of the prediction's dtype; weights None stays None.

    t        the truth, 0 to 1, Tensor or array shaped like the prediction.
    weights  how much each element counts: 0 leaves it out (the unclassified border of a trimap).
    Raises ValueError where a shape differs: NumPy would quietly broadcast (N,H,W) against (N,H,W,1) to a far too large array.
    """
    result = []
    for name, array in (("t", t), ("weights", weights)):
        if array is None:
            result.append(None)
            continue
        array = Tensor(array).data
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
        result.append(array.astype(prediction.dtype, copy=False))
    return result
