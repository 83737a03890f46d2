"""COCO's panoptic format: what becomes of segments, and what is said of files that contradict each other."""

import copy
import json
import random

import numpy as np
import pytest
from PIL import Image

from minunet.data import DataError
from minunet.data.classes import Classes, voc_color
from minunet.data.coco import CocoPanoptic
from minunet.data.coco.document import read_document
from minunet.data.images import Reading

CATEGORIES = [
    {"id": 9, "name": "grass", "isthing": 0, "color": [10, 200, 30]},
    {"id": 17, "name": "cat", "isthing": 1},
    {"id": 3, "name": "void", "isthing": 0},
]
IDS = [
    [5, 5, 5, 0],
    [70000, 5, 300, 12],
    [70000, 5, 300, 12],
]  # 12 is a crowd: its class is known, and it has no number
INFO = [
    {"id": 300, "category_id": 17, "iscrowd": 0, "area": 2},
    {"id": 5, "category_id": 9, "iscrowd": 0},
    {"id": 70000, "category_id": 17},
    {"id": 12, "category_id": 17, "iscrowd": 1},
]
CLASSES = [[0, 0, 0, 255], [1, 0, 1, 1], [1, 0, 1, 1]]
SEGMENTS = [[0, 0, 0, 0], [2, 0, 1, 0], [2, 0, 1, 0]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINUNET_CACHE", str(tmp_path / "cache"))


def colors(ids):
    """Ids as the colors of a PNG, by the definition."""
    ids = np.asarray(ids)
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)


@pytest.fixture
def scene(tmp_path):
    """Two images of 4 x 3 with the same segments, and the document about them."""
    for folder in ("images", "panoptic"):
        (tmp_path / folder).mkdir()
    for level, name in enumerate(["b 1", "a.2"]):
        Image.new("RGB", (4, 3), (level, 100, 200)).save(tmp_path / "images" / f"{name}.jpg", "PNG")
        Image.fromarray(colors(IDS)).save(tmp_path / "panoptic" / f"{name}.png")
    return tmp_path, {
        "categories": CATEGORIES,
        "images": [{"id": 40, "file_name": "b 1.jpg", "height": 3, "width": 4}, {"id": 2, "file_name": "a.2.jpg"}],
        "annotations": [
            {"image_id": 2, "file_name": "a.2.png", "segments_info": copy.deepcopy(INFO)},
            {"image_id": 40, "file_name": "b 1.png", "segments_info": copy.deepcopy(INFO)},
        ],
    }


def read(scene, document=None, **options):
    folder, own = scene
    (folder / "panoptic.json").write_text(json.dumps(document or own), encoding="utf-8")
    options = {"size": None, "multiple": 1} | options
    return CocoPanoptic(folder / "images", folder / "panoptic", folder / "panoptic.json", **options)


def changed(scene, change):
    """A copy of the document after change(document)."""
    document = copy.deepcopy(scene[1])
    change(document)
    return document


# ---- usable data ----


def test_classes_and_segments(scene):
    dataset = read(scene)
    assert dataset.names == ["b 1", "a.2"] and dataset.skipped == [] and len(dataset) == 2
    for level, (image, labels) in enumerate(dataset):
        assert image.dtype == np.uint8 and (image == (level, 100, 200)).all()
        assert labels.dtype == np.uint16 and labels.shape == (3, 4, 2)
        assert labels[..., 0].tolist() == CLASSES and labels[..., 1].tolist() == SEGMENTS
    with pytest.raises(IndexError):
        dataset[2]


def test_the_classes_are_the_categories(scene):
    expected = Classes(("grass", "cat"), (9, 17), ((10, 200, 30), voc_color(17)), (False, True), {3: 255})
    assert read(scene).classes == expected


def test_a_category_that_is_called_void_counts_in_nothing(scene):
    info = [{**INFO[0], "category_id": 3}, *INFO[1:]]
    document = changed(scene, lambda d: d["annotations"][0].update(segments_info=info))
    labels = read(scene, document)[1][1]
    assert labels[..., 0].tolist() == [[0, 0, 0, 255], [1, 0, 255, 1], [1, 0, 255, 1]]
    assert labels[..., 1].tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]


