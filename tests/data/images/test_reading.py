"""Opening image files: what is refused before it is decoded, damaged files, pages, HEIC."""

import io
import os
import socket
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from minunet.data import DataError
from minunet.data.images import Reading, read_image, read_labels, upright_size
from minunet.data.images.reading import has_heif, load
from minunet.data.images.reading import quiet_pillow as quiet
from minunet.data.masks import mask_reader

RED = Image.new("RGB", (6, 4), "red")


def put(path, image=RED, format="PNG", **options):
    image.save(path, format, **options)
    return path


def png(width, height, rows=b"", depth=8, color=0):
    """A PNG by hand, whose header may promise more than there is."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_pillows_warnings_are_silenced_and_numpys_are_not(tmp_path, monkeypatch):
    path = put(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with quiet():
        assert read_image(path).image.shape == (4, 6, 3)
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            np.float32(1) / np.float32(0)
    assert Image.MAX_IMAGE_PIXELS == 20


# ---- how many pixels ----


def test_more_pixels_than_allowed_are_refused_before_they_are_decoded(tmp_path):
    path = put(tmp_path / "a.png")
    assert read_image(path, Reading(most_pixels=24)).image.shape == (4, 6, 3)
    with pytest.raises(
        DataError, match=r"^has 6 x 4 = 24 pixels, and at most 23 are read: --max-pixels 1 \(in millions\) allows it"
    ):
        read_image(path, Reading(most_pixels=23))
    with pytest.raises(DataError, match="--max-pixels"):
        load(path, mask_reader(None), Reading(most_pixels=23))


@pytest.mark.parametrize("side", [10_001, 30_000, 2**31 - 1])
def test_a_small_file_that_promises_gigabytes(tmp_path, side):
    """Also where Pillow's own limit, 179 million, would stop with a message of its own."""
    (tmp_path / "a.png").write_bytes(png(side, side))
    with pytest.raises(DataError, match=rf"^has {side} x {side} = .* at most 100,000,000 are read: --max-pixels"):
        read_image(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png(side, 1))
    with pytest.raises(DataError, match="--max-pixels|truncated|cannot be read"):
        read_image(tmp_path / "b.png")


def test_more_than_pillows_own_limit_is_read_where_it_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)  # Pillow raises from twice as many on
    assert read_image(put(tmp_path / "a.png")).image.shape == (4, 6, 3)
    assert upright_size(tmp_path / "a.png") == (4, 6) and Image.MAX_IMAGE_PIXELS == 5


def test_compressed_text_that_unpacks_to_much_is_not_unpacked(tmp_path):
    content = b"k\0\0" + zlib.compress(bytes(200_000_000), 9)
    chunk = struct.pack(">I", len(content)) + b"zTXt" + content + struct.pack(">I", zlib.crc32(b"zTXt" + content))
    whole = png(2, 1, b"\0\1\2")
    (tmp_path / "a.png").write_bytes(whole[:33] + chunk + whole[33:])
    with pytest.raises(DataError, match="cannot be read: Decompressed data too large"):
        read_image(tmp_path / "a.png")


# ---- what is no image ----


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"GIF89a", "is not an image|cannot be read"),
        (b"<html>", "is not an image, or not in one of the formats JPEG, PNG"),
    ],
)
def test_what_is_not_an_image(tmp_path, content, message):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=f"^({message})"):
        read_image(tmp_path / "a.png")
    with pytest.raises(DataError, match="^is not a file$"):
        read_image(tmp_path)


