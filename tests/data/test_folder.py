"""Your own images: which belong together, what masks mean, and what is said of what cannot be used."""

import numpy as np
import pytest
from PIL import Image

from minunet.data import DataError, sample
from minunet.data.folder import ImageFolder, PictureFolder, read_one, split


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINUNET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folders(tmp_path):
    """Two empty folders, with a space and an umlaut in their names."""
    folders = tmp_path / "my images", tmp_path / "meine Masken ü"
    for folder in folders:
        folder.mkdir()
    return folders


def put(folders, name, level=0, mask=None, values=(0, 1), image_end=".jpg", mask_end=".png", size=(30, 20)):
    """A gray image (as PNG, whatever its name says) and a mask whose right half has the second value."""
    Image.new("RGB", size, (level, 100, 200)).save(folders[0] / f"{name}{image_end}", "PNG")
    if mask is None:
        array = np.full((size[1], size[0]), values[0], np.uint8)
        array[:, size[0] // 2 :] = values[1]
        mask = Image.fromarray(array)
    mask.save(folders[1] / f"{name}{mask_end}")


def read(folders, **options):
    return ImageFolder(*folders, size=8, **options)


# ---- usable data ----


def test_pairs_have_the_same_name_up_to_the_last_dot(folders):
    for level, name in enumerate(["b", "a.first", "c d"]):
        put(folders, name, 10 * level)
    put(folders, "z", 90, image_end=".PNG", mask_end=".bmp")
    (folders[0] / "notes.txt").write_text("not an image")
    (folders[0] / ".hidden.jpg").write_text("nor is this")
    (folders[1] / "more").mkdir()
    dataset = read(folders)
    assert dataset.names == ["a.first", "b", "c d", "z"] and dataset.skipped == [] and len(dataset) == 4
    for (image, mask), level in zip(dataset, (10, 0, 20, 90)):
        assert image.shape == (8, 8, 3) and mask.shape == (8, 8, 1) and image.dtype == mask.dtype == np.uint8
        assert (image == (level, 100, 200)).all()
        assert (mask[:, :4] == 0).all() and (mask[:, 4:] == 1).all()


@pytest.mark.parametrize(
    "mask",
    [
        Image.fromarray(np.repeat(np.array([[0, 1]], np.uint8), 2, axis=0)),
        Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 2, axis=0)),
        Image.fromarray(np.array([[False, True]] * 2)),  # one bit per pixel
        Image.fromarray(np.array([[0, 255]] * 2, np.uint8)).convert("RGB"),
        Image.fromarray(np.array([[0, 255]] * 2, np.uint8)).convert("RGBA"),
        Image.fromarray(np.array([[0, 255]] * 2, np.uint8)).convert("LA"),
        Image.fromarray(np.array([[0, 1]] * 2, np.uint16)),
    ],
    ids=["0/1", "0/255", "1 bit", "RGB", "RGBA", "LA", "16 bits"],
)
def test_masks_as_programs_save_them(folders, mask):
    put(folders, "a", mask=mask, size=(2, 2))
    assert ImageFolder(*folders, size=2)[0][1][:, :, 0].tolist() == [[0, 1], [0, 1]]


def test_the_indices_of_a_palette_count_and_not_its_colors(folders):
    mask = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    mask.putpalette([255, 0, 0, 0, 255, 0])
    put(folders, "a", mask=mask, size=(2, 2))
    assert ImageFolder(*folders, size=2)[0][1][:, :, 0].tolist() == [[0, 1], [1, 0]]


def test_a_table_says_what_other_values_mean(folders):
    for name, values in [("a", (7, 0)), ("b", (7, 9))]:
        put(folders, name, values=values)
    put(folders, "c", mask=Image.fromarray(np.full((20, 30), 1000, np.uint16)))
    dataset = read(folders, values={0: 0, 7: 1, 9: 255, 1000: 1})
    assert [(int(mask[0, 0, 0]), int(mask[0, 7, 0])) for _, mask in dataset] == [(1, 0), (1, 255), (1, 1)]
    other = read(folders, values={0: 0, 7: 0, 9: 1, 1000: 1})  # not what the cache remembers
    assert [(int(mask[0, 0, 0]), int(mask[0, 7, 0])) for _, mask in other] == [(0, 0), (0, 1), (1, 1)]


def test_the_arrays_belong_to_the_caller_and_the_files_stay_as_they_were(folders):
    put(folders, "a", 10)
    before = {path: path.read_bytes() for folder in folders for path in folder.iterdir()}
    dataset = read(folders)
    image, mask = dataset[0]
    image[:], mask[:] = 7, 7
    assert (dataset[-1][0] == (10, 100, 200)).all() and set(np.unique(dataset[-1][1])) == {0, 1}
    with pytest.raises(IndexError):
        dataset[1]
    assert {path: path.read_bytes() for folder in folders for path in folder.iterdir()} == before


