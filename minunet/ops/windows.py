"""How a window slides over an image: strides and paddings as the user writes them, checked and spelled out.

For windows of KH x KW pixels, SH rows and SW columns apart, over images of H x W pixels. They give OH x OW outputs;
what is said of rows holds for columns.

"valid"   no padding: only windows that lie entirely inside. OH = ⌊(H - KH) / SH⌋ + 1.
"same"    padded so that OH = ⌈H / SH⌉, as Keras (TensorFlow) does it: (OH-1)·SH + KH - H rows in all where that is
          positive; the smaller half above, the larger below.
p, (p, q) p rows of padding above and below, and p or q columns left and right. OH = ⌊(H + 2p - KH) / SH⌋ + 1.

Six rows, windows of three, stride 2:  "valid" has ⌊3/2⌋ + 1 = 2 windows, and the sixth row lies in none of them;
"same" has 3, with 2·2 + 3 - 6 = 1 row of padding, below:

    1 2 3 4 5 6 0
    └───┘   └───┘
        └───┘
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
    outputs = -(-n // s)  # ⌈n / s⌉, since // rounds down
    padding = max((outputs - 1) * s + k - n, 0)
    return padding // 2, padding - padding // 2


def transposed_size(
    size: tuple[int, int], kernel_size: tuple[int, int], stride: tuple[int, int], padding: Padding
) -> tuple[int, int]:
    """Returns (OH, OW), what a transposed convolution makes of `size` = (H, W), as Keras defines it.

    "same" OH = H·SH;  "valid" OH = H·SH + max(KH - SH, 0);  p: OH = (H-1)·SH + KH - 2p.

    A convolution with these windows makes H x W of it again. With a stride it does so of other sizes, too: "same" with
    stride 2 makes 4 of 7 and of 8. Somebody has to choose, and Keras chose these.

    >>> transposed_size((4, 4), (3, 3), (2, 2), "valid")
    (9, 9)
    """
    if padding == "same":
        OH, OW = (n * s for n, s in zip(size, stride))
        return OH, OW
    if padding == "valid":
        OH, OW = (n * s + max(k - s, 0) for n, k, s in zip(size, kernel_size, stride))
        return OH, OW
    if isinstance(padding, str):
        raise ValueError(
            f'conv_transpose2d: padding is {padding!r}: it must be "same", "valid", an integer or a pair of them'
        )
    pads = pair(padding, "conv_transpose2d: padding", least=0)
    OH, OW = ((n - 1) * s + k - 2 * p for n, k, s, p in zip(size, kernel_size, stride, pads))
    if min(OH, OW) < 1:
        raise ValueError(
            f"conv_transpose2d: padding {padding!r} leaves nothing: {tuple(size)} would become {(OH, OW)}; "
            "give less padding"
        )
    return OH, OW
