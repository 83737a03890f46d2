"""How many images `minunet predict` has in memory at a time."""

import pytest
from PIL import Image

import minunet.cli.predict.read_ahead as file
from minunet.data.images import DEFAULT, find_images


@pytest.mark.parametrize("most, expected", [(1000, ["abc", "d"]), (40, ["ab", "cd"]), (10, ["a", "b", "c", "d"])])
def test_large_images_go_one_by_one(tmp_path, monkeypatch, most, expected):
    """Images of 20, 20, 21 and 1 pixels, and at most three at a time."""
    monkeypatch.setattr(file, "MOST_TOGETHER", most)
    for name, size in zip("abcd", ((5, 4), (5, 4), (7, 3), (1, 1))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    (tmp_path / "e.png").write_bytes(b"no image")
    images, _ = find_images([tmp_path])
    groups = list(file.read_ahead(images[:4], 3, DEFAULT))
    assert ["".join(found.path.stem for found, _ in group) for group in groups] == expected
    assert [image.image.shape[:2] for group in groups for _, image in group] == [(4, 5), (4, 5), (3, 7), (1, 1)]
    assert "is not an image" in str(next(iter(file.read_ahead(images[4:], 3, DEFAULT)))[0][1])