def test_a_second_reading_comes_from_the_cache(folders, tmp_path, monkeypatch):
    put(folders, "a")
    read(folders)

    def open_nothing(*arguments, **options):
        raise AssertionError("decoded again")

    monkeypatch.setattr(Image, "open", open_nothing)
    assert len(read(folders)) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_one_pair_is_read_like_a_folder(folders):
    put(folders, "a", values=(0, 255))
    (image, mask), (same_image, same_mask) = (read(folders)[0], read_one(folders[0] / "a.jpg", folders[1] / "a.png", 8))
    assert np.array_equal(image, same_image) and np.array_equal(mask, same_mask)
    with pytest.raises(DataError, match=r"no\.png: is missing"):
        read_one(folders[0] / "a.jpg", folders[1] / "no.png", 8)


# ---- what does not fit ----


def test_what_has_no_partner_is_listed(folders, caplog):
    for name in ("a", "b", "c", "d"):
        put(folders, name)
    (folders[1] / "a.png").unlink()
    (folders[0] / "b.jpg").unlink()
    put(folders, "c", mask_end=".bmp")
    dataset = read(folders)
    assert dataset.names == ["d"]
    assert sorted(dataset.skipped) == [
        "meine Masken ü/b.png: there is no image b.*",
        "meine Masken ü/c.bmp: c.png has the same name; keep one of them",
        "my images/a.jpg: there is no mask a.*",
    ]
    assert len(caplog.records) == 1
    assert all(problem in caplog.text for problem in dataset.skipped)
    assert "1 usable image, 3 skipped" in caplog.text
    with pytest.raises(DataError, match=r"there is no mask a\.\*"):
        read(folders, strict=True)


def test_other_values_and_sizes_and_damaged_files_are_named(folders):
    put(folders, "good")
    put(folders, "both", mask=Image.fromarray(np.array([[0, 1, 255] * 10] * 20, np.uint8)))
    put(folders, "other", values=(0, 38))
    put(folders, "color", mask=Image.new("RGB", (30, 20), (255, 0, 0)))
    put(folders, "float", mask=Image.new("F", (30, 20)), mask_end=".tif")
    put(folders, "cmyk", mask=Image.new("CMYK", (30, 20)), mask_end=".tif")
    put(folders, "size", mask=Image.new("L", (30, 21)))
    ramp = Image.fromarray(np.tile(np.arange(30, dtype=np.uint8) * 8, (20, 1)))
    put(folders, "blurred", mask=ramp, mask_end=".jpg")
    put(folders, "empty")
    (folders[0] / "empty.jpg").write_bytes(b"")
    dataset = read(folders)
    assert dataset.names == ["good"]
    parts = [problem.partition(": ") for problem in dataset.skipped]
    said = {file.rpartition("/")[2]: what for file, _, what in parts}
    for name, text in {
        "both.png": "holds 0, 1, 255: a mask holds 0 and 1, or 0 and 255; say what",
        "other.png": "holds 0, 38: a mask holds 0 and 1, or 0 and 255; say what",
        "color.png": "is colored (mode RGB): a mask needs one integer per pixel; save it as gray",
        "float.tif": "has floating-point pixels (mode F): a mask needs one integer per pixel",
        "cmyk.tif": "has mode CMYK: a mask needs one integer per pixel",
        "size.png": "is 30 x 21, but its image is 30 x 20 (width x height)",
        "blurred.jpg": "JPEG blurs the values of a mask; save it as PNG",
        "empty.jpg": "is empty",
    }.items():
        assert text in said.pop(name)
    assert said == {}
    assert "holds 0, 38: the table of values has only 0, 1" in "".join(read(folders, values={0: 0, 1: 1}).skipped)


def test_no_pair_at_all_is_an_error_that_describes_the_layout(folders):
    with pytest.raises(DataError, match=r"0 usable images(.|\n)*Expected: an image IMAGES/NAME"):
        read(folders)
    put(folders, "a")
    (folders[1] / "a.png").rename(folders[1] / "a_mask.png")
    with pytest.raises(DataError, match=r"there is no mask a\.\*(.|\n)*there is no image a_mask\.\*"):
        read(folders)


def test_folders_that_cannot_be_used(folders, tmp_path):
    put(folders, "a")
    with pytest.raises(DataError, match="cannot open the folder .*nowhere: No such file"):
        ImageFolder(tmp_path / "nowhere", folders[1])
    with pytest.raises(DataError, match=r"cannot open the folder .*a\.png"):
        ImageFolder(folders[0], folders[1] / "a.png")
    with pytest.raises(DataError, match="need a folder each"):
        ImageFolder(folders[0], folders[0])


@pytest.mark.parametrize(
    "values, error",
    [({}, ValueError), ({0: 2}, ValueError), ({-1: 0}, ValueError), ({0.5: 1}, TypeError)],
)
def test_a_table_must_lead_to_0_1_or_255(folders, values, error):
    with pytest.raises(error):
        read(folders, values=values)


def test_the_former_names_are_still_there():
    assert PictureFolder is ImageFolder and split is sample.split
