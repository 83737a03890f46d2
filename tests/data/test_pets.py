"""Reading the official layout: every kind of image, and every way in which a folder can be wrong."""

import io
import logging
import random

import numpy as np
import pytest
from PIL import Image

from minunet.data import DataError
from minunet.data.images import Reading
from minunet.data.labels import IGNORE
from minunet.data.pets import SPECIES_CLASSES, TRIMAP_CLASSES, Pets


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINUNET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path):
    """Six usable images of three breeds: four to train with, two to test with."""
    root = tmp_path / "pets"
    (root / "images").mkdir(parents=True)
    (root / "annotations" / "trimaps").mkdir(parents=True)
    names = ["Bengal_1", "Bengal_20", "american_bulldog_3", "pug_4", "Bengal_5", "pug_6"]
    for level, name in enumerate(names):
        put(root, name, Image.new("RGB", (30, 20), (10 * level, 100, 200)), halves(30, 20))
    write_list(root, "trainval.txt", [f"{n} 1 {1 if n[0].isupper() else 2} 1" for n in names[:4]])
    write_list(root, "test.txt", [f"{n} 1 {1 if n[0].isupper() else 2} 1" for n in names[4:]])
    return root


def halves(width, height, values=(1, 2)):
    """A trimap: the left half has the first value, the right half the second."""
    trimap = np.full((height, width), values[1], np.uint8)
    trimap[:, : width // 2] = values[0]
    return Image.fromarray(trimap)


def put(root, name, image, trimap, format="PNG", **options):
    """PNG by default, so that what is read is exactly what was put there, though the name says .jpg."""
    image.save(root / "images" / f"{name}.jpg", format, **options)
    trimap.save(root / "annotations" / "trimaps" / f"{name}.png")


def write_list(root, name, lines):
    text = "\n".join(["#Image CLASS-ID SPECIES BREED-ID", *lines, ""])
    (root / "annotations" / name).write_text(text, "utf-8")


def only(root, name="Bengal_1"):
    """Leaves one name in the training list."""
    write_list(root, "trainval.txt", [f"{name} 1 1 1"])


def contents(folder):
    """All that is in a folder: names, times and bytes."""
    paths = list(folder.rglob("*"))
    return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in paths}


# ---- usable data ----


def test_names_breeds_species_images_and_masks(root, caplog):
    before = contents(root)
    pets = Pets(root, size=8)
    assert len(pets) == 4 and pets.skipped == [] and not caplog.records
    assert pets.names == ["Bengal_1", "Bengal_20", "american_bulldog_3", "pug_4"]
    assert pets.breeds == ["Bengal", "Bengal", "american bulldog", "pug"]
    assert pets.species == ["cat", "cat", "dog", "dog"]
    for level, (image, mask) in enumerate(pets):
        assert image.shape == (8, 8, 3) and mask.shape == (8, 8, 1) and image.dtype == mask.dtype == np.uint8
        assert (image == (10 * level, 100, 200)).all()
        assert (mask[:, :4] == 1).all() and (mask[:, 4:] == 0).all()
    assert contents(root) == before


def test_splits(root):
    assert Pets(root, "test", size=4).names == ["Bengal_5", "pug_6"]
    assert Pets(root, "all", size=4).names == Pets(root, size=4).names + ["Bengal_5", "pug_6"]


def test_the_arrays_belong_to_the_caller_and_indices_are_checked(root):
    pets = Pets(root, size=4)
    image, mask = pets[1]
    image[:], mask[:] = 7, 7
    assert (pets[1][0] == (10, 100, 200)).all() and set(np.unique(pets[1][1])) == {0, 1}
    assert (pets[-1][0] == (30, 100, 200)).all()
    for index, error in [(4, IndexError), (-5, IndexError), (slice(2), TypeError), ("a", TypeError)]:
        with pytest.raises(error):
            pets[index]


@pytest.mark.parametrize("border, values", [("pet", [1, 0, 1]), ("background", [1, 0, 0]), ("ignore", [1, 0, IGNORE])])
def test_the_boundary_counts_as_what_was_asked_for(root, border, values):
    trimap = np.repeat(np.array([[1, 2, 3]], np.uint8), 10, axis=0)
    put(root, "Bengal_1", Image.new("RGB", (3, 10)), Image.fromarray(trimap))
    only(root)
    _, mask = Pets(root, size=(10, 3), border=border)[0]
    assert (mask[:, :, 0] == values).all()