def test_only_void_and_one_thing_that_fills_the_image(scene):
    for ids, info, expected in [
        ([[0] * 4] * 3, [], (255, 0)),
        ([[7] * 4] * 3, [{"id": 7, "category_id": 17}], (1, 1)),
        ([[256**3 - 1] * 4] * 3, [{"id": 256**3 - 1, "category_id": 9}], (0, 0)),
    ]:
        Image.fromarray(colors(ids)).save(scene[0] / "panoptic" / "a.2.png")
        dataset = read(scene, changed(scene, lambda d, i=info: d["annotations"][0].update(segments_info=i)))
        assert dataset.skipped == [] and (dataset[1][1] == expected).all()


def test_sizes(scene):
    dataset = read(scene, multiple=4)
    assert dataset.size == (4, 4) and dataset.content == (3, 4)
    assert dataset[0][1][3].tolist() == [[255, 0]] * 4 and dataset[0][1][:3, :, 1].tolist() == SEGMENTS
    dataset = read(scene, size=(6, 4))
    assert dataset.size == dataset.content == (6, 4) and dataset[0][1][::2, :, 0].tolist() == CLASSES
    Image.fromarray(colors([[0]])).save(scene[0] / "panoptic" / "a.2.png")
    with pytest.raises(DataError, match=r"panoptic/b 1.png is 4 x 3, but panoptic/a.2.png is 1 x 1 \(width x height\)"):
        read(scene)


def test_names_in_the_order_given(scene):
    dataset = read(scene, names=["a.2", "c", "b 1", "a.2"])
    assert dataset.names == ["a.2", "b 1"] and [int(image[0, 0, 0]) for image, _ in dataset] == [1, 0]
    assert dataset.skipped == ["c: is not among the images", "a.2: is listed more than once; it is used once"]
    assert read(scene, names=["a.2"]).names == ["a.2"]
    with pytest.raises(DataError, match="c: is not among the images"):
        read(scene, names=["a.2", "c"], strict=True)
    with pytest.raises(TypeError, match="names is 'a.2'"):
        read(scene, names="a.2")


def test_what_was_decoded_is_kept_until_the_document_changes(scene, monkeypatch):
    read(scene)
    monkeypatch.setattr("minunet.data.sample.read_image", None)  # a second reading would fail
    assert read_again(scene)[1][1][..., 1].tolist() == SEGMENTS
    monkeypatch.undo()
    monkeypatch.setenv("MINUNET_CACHE", str(scene[0] / "cache"))
    info = [{**segment, "category_id": 9} for segment in INFO]
    changed_labels = read(scene, changed(scene, lambda d: d["annotations"][0].update(segments_info=info)))[1][1]
    assert changed_labels[..., 1].max() == 0 and changed_labels[0, 3, 0] == 255 and changed_labels[1:, :, 0].max() == 0


def read_again(scene):
    """The dataset, with the document left as it is."""
    folder = scene[0]
    return CocoPanoptic(folder / "images", folder / "panoptic", folder / "panoptic.json", None, multiple=1)


