"""Known masks: trimaps, and images of 0 and 255; and files whose numbers do not mean what they seem to."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from minunet.data import DataError
from minunet.data.folder import ImageFolder
from minunet.data.images import Reading, UprightImage, load, read_image, read_labels
from minunet.data.masks import (
    class_reader,
    find_mask,
    instance_reader,
    mask_reader,
    read_mask,
    to_labels,
)
from minunet.data.pets import Pets


def mask_of(tmp_path, values, mode=None, orientation=1, size=None, border="pet"):
    """read_mask of a file with these values."""
    values = np.array(values)
    stored = Image.fromarray(values.astype(bool) if mode == "1" else values.astype(mode or np.uint8))
    stored.save(tmp_path / "mask.png")
    height, width = size or values.shape
    return read_mask(
        tmp_path / "mask.png", UprightImage(np.zeros((height, width, 3), np.uint8), orientation), border
    ).tolist()


@pytest.mark.parametrize("border, values", [("pet", [1, 0, 1]), ("background", [1, 0, 0]), ("ignore", [1, 0, 255])])
def test_a_trimap(tmp_path, border, values):
    assert mask_of(tmp_path, [[1, 2, 3]], border=border) == [values]


@pytest.mark.parametrize(
    "values, mode, expected",
    [
        ([[0, 255]], None, [0, 1]),
        ([[0, 1]], None, [0, 1]),
        ([[0, 1]], "1", [0, 1]),
        ([[1, 1]], "1", [1, 1]),
        ([[0, 0]], None, [0, 0]),
        ([[255, 255]], None, [1, 1]),
        ([[1, 1]], None, [1, 1]),
        ([[2, 2]], None, [0, 0]),
        ([[0, 255]], np.uint16, [0, 1]),
        ([[2, 1]], np.uint16, [0, 1]),
    ],
)
def test_the_values_say_what_it_is(tmp_path, values, mode, expected):
    assert mask_of(tmp_path, values, mode) == [expected]


@pytest.mark.parametrize(
    "values, message",
    [
        ([[0, 1, 2]], "holds 0, 1, 2: a mask holds 0 and 255, or 0 and 1, or a trimap's 1"),
        ([[0, 254]], "holds 0, 254"),
        ([[3, 4]], "holds 3, 4"),
        ([range(9)], r"holds 0, 1, 2, 3, 4, \.\.\.:"),
        ([[[1, 2, 1]]], r"is colored \(mode RGB\): a mask needs one integer"),
    ],
)
def test_other_values_are_refused(tmp_path, values, message):
    with pytest.raises(DataError, match=message):
        mask_of(tmp_path, values, size=(1, 2))


def test_a_mask_gets_the_orientation_of_its_image(tmp_path):
    """Stored 3 wide and 2 high, and shown rotated by 90 degrees, clockwise."""
    assert mask_of(tmp_path, [[1, 1, 2], [2, 2, 2]], orientation=6, size=(3, 2)) == [[0, 1], [0, 1], [0, 0]]


def test_a_mask_that_fits_only_the_upright_image_is_left_as_it_is(tmp_path):
    assert mask_of(tmp_path, [[1, 2], [1, 2], [2, 2]], orientation=6, size=(3, 2)) == [[1, 0], [1, 0], [0, 0]]


def test_where_both_fit_and_differ_it_is_refused(tmp_path):
    with pytest.raises(DataError, match="could belong to .* as they are stored, or .*orientation 3.*--exif stored"):
        mask_of(tmp_path, [[1, 2], [2, 2]], orientation=3)
    assert mask_of(tmp_path, [[1, 2], [2, 1]], orientation=3) == [[1, 0], [0, 1]]  # the same either way


def test_another_size(tmp_path):
    with pytest.raises(DataError, match=r"^is 2 x 1, but its image is 3 x 4 \(width x height\)$"):
        mask_of(tmp_path, [[1, 2]], size=(4, 3))


def test_where_masks_are_looked_for(tmp_path):
    assert find_mask(tmp_path, "cat.1") == tmp_path / "cat.1.png"
    for place in ("annotations/trimaps", "trimaps", "."):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        path = tmp_path / place / "cat.1.png"
        path.touch()
        assert find_mask(tmp_path, "cat.1") == path
    (tmp_path / "trimaps" / "dog.tif").touch()  # label images of microscopes
    assert find_mask(tmp_path, "dog") == tmp_path / "trimaps" / "dog.tif"


# ---- other labels of one image ----

STORED = Reading(exif="stored")


@pytest.mark.parametrize(
    "orientation, expected", [(1, [[7, 0, 3]]), (2, [[3, 0, 7]]), (6, [[7], [0], [3]]), (8, [[3], [0], [7]])]
)
def test_labels_get_the_orientation_of_their_image(tmp_path, orientation, expected):
    stored = np.array([[7000, 0, 300]], np.uint16)
    Image.fromarray(stored).save(tmp_path / "a.png")
    image = UprightImage(np.zeros((*np.shape(expected), 3), np.uint8), orientation)
    objects = read_labels(tmp_path / "a.png", image, instance_reader, STORED)
    assert (
        objects.dtype == np.uint16
        and objects.tolist() == np.select([np.equal(expected, n) for n in (3, 7)], (1, 2)).tolist()
    )
    classes = read_labels(tmp_path / "a.png", image, class_reader({7000: 7, 0: 0, 300: 3}), STORED)
    assert classes.dtype == np.uint8 and classes.tolist() == expected

    def two(stored):
        return np.stack([instance_reader(stored), np.asarray(stored).astype(np.uint16)], axis=2)

    both = read_labels(tmp_path / "a.png", image, two, STORED)
    assert both.dtype == np.uint16 and np.array_equal(both[:, :, 0], objects)
    assert both[:, :, 1].tolist() == np.select([np.equal(expected, n) for n in (3, 7)], (300, 7000)).tolist()


def test_labels_of_another_size_and_with_other_numbers(tmp_path):
    Image.fromarray(np.array([[1, 2]], np.uint8)).save(tmp_path / "a.png")
    image = UprightImage(np.zeros((2, 2, 3), np.uint8), 1)
    with pytest.raises(DataError, match=r"^is 2 x 1, but its image is 2 x 2 \(width x height\)$"):
        read_labels(tmp_path / "a.png", image, instance_reader, STORED)
    with pytest.raises(DataError, match="^holds 2: the classes have only the numbers 0, 1; name them"):
        read_labels(tmp_path / "a.png", image, class_reader({0: 0, 1: 1}))
    with pytest.raises(DataError, match="^holds 1, 2: the table of values has only 0, 1"):
        read_labels(tmp_path / "a.png", image, mask_reader({0: 0, 1: 1}))


# ---- one reader, whoever asks ----

TABLE = {1: 1, 2: 0, 3: 1}


def by_each_reader(root, mask):
    """What Pets, ImageFolder and read_mask make of one file: masks (2, 3), or what they say is wrong with it."""
    (root / "images").mkdir()
    (root / "annotations" / "trimaps").mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(root / "images" / "a.jpg", "PNG")
    mask.save(root / "annotations" / "trimaps" / "a.png", "TIFF" if mask.mode in ("F", "CMYK", "I") else "PNG")
    (root / "annotations" / "trainval.txt").write_text("a 1 1 1")
    path = root / "annotations" / "trimaps" / "a.png"
    for read in (
        lambda: Pets(root, size=(2, 3), cache=False)[0][1][:, :, 0],
        lambda: ImageFolder(root / "images", path.parent, (2, 3), TABLE, cache=False)[0][1][:, :, 0],
        lambda: read_mask(path, UprightImage(np.zeros((2, 3, 3), np.uint8), 1)),
    ):
        try:
            yield read().tolist()
        except DataError as error:
            yield str(error)


TRIMAP = Image.fromarray(np.array([[1, 2, 3], [2, 2, 1]], np.uint8))


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGB", "RGBA", "I;16", "I"])
def test_every_reader_takes_a_trimap_however_it_was_saved(tmp_path, mode):
    if mode == "I;16":
        mask = Image.fromarray(np.asarray(TRIMAP).astype(np.uint16))
    elif mode == "P":
        mask = Image.frombytes("P", TRIMAP.size, TRIMAP.tobytes())
        mask.putpalette([9, 8, 7] * 256)
    else:
        mask = TRIMAP.convert(mode)
    assert list(by_each_reader(tmp_path, mask)) == [[[1, 0, 1], [0, 0, 1]]] * 3


@pytest.mark.parametrize(
    "mask, message",
    [
        (
            Image.new("RGB", (3, 2), (1, 2, 3)),
            "is colored (mode RGB): a mask needs one integer per pixel; save it as gray",
        ),
        (Image.new("RGBA", (3, 2), (1, 2, 3)), "is colored (mode RGBA): a mask needs one integer per pixel"),
        (
            Image.new("F", (3, 2), 1.0),
            "has floating-point pixels (mode F): a mask needs one integer",
        ),
        (Image.new("CMYK", (3, 2), 1), "has mode CMYK: a mask needs one integer per pixel; save it as gray"),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_every_reader_refuses_the_same_files_in_the_same_words(tmp_path, mask, message):
    answers = list(by_each_reader(tmp_path, mask))
    assert len(answers) == 3 and all(message in answer for answer in answers)


# ---- files whose numbers say something else than what one sees -------------------------------------------------


TRUTH = np.array([[1, 1, 0], [0, 1, 0]], np.uint8)  # what a person sees: white where 1


def labels_of(tmp_path, image, name="m.png", **options):
    image.save(tmp_path / name, **options)
    return load(tmp_path / name, to_labels)


@pytest.mark.parametrize("truth", [TRUTH, 1 - TRUTH])
@pytest.mark.parametrize("name", ["m.png", "m.gif", "m.bmp"])
def test_black_and_white_with_a_palette_is_what_one_sees(tmp_path, truth, name):
    """The palette may have white first: index 0 is white then, and a mask of indices is inverted."""
    for image in (
        Image.fromarray(truth * 255).quantize(2),
        Image.fromarray(np.stack([truth * 255] * 3, axis=2)).convert("P", palette=Image.Palette.ADAPTIVE, colors=2),
    ):
        labels = labels_of(tmp_path, image, name)
        assert mask_reader(None)(image).tolist() == truth.tolist()
        assert (labels == truth * 255).all()


def palette_image(indices, colors):
    image = Image.fromarray(np.asarray(indices, np.uint8)).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([level for color in colors for level in color])
    return image


@pytest.mark.parametrize(
    ("indices", "colors", "expected"),
    [
        ([[0, 1]], [(0, 0, 0), (128, 0, 0)], [[0, 1]]),  # as VOC has it: index = class
        ([[0, 7]], [(0, 0, 0), *[(128, i, 0) for i in range(6)], (128, 128, 128)], [[0, 7]]),  # a class is drawn gray
        ([[0, 1]], [(0, 0, 0), (255, 255, 255)], [[0, 255]]),  # the same mask either way
        ([[1, 0]], [(255, 255, 255), (0, 0, 0)], [[0, 255]]),  # white is first
        ([[0, 2, 1]], [(0, 0, 0), (1, 1, 1), (2, 2, 2)], [[0, 2, 1]]),  # gray levels that are the indices
        ([[1, 2]], [(255, 255, 255)] * 3, [[1, 2]]),  # a palette that tells nothing apart
    ],
)
def test_indices_and_gray_levels_of_a_palette(indices, colors, expected):
    assert to_labels(palette_image(indices, colors)).tolist() == expected


def png_of_16_bits(array):
    """A PNG of uint16 (H, W, channels), written by hand: Pillow can read such files and not write them."""
    H, W, channels = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", W, H, 16, kind, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_16_bits_in_several_channels_are_refused(tmp_path, channels):
    """Pillow hands over the upper byte alone: classes 0 to 255 would all be 0."""
    path = tmp_path / "m.png"
    path.write_bytes(png_of_16_bits(np.repeat(TRUTH[:, :, None], channels, axis=2).astype(np.uint16) * 3))
    with pytest.raises(DataError, match="has 16 bits in several channels"):
        load(path, to_labels)
    path.write_bytes(png_of_16_bits(TRUTH[:, :, None].astype(np.uint16) * np.uint16(300)))
    assert load(path, to_labels).tolist() == (TRUTH.astype(int) * 300).tolist()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_mask_in_the_alpha_channel_is_refused(tmp_path, mode):
    image = Image.new(mode, (3, 2), 0)
    image.putalpha(Image.fromarray(TRUTH * 255))
    with pytest.raises(DataError, match="one color everywhere, and different transparency"):
        labels_of(tmp_path, image)
    image.putalpha(255)
    assert not labels_of(tmp_path, image).any()  # opaque and black everywhere: nothing to be found


@pytest.mark.parametrize("level", [0, 1])
def test_a_jpeg_is_refused_also_where_its_numbers_look_right(tmp_path, level):
    for reader in (mask_reader(None), class_reader({0: 0, 1: 1}), instance_reader):
        Image.new("L", (16, 16), level).save(tmp_path / "m.jpg")
        with pytest.raises(DataError, match="is a JPEG, which blurs the numbers of a mask: save it as PNG"):
            load(tmp_path / "m.jpg", reader)


# ---- files whose numbers a reader changes ----


def gray_png(depth, rows):
    """A PNG of gray with 1, 2, 4 or 16 bits by hand: rows of bytes."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", len(rows[0]) * 8 // depth, len(rows), depth, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def numbers_in(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    return load(tmp_path / "a", to_labels).tolist()