@pytest.mark.parametrize("border, values", [("pet", None), ("background", 0), ("ignore", IGNORE)])
def test_species_as_classes(root, border, values):
    trimap = Image.fromarray(np.repeat(np.array([[1, 2, 3]], np.uint8), 10, axis=0))
    for name in ("Bengal_1", "pug_4"):
        put(root, name, Image.new("RGB", (3, 10)), trimap)
    pets = Pets(root, size=(10, 3), border=border, labels="species")
    assert pets.classes is SPECIES_CLASSES and SPECIES_CLASSES.names == ("background", "cat", "dog")
    for index, species in ((0, 1), (3, 2), (-1, 2)):
        _, labels = pets[index]
        assert labels.dtype == np.uint8 and labels.shape == (10, 3, 1)
        assert (labels[:, :, 0] == [species, 0, species if values is None else values]).all()


@pytest.mark.parametrize("border", ["pet", "background", "ignore"])
def test_the_trimap_as_classes(root, border):
    trimap = Image.fromarray(np.repeat(np.array([[1, 2, 3]], np.uint8), 10, axis=0))
    put(root, "Bengal_1", Image.new("RGB", (3, 10)), trimap)
    only(root)
    pets = Pets(root, size=(10, 3), border=border, labels="trimap")
    labels = pets[0][1][:, :, 0]
    assert (labels == [0, 1, 2]).all() and pets.classes is TRIMAP_CLASSES
    assert TRIMAP_CLASSES.names == ("pet", "background", "border")
    assert TRIMAP_CLASSES.to_values(labels)[0].tolist() == [1, 2, 3]  # as in the files


def test_masks_have_no_classes_and_share_their_cache(root, tmp_path):
    assert Pets(root, size=8).classes is None
    before = sorted((tmp_path / "cache").iterdir())
    Pets(root, size=8, labels="species")
    assert sorted((tmp_path / "cache").iterdir()) == before
    with pytest.raises(ValueError, match="labels is 'breeds': it must be one of mask, species, trimap"):
        Pets(root, size=8, labels="breeds")


def test_height_comes_first_and_the_mask_takes_the_nearest_pixel(root):
    trimap = np.array([[1, 3, 3, 1], [3, 1, 1, 3]], np.uint8)  # between 1 and 3, a mean would be 2
    put(root, "Bengal_1", Image.new("RGB", (4, 2), "red"), Image.fromarray(trimap))
    only(root)
    image, mask = Pets(root, size=(4, 12), border="ignore")[0]
    assert image.shape == (4, 12, 3) and (image == (255, 0, 0)).all()
    top = [1, 1, 1, 255, 255, 255, 255, 255, 255, 1, 1, 1]
    bottom = [255, 255, 255, 1, 1, 1, 1, 1, 1, 255, 255, 255]
    assert mask[:, :, 0].tolist() == [top, top, bottom, bottom]


