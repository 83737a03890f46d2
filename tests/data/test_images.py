"""Finding image files, and reading any of them upright. What becomes of each mode: test_pets.py."""

import io
import os

import numpy as np
import pytest
from PIL import Image, ImageOps

from minunet.data import DataError
from minunet.data.images import find_images, quiet_pillow, read_image, stored_size


def put(path, image=None, format="PNG", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (6, 4), "red")).save(path, format, **options)
    return path


def found(*arguments):
    images, skipped = find_images(arguments)
    return [str(image.relative_path) for image in images], skipped


@pytest.fixture
def album(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ["b.JPG", "a.png", "z/c.tif", "z/d ü.webp", ".hidden.png", ".git/e.png", "z/._c.tif"]:
        put(tmp_path / "album" / name)
    (tmp_path / "album" / "notes.txt").write_text("not an image")
    return tmp_path / "album"


def test_a_folder_stands_for_its_images_and_those_of_its_subfolders(album):
    names, problems = found(album)
    assert names == ["a.png", "b.JPG", os.path.join("z", "c.tif"), os.path.join("z", "d ü.webp")] and not problems


def test_a_file_is_taken_whatever_its_name_and_each_only_once(album):
    assert found("album/notes.txt", "album/a.png", "./album/a.png", album / "z", album) == (
        ["notes.txt", "a.png", "c.tif", "d ü.webp", "b.JPG"],
        [],
    )


def test_patterns(album):
    assert found("album/*.png") == (["a.png"], [])
    assert found("album/**/*.tif") == (["c.tif"], [])
    assert found("alb*") == found("album")
    assert found("album/*.bmp") == ([], ["album/*.bmp: there is no such file"])
    put(album / "x[1].png")
    put(album / "x1.png")
    assert found("album/x[1].png") == (["x[1].png"], [])


def test_what_is_missing_is_left_for_reading_to_say(album):
    assert found("album/none.png") == (["none.png"], [])
    with pytest.raises(DataError, match="^is missing$"):
        read_image("album/none.png")


def test_a_folder_without_images(album):
    (album / "empty").mkdir()
    names, (problem,) = found(album / "empty", "album/a.png")
    assert names == ["a.png"] and "empty: contains no images (.jpg, .jpeg, .png" in problem


def test_a_folder_that_cannot_be_opened(album, monkeypatch):
    scandir = os.scandir

    def closed(path):
        if str(path).endswith("z"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    names, problems = found("album")
    assert names == ["a.png", "b.JPG"]
    assert problems == [os.path.join("album", "z") + ": cannot be opened: Permission denied"]


@pytest.mark.parametrize("value", range(1, 10))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_the_exif_orientation_is_applied_as_a_viewer_does(tmp_path, value, format):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    exif = Image.Exif()
    exif[0x0112] = value
    path = put(tmp_path / "a.jpg", Image.fromarray(pixels), format, exif=exif)
    with Image.open(path) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    image, orientation = read_image(path)
    assert image.dtype == np.uint8 and (image == expected).all()
    assert orientation == (value if value < 9 else 1)
    assert image.shape == ((56, 40, 3) if 5 <= value <= 8 else (40, 56, 3))


def test_a_damaged_exif_tag_does_not_hide_the_image(tmp_path):
    path = put(tmp_path / "a.png", exif=b"Exif\0\0nonsense")
    image, orientation = read_image(path)
    assert (image == (255, 0, 0)).all() and orientation == 1


def test_pillows_warnings_are_silenced_and_numpys_are_not(tmp_path, monkeypatch):
    path = put(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with quiet_pillow():
        assert read_image(path).image.shape == (4, 6, 3)
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            np.float32(1) / np.float32(0)
    with pytest.raises(DataError, match="DecompressionBombWarning|exceeds limit"):
        read_image(path)  # in these tests every warning is an error


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


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(DataError, match="^is not a file$"):
        read_image(tmp_path / "a.png")


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (6, 4), color) for color in ("red", "lime")]
    for format in ("GIF", "PNG", "WEBP", "TIFF"):
        file = io.BytesIO()
        frames[0].save(
            file,
            format,
            save_all=True,
            append_images=frames[1:],
            **({"lossless": True} if format == "WEBP" else {}),
        )
        (tmp_path / "a").write_bytes(file.getvalue())
        assert (read_image(tmp_path / "a").image == (255, 0, 0)).all(), format


def test_the_size_of_a_file_as_it_is_stored(tmp_path):
    sideways = Image.Exif()
    sideways[0x0112] = 6
    assert stored_size(put(tmp_path / "a.jpg", format="JPEG", exif=sideways)) == (4, 6)
    whole = put(tmp_path / "b.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:40])
    assert stored_size(tmp_path / "cut.png") in ((4, 6), None)
    (tmp_path / "c.png").write_bytes(b"nothing")
    for nothing in (tmp_path / "c.png", tmp_path / "missing.png", tmp_path):
        assert stored_size(nothing) is None
