"""What each mode of an image becomes, against values computed by hand."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from minunet.data import DataError
from minunet.data.images import Reading, count_deep, read_image
from minunet.data.images.pixels import stretch


def read(tmp_path, content, **options):
    path = tmp_path / "a"
    path.write_bytes(content)
    return read_image(path, Reading(**options)).image


def saved(array, format="TIFF", **options):
    file = io.BytesIO()
    (array if isinstance(array, Image.Image) else Image.fromarray(array)).save(file, format, **options)
    return file.getvalue()


def png(width, depth, color, row):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, 1, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    )


def tiff(values, sample_format, big_endian=False, photometric=1):
    """A TIFF of one row by hand: uint 1, int 2, float 3."""
    order = ">" if big_endian else "<"
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    bits = values.dtype.itemsize * 8
    tags = [(256, 4, values.size), (257, 4, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 4, 1), (279, 4, len(data)), (339, 3, sample_format)]
    entries = b"".join(
        struct.pack(order + "HHI", tag, kind, 1)
        + struct.pack(order + ("HH" if kind == 3 else "I"), *((value, 0) if kind == 3 else (value,)))
        for tag, kind, value in tags
    )
    start = b"MM\0*" if big_endian else b"II*\0"
    return (
        start
        + struct.pack(order + "I", 8 + len(data))
        + data
        + struct.pack(order + "H", len(tags))
        + entries
        + bytes(4)
    )


# (v - 800) * 255 / 3000, rounded
MICROSCOPE, STRETCHED = [800, 1000, 2300, 3800], [0, 17, 128, 255]


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("dtype, kind", [("u2", 1), ("i2", 2), ("u4", 1), ("i4", 2), ("f4", 3)])
def test_deep_gray_is_stretched_whatever_its_type(tmp_path, dtype, kind, big_endian):
    if (dtype, big_endian) == ("u4", True):  # Pillow does not know it
        with pytest.raises(DataError, match="of a kind that cannot be read"):
            read(tmp_path, tiff(np.array(MICROSCOPE, dtype), kind, big_endian))
        return
    image = read(tmp_path, tiff(np.array(MICROSCOPE, dtype), kind, big_endian))
    assert image[0, :, 0].tolist() == STRETCHED and (image == image[..., :1]).all()


def test_deep_pngs_and_pgms_are_stretched_alike(tmp_path):
    values = np.array([MICROSCOPE], np.uint16)
    assert read(tmp_path, saved(values, "PNG"))[0, :, 0].tolist() == STRETCHED
    assert read(tmp_path, b"P5 4 1 65535\n" + values.astype(">u2").tobytes())[0, :, 0].tolist() == STRETCHED


def test_32_bits_beyond_the_signed_ones_are_not_negative(tmp_path):
    values = np.array([3_000_000_000, 3_000_000_500, 3_000_001_000], np.uint32)
    assert read(tmp_path, tiff(values, 1))[0, :, 0].tolist() == [0, 128, 255]
    signed = np.array([-1000, 0, 1000], np.int32)
    assert read(tmp_path, tiff(signed, 2))[0, :, 0].tolist() == [0, 128, 255]


def test_where_0_is_white(tmp_path):
    assert read(tmp_path, tiff(np.array(MICROSCOPE, np.uint16), 1, photometric=0))[0, :, 0].tolist() == [
        255,
        238,
        127,
        0,
    ]
    assert read(tmp_path, tiff(np.array([0, 50, 255], np.uint8), 1, photometric=0))[0, :, 0].tolist() == [255, 205, 0]


def test_the_rules(tmp_path):
    content = tiff(np.array([0, 256, 4095, 65535], np.uint16), 1)
    assert read(tmp_path, content, stretch="full")[0, :, 0].tolist() == [0, 1, 15, 255]
    assert read(tmp_path, content, stretch=(0, 4095))[0, :, 0].tolist() == [0, 16, 255, 255]
    assert read(tmp_path, content, stretch=(256, 512))[0, :, 0].tolist() == [0, 0, 255, 255]
    unit = tiff(np.array([0, 0.25, 1], np.float32), 3)
    assert read(tmp_path, unit, stretch=(0.0, 1.0))[0, :, 0].tolist() == [0, 64, 255]
    for deep in (unit, tiff(np.array([0, 70000], np.int32), 2), tiff(np.array([-1, 5], np.int16), 2)):
        with pytest.raises(DataError, match="--stretch LOW-HIGH"):
            read(tmp_path, deep, stretch="full")


def test_the_percentiles_cut_off_what_is_rare():
    """Of 1001 values 0 to 1000, the 1st percentile is 10, and the 99.8th 998."""
    gray = stretch(np.arange(1001, dtype=np.uint16)[None], "percentiles")[0]
    assert gray[10] == 0 and gray[11] == 0 and gray[12] == 1 and gray[998] == 255 and gray[997] == 255
    assert gray[:10].max() == 0 and gray[999:].min() == 255 and gray[504] == 128  # 494 / 988 is exactly a half
    rare = np.zeros((1, 1000), np.uint16)
    rare[0, 5] = 4000  # both percentiles are 0: from the least to the greatest
    assert stretch(rare, "percentiles")[0, [0, 5]].tolist() == [0, 255]
    assert stretch(np.full((2, 2), 900, np.uint16), "percentiles").tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number(tmp_path, value):
    with pytest.raises(DataError, match="has pixels that are NaN or infinite"):
        read(tmp_path, tiff(np.array([0, value], np.float32), 3))


def test_deep_color_is_refused_unless_its_upper_half_is_asked_for(tmp_path):
    files = [
        png(1, 16, 2, bytes([3, 200, 4, 5, 250, 6])),
        b"P6 1 1 65535\n" + bytes([3, 200, 4, 5, 250, 6]),
    ]
    for content in files:
        with pytest.raises(DataError, match="has 16 bits in several channels .*--stretch full"):
            read(tmp_path, content)
        assert abs(read(tmp_path, content, stretch="full")[0, 0].astype(int) - [3, 4, 250]).max() <= 1
    with pytest.raises(DataError, match="16 bits in several channels"):
        read(tmp_path, png(1, 16, 4, bytes([3, 200, 255, 255])))
    assert read(tmp_path, b"P6 1 1 255\n" + bytes([3, 200, 4]))[0, 0].tolist() == [3, 200, 4]
    assert read(tmp_path, b"P5 3 1 5\n" + bytes([0, 1, 5]))[0, :, 0].tolist() == [0, 51, 255]


def test_how_many_are_deep(tmp_path):
    contents = [
        tiff(np.array(MICROSCOPE, np.uint16), 1),
        png(1, 16, 2, bytes(6)),
        tiff(np.array([1.0], np.float32), 3),
        b"P6 1 1 1000\n" + bytes(6),
        b"P5 1 1 5\n" + bytes(1),
        png(1, 8, 2, bytes(3)),
        saved(Image.new("CMYK", (2, 2))),
        b"nonsense",
    ]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    assert [count_deep([tmp_path / str(n)]) for n in range(8)] == [1, 1, 1, 1, 0, 0, 0, 0]
    assert count_deep(tmp_path / str(n) for n in range(8)) == 4


# ---- 8 bits and less ----


def palette(*colors, transparency=None):
    image = Image.new("P", (len(colors), 1))
    image.putdata(range(len(colors)))
    image.putpalette([channel for color in colors for channel in color])
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def of(mode, *pixels):
    image = Image.new(mode, (len(pixels), 1))
    image.putdata(pixels)
    return image


MODES = {
    "1": (of("1", 0, 255), "PNG", [(0, 0, 0), (255, 255, 255)]),
    "L": (of("L", 0, 77), "PNG", [(0, 0, 0), (77, 77, 77)]),
    "RGB": (of("RGB", (1, 2, 3)), "PNG", [(1, 2, 3)]),
    # half transparent on white: 255 - a + a v / 255
    "RGBA": (
        of("RGBA", (10, 20, 30, 255), (0, 0, 0, 0), (0, 0, 255, 51)),
        "PNG",
        [(10, 20, 30), (255,) * 3, (204, 204, 255)],
    ),
    "LA": (of("LA", (0, 255), (0, 0), (0, 51)), "PNG", [(0, 0, 0), (255,) * 3, (204,) * 3]),
    "P": (palette((9, 8, 7), (0, 0, 255)), "PNG", [(9, 8, 7), (0, 0, 255)]),
    "P with transparency": (palette((9, 8, 7), (0, 0, 255), transparency=0), "PNG", [(255,) * 3, (0, 0, 255)]),
    "P of a GIF": (palette((9, 8, 7), (0, 0, 255), transparency=0), "GIF", [(255,) * 3, (0, 0, 255)]),
    # without ink white; 255 of a color leaves none of its opposite
    "CMYK": (of("CMYK", (0, 0, 0, 0), (255, 0, 0, 0), (0, 0, 0, 255)), "TIFF", [(255,) * 3, (0, 255, 255), (0, 0, 0)]),
    "L as TIFF": (of("L", 0, 77), "TIFF", [(0, 0, 0), (77, 77, 77)]),
}


@pytest.mark.parametrize("name", MODES)
def test_each_mode_becomes_rgb(tmp_path, name):
    image, format, expected = MODES[name]
    assert [tuple(pixel) for pixel in read(tmp_path, saved(image, format))[0].tolist()] == expected


def test_few_bits_fill_the_range(tmp_path):
    assert read(tmp_path, png(4, 2, 0, b"\x1b"))[0, :, 0].tolist() == [0, 85, 170, 255]
    assert read(tmp_path, png(4, 4, 0, b"\x01\xf8"))[0, :, 0].tolist() == [0, 17, 255, 136]
    assert read(tmp_path, png(4, 1, 0, b"\x50"))[0, :, 0].tolist() == [0, 255, 0, 255]


def test_signed_bytes_are_refused(tmp_path):
    with pytest.raises(DataError, match="signed pixels of 8 bits"):
        read(tmp_path, tiff(np.array([-1, 5], np.int8), 2))


@pytest.mark.parametrize("dtype, kind", [("f8", 3), ("u8", 1), ("f2", 3)])
def test_numbers_that_cannot_be_read(tmp_path, dtype, kind):
    with pytest.raises(DataError, match="is not an image, .* or its pixels are of a kind that cannot be read"):
        read(tmp_path, tiff(np.array([1, 2], dtype), kind))
