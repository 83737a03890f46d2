"""How a window slides over a picture: strides and paddings as the user writes them, checked and spelled out.

"valid"   no border: only windows that lie wholly inside. OH = ⌊(H - KH) / SH⌋ + 1.
"same"    a border such that OH = ⌈H / SH⌉, as Keras (TensorFlow) lays it: (OH-1)·SH + KH - H rows in all where that is
          positive; the smaller half above, the larger below.
p, (p, q) p rows of border above and below, q columns left and right.
"""

import numbers

from minunet.kernels.windows import output_size


def pair(value, name, least=1):
    """An int or a pair of ints as a pair, or ValueError.

    >>> pair(3, "stride")
    (3, 3)
    """
    values = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2 or not all(
        isinstance(v, numbers.Integral) and not isinstance(v, bool) and v >= least for v in values
    ):
        raise ValueError(f"{name} is {value!r}: it must be a whole number from {least}, or a pair of them")
    return int(values[0]), int(values[1])


def window_pads(size, kernel_size, stride, padding, operation):
    """((top, bottom), (left, right)) for windows over a picture of `size` = (H, W); ValueError if none fits.

    >>> window_pads((5, 6), (3, 3), (2, 2), "same", "conv2d")
    ((1, 1), (0, 1))
    """
    if padding == "valid":
        pads = ((0, 0), (0, 0))
    elif padding == "same":
        pads = tuple(_same(n, k, s) for n, k, s in zip(size, kernel_size, stride))
    elif isinstance(padding, str):
        raise ValueError(
            f'{operation}: padding is {padding!r}: it must be "same", "valid", a whole number or a pair of them'
        )
    else:
        pads = tuple((p, p) for p in pair(padding, f"{operation}: padding", least=0))
    if min(output_size(size, kernel_size, stride, pads)) < 1:
        raise ValueError(
            f"{operation}: a window of {kernel_size} does not fit into a picture of {tuple(size)} with padding "
            f'{padding!r}: give a larger picture, a smaller window, or padding="same"'
        )
    return pads


def _same(n, k, s):
    outputs = -(-n // s)
    border = max((outputs - 1) * s + k - n, 0)
    return border // 2, border - border // 2


def transposed_size(size, kernel_size, stride, padding):
    """(H, W) that a transposed convolution makes of (OH, OW), as Keras defines it for "same" and "valid".

    It is the size of the picture over which the same windows, sliding forwards, would have given (OH, OW):
    "same" OH·SH;  "valid" OH·SH + max(KH - SH, 0);  p: (OH-1)·SH + KH - 2p.

    >>> transposed_size((4, 4), (3, 3), (2, 2), "valid")
    (9, 9)
    """
    if padding == "same":
        return tuple(n * s for n, s in zip(size, stride))
    if padding == "valid":
        return tuple(n * s + max(k - s, 0) for n, k, s in zip(size, kernel_size, stride))
    if isinstance(padding, str):
        raise ValueError(
            f'conv_transpose2d: padding is {padding!r}: it must be "same", "valid", a whole number or a pair of them'
        )
    pads = pair(padding, "conv_transpose2d: padding", least=0)
    result = tuple((n - 1) * s + k - 2 * p for n, k, s, p in zip(size, kernel_size, stride, pads))
    if min(result) < 1:
        raise ValueError(
            f"conv_transpose2d: padding {padding!r} cuts everything off: {tuple(size)} would become {result}; "
            "give less padding"
        )
    return result