def test_shrinking_averages_over_all_pixels(root):
    """One white column in eight: each new pixel is as bright as their mean, which four of 64 do not give."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::8] = 255
    put(root, "Bengal_1", Image.fromarray(stripes), halves(64, 64))
    only(root)
    image, _ = Pets(root, size=8)[0]
    assert abs(image[:, 1:-1].astype(int) - 255 / 8).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3000, 20)])
def test_extreme_sizes(root, size):
    put(root, "Bengal_1", Image.new("RGB", size, (1, 2, 3)), Image.new("L", size, 1))
    only(root)
    image, mask = Pets(root, size=16)[0]
    assert (image == (1, 2, 3)).all() and (mask == 1).all()


def test_limit_is_spread_over_the_list(root):
    names = [f"{breed}_{n}" for breed in "abcd" for n in range(10)]
    for name in names:
        put(root, name, Image.new("RGB", (4, 4)), halves(4, 4))
    write_list(root, "trainval.txt", [f"{name} 1 2 1" for name in names])
    assert Pets(root, size=4, limit=4).breeds == ["a", "b", "c", "d"]
    assert Pets(root, size=4, limit=7).names == Pets(root, size=4, limit=7).names
    assert len(set(Pets(root, size=4, limit=39).names)) == 39
    assert Pets(root, size=4, limit=99).names == names


def test_unicode_and_spaces_in_paths(root, tmp_path):
    moved = root.rename(tmp_path / "Katzen & Hünde 猫")
    put(moved, "Großer Münsterländer_7", Image.new("RGB", (4, 4), "blue"), halves(4, 4))
    only(moved, "Großer Münsterländer_7")
    pets = Pets(str(moved), size=4)
    assert pets.breeds == ["Großer Münsterländer"] and (pets[0][0] == (0, 0, 255)).all()


def test_lists_from_other_editors(root):
    path = root / "annotations" / "trainval.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"Bengal_1 1 1 1\r\n\r\n  # a comment\r\npug_4\t2  2 1")
    assert Pets(root, size=4).names == ["Bengal_1", "pug_4"]


def test_the_folder_above_is_good_enough(root, tmp_path):
    root.rename(tmp_path / "oxford-iiit-pet")
    assert len(Pets(tmp_path, size=4)) == 4


# ---- every kind of image ----


def gray16(level):
    return Image.fromarray(np.full((6, 6), level, np.uint16))


def palette(transparent=False):
    image = Image.new("P", (6, 6), 5)
    image.putpalette([0, 0, 0] * 5 + [10, 20, 30] + [0, 0, 0] * 250)
    if transparent:
        image.info["transparency"] = 5
    return image


@pytest.mark.parametrize(
    "stored, format, expected",
    [
        (Image.new("L", (6, 6), 77), "PNG", (77, 77, 77)),
        (Image.new("1", (6, 6), 1), "PNG", (255, 255, 255)),
        (Image.new("LA", (6, 6), (77, 255)), "PNG", (77, 77, 77)),
        (Image.new("LA", (6, 6), (77, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (6, 6), (255, 0, 0, 255)), "PNG", (255, 0, 0)),
        (Image.new("RGBA", (6, 6), (255, 0, 0, 51)), "PNG", (255, 204, 204)),  # 0.2 red + 0.8 white
        (palette(), "PNG", (10, 20, 30)),
        (palette(transparent=True), "PNG", (255, 255, 255)),
        (palette(), "GIF", (10, 20, 30)),
        (gray16(0xFFFF), "PNG", (255, 255, 255)),
        (gray16(0x4D99), "PNG", (0x4D, 0x4D, 0x4D)),
        (gray16(0x4D99), "TIFF", (0x4D, 0x4D, 0x4D)),
        (Image.new("I", (6, 6), 0x4D99), "TIFF", (0x4D, 0x4D, 0x4D)),
        (Image.new("CMYK", (6, 6), (0, 255, 255, 0)), "TIFF", (255, 0, 0)),
        (Image.new("RGB", (6, 6), (12, 34, 56)), "BMP", (12, 34, 56)),
        (Image.new("RGB", (6, 6), (12, 34, 56)), "WEBP", None),
        (Image.new("RGB", (6, 6), (200, 100, 50)), "JPEG", None),
        (Image.new("L", (6, 6), 120), "JPEG", None),
        (Image.new("CMYK", (6, 6), (0, 255, 255, 0)), "JPEG", None),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_any_mode_becomes_rgb(root, stored, format, expected):
    put(root, "Bengal_1", stored, halves(6, 6), format)
    only(root)
    image, _ = Pets(root, size=6, strict=True)[0]
    if expected is None:  # lossy formats: near to what was put there
        white, alike = (255, 255, 255), {"CMYK": (255, 0, 0), "L": (120, 120, 120)}
        expected = alike.get(stored.mode, stored.getpixel((0, 0)))
        assert abs(image.astype(int) - expected).max() <= 4 and tuple(expected) != white
    else:
        assert (image == expected).all()


def test_the_first_frame_of_an_animation(root):
    frames = [Image.new("RGB", (6, 6), color) for color in ("red", "lime")]
    put(root, "Bengal_1", frames[0], halves(6, 6), "GIF", save_all=True, append_images=frames[1:])
    only(root)
    assert (Pets(root, size=6)[0][0] == (255, 0, 0)).all()


def upright_example(root, trimap):
    """Stored 40 wide and 20 high, red on the left; its EXIF tag says: rotate it, so that red is at the top."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    put(root, "Bengal_1", Image.fromarray(pixels), trimap, exif=exif)
    only(root)
    return Pets(root, size=4, strict=True)[0]


