"""Classes: numbers of files and indices of the network, their colors, lists of them, and what their pixels weigh."""

import json
import random

import numpy as np
import pytest
from PIL import Image

from minunet.data.classes import (
    VOID_COLOR,
    Classes,
    median_frequency_weights,
    parse,
    read_classes,
    voc_color,
)

STREET = Classes(("road", "car"), values=(7, 26), things=(False, True), also={0: 255, 27: 1})
# As the VOC development kit has them, for its 20 classes.
VOC = """0 0 0, 128 0 0, 0 128 0, 128 128 0, 0 0 128, 128 0 128, 0 128 128, 128 128 128, 64 0 0, 192 0 0, 64 128 0,
192 128 0, 64 0 128, 192 0 128, 64 128 128, 192 128 128, 0 64 0, 128 64 0, 0 192 0, 128 192 0, 0 64 128"""


# ---- colors ----


def test_the_palette_is_that_of_voc():
    colors = [tuple(map(int, color.split())) for color in VOC.split(",")]
    assert len(colors) == 21 and [voc_color(number) for number in range(21)] == colors
    assert voc_color(255) == VOID_COLOR == (224, 224, 192)


def test_no_two_numbers_have_the_same_color():
    assert len({voc_color(number) for number in range(65536)}) == 65536


def test_colors_given_and_colors_from_the_palette():
    assert STREET.colors == (voc_color(7), voc_color(26))
    classes = Classes(("a", "b"), colors=([1, 2, 3], (4, 5, 6)))
    image = classes.colorize(np.array([[0, 1, 255]], np.uint8))
    assert image.dtype == np.uint8 and image.tolist() == [[[1, 2, 3], [4, 5, 6], [224, 224, 192]]]


def test_a_palette_file_shows_the_same_colors(tmp_path):
    indices = np.array([[0, 1, 255, 1]], np.uint8)
    stored = Image.fromarray(STREET.to_values(indices), "L").convert("P")
    stored.putpalette(STREET.palette())
    stored.save(tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as again:
        assert np.asarray(again).tolist() == [[7, 26, 0, 26]]
        assert np.array_equal(np.asarray(again.convert("RGB")), STREET.colorize(indices))
    palette = np.reshape(STREET.palette(), (256, 3)).tolist()
    assert palette[27] == palette[26] == list(STREET.colors[1]) and palette[0] == list(VOID_COLOR)
    assert palette[1] == [128, 0, 0]  # a number of no class


def test_a_palette_has_256_colors():
    with pytest.raises(ValueError, match="class number 300: a file with a palette holds numbers up to 255"):
        Classes(("a",), values=(300,)).palette()


# ---- numbers ----


def test_numbers_to_indices_and_back():
    assert STREET.table() == {7: 0, 26: 1, 0: 255, 27: 1} and len(STREET) == 2
    values = STREET.to_values(np.array([[[0], [255]], [[1], [1]]]))
    assert values.dtype == np.uint8 and values.tolist() == [[[7], [0]], [[26], [26]]]
    large = Classes(("a", "b"), values=(3, 40000)).to_values([1, 255])
    assert large.dtype == np.uint16 and large.tolist() == [40000, 255]


@pytest.mark.parametrize(
    "also, values, expected",
    [
        ({}, (0, 1), 255),
        ({}, (0, 255), 254),
        ({}, (254, 255), 253),
        ({11: 255, 9: 255}, (0, 1), 11),
        ({5: 0}, (0, 1), 255),
    ],
)
def test_the_number_of_what_is_ignored(also, values, expected):
    assert Classes(("a", "b"), values, also=also).ignored_value == expected


@pytest.mark.parametrize("index", [2, 254, 256, -1])
def test_indices_that_are_no_class(index):
    for use in (STREET.to_values, STREET.colorize):
        with pytest.raises(ValueError, match=f"class index {index}: it must be 0 to 1, or 255"):
            use(np.array([[0, index]], np.int16))
    with pytest.raises(TypeError, match="float64: they must be integers"):
        STREET.to_values([0.5])


def test_defaults():
    classes = Classes(("a", "b", "c"))
    assert classes.values == (0, 1, 2) and classes.things == (False,) * 3 and classes.also == ()
    assert len(Classes(tuple(map(str, range(255))))) == 255


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"names": ()}, "there are 0 classes: there must be 1 to 255"),
        ({"names": tuple(map(str, range(256)))}, "there are 256 classes"),
        ({"names": ("a", "a")}, "each class needs a name of its own"),
        ({"names": ("a", " ")}, "a class is called ' '"),
        ({"names": ("a", "Void")}, "a class is called 'Void': a name is text, and not ignore or void"),
        ({"names": ("a", 7)}, "a class is called 7"),
        ({"names": ("a", "b"), "values": (1,)}, "values has 1 entries for 2 classes"),
        ({"names": ("a", "b"), "values": (1, 1)}, "class number 1 is given twice"),
        ({"names": ("a", "b"), "values": (1, 65536)}, "class number 65536: it must be between 0 and 65535"),
        ({"names": ("a", "b"), "values": (1, -1)}, "class number -1"),
        ({"names": ("a", "b"), "things": (True,)}, "things has 1 entries"),
        ({"names": ("a", "b"), "colors": ((0, 0, 0),)}, "colors has 1 entries"),
        ({"names": ("a",), "colors": ((0, 0),)}, r"color is \(0, 0\): it must be red, green and blue"),
        ({"names": ("a",), "colors": ((0, 0, 256),)}, "each between 0 and 255"),
        ({"names": ("a",), "also": {0: 255}}, "class number 0 is given twice"),
        ({"names": ("a",), "also": {1: 1}}, "also leads from 1 to 1: it must lead to a class index or to 255"),
    ],
)
def test_what_does_not_fit_together(arguments, message):
    with pytest.raises(ValueError, match=message):
        Classes(**arguments)