# ---- what contradicts itself ----


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: d["annotations"][0]["segments_info"].pop(), "panoptic/a.2.png: the PNG has pixels of segment 12"),
        (lambda d: d["annotations"][0]["segments_info"].append({"id": 6, "category_id": 9}), "segment 6 .* no pixel"),
        (lambda d: d["annotations"][0]["segments_info"].append(INFO[0]), "segment 300 .* is listed twice"),
        (lambda d: d["annotations"][0]["segments_info"][0].update(category_id=8), "category_id 8: the categories are"),
        (
            lambda d: d["annotations"][0]["segments_info"][0].update(id="7"),
            "annotation 1: id is '7': it must be an int",
        ),
        (lambda d: d["annotations"][0]["segments_info"][0].update(id=0), "segment id 0: it must be between 1 and"),
        (lambda d: d["annotations"][0]["segments_info"][0].update(id=10**40), "segment id 1000"),
        (lambda d: d["annotations"][0].update(segments_info=None), "segments_info is NoneType: it must be a list"),
        (lambda d: d["annotations"][0].update(file_name="none.png"), "panoptic/none.png: is missing"),
        (lambda d: d["annotations"][0].update(file_name="../x.png"), "file_name is '../x.png'"),
        (lambda d: d["annotations"][0].pop("image_id"), "annotation 1: image_id is None"),
        (lambda d: d["annotations"].append(d["annotations"][1]), "annotation 3: image_id 40 has been annotated before"),
        (lambda d: d["annotations"].pop(0), r"image 2: a.2.jpg \(id 2\) has no annotation"),
        (lambda d: d["images"].pop(1), "image_id 2: annotated, but not among the images"),
        (lambda d: d["images"].append(d["images"][0]), r"image 3: b 1.jpg \(id 40\) has .* been listed before"),
        (lambda d: d["images"][1].update(file_name="/etc/a.2.jpg"), "file_name is '/etc/a.2.jpg'"),
        (lambda d: d["images"][1].update(file_name="none.jpg"), "images/none.jpg: is missing"),
        (lambda d: d["images"][1].update(file_name="b 1.png"), "b 1.png: b 1.jpg has the same name"),
        (lambda d: d["images"].append(7), "image 3: id is None"),
    ],
)
def test_one_image_that_makes_no_sense_is_named_and_the_other_used(scene, change, message):
    document = changed(scene, change)
    dataset = read(scene, document)
    assert "b 1" in dataset.names and dataset[0][1][..., 1].tolist() == SEGMENTS
    with pytest.raises(DataError, match=message):
        read(scene, document, strict=True)


@pytest.mark.parametrize(
    "stored, message",
    [
        (
            Image.fromarray(np.zeros((3, 4), np.uint8)),
            "has mode L: a panoptic PNG has the number of each segment in red",
        ),
        (Image.fromarray(np.zeros((3, 4, 4), np.uint8)), "has mode RGBA"),
        (Image.fromarray(np.zeros((3, 4), np.uint16)), "has mode I;16"),
        (Image.fromarray(colors(np.transpose(IDS))), r"is 3 x 4, but its image is 4 x 3 \(width x height\)"),
    ],
)
def test_pngs_of_another_kind(scene, stored, message):
    stored.save(scene[0] / "panoptic" / "a.2.png")
    with pytest.raises(DataError, match=message):
        read(scene, strict=True, size=4)


def test_a_jpeg_cannot_hold_segments(scene):
    Image.fromarray(colors(IDS)).save(scene[0] / "panoptic" / "a.2.png", "JPEG")
    with pytest.raises(DataError, match="is a JPEG, which blurs the numbers of segments: save it as PNG"):
        read(scene, strict=True)


def test_more_things_than_16_bits_can_number(scene):
    ids = np.arange(1, 65536).reshape(255, 257)
    info = [{"id": number, "category_id": 17} for number in range(1, 65536)]
    Image.fromarray(colors(ids)).save(scene[0] / "panoptic" / "a.2.png")
    Image.new("RGB", (257, 255)).save(scene[0] / "images" / "a.2.jpg", "PNG")
    document = changed(scene, lambda d: d["annotations"][0].update(segments_info=info))
    with pytest.raises(DataError, match="the image has 65535 things: a 16-bit label image can hold 65534"):
        read(scene, document, size=8, strict=True)


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "cannot read .*panoptic.json: No such file"),
        ("", "panoptic.json is not a JSON file"),
        ("{", "is not a JSON file"),
        ("[" * 100_000, "is not a JSON file"),
        (b"\xff\xfe\x00", "is not a JSON file"),
        ("[]", "has no list 'categories' and no list 'images' and no list 'annotations': a panoptic file of COCO has"),
        ('{"images": [], "annotations": [], "categories": {}}', "has no list 'categories':"),
        ('{"images": [], "annotations": [], "categories": []}', "there are 0 classes"),
    ],
)
def test_documents_that_are_none(scene, text, message):
    path = scene[0] / "panoptic.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        CocoPanoptic(scene[0] / "images", scene[0] / "panoptic", path)


