"""Your own images: which belong together, what masks mean, and what is said of what cannot be used."""

import json
import os
import random

import numpy as np
import pytest
from PIL import Image

from minunet.data import DataError, sample
from minunet.data.classes import parse
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
        "blurred.jpg": "is a JPEG, which blurs the numbers of a mask: save it as PNG",
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


# ---- classes ----


STREET = parse("7=road,26=car,27=car,0=ignore")


def test_class_maps_become_indices(folders):
    numbers = np.array([[7, 26, 27, 0], [0, 7, 7, 26]], np.uint8)
    palette = Image.fromarray(numbers).convert("P")
    palette.putpalette([200, 100, 50] * 256)
    for name, mask in (
        ("a", Image.fromarray(numbers)),
        ("b", palette),
        ("c", Image.fromarray(numbers.astype(np.uint16))),
    ):
        put(folders, name, mask=mask, size=(4, 2))
    for values in (STREET, STREET.table(), list(STREET.table().items())):
        dataset = ImageFolder(*folders, size=(2, 4), values=values, labels="classes")
        assert len(dataset) == 3 and dataset.skipped == []
        for _, labels in dataset:
            assert labels.dtype == np.uint8 and labels[:, :, 0].tolist() == [[0, 1, 1, 255], [255, 0, 0, 1]]
        assert dataset.classes == (STREET if values is STREET else None)
    image, labels = read_one(folders[0] / "a.jpg", folders[1] / "a.png", (2, 4), STREET, "classes")
    assert image.shape == (2, 4, 3) and labels[1, :, 0].tolist() == [255, 0, 0, 1]


def test_254_is_a_class_and_255_is_not(folders):
    numbers = np.arange(256, dtype=np.uint8).reshape(16, 16)
    put(folders, "a", mask=Image.fromarray(numbers), size=(16, 16))
    table = {number: 254 - number if number < 255 else 255 for number in range(256)}
    labels = ImageFolder(*folders, size=16, values=table, labels="classes")[0][1]
    assert labels.ravel().tolist() == [*range(254, -1, -1), 255]


def test_numbers_that_are_no_class_are_named_with_their_file(folders):
    put(folders, "a", values=(7, 26))
    put(folders, "b", values=(7, 11))
    put(folders, "c", mask=Image.fromarray(np.tile(np.arange(30, dtype=np.uint8) * 8, (20, 1))), mask_end=".jpg")
    dataset = read(folders, values=STREET, labels="classes")
    assert dataset.names == ["a"]
    known = "the classes have only the numbers 0, 7, 26, 27"
    assert dataset.skipped[0].endswith(f"/b.png: holds 11: {known}; name them, or call them ignore")
    assert dataset.skipped[1].endswith("/c.jpg: is a JPEG, which blurs the numbers of a mask: save it as PNG")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labels": "classes"}, "labels='classes' needs `values`"),
        ({"labels": "classes", "values": {0: 256}}, "0 to 254, or 255"),
        ({"labels": "instances", "values": {0: 0}}, "instances are whatever numbers there are"),
        ({"labels": "panoptic"}, "labels is 'panoptic': it must be one of mask, classes, instances"),
        ({"values": STREET.table() | {1: 2}}, "to 0, 1 or 255"),
        ({"multiple": 0}, "multiple is 0"),
    ],
)
def test_options_that_do_not_go_together(folders, options, message):
    put(folders, "a")
    with pytest.raises(ValueError, match=message):
        read(folders, **options)


# ---- objects ----