def test_a_trimap_belongs_to_the_stored_pixels(root):
    image, mask = upright_example(root, halves(40, 20))
    assert image[[0, 3], :, 0].tolist() == [[255] * 4, [0] * 4]  # both upright
    assert mask[:, :, 0].tolist() == [[1] * 4] * 2 + [[0] * 4] * 2


def test_a_trimap_that_fits_only_the_upright_image_decides(root):
    image, mask = upright_example(root, halves(40, 20).transpose(Image.Transpose.ROTATE_270))
    assert image[[0, 3], :, 0].tolist() == [[255] * 4, [0] * 4]
    assert mask[:, :, 0].tolist() == [[1] * 4] * 2 + [[0] * 4] * 2


def test_a_palette_trimap_is_read_by_its_values_not_by_its_colors(root):
    trimap = halves(6, 6).convert("P")
    trimap.putdata([1, 1, 1, 2, 2, 2] * 6)
    trimap.putpalette([255, 255, 255] * 256)
    put(root, "Bengal_1", Image.new("RGB", (6, 6)), trimap)
    only(root)
    assert Pets(root, size=6)[0][1][:, :, 0].tolist() == [[1, 1, 1, 0, 0, 0]] * 6


# ---- what cannot be used ----


def jpeg_bytes():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def spoil(root):
    """Fifteen names, each wrong in a way of its own -> what each problem says."""
    expected = {}
    images, trimaps = root / "images", root / "annotations" / "trimaps"

    def add(name, where, message, image=None, trimap=None):
        put(root, name, image or Image.new("RGB", (6, 6)), trimap or halves(6, 6))
        expected[name] = where.format(name), message

    add("no_image", "images/{}.jpg", "is missing")
    (images / "no_image.jpg").unlink()
    add("no_trimap", "annotations/trimaps/{}.png", "is missing")
    (trimaps / "no_trimap.png").unlink()
    add("cut_off", "images/{}.jpg", "cannot be read: image file is truncated")
    (images / "cut_off.jpg").write_bytes(jpeg_bytes()[:3000])
    add("empty", "images/{}.jpg", "is empty")
    (images / "empty.jpg").write_bytes(b"")
    add("text", "images/{}.jpg", "is not an image")
    (images / "text.jpg").write_text("<html>404</html>")
    add("folder", "images/{}.jpg", "is not a file")
    (images / "folder.jpg").unlink()
    (images / "folder.jpg").mkdir()
    add("folder_2", "annotations/trimaps/{}.png", "is not a file")
    (trimaps / "folder_2.png").unlink()
    (trimaps / "folder_2.png").mkdir()
    add("empty_trimap", "annotations/trimaps/{}.png", "is empty")
    (trimaps / "empty_trimap.png").write_bytes(b"")
    other_size = "is 7 x 6, but its image is 6 x 7 (width x height)"
    add("other_size", "annotations/trimaps/{}.png", other_size, Image.new("RGB", (6, 7)), halves(7, 6))
    black_white = "holds 0, 255: a trimap holds 1 (pet), 2 (background), 3 (boundary)"
    add("black_white", "annotations/trimaps/{}.png", black_white, trimap=halves(6, 6, (0, 255)))
    add("four", "annotations/trimaps/{}.png", "holds 4: a trimap", trimap=halves(6, 6, (1, 4)))
    colored = "is colored (mode RGB): a mask needs one integer per pixel; save it as gray or with a palette"
    add("colored", "annotations/trimaps/{}.png", colored, trimap=Image.new("RGB", (6, 6), (1, 2, 1)))
    add("wide", "annotations/trimaps/{}.png", "holds 257: a trimap", trimap=gray16(257))
    add("float", "images/{}.jpg", "floating-point pixels")
    Image.new("F", (6, 6), 0.5).save(images / "float.jpg", "TIFF")
    add("deep", "images/{}.jpg", "more than 16 bits")
    Image.new("I", (6, 6), 1 << 20).save(images / "deep.jpg", "TIFF")
    spoilt = [f"{name} 1 2 1" for name in expected]
    write_list(root, "trainval.txt", ["Bengal_1 1 1 1", *spoilt, "pug_4 1 2 1"])
    return expected