def test_few_bits_keep_their_numbers(tmp_path):
    """Pillow makes 0, 85, 170 and 255 of 0, 1, 2 and 3, and steps of 17 of 4 bits."""
    assert numbers_in(tmp_path, gray_png(2, [b"\x1b"])) == [[0, 1, 2, 3]]
    assert numbers_in(tmp_path, gray_png(4, [b"\x01\x8f"])) == [[0, 1, 8, 15]]
    assert numbers_in(tmp_path, gray_png(1, [b"\x50"])) == [[0, 1, 0, 1, 0, 0, 0, 0]]
    assert numbers_in(tmp_path, gray_png(16, [b"\x01\x02\xff\xff"])) == [[258, 65535]]


def test_a_pgm_that_would_be_scaled_is_refused(tmp_path):
    assert numbers_in(tmp_path, b"P5 3 1 255\n" + bytes([0, 1, 7])) == [[0, 1, 7]]
    assert numbers_in(tmp_path, b"P5 2 1 65535\n" + bytes([0, 1, 1, 2])) == [[1, 258]]
    for content in (b"P5 3 1 7\n" + bytes([0, 1, 7]), b"P2 3 1 7\n0 1 7\n", b"P5 1 1 1000\n" + bytes([3, 232])):
        with pytest.raises(DataError, match="has another greatest number than 255 or 65535"):
            numbers_in(tmp_path, content)