@pytest.mark.parametrize("arguments", [{"names": "abc"}, {"names": ("a",), "values": (0.5,)}])
def test_what_is_no_number_and_no_list(arguments):
    with pytest.raises(TypeError):
        Classes(**arguments)


# ---- kept as JSON ----


def test_through_json():
    classes = Classes(("Straße", "b"), (3, 40000), ((1, 2, 3), (4, 5, 6)), (True, False), {9: 255, 8: 0})
    assert Classes.from_json(json.loads(json.dumps(classes.to_json()))) == classes
    assert hash(classes) == hash(Classes.from_json(classes.to_json()))


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"names": 5},
        {"names": "abc"},
        {"names": [["a"]]},
        {"names": ["a"], "values": ["x"]},
        {"names": ["a"], "colors": [[1]]},
        {"names": ["a"], "also": [[1]]},
        {"names": ["a"], "also": 5},
        {"names": ["a"], "sizes": [3]},
        [1],
        None,
    ],
)
def test_json_of_something_else(kept):
    with pytest.raises(ValueError, match="these are no classes"):
        Classes.from_json(kept)


# ---- written by people ----


def test_a_list_on_the_command_line():
    classes = parse("0=sky, 3 = road surface,2=sky,255=ignore,11=void")
    assert classes.names == ("sky", "road surface") and classes.values == (0, 3)
    assert classes.table() == {0: 0, 3: 1, 2: 0, 255: 255, 11: 255}
    assert classes.colors == (voc_color(0), voc_color(3))


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "'' is not NUMBER=NAME"),
        ("0=sky,road", "'road' is not NUMBER=NAME, as in 0=sky,1=building,255=ignore"),
        ("0=sky,", "'' is not NUMBER=NAME"),
        ("0=sky,x=road", "'x=road' is not"),
        ("0=sky,-1=road", "'-1=road' is not"),
        ("0=sky,1.5=road", "'1.5=road' is not"),
        ("0=sky,²=road", "'²=road' is not"),
        ("0=sky,1=", "'1=' is not"),
        ("0=sky,0=road", "class number 0 is given twice"),
        ("0=sky,70000=road", "class number 70000"),
        ("255=ignore", "there are 0 classes"),
        ("9" * 5000 + "=sky", "is not NUMBER=NAME"),
    ],
)
def test_lists_that_make_no_sense(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)