def test_everything_skipped_is_named_in_one_message_and_the_rest_is_used(root, caplog):
    expected = spoil(root)
    before = contents(root)
    pets = Pets(root, size=6)
    assert pets.names == ["Bengal_1", "pug_4"] and (pets[1][0] == (30, 100, 200)).all()
    assert len(pets.skipped) == 15
    for problem, (file, message) in zip(pets.skipped, expected.values()):
        assert problem.startswith(f"{file}: ") and message in problem
    (record,) = caplog.records
    assert record.name == "minunet" and record.levelno == logging.WARNING
    lines = record.getMessage().split("\n")
    assert lines[0] == f"{root} (trainval): 2 usable images, 15 skipped:"
    assert lines[1:11] == [f"  {problem}" for problem in pets.skipped[:10]]
    assert lines[11:] == ["  ... and 5 more"]
    assert contents(root) == before


def test_the_second_run_reports_the_same(root, caplog):
    spoil(root)
    first, second = Pets(root, size=6), Pets(root, size=6)
    assert first.skipped == second.skipped and len(caplog.records) == 2
    assert caplog.records[0].getMessage() == caplog.records[1].getMessage()


def test_a_repaired_image_is_used(root):
    spoil(root)
    Pets(root, size=6)
    put(root, "empty", Image.new("RGB", (6, 6), "red"), halves(6, 6))
    pets = Pets(root, size=6)
    assert pets.names == ["Bengal_1", "empty", "pug_4"] and (pets[1][0] == (255, 0, 0)).all()


@pytest.mark.parametrize("cached", [True, False])
def test_strict_raises_the_same_message(root, caplog, cached):
    spoil(root)
    Pets(root, size=6, cache=cached)
    with pytest.raises(DataError) as caught:
        Pets(root, size=6, strict=True, cache=cached)
    assert str(caught.value) == caplog.records[0].getMessage() and len(caplog.records) == 1
    assert isinstance(caught.value, ValueError)


def test_lines_that_make_no_sense(root, caplog):
    lines = ["Bengal_1 1 1 1", "Bengal_20", "pug_4 1 3 1", "pug_4 one 2 1", "../../secret 1 1 1"]
    lines += ["Bengal_1 1 1 1", "pug\x00_4 1 2 1", "1 1 1", f"pug_4 1 {'2' * 9999} 1", "pug_4 1 2 1"]
    write_list(root, "trainval.txt", lines)
    pets = Pets(root, size=4)
    assert pets.names == ["Bengal_1", "pug_4"] and len(caplog.records) == 1
    where = [problem.partition(":")[0] for problem in pets.skipped]
    assert where == [f"annotations/trainval.txt, line {n}" for n in range(3, 11)]
    assert "'Bengal_20' is not NAME CLASS-ID SPECIES BREED-ID" in pets.skipped[0]
    assert "Bengal_1 was listed before" in pets.skipped[4]


def test_a_list_that_is_not_text(root):
    (root / "annotations" / "trainval.txt").write_bytes(random.Random(0).randbytes(5000))
    with pytest.raises(DataError, match="0 usable images"):
        Pets(root, size=4)


def test_masks_of_0_and_255_throughout_are_an_error_that_says_so(root):
    for name in ["Bengal_1", "Bengal_20", "american_bulldog_3", "pug_4"]:
        put(root, name, Image.new("RGB", (6, 6)), halves(6, 6, (255, 0)))
    message = r"(?s)0 usable images, 4 skipped.*holds 0, 255.*Expected: images/NAME"
    with pytest.raises(DataError, match=message):
        Pets(root, size=6)


def test_an_empty_list(root):
    write_list(root, "trainval.txt", [])
    with pytest.raises(DataError, match=r"annotations/trainval.txt: lists no images"):
        Pets(root, size=4)


@pytest.mark.parametrize(
    "make, missing, found",
    [
        (lambda root: None, "no images/, no annotations/trimaps/, no annotations/trainval.txt", "No such"),
        (lambda root: root.mkdir(), "no images/", "an empty folder"),
        (lambda root: (root / "images").mkdir(parents=True), "no annotations/trimaps/", "images/"),
        (lambda root: root.write_text("a file"), "no images/", "Not a directory|directory"),
    ],
)
def test_no_data_says_what_was_expected_and_found(tmp_path, make, missing, found):
    make(tmp_path / "data")
    with pytest.raises(DataError, match=rf"(?s){missing}.*Expected: images/NAME.jpg.*Found: .*({found})"):
        Pets(tmp_path / "data", size=4)


