"""Numbers and pictures as text, read back by other means."""

import base64
import io
import zlib

import numpy as np
from PIL import Image

from minunet.data.classes import Classes
from minunet.learn.explain import answers, encoding
from minunet.tasks import Binary, Instance, Panoptic, Semantic


def picture(url):
    kind, text = url.split(";base64,")
    assert kind == "data:image/png"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_numbers():
    arrays = [np.array([[1.5, -2]]), np.float32([0.1]), np.zeros((0, 3))]
    read = np.frombuffer(zlib.decompress(base64.b64decode(encoding.pack(arrays))), "<f4")
    assert read.tolist() == [1.5, -2, np.float32(0.1)]


def test_a_sheet_of_maps():
    maps = np.zeros((2, 3, 2))
    maps[1, 2] = 10, -4
    maps[0, 0] = 5, -8
    sheet = picture(encoding.sheet(maps, np.array([0.0, -8]), np.array([10.0, 0])))
    assert sheet.tolist() == [[128, 0, 0], [0, 0, 255], [0, 255, 255], [255, 255, 128]]


def test_a_map_of_equal_numbers_is_dark():
    assert not picture(encoding.sheet(np.full((2, 2, 1), 7.0), np.array([7.0]), np.array([7.0]))).any()


def test_large_maps_are_averaged():
    maps = np.random.default_rng(0).random((200, 130, 2))
    small = encoding.shrink(maps)
    assert small.shape == (100, 65, 2)
    assert np.isclose(small[3, 4, 1], maps[6:8, 8:10, 1].mean())
    odd = encoding.shrink(np.arange(5.0).reshape(5, 1, 1), side=2)
    assert odd.ravel().tolist() == [1, 3.5]  # 0 1 2 | 3 4


def test_answers_are_transparent_where_nothing_was_found():
    mask = np.zeros((5, 6), bool)
    mask[1:4, 1:5] = True
    alpha = picture(answers.transparent(Binary(), mask))[..., 3]
    assert (alpha[~mask] == 0).all() and (alpha[2, 2:4] < 255).all() and alpha[2, 2] > 0
    assert (alpha[1, 1:5] == 255).all() and (alpha[2, [1, 4]] == 255).all()


def test_objects_that_touch_have_a_line_between_them():
    segments = np.array([[1, 1, 1, 2, 2, 2]] * 3, np.uint16)
    alpha = picture(answers.transparent(Instance(), segments))[..., 3]
    assert (alpha[:, 2:4] == 255).all() and (alpha[:, [0, 5]] < 255).all()


def test_a_name_for_each_channel():
    classes = Classes(("grass", "cat"), things=(False, True))
    tasks = [Binary(), Semantic(classes), Instance(), Panoptic(classes), Panoptic(classes, separate_by="boundaries")]
    assert [len(answers.channels(task)) for task in tasks] == [task.out_channels for task in tasks] == [1, 2, 3, 5, 3]


def test_pixels_that_change():
    changed = picture(answers.highlighted(np.array([[True, False]])))
    assert changed[0, 0, 3] == 255 and changed[0, 1].tolist() == [0, 0, 0, 150]
