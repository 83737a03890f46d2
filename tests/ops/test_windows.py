"""Strides and paddings as the user writes them."""

import numpy as np
import pytest

from minunet.kernels.windows import output_size
from minunet.ops.windows import pair, transposed_size, window_pads


@pytest.mark.parametrize("value, expected", [(2, (2, 2)), ((1, 3), (1, 3)), ([1, 3], (1, 3)), (np.int64(2), (2, 2))])
def test_pair(value, expected):
    assert pair(value, "stride") == expected and all(type(v) is int for v in pair(value, "stride"))


@pytest.mark.parametrize("value", [0, -1, 1.0, "2", None, (1,), (1, 2, 3), (1, 0), (1, 2.0), True, np.array([1, 2])])
def test_not_a_pair(value):
    with pytest.raises(ValueError, match="stride is .*integer of at least 1, or a pair"):
        pair(value, "stride")


@pytest.mark.parametrize(
    "size, kernel, stride, pads",
    [
        ((5, 6), (3, 3), (1, 1), ((1, 1), (1, 1))),
        ((5, 6), (2, 2), (1, 1), ((0, 1), (0, 1))),
        ((5, 6), (2, 2), (2, 2), ((0, 1), (0, 0))),
        ((7, 8), (5, 4), (3, 3), ((2, 2), (1, 1))),
        ((5, 5), (1, 1), (2, 2), ((0, 0), (0, 0))),
        ((4, 1), (4, 3), (1, 1), ((1, 2), (1, 1))),
    ],
)
def test_same_puts_the_smaller_half_first(size, kernel, stride, pads):
    assert window_pads(size, kernel, stride, "same", "conv2d") == pads


def test_same_gives_one_window_for_each_stride_that_begins_in_the_image():
    for n in range(1, 12):
        for k in range(1, 6):
            for s in range(1, 6):
                pads = window_pads((n, n), (k, k), (s, s), "same", "conv2d")
                assert output_size((n, n), (k, k), (s, s), pads) == (-(-n // s),) * 2


def test_the_convolution_leads_back_from_the_transposed_size():
    for padding in ("same", "valid", 0, 1):
        for n in range(1, 7):
            for k in range(1, 6):
                for s in range(1, 6):
                    if padding == 1 and (n - 1) * s + k <= 2:
                        continue
                    size = transposed_size((n, n), (k, k), (s, s), padding)
                    pads = window_pads(size, (k, k), (s, s), padding, "conv_transpose2d")
                    assert output_size(size, (k, k), (s, s), pads) == (n, n)


@pytest.mark.parametrize(
    "size, kernel, padding",
    [((2, 5), (3, 3), "valid"), ((1, 1), (4, 4), 1), ((0, 5), (1, 1), "same"), ((2, 2), (3, 1), 0)],
)
def test_no_window_fits(size, kernel, padding):
    with pytest.raises(ValueError, match="conv2d: a window of .* does not fit .*give a larger image"):
        window_pads(size, kernel, (1, 1), padding, "conv2d")


@pytest.mark.parametrize("padding", [(0, 1), (1, 0), 1])
def test_nothing_is_left_in_one_direction_or_in_both(padding):
    with pytest.raises(ValueError, match="leaves nothing"):
        transposed_size((1, 1), (2, 2), (1, 1), padding)
    assert transposed_size((2, 3), (2, 4), (1, 1), (0, 1)) == (3, 4)  # 1 + 2, and 2 + 4 - 2
