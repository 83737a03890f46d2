"""The files of a prediction: what they are called, what they hold, and what they never replace."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minunet.data import DataError
from minunet.data.images import ImageFile, is_own_file
from minunet.inference.outputs import choose_names, is_output, write_outputs
from minunet.tasks import Binary, Instance

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
BOX = np.zeros((20, 30), bool)
BOX[5:15, 5:25] = True


def names(*paths, out=None):
    images = [ImageFile(Path(path), Path(path).relative_to("in")) for path in paths]
    return [None if name is None else name.as_posix() for name in choose_names(images, out)]


def test_outputs_lie_beside_the_image_or_in_the_same_subfolder_of_out():
    assert names("in/cat.jpg", "in/a/cat.jpg") == ["in/cat", "in/a/cat"]
    assert names("in/cat.jpg", "in/a/cat.jpg", out=Path("out")) == ["out/cat", "out/a/cat"]


def test_names_that_would_collide_keep_their_suffixes():
    assert names("in/cat.jpg", "in/Cat.png", "in/dog.v2.jpg") == ["in/cat.jpg", "in/Cat.png", "in/dog.v2"]
    assert names("in/cat.jpg", "in/cat.png", "in/cat.jpg.gif") == [
        "in/cat.jpg",
        "in/cat.png",
        "in/cat.jpg.gif",
    ]
    twice = [ImageFile(Path("x/cat.jpg"), Path("cat.jpg")), ImageFile(Path("y/cat.jpg"), Path("cat.jpg"))]
    assert choose_names(twice, Path("out")) == [Path("out/cat.jpg"), None]
    assert choose_names(twice) == [Path("x/cat"), Path("y/cat")]


def test_a_mask_of_black_and_white_and_an_outline(tmp_path):
    write_outputs(tmp_path / "new" / "cat.v1", Binary().files(IMAGE, BOX))
    assert sorted(os.listdir(tmp_path / "new")) == ["cat.v1.mask.png", "cat.v1.overlay.png"]
    with (
        Image.open(tmp_path / "new" / "cat.v1.mask.png") as mask,
        Image.open(tmp_path / "new" / "cat.v1.overlay.png") as overlay,
    ):
        assert mask.mode == "L" and (np.asarray(mask) == np.where(BOX, 255, 0)).all()
        changed = (np.asarray(overlay) != IMAGE).any(axis=2)
    inner = np.zeros_like(BOX)
    inner[6:14, 6:24] = True
    assert (changed == (BOX & ~inner)).all()  # a line of one pixel


def test_outputs_are_recognized_and_replaced(tmp_path):
    write_outputs(tmp_path / "cat", Binary().files(IMAGE, BOX))
    assert is_output(tmp_path / "cat.mask.png", Binary.suffixes) and is_output(
        tmp_path / "cat.overlay.png", Binary.suffixes
    )
    write_outputs(tmp_path / "cat", Binary().files(IMAGE, ~BOX))
    with Image.open(tmp_path / "cat.mask.png") as mask:
        assert mask.getpixel((0, 0)) == 255
    (tmp_path / "cat.mask.png").rename(tmp_path / "cat.png")
    assert not is_output(tmp_path / "cat.png", Binary.suffixes)  # somebody works on with it
    for content in (b"", b"\x89PNG\r\n\x1a\n", b"hello"):
        (tmp_path / "dog.mask.png").write_bytes(content)
        assert not is_output(tmp_path / "dog.mask.png", Binary.suffixes)
    assert not is_output(tmp_path / "none.mask.png", Binary.suffixes)


@pytest.mark.parametrize("ending", [".mask.png", ".overlay.png"])
@pytest.mark.parametrize("kind", ["drawn by hand", "empty", "folder", "link", "dangling link"])
def test_what_is_not_ours_is_never_replaced(tmp_path, ending, kind):
    path, drawn = tmp_path / f"cat{ending}", tmp_path / "drawn.png"
    Image.fromarray(IMAGE).save(drawn)
    {
        "drawn by hand": lambda: drawn.rename(path),
        "empty": path.touch,
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(drawn),
        "dangling link": lambda: path.symlink_to("nowhere"),
    }[kind]()
    before = {p: p.is_file() and p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(DataError, match=rf"cat{ending} exists already and was not written by a prediction"):
        write_outputs(tmp_path / "cat", Binary().files(IMAGE, BOX))
    assert {p: p.is_file() and p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("as_tiff, suffix", [(False, ".labels.png"), (True, ".labels.tif")])
def test_label_images_of_objects_carry_the_mark(tmp_path, as_tiff, suffix):
    """By which they are known to be upright."""
    task = Instance()
    task.as_tiff = as_tiff
    answer = np.zeros((6, 9), np.uint16)
    answer[1:3, 2:6] = 7
    write_outputs(tmp_path / "a", task.files(np.zeros((6, 9, 3), np.uint8), answer))
    assert is_own_file(tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as stored:
        assert np.array_equal(np.asarray(stored), answer)
