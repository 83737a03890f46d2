"""Label images as other programs read them, and the table of objects."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from minunet.tasks.instance_files import label_image, objects_csv

SEGMENTS = np.array([[0, 1, 65535], [300, 300, 65534]])


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff"])
@pytest.mark.parametrize("segments", [SEGMENTS, np.zeros((1, 1), np.uint8), np.full((70, 3), 65534, np.uint16)])
def test_label_images(suffix, segments):
    with Image.open(io.BytesIO(label_image(segments, suffix))) as image:
        assert image.format == ("PNG" if "png" in suffix.lower() else "TIFF")
        assert image.mode.startswith("I;16")
        np.testing.assert_array_equal(np.array(image), segments)


def test_a_png_of_16_bits_without_colors():
    header = label_image(SEGMENTS)[16:26]  # width, height, bits per channel, kind of colors
    assert header == b"\0\0\0\x03\0\0\0\x02\x10\0"


def test_the_program_that_wrote_it():
    with Image.open(io.BytesIO(label_image(SEGMENTS, software="minunet"))) as image:
        assert image.info["Software"] == "minunet"
    with Image.open(io.BytesIO(label_image(SEGMENTS, ".tif", software="minunet"))) as image:
        assert image.tag_v2[305] == "minunet"


@pytest.mark.parametrize(
    "segments, suffix, message",
    [
        (SEGMENTS, ".jpg", "suffix is '.jpg'"),
        (SEGMENTS, "", "suffix"),
        (SEGMENTS + 1, ".png", "65536"),
        (np.zeros((0, 4), int), ".png", "one pixel"),
        (SEGMENTS[..., None], ".png", "shape"),
    ],
)
def test_what_cannot_be_saved_is_refused(segments, suffix, message):
    with pytest.raises(ValueError, match=message):
        label_image(segments, suffix)


def test_a_line_for_each_object():
    segments = np.array([[7, 7, 0], [7, 0, 300], [0, 0, 65535]])
    image = np.array([[10, 20, 0], [60, 0, 255], [0, 0, 0]], np.uint8)
    text = objects_csv(segments, image, {7: "cat, striped", 300: "dog"})
    lines = list(csv.reader(io.StringIO(text)))
    assert lines == [
        "number class area centroid_y centroid_x x0 y0 x1 y1 mean_intensity".split(),
        ["7", "cat, striped", "3", "0.333", "0.333", "0", "0", "2", "2", "30.000"],
        ["300", "dog", "1", "1.000", "2.000", "2", "1", "3", "2", "255.000"],
    ]


def test_columns_that_are_not_given_are_left_out():
    assert objects_csv(np.zeros((3, 3), int)) == "number,area,centroid_y,centroid_x,x0,y0,x1,y1\n"
    assert objects_csv(np.array([[5]])).splitlines()[1] == "5,1,0.000,0.000,0,0,1,1"
    assert objects_csv(np.array([[5]]), classes={}).splitlines()[1] == "5,,1,0.000,0.000,0,0,1,1"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@a", "\tx"])
def test_a_name_is_no_formula(name):
    text = objects_csv(np.array([[7]]), classes={7: name})
    assert list(csv.reader(io.StringIO(text)))[1][1] == f"'{name}"
    assert list(csv.reader(io.StringIO(objects_csv(np.array([[7]]), classes={7: -1}))))[1][1] == "-1"