@pytest.mark.parametrize(
    "format, options, message",
    [
        ("JPEG", {}, "is a JPEG, which blurs"),
        ("MPO", {"save_all": True, "append_images": [Image.new("L", (8, 8))]}, "is a JPEG, which blurs"),
        ("WEBP", {}, "is a WebP, which blurs"),
        ("TIFF", {"compression": "jpeg"}, "is a TIFF with JPEG inside, which blurs"),
        ("TIFF", {"tiffinfo": {262: 0}}, "shows 0 as white"),
        ("TIFF", {"tiffinfo": {339: 2}}, "has signed numbers of 8 bits"),
    ],
)
def test_files_that_change_numbers(tmp_path, format, options, message):
    Image.new("L", (8, 8), 1).save(tmp_path / "a", format, **options)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "a", to_labels)


def test_lossless_tiffs_are_masks(tmp_path):
    for compression in (None, "tiff_lzw", "tiff_deflate", "packbits"):
        Image.fromarray(np.array([[0, 1, 200]], np.uint8)).save(tmp_path / "a.tif", compression=compression)
        assert load(tmp_path / "a.tif", to_labels).tolist() == [[0, 1, 200]]


def test_objects_numbered_beyond_31_bits(tmp_path):
    """Unsigned 32 bits, which Pillow has as negative numbers."""
    values = np.array([[0, 3_000_000_000, 5]], np.uint32)
    Image.fromarray(values.view(np.int32)).save(tmp_path / "a.tif")
    signed, unsigned = (struct.pack("<HHIHH", 339, 3, 1, kind, 0) for kind in (2, 1))  # the tag of the kind of number
    content = (tmp_path / "a.tif").read_bytes()
    assert content.count(signed) == 1
    (tmp_path / "a.tif").write_bytes(content.replace(signed, unsigned))
    assert load(tmp_path / "a.tif", to_labels).tolist() == [[0, 3_000_000_000, 5]]