@pytest.mark.parametrize(
    "category, message",
    [
        ({"id": 9, "name": "x", "isthing": 0}, "class number 9 is given twice"),
        ({"id": 1, "name": "cat", "isthing": 0}, "each class needs a name of its own"),
        ({"id": -1, "name": "x", "isthing": 0}, "class number -1"),
        ({"id": 1, "name": "x"}, "category 4 of 4: isthing is None: it must be an integer"),
        ({"id": 1.5, "name": "x", "isthing": 0}, "category 4 of 4: id is 1.5"),
        ({"id": 1, "name": 3, "isthing": 0}, "category 4 of 4: name is 3: it must be text"),
        ({"id": 1, "name": "x", "isthing": 0, "color": [1, 2]}, r"category 4 of 4: color is \[1, 2\]"),
        ({"id": 1, "name": "x", "isthing": 0, "color": [1, 2, 256]}, "each between 0 and 255"),
        ("x", "category 4 of 4: id is None"),
    ],
)
def test_categories_that_make_no_sense(scene, category, message):
    with pytest.raises(DataError, match=message):
        read(scene, changed(scene, lambda d: d["categories"].append(category)))


def test_no_image_at_all(scene):
    with pytest.raises(DataError, match=r"0 usable images(.|\n)*Expected: IMAGES/NAME.jpg, PANOPTIC/NAME.png"):
        read(scene, changed(scene, lambda d: d.update(images=[], annotations=[])))


def damaged(rng, value):
    """A JSON value in which something is missing, or is something else."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.2:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: damaged(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        if rng.random() < 0.2:
            return [*value[:place], *value[place + 1 :]]
        return [*value[:place], damaged(rng, value[place]), *value[place + 1 :]]
    return rng.choice([None, -1, 0, 1, 9, 17, 300, 2**70, 1.5, "", "a.2.jpg", "\0", "..", [], {}, [1, 2, 3], True])


def test_damaged_documents_and_files_give_a_dataset_or_an_error(scene):
    rng = random.Random(3)
    path = scene[0] / "panoptic" / "a.2.png"
    whole = path.read_bytes()
    usable = 0
    for number in range(250):
        document = scene[1]
        for _ in range(rng.randrange(1, 3)):
            document = damaged(rng, document)
        if number % 5 == 0:
            place = rng.randrange(len(whole))
            path.write_bytes(whole[:place] + rng.randbytes(2) + whole[place + rng.randrange(3) :])
        try:
            dataset = read(scene, document, cache=False)
        except DataError as error:
            assert "\0" not in str(error)
            continue
        usable += 1
        for image, labels in dataset:
            assert image.shape[:2] == labels.shape[:2] == dataset.size and labels.dtype == np.uint16
            assert set(np.unique(labels[..., 0]).tolist()) <= {*range(len(dataset.classes)), 255}
    assert 50 < usable < 250


@pytest.mark.parametrize("exif, segments", [("stored", [row[::-1] for row in SEGMENTS[::-1]]), ("upright", SEGMENTS)])
def test_segments_of_a_photograph_that_lies_on_its_head(scene, exif, segments):
    tags = Image.Exif()
    tags[0x0112] = 3  # to be rotated by 180 degrees
    Image.new("RGB", (4, 3), (1, 100, 200)).save(scene[0] / "images" / "a.2.jpg", "PNG", exif=tags)
    with pytest.raises(DataError, match=r"a\.2\.png: could belong to .* orientation 3.*--exif stored"):
        read(scene, names=["a.2"])
    assert read(scene, names=["a.2"], reading=Reading(exif=exif))[0][1][..., 1].tolist() == segments


def test_16_bits_per_channel_are_refused(scene):
    """Pillow hands over the upper eight of each: other numbers."""
    (scene[0] / "panoptic" / "a.2.png").write_bytes(b"P6 4 3 65535\n" + bytes(4 * 3 * 6))  # a name says nothing
    with pytest.raises(DataError, match=r"a\.2\.png: has 16 bits per channel"):
        read(scene, names=["a.2"])


def test_a_file_of_objects_says_what_it_is(tmp_path):
    content = {
        "images": [{"id": 1}],
        "categories": [{"id": 1}],
        "annotations": [{"id": 1, "segmentation": [[0, 0, 1]]}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="is COCO's list of objects, with their outlines: pycocotools"):
        read_document(tmp_path / "instances.json")