def test_pipes_sockets_devices_and_folders_are_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.png")
    os.mkdir("folder.png")
    os.symlink("pipe.png", "link.png")
    image = read_image(put(tmp_path / "a.png"))
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket.png")
        for name in ("pipe.png", "link.png", "socket.png", "/dev/zero", "folder.png"):
            for read in (read_image, lambda path: read_labels(tmp_path / path, image, mask_reader(None))):
                with pytest.raises(DataError, match="^is not a file$"):
                    read(name)
            assert upright_size(tmp_path / name) is None


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_truncated_file_is_refused_or_whole(tmp_path, format):
    """Cut anywhere: what is read has the pixels of the whole file, or it is refused; nothing is made up."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    path = put(tmp_path / "a", Image.fromarray(pixels), format)
    whole, content = read_image(path).image, path.read_bytes()
    for end in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:end])
        try:
            image = read_image(path).image
        except DataError:
            continue
        assert np.array_equal(image, whole), f"{end} of {len(content)} bytes"


# ---- pages ----


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_pages_one_is_chosen_or_none_is_read(tmp_path, format):
    frames = [Image.new("RGB", (6, 4), color) for color in ("red", "lime")]
    more = {"lossless": True} if format == "WEBP" else {}
    path = put(tmp_path / "a", frames[0], format, save_all=True, append_images=frames[1:], **more)
    with pytest.raises(DataError, match="^has 2 pages or frames: choose one with --page 1 to 2"):
        read_image(path)
    for page, color in ((1, (255, 0, 0)), (2, (0, 255, 0))):
        assert (read_image(path, Reading(page=page)).image == color).all()
    with pytest.raises(DataError, match="^has 2 pages or frames: there is no page 3"):
        read_image(path, Reading(page=3))
    assert (read_image(put(tmp_path / "b"), Reading(page=3)).image == (255, 0, 0)).all()  # a file with one page


def test_a_mask_of_several_pages(tmp_path):
    pages = [Image.fromarray(np.array([[0, n]], np.uint8)) for n in (0, 1)]
    path = put(tmp_path / "a.tif", pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match="has 2 pages"):
        load(path, mask_reader(None))
    assert load(path, mask_reader(None), Reading(page=2)).tolist() == [[0, 1]]


def test_a_larger_page_is_limited_too(tmp_path):
    path = put(tmp_path / "a.tif", RED, "TIFF", save_all=True, append_images=[Image.new("L", (60, 40))])
    with pytest.raises(DataError, match="has 60 x 40"):
        read_image(path, Reading(page=2, most_pixels=100))


def test_a_photograph_with_a_second_image_inside_is_a_photograph(tmp_path):
    """Cameras' JPEGs (MPO) hold a preview, or the depths; the first image is the photograph."""
    path = put(tmp_path / "a.jpg", RED, "MPO", save_all=True, append_images=[Image.new("RGB", (6, 4))])
    assert abs(read_image(path).image.astype(int) - (255, 0, 0)).max() <= 2


def test_a_volume_in_one_page_is_refused(tmp_path):
    path = put(tmp_path / "a.tif", Image.new("L", (6, 4)), "TIFF", tiffinfo={32997: 5})
    with pytest.raises(DataError, match="is a TIFF volume"):
        read_image(path)


# ---- HEIC ----


def test_a_heic_file_names_the_package_or_is_read(tmp_path):
    if not has_heif():
        (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
        with pytest.raises(DataError, match=r"^is a HEIC image, which needs .* pip install 'minunet\[heif\]'"):
            read_image(tmp_path / "a.jpg")
        return
    file = io.BytesIO()
    Image.new("RGB", (64, 32), "red").save(file, "HEIF")
    (tmp_path / "a.heic").write_bytes(file.getvalue())
    image = read_image(tmp_path / "a.heic").image
    assert image.shape == (32, 64, 3) and abs(image.astype(int) - (255, 0, 0)).max() <= 8


@pytest.mark.parametrize(
    "options, message",
    [
        ({"stretch": "percentile"}, "stretch is 'percentile': it must be 'percentiles', 'full'"),
        ({"stretch": (5, 5)}, "stretch is"),
        ({"stretch": (0, float("nan"))}, "stretch is"),
        ({"exif": "sideways"}, "exif is 'sideways'"),
        ({"page": 0}, "page is 0"),
        ({"most_pixels": 0}, "most_pixels is 0"),
    ],
)
def test_what_is_no_way_to_read(options, message):
    with pytest.raises(ValueError, match=message):
        Reading(**options)