def test_a_list_that_is_missing_or_a_folder(root):
    (root / "annotations" / "test.txt").unlink()
    assert len(Pets(root, size=4)) == 4
    for split in ("test", "all"):
        with pytest.raises(DataError, match="no annotations/test.txt"):
            Pets(root, split, size=4)
    (root / "annotations" / "test.txt").mkdir()
    with pytest.raises(DataError, match="no annotations/test.txt"):
        Pets(root, "test", size=4)


def test_a_list_that_cannot_be_opened(root, monkeypatch):
    def denied(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("minunet.data.pets.read_lines", denied)  # root may read everything
    with pytest.raises(DataError, match=r"cannot read .*trainval.txt: Permission denied"):
        Pets(root, size=4)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"split": "train"}, ValueError, "split is 'train': it must be one of trainval, test, all"),
        ({"border": "none"}, ValueError, "border is 'none': it must be one of pet, background, ignore"),
        ({"size": 0}, ValueError, "size is 0"),
        ({"size": (4, -1)}, ValueError, r"size is \(4, -1\)"),
        ({"size": (4, 4, 3)}, ValueError, "size is"),
        ({"size": 2.5}, TypeError, "float"),
        ({"limit": 0}, ValueError, "limit is 0"),
        ({"limit": -1}, ValueError, "limit is -1"),
    ],
)
def test_arguments_out_of_range(root, arguments, error, message):
    with pytest.raises(error, match=message):
        Pets(root, **{"size": 4, **arguments})


def test_an_image_of_too_many_pixels_is_skipped_and_a_large_one_is_not(root, monkeypatch, caplog, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # of Pillow, which would warn, and refuse twice as many
    monkeypatch.setattr("minunet.data.pets.AS_PUBLISHED", Reading(exif="stored", most_pixels=1000))
    put(root, "Bengal_1", Image.new("RGB", (30, 30), "red"), halves(30, 30))
    put(root, "Bengal_20", Image.new("RGB", (60, 60), "red"), halves(60, 60))
    pets = Pets(root, size=4)
    assert pets.names == ["Bengal_1", "american_bulldog_3", "pug_4"]
    assert "images/Bengal_20.jpg: has 60 x 60 = 3,600 pixels" in pets.skipped[0]
    assert len(caplog.records) == 1 and not recwarn.list


def test_damaged_files_never_stop_the_run(root, caplog):
    """Bytes flipped, cut out and appended at random, in images and trimaps of many formats."""
    chance = random.Random(0)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))
    formats = ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM"]
    files = ["images/{}.jpg", "annotations/trimaps/{}.png"]
    lines = ["Bengal_1 1 1 1"]
    for number in range(200):
        name = f"damaged_{number}"
        put(root, name, noise, halves(24, 24), chance.choice(formats))
        path = root / chance.choice(files).format(name)
        data = bytearray(path.read_bytes())
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(min(len(data), 120))] = chance.randrange(256)
        if chance.random() < 0.5:
            del data[chance.randrange(len(data)) :]
        path.write_bytes(data)
        lines.append(f"{name} 1 2 1")
    write_list(root, "trainval.txt", lines)
    pets = Pets(root, size=8)
    assert len(pets) + len(pets.skipped) == 201
    assert len(pets.skipped) > 100 and len(caplog.records) == 1
    assert all(image.shape == (8, 8, 3) and set(np.unique(mask)) <= {0, 1} for image, mask in pets)


# ---- the real images ----


def test_the_real_images(pets_dir, caplog):
    for split in ("trainval", "test"):
        pets = Pets(pets_dir, split, size=64)
        lines = (pets_dir / "annotations" / f"{split}.txt").read_text().splitlines()
        assert pets.names == [line.split()[0] for line in lines if line and line[0] != "#"]
        # In the official set the names of cats, and only theirs, begin with a capital letter.
        assert pets.species == ["cat" if name[0].isupper() else "dog" for name in pets.names]
        assert pets.skipped == [] and not caplog.records
    fractions = []  # of pet pixels in the trimaps as they are stored, for the test images
    for name in pets.names:
        with Image.open(pets_dir / "annotations" / "trimaps" / f"{name}.png") as trimap:
            fractions.append((np.asarray(trimap) != 2).mean())
    assert np.mean([mask.mean() for _, mask in pets]) == pytest.approx(np.mean(fractions), abs=0.002)
