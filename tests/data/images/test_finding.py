"""Finding image files, and what is passed over."""

import os

import pytest
from PIL import Image

from minunet.data import DataError
from minunet.data.images import find_images, finding, read_image


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


def test_what_is_passed_over_is_counted_and_named(album, monkeypatch):
    for name in ("e.jp2", "z/f.JXL", "z/g.jp2", "scan.dcm"):
        (album / name).write_bytes(b"whatever")
    names, (line,) = found(album)
    assert names == ["a.png", "b.JPG", os.path.join("z", "c.tif"), os.path.join("z", "d ü.webp")]
    assert "4 files are passed over, 1 .dcm, 2 .jp2, 1 .jxl (such as e.jp2): save them as PNG" in line


@pytest.mark.parametrize("there", [False, True])
def test_heic_files_need_another_package(album, monkeypatch, there):
    (album / "e.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    monkeypatch.setattr(finding, "has_heif", lambda: there)
    monkeypatch.setattr(finding, "formats", lambda: ("PNG", "HEIF") if there else ("PNG",))
    names, skipped = found(album)
    assert ("e.HEIC" in names) == there
    assert there or "1 file is passed over, 1 .heic (such as e.HEIC): pip install 'minunet[heif]'" in skipped[0]