def test_a_file_with_numbers_things_and_colors(tmp_path):
    (tmp_path / "classes.txt").write_text(
        "\ufeff# street\n\n 7 road   stuff 128 64 128\n26 small car thing #00008e\n27 #ffFF00 thing bus\r\n"
        "28 3 wheeler 1 2 3 thing\n30 small car\n0 ignore\n 255\tVoid\n",
        encoding="utf-8",
    )
    classes = read_classes(tmp_path / "classes.txt")
    assert classes.names == ("road", "small car", "#ffFF00 thing bus", "3 wheeler")
    assert classes.values == (7, 26, 27, 28) and classes.things == (False, True, False, True)
    assert classes.colors == ((128, 64, 128), (0, 0, 142), voc_color(27), (1, 2, 3))
    assert classes.also == ((30, 1), (0, 255), (255, 255))


def test_a_file_of_names_alone(tmp_path):
    (tmp_path / "classes.txt").write_text("sky\ntraffic light thing\n\n5\nvoid")
    classes = read_classes(tmp_path / "classes.txt")
    assert classes == Classes(("sky", "traffic light", "5"), things=(False, True, False), also={3: 255})


@pytest.mark.parametrize(
    "text, message",
    [
        ("0 sky\nroad\n", "txt, line 2: number all classes"),
        ("sky\n1 road\n", "txt, line 2: number all classes"),
        ("\n0 sky 1 2 300", r"txt, line 2: color is \(1, 2, 300\)"),
        ("0 sky\n0 road", "txt: class number 0 is given twice"),
        ("", "txt: there are 0 classes"),
        ("# nothing\n", "txt: there are 0 classes"),
        ("0 ignore\n", "txt: there are 0 classes"),
    ],
)
def test_files_that_make_no_sense(tmp_path, text, message):
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_classes(tmp_path / "classes.txt")


def test_any_text_is_refused_or_makes_classes(tmp_path):
    rng = random.Random(5)
    made = 0
    words = [
        "0",
        "1",
        "7",
        "255",
        "70000",
        "=",
        "=",
        ",",
        ",",
        "\n",
        "\n",
        " ",
        "sky",
        "car",
        "thing",
        "stuff",
        "ignore",
    ]
    words += ["#00ff10", "#zz", "12 13 14", "\0", "\ufffd", "²", "-1"]
    for _ in range(600):
        text = "".join(rng.choices(words, k=rng.randrange(12)))
        path = tmp_path / "classes.txt"
        path.write_bytes(text.encode() if rng.random() < 0.8 else rng.randbytes(30))
        for read, source in ((parse, text), (read_classes, path)):
            try:
                classes = read(source)
            except ValueError:
                continue
            made += 1
            assert Classes.from_json(classes.to_json()) == classes
            assert set(classes.to_values(np.arange(len(classes))).tolist()) == set(classes.values)
    assert made > 50


# ---- what their pixels weigh ----


def test_weights_by_median_frequency():
    # Class 0 is in both images, 1 in the first, 2 in the second; 3 nowhere. Ignored pixels count nowhere:
    # f0 = (2 + 3) / (4 + 4), f1 = 2 / 4, f2 = 1 / 4; the median is f1.
    images = [np.array([[0, 0, 1], [1, 255, 255]], np.uint8), np.array([[0, 0], [2, 0]], np.uint8)]
    assert median_frequency_weights(iter(images), 4) == pytest.approx([0.8, 1, 2, 1])
    assert median_frequency_weights([np.full((2, 2), 255, np.uint8)], 2) == [1, 1]
    assert median_frequency_weights([], 1) == [1]


def test_a_class_that_fills_its_image_is_as_frequent_in_a_small_image_as_in_a_large_one():
    maps = [np.zeros((1, 1), np.uint8), np.ones((2, 2), np.uint8)]
    assert median_frequency_weights(maps, 2) == pytest.approx([1, 1])
