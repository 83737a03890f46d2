"""`minunet show-augmentation`: the sheet of a drawn pet, and of an image of your own."""

import re

import numpy as np
import pytest
from PIL import Image

from minunet.cli import show_augmentation


def run(*arguments):
    try:
        return show_augmentation.main([str(a) for a in arguments])
    except SystemExit as end:
        return end.code


@pytest.fixture
def own(tmp_path):
    """An image and its mask, half of it 7."""
    Image.new("RGB", (50, 30), (200, 80, 40)).save(tmp_path / "my dog.jpg")
    mask = np.zeros((30, 50), np.uint8)
    mask[:, 25:] = 7
    Image.fromarray(mask).save(tmp_path / "mask ü.png")
    return ["--image", tmp_path / "my dog.jpg", "--mask", tmp_path / "mask ü.png"]


def test_each_transform_has_its_place_on_the_sheet():
    image, mask = np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 1), np.uint8)
    image[5:10, 2:6], mask[5:10, 2:6] = 200, 1
    images, masks, titles = show_augmentation.sheet(image, mask, seed=177)
    assert len(images) == len(masks) == len(titles) == 20
    by_title = dict(zip(titles, images))
    assert np.array_equal(by_title["as it is"], image) and np.array_equal(by_title["flip"], image[:, ::-1])
    presets = ["preset light"] * 2 + ["preset full"] * 3 + ["preset flips"] + ["preset cells"] * 2
    assert titles[-8:] == presets
    unchanged = [title for title, new in by_title.items() if np.array_equal(new, image)]
    assert unchanged == ["as it is", "saturation"]  # gray has nothing to saturate


def test_it_writes_a_sheet(tmp_path, own, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("--size", "64") == 0
    assert run("--size", "64", *own, "--mask-values", "0=background,7=pet", "--out", "own.jpg") == 0
    assert capsys.readouterr().out.splitlines() == ["written: augmentations.png", "written: own.jpg"]
    for name in ("augmentations.png", "own.jpg"):
        with Image.open(name) as image:
            assert min(image.size) > 700


def test_the_flag_for_the_image_keeps_its_former_name(tmp_path, own):
    options = ["--size", "64", "--mask-values", "0=background,7=pet", "--out"]
    assert run(*own, *options, tmp_path / "new.jpg") == 0
    assert run("--picture", *own[1:], *options, tmp_path / "old.jpg") == 0
    assert (tmp_path / "old.jpg").read_bytes() == (tmp_path / "new.jpg").read_bytes()


def test_wrong_use_ends_with_one_line_and_code_2(tmp_path, own, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    for arguments, message in [
        (own[:2], "--image and --mask go together"),
        (["--picture", own[1]], "--image and --mask go together"),
        (own[2:], "--image and --mask go together"),
        (own, "holds 0, 7"),
        ([*own[:3], tmp_path], "is not a file"),
        (["--size", "8"], "must be an integer of at least 16"),
        (["--size", "1000000"], "must be at most 16384"),
        (["--size", "32", "--out", "no/such/folder.png"], "no/such"),
        (["--size", "32", "--out", "sheet.gif"], "'sheet.gif' must end with .png or .jpg"),
        (["--mask-values", "1=pet"], "--mask-values is about --mask"),
    ]:
        assert run(*arguments) == 2
        error = capsys.readouterr().err
        assert re.search(message, error) and error.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
