"""Run-length encoding, against strings that pycocotools has written and against loops."""

import numpy as np
import pytest

from minunet.inference.rle import compress, decode, decode_json, decompress, encode, encode_segments

FRAME = np.zeros((6, 5), bool)  # a frame with a hole, and a pixel in the upper left corner
FRAME[1:5, 1:4] = True
FRAME[2:4, 2] = False
FRAME[0, 0] = True


def moon():
    y, x = np.mgrid[:90, :120]
    return ((y - 40) ** 2 + (x - 70) ** 2 <= 33**2) & ((y - 45) ** 2 + (x - 60) ** 2 > 64)


# pycocotools 2.0.11, pycocotools.mask.encode
MOON = (
    r"ZY31a2`0E6K4L4L4M2M4M2N2N2N2N2N2O0O[OmNFQ18UOFj08ZOFe0:]OFb0:^OFa0:AF>:BF=;CF<9FF:;DF;;EF::FF:;DF<:DF<;BF><^OFb0"
    r"=XOFh0V1O20N100000000000001N10001N101N101N101N2N101N2N2N2N2N2N3L3N3L4L4L5J;@P\1"
)


@pytest.mark.parametrize("mask, text", [(FRAME, "0163LM00035"), (moon(), MOON)])
def test_strings_that_pycocotools_has_written(mask, text):
    assert compress(encode(mask)) == text
    np.testing.assert_array_equal(decode(decompress(text), mask.shape), mask)
    np.testing.assert_array_equal(decode_json({"size": list(mask.shape), "counts": text}), mask)
    np.testing.assert_array_equal(decode_json({"size": list(mask.shape), "counts": encode(mask)}), mask)


def runs_one_by_one(mask):
    counts, value = [0], False
    for pixel in mask.T.reshape(-1):
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


@pytest.mark.parametrize("density", [0, 0.1, 0.5, 0.95, 1])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (13, 9)])
def test_counts(shape, density):
    mask = np.random.default_rng(3).random(shape) < density
    assert encode(mask) == encode(mask.astype(np.uint8)) == runs_one_by_one(mask)
    assert decompress(compress(encode(mask))) == encode(mask)
    np.testing.assert_array_equal(decode(encode(mask), shape), mask)


def test_all_objects_in_one_pass():
    segments = np.random.default_rng(0).choice([0, 1, 4, 300, 65534, 65535], (11, 17))
    encoded = encode_segments(segments)
    assert encoded == {number: runs_one_by_one(segments == number) for number in (1, 4, 300, 65534)}
    assert encode_segments(np.ones((2, 3), int)) == {1: [0, 6]}
    for nothing in (np.zeros((2, 3), int), np.full((2, 3), 65535), np.zeros((0, 3), int)):
        assert encode_segments(nothing) == {}


@pytest.mark.parametrize("counts", [[15], [16], [0, 31, 32, 4_000_000, 1, 5, 3_000_000_000, 0], [], [2**32 - 1]])
def test_numbers_of_any_size(counts):
    assert decompress(compress(counts)) == counts


@pytest.mark.parametrize("text", ["~", "é", "P", "0 1", "00000002M", "o" * 40, "N"])
def test_texts_that_are_no_encoding(text):
    with pytest.raises(ValueError, match="run-length"):
        decompress(text)


@pytest.mark.parametrize("counts", [[5], [3, 4], [7, -1], []])
def test_counts_of_another_size(counts):
    with pytest.raises(ValueError, match="2 x 3"):
        decode(counts, (2, 3))