def test_the_texts_in_a_png_change_nothing(tmp_path):
    """Not even those that look like notes of one's own."""
    texts = PngInfo()
    for key in ("raw modes", "applied orientation", "compression"):
        texts.add_text(key, "L;2 jpeg")
    Image.fromarray(np.array([[0, 85, 255]], np.uint8)).save(tmp_path / "a.png", pnginfo=texts)
    assert load(tmp_path / "a.png", to_labels).tolist() == [[0, 85, 255]]
    image = read_image(tmp_path / "a.png").image
    assert image[0, :, 0].tolist() == [0, 85, 255]


def with_palette(indices, *colors):
    image = Image.fromarray(np.array(indices, np.uint8), "L").convert("P")
    image.putdata(np.ravel(indices).tolist())
    image.putpalette([channel for color in colors for channel in color])
    return image


@pytest.mark.parametrize(
    "colors, expected",
    [
        ([(255, 255, 255), (0, 0, 0)], [[1, 0]]),
        ([(255, 255, 254), (0, 1, 0)], [[1, 0]]),  # as the choice of a palette's colors leaves white and black
        ([(0, 0, 0), (255, 254, 255)], [[0, 1]]),
        ([(0, 0, 0), (128, 0, 0)], [[0, 1]]),  # VOC: the index counts
        ([(255, 255, 255), (255, 0, 0)], [[0, 1]]),
        ([(240, 240, 244), (3, 4, 3)], None),
    ],
)
@pytest.mark.parametrize("format", ["PNG", "GIF", "TIFF"])
def test_colors_that_are_nearly_gray(tmp_path, format, colors, expected):
    with_palette([[0, 1]], *colors).save(tmp_path / "a", format)
    if expected is None:
        with pytest.raises(DataError, match="holds 3, 241"):
            load(tmp_path / "a", mask_reader(None))
    else:
        assert load(tmp_path / "a", mask_reader(None)).tolist() == expected