def test_objects_are_renumbered_in_each_image(folders):
    numbers = np.array([[0, 900, 900, 65535], [3, 0, 900, 41]], np.uint16)
    put(folders, "a", mask=Image.fromarray(numbers), size=(4, 2))
    put(folders, "b", mask=Image.fromarray(numbers.astype(np.int32) * 100), mask_end=".tif", size=(4, 2))
    put(folders, "c", mask=Image.new("L", (4, 2)), size=(4, 2))
    put(folders, "d", mask=Image.new("L", (4, 2), 200), size=(4, 2))
    dataset = ImageFolder(*folders, size=(2, 4), labels="instances")
    labels = [labels[:, :, 0].tolist() for _, labels in dataset]
    assert dataset.skipped == [] and all(labels.dtype == np.uint16 for _, labels in dataset)
    assert labels[0] == [[0, 3, 3, 65535], [1, 0, 3, 2]]
    assert labels[1] == [[0, 3, 3, 4], [1, 0, 3, 2]]
    assert labels[2] == [[0] * 4] * 2 and labels[3] == [[1] * 4] * 2


def test_what_cannot_be_objects(folders):
    put(folders, "good", values=(0, 9))
    many = np.arange(65535, dtype=np.int32).reshape(15, 4369) + 65536
    put(folders, "many", mask=Image.fromarray(many), mask_end=".tif", size=(4369, 15))
    put(folders, "negative", mask=Image.fromarray(np.full((20, 30), -3, np.int32)), mask_end=".tif")
    put(folders, "blurred", mask_end=".jpg")
    put(folders, "color", mask=Image.new("RGB", (30, 20), (1, 2, 3)))
    dataset = read(folders, labels="instances")
    assert dataset.names == ["good"]
    said = "\n".join(dataset.skipped)
    for text in (
        "/many.tif: the image has 65535 objects: a 16-bit label image can hold 65534",
        "/negative.tif: segments hold -3",
        "/blurred.jpg: is a JPEG, which blurs the numbers of a mask",
        "/color.png: is colored (mode RGB)",
    ):
        assert text in said


# ---- some of the images ----


def test_only_these_names_in_that_order(folders):
    for level, name in enumerate("abcd"):
        put(folders, name, level)
    (folders[1] / "c.png").unlink()
    put(folders, "d", image_end=".png")  # a second image of that name
    dataset = read(folders, names=["b", "x", "c", "a", "b"])
    assert dataset.names == ["b", "a"] and [int(image[0, 0, 0]) for image, _ in dataset] == [1, 0]
    assert dataset.skipped == [
        f"{folders[0].name}/c.jpg: there is no mask c.*",
        "x: there is neither an image nor a mask of that name",
        "b: is listed more than once; it is used once",
    ]
    assert read(folders, names=("a",)).skipped == []
    with pytest.raises(DataError, match="x: there is neither"):
        read(folders, names=["a", "x"], strict=True)
    with pytest.raises(DataError, match="0 usable images"):
        read(folders, names=[])
    with pytest.raises(TypeError, match="names is 'ab': it must be a list"):
        read(folders, names="ab")


# ---- in their own size ----


@pytest.mark.parametrize("labels, ignore", [("mask", 255), ("classes", 255), ("instances", 65535)])
def test_images_in_their_own_size_are_padded(folders, labels, ignore):
    rng = np.random.default_rng(0)
    image, numbers = rng.integers(0, 256, (20, 30, 3), np.uint8), rng.integers(0, 2, (20, 30), np.uint8)
    for name in "ab":
        put(folders, name, mask=Image.fromarray(numbers))
        Image.fromarray(image).save(folders[0] / f"{name}.jpg", "PNG")
    options = {"labels": labels, "values": {0: 0, 1: 1} if labels == "classes" else None}
    dataset = ImageFolder(*folders, None, multiple=16, **options)
    assert dataset.size == (32, 32) and dataset.content == (20, 30)
    expected = np.pad(image, [(0, 12), (0, 2), (0, 0)], mode="reflect")
    for new, new_labels in dataset:
        assert np.array_equal(new, expected) and np.array_equal(new_labels[:20, :30, 0], numbers)
        assert (new_labels[20:] == ignore).all() and (new_labels[:, 30:] == ignore).all()
    resized = ImageFolder(*folders, (32, 32), **options)  # a cache of its own
    assert resized.content == (32, 32) and not (resized[0][1] == ignore).any()
    same = ImageFolder(*folders, None, multiple=10, **options)
    assert same.size == (20, 30) and np.array_equal(same[0][0], image)


