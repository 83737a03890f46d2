"""How a window slides over an image: strides and paddings as the user writes them, checked and spelled out.

"valid"   no padding: only windows that lie entirely inside. OH = ⌊(H - KH) / SH⌋ + 1.
"same"    padded so that OH = ⌈H / SH⌉, as Keras (TensorFlow) does it: (OH-1)·SH + KH - H rows in all where that is
          positive; the smaller half above, the larger below.
p, (p, q) p rows of padding above and below, and p or q columns left and right.
"""

import numbers
from typing import Literal, TypeAlias

from minunet.kernels.windows import output_size

IntPair: TypeAlias = int | tuple[int, int]
Padding: TypeAlias = Literal["same", "valid"] | int | tuple[int, int]


def pair(value: IntPair, name: str, least: int = 1) -> tuple[int, int]:
    """Returns an int or a pair of ints as a pair. Raises ValueError for anything else, and for ints below `least`.

    >>> pair(3, "stride")
    (3, 3)
    """
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or not all(
        isinstance(v, numbers.Integral) and not isinstance(v, bool) and v >= least for v in values
    ):
        raise ValueError(f"{name} is {value!r}: it must be an integer of at least {least}, or a pair of them")
    return int(values[0]), int(values[1])


def window_pads(
    size: tuple[int, int], kernel_size: tuple[int, int], stride: tuple[int, int], padding: Padding, operation: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns ((top, bottom), (left, right)) for windows over an image of `size` = (H, W).

    Raises ValueError if no window fits.

    >>> window_pads((5, 6), (3, 3), (2, 2), "same", "conv2d")
    ((1, 1), (0, 1))
    """
    if padding == "valid":
        pads = ((0, 0), (0, 0))
    elif padding == "same":
        rows, columns = (_same(n, k, s) for n, k, s in zip(size, kernel_size, stride))
        pads = rows, columns
    elif isinstance(padding, str):
        raise ValueError(
            f'{operation}: padding is {padding!r}: it must be "same", "valid", an integer or a pair of them'
        )
    else:
        rows, columns = ((p, p) for p in pair(padding, f"{operation}: padding", least=0))
        pads = rows, columns
    if min(output_size(size, kernel_size, stride, pads)) < 1:
        raise ValueError(
            f"{operation}: a window of {kernel_size} does not fit into an image of {tuple(size)} with padding "
            f'{padding!r}: give a larger image, a smaller window, or padding="same"'
        )
    return pads


def _same(n, k, s):
    outputs = -(-n // s)
    padding = max((outputs - 1) * s + k - n, 0)
    return padding // 2, padding - padding // 2


def transposed_size(
    size: tuple[int, int], kernel_size: tuple[int, int], stride: tuple[int, int], padding: Padding
) -> tuple[int, int]:
    """Returns the (H, W) that a transposed convolution makes of (OH, OW), as Keras defines it for "same" and "valid".

    It is the size of the image over which the same windows, sliding forwards, would have given (OH, OW):
    "same" OH·SH;  "valid" OH·SH + max(KH - SH, 0);  p: (OH-1)·SH + KH - 2p.

    >>> transposed_size((4, 4), (3, 3), (2, 2), "valid")
    (9, 9)
    """
    if padding == "same":
        H, W = (n * s for n, s in zip(size, stride))
        return H, W
    if padding == "valid":
        H, W = (n * s + max(k - s, 0) for n, k, s in zip(size, kernel_size, stride))
        return H, W
    if isinstance(padding, str):
        raise ValueError(
            f'conv_transpose2d: padding is {padding!r}: it must be "same", "valid", an integer or a pair of them'
        )
    pads = pair(padding, "conv_transpose2d: padding", least=0)
    H, W = ((n - 1) * s + k - 2 * p for n, k, s, p in zip(size, kernel_size, stride, pads))
    if min(H, W) < 1:
        raise ValueError(
            f"conv_transpose2d: padding {padding!r} leaves nothing: {tuple(size)} would become {(H, W)}; "
            "give less padding"
        )
    return H, W