def test_in_their_own_size_all_must_have_the_same(folders):
    put(folders, "a")
    put(folders, "b", size=(30, 21))
    with pytest.raises(DataError, match=r"/a.png is 30 x 20, but .*/b.png is 30 x 21 \(width x height\)"):
        ImageFolder(*folders, None)
    assert ImageFolder(*folders, None, names=["b"]).content == (21, 30)


def test_in_their_own_size_a_damaged_file_is_skipped(folders):
    put(folders, "a")
    put(folders, "b")
    (folders[1] / "a.png").write_bytes(b"nothing")
    put(folders, "c", mask=Image.new("L", (30, 20)), size=(31, 20))
    dataset = ImageFolder(*folders, None)
    assert dataset.names == ["b"] and "a.png: is not an image" in "".join(dataset.skipped)
    assert "c.png: is 30 x 20, but its image is 31 x 20" in "".join(dataset.skipped)


# ---- whatever the files hold ----


@pytest.mark.parametrize("labels", ["mask", "classes", "instances"])
def test_damaged_label_files_are_read_or_named(folders, labels):
    rng = random.Random(7)
    whole = np.arange(600, dtype=np.uint16).reshape(20, 30) % 3
    for number in range(30):
        put(folders, f"{number:02d}", mask=Image.fromarray(whole), mask_end=rng.choice([".png", ".tif"]))
        (path,) = folders[1].glob(f"{number:02d}.*")
        content = bytearray(path.read_bytes())
        for _ in range(number % 4):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
    values = {0: 0, 1: 1, 2: 255} if labels != "instances" else None
    for size in (8, None):
        dataset = ImageFolder(*folders, size, values, labels=labels, cache=False)
        assert len(dataset) + len(dataset.skipped) == 30 and 3 < len(dataset) < 30
        for image, read_labels in dataset:
            assert image.shape[:2] == read_labels.shape[:2] == dataset.size
            assert read_labels.dtype == (np.uint16 if labels == "instances" else np.uint8)


LABELME = {"version": "5.0.1", "shapes": [{"label": "cat", "points": [[0, 0], [1, 1]]}], "imagePath": "a.jpg"}
OBJECTS = {"images": [], "categories": [], "annotations": [{"id": 1, "segmentation": [[0, 0, 1, 1]], "iscrowd": 0}]}
PANOPTIC = {"images": [], "categories": [], "annotations": [{"image_id": 1, "segments_info": []}]}


@pytest.mark.parametrize("where", ["beside the images", "in a folder", "a file"])
@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (LABELME, "is LabelMe's: labelme2voc.py"),
        (OBJECTS, r"is COCO's list of objects.*pycocotools \(COCO.annToMask\)"),
        (PANOPTIC, "is COCO's panoptic file: give it as --panoptic-json"),
    ],
)
def test_outlines_in_json_files_are_no_masks_and_the_message_says_what_makes_some(tmp_path, content, hint, where):
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir(), masks.mkdir()
    Image.new("RGB", (4, 4)).save(images / "a.jpg")
    file = (images if where == "beside the images" else masks) / "a.json"
    file.write_text(json.dumps(content))
    given = {"beside the images": images, "in a folder": masks, "a file": file}[where]
    with pytest.raises(DataError, match=hint):
        ImageFolder(images, given, size=4, cache=False)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such names")
def test_names_that_a_terminal_would_obey_are_escaped(folders, caplog):
    images, masks = folders
    put(folders, "usable")
    for name in ("red\x1b[31m", "title\x9d0;x\x07", "two\nlines", "\u202egpj.x"):
        Image.new("RGB", (4, 4)).save(images / f"{name}.jpg")
    ImageFolder(images, masks, size=4, cache=False)
    (message,) = caplog.messages
    assert r"red\x1b[31m.jpg" in message and r"two\nlines.jpg" in message and r"\u202egpj.x.jpg" in message
    assert message.replace("\n  ", "").isprintable()
