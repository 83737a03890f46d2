"""Drawn scenes: the same from the same numbers, and labels that agree with the image and with each other."""

import itertools
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from minunet.cli import main as run
from minunet.data.classes import read_classes
from minunet.data.drawn_pets.animals import CAT_COATS
from minunet.data.drawn_pets.compose import Placement
from minunet.data.drawn_pets.poses import choose_figure, sitting, standing
from minunet.data.drawn_scenes import CLASSES, DrawnScenes, compose, draw_scene, files, layout, write_scenes
from minunet.data.drawn_scenes.classes import CAT, DOG, FURNITURE, GRASS, PLANT, SKY, WALL
from minunet.data.drawn_scenes.places import Place


@pytest.fixture(scope="module")
def sixty():
    """Classes and segments of 60 scenes, each (60, 96, 96)."""
    drawn = [draw_scene(index, size=96) for index in range(60)]
    return np.stack([classes for _, classes, _ in drawn]), np.stack([segments for _, _, segments in drawn])


# ---- one scene ----


def test_shapes_and_types():
    image, classes, segments = draw_scene(3, seed=2, size=48)
    assert image.shape == (48, 48, 3) and classes.shape == segments.shape == (48, 48)
    assert image.dtype == classes.dtype == np.uint8 and segments.dtype == np.uint16
    assert draw_scene(3)[0].shape == (256, 256, 3)


def test_the_same_numbers_give_the_same_scene_whatever_was_drawn_before():
    first = draw_scene(7, 5, 64)
    draw_scene(8, 5, 40)
    for a, b in zip(first, draw_scene(7, 5, 64)):
        assert np.array_equal(a, b)
    for other in ((8, 5), (7, 6)):
        assert not np.array_equal(first[0], draw_scene(*other, 64)[0])


def test_another_process_draws_the_same():
    code = (
        "from minunet.data.drawn_scenes import draw_scene; import hashlib; "
        "print(hashlib.sha256(b''.join(a.tobytes() for a in draw_scene(7, 5, 64))).hexdigest())"
    )
    results = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(results) == 1


@pytest.mark.parametrize("index", [0, 4, 11])
def test_another_size_shows_the_same_scene(index):
    for large, small in zip(draw_scene(index, size=160)[1:], draw_scene(index, size=80)[1:]):
        assert set(np.unique(large)) == set(np.unique(small))
        assert (large[::2, ::2] == small).mean() > 0.95


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"index": -1}, "index is -1: it must be an integer of at least 0"),
        ({"index": 0, "seed": -1}, "seed is -1: it must be an integer of at least 0"),
        ({"index": 0, "size": 31}, "size is 31: a drawn scene needs at least 32 pixels"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        draw_scene(**arguments)
    with pytest.raises(TypeError):
        draw_scene(1.5)


# ---- the labels ----


def test_each_segment_is_a_thing_of_one_class_and_the_rest_is_stuff(sixty):
    things = np.flatnonzero(CLASSES.things)
    assert things.tolist() == [CAT, DOG] and [CLASSES.names[k] for k in things] == ["cat", "dog"]
    for classes, segments in zip(*sixty):
        assert np.array_equal(segments > 0, np.isin(classes, things))
        numbers = np.unique(segments[segments > 0])
        assert np.array_equal(numbers, 1 + np.arange(len(numbers))) and 1 <= len(numbers) <= 4
        for number in numbers:
            assert len(np.unique(classes[segments == number])) == 1


def test_every_class_is_common_and_everything_can_be_seen(sixty):
    classes, segments = sixty
    for index, name in enumerate(CLASSES.names):
        areas = (classes == index).sum(axis=(1, 2))
        assert 10 <= (areas > 0).sum() <= 55, name
        assert areas[areas > 0].min() > 60, name  # of 9216 pixels
    for each in segments:
        assert all((each == number).sum() > 150 for number in range(1, each.max() + 1))


def test_the_scenes_have_one_to_four_animals(sixty):
    counts = np.bincount(sixty[1].max(axis=(1, 2)), minlength=5)
    assert counts[0] == 0 and (counts[1:] >= 1).all() and counts[2:].sum() > 25


def touching(segments):
    """Whether pixels of two animals lie side by side."""
    pairs = [(segments[1:], segments[:-1]), (segments[:, 1:], segments[:, :-1])]
    return any(((a != b) & (a > 0) & (b > 0)).any() for a, b in pairs)


def test_in_about_a_third_of_the_scenes_animals_touch(sixty):
    assert 0.2 < np.mean([touching(segments) for segments in sixty[1]]) < 0.55


def test_an_animal_that_another_divides_stays_one_segment(monkeypatch):
    """A narrow one sits before the middle of a wide one."""
    rng, animals = np.random.default_rng(0), []
    for pose, foot, scale in ((standing, 0.75, 0.4), (sitting, 0.85, 0.45)):
        figure, _ = choose_figure("cat", rng, {pose: 1.0})
        placement = Placement(np.zeros(2), np.array([0.5, foot]), scale)
        animals.append(layout.Animal(figure, placement, np.zeros((layout.SKETCH, layout.SKETCH), bool)))
    monkeypatch.setattr(compose, "place_figures", lambda *arguments: animals)
    _, _, segments = draw_scene(0, size=128)
    pieces = [ndimage.label(segments == number)[0] for number in (1, 2)]
    large = [(np.bincount(each.ravel())[1:] > 60).sum() for each in pieces]
    assert large[0] >= 2 and large[1] == 1 and segments.max() == 2


def test_the_labels_are_where_the_animals_were_painted_the_nearer_in_front(monkeypatch):
    """Each animal is painted in a color of its own; the image must show the color that its label names."""
    painted, colors = compose.paint, [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
    solid = []

    def plain(parts, details, lines, *arguments, **options):
        result = painted(parts, details, lines, *arguments, **options)
        if not details:  # the place
            return result._replace(rgb=np.full_like(result.rgb, 255))
        solid.append(result.solid >= 0.5)
        return result._replace(rgb=np.full_like(result.rgb, colors[len(solid) - 1]))

    monkeypatch.setattr(compose, "paint", plain)
    monkeypatch.setattr(compose, "soft_shadow", lambda outline, size: np.zeros((size, size), np.float32))
    overlaps = 0
    for index in range(12):
        solid.clear()
        image, _, segments = draw_scene(index, size=96)
        for number, own in enumerate(solid, 1):
            later = np.logical_or.reduce([np.zeros_like(own), *solid[number:]])
            assert np.array_equal(segments == number, own & ~later)
            overlaps += (own & later).sum()
            inner = ndimage.binary_erosion(segments == number, iterations=2)  # the outline is a blend of two colors
            high = np.array(colors[number - 1]) > 0
            shown = image[inner].astype(int)
            assert (shown[:, high].min(axis=1) > shown[:, ~high].max(axis=1)).mean() > 0.98  # but for whiskers
        assert segments.max() == len(solid)
    assert overlaps > 200


def test_a_cat_is_labeled_cat_and_a_dog_dog(monkeypatch):
    placing, placed = compose.place_figures, []

    def noted(*arguments):
        placed[:] = placing(*arguments)
        return placed

    monkeypatch.setattr(compose, "place_figures", noted)
    found = []
    for index in range(15):
        _, classes, segments = draw_scene(index, size=48)
        for number, animal in enumerate(placed, 1):
            (kind,) = np.unique(classes[segments == number])
            assert CLASSES.names[kind] == animal.figure.build.species
            found.append(kind)
    assert set(found) == {CAT, DOG}


# ---- places ----


def square(low, high):
    return np.array([(low, low), (high, low), (high, high), (low, high)])


def test_a_place_knows_what_its_shapes_are():
    place = Place(CAT_COATS[0], 0.5, np.random.default_rng(0))
    with place.made_of(SKY):
        place.add(square(-0.1, 1.1), (9, 9, 9))
        with place.made_of(FURNITURE):
            place.add(square(0.25, 0.7), (8, 8, 8))
        place.add(square(0.8, 1.1), (7, 7, 7))
    place.add(np.array([(-0.1, 0.9), (0.2, 0.9), (0.2, 1.1), (-0.1, 1.1)]), (6, 6, 6))
    classes = place.classes(20)
    assert place.stuff == [SKY, FURNITURE, SKY, WALL] and len(place.parts) == 4
    assert (classes[6:14, 6:14] == FURNITURE).all() and classes[0, 0] == classes[18, 18] == SKY
    assert classes[19, 1] == WALL
    place.remove(FURNITURE)
    assert place.stuff == [SKY, SKY, WALL] and (place.classes(20)[6:14, 6:14] == SKY).all()


def test_what_can_hardly_be_seen_is_left_out(monkeypatch):
    monkeypatch.setattr(compose, "LEAST", 0.5)
    for index in range(8):
        classes = draw_scene(index, size=64)[1]
        for stuff in (PLANT, FURNITURE):
            area = (classes == stuff).mean()
            assert area == 0 or area > 0.4  # decided on a coarser grid


def test_gardens_are_green_and_skies_blue():
    """So that each class can be told by its color and place."""
    for index in range(30):
        image, classes, _ = draw_scene(index, size=64)
        red, green, blue = (image[:, :, channel].astype(float) for channel in range(3))
        if (classes == GRASS).mean() > 0.1:
            grass = classes == GRASS
            assert green[grass].mean() > max(red[grass].mean(), blue[grass].mean())
        if (classes == SKY).mean() > 0.1:
            assert blue[classes == SKY].mean() > red[classes == SKY].mean()


# ---- layout ----


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_animals_keep_apart_or_one_stands_before_the_other(monkeypatch, chance):
    monkeypatch.setattr(layout, "TOGETHER", (chance,) * 4)
    rng = np.random.default_rng(3)
    pairs = overlapping = 0
    for _ in range(12):
        figures = [choose_figure(kind, rng, compose.POSES)[0] for kind in ("cat", "dog", "cat")]
        animals = layout.place_figures(figures, 0.45, rng)
        assert 1 <= len(animals) <= 3
        shapes = [animal.silhouette for animal in animals]
        for place, shape in enumerate(shapes):
            hidden = np.logical_or.reduce([np.zeros_like(shape), *shapes[place + 1 :]])
            assert (shape & ~hidden).sum() >= layout.VISIBLE * shape.sum()
        for i, a in enumerate(shapes):
            for b in shapes[:i]:
                near = ndimage.binary_dilation(a, np.ones((3, 3)), iterations=layout.GAP) & b
                assert chance > 0 or not near.any()
                pairs += 1
                overlapping += (a & b).any()
        feet = [animal.placement.outline(np.zeros((1, 2)))[0, 1] for animal in animals]
        assert all(low < high + 0.03 for low, high in itertools.pairwise(feet))  # nearer is lower, but for the tilt
    assert pairs >= 5 and (chance == 0 or overlapping > pairs // 2)


def test_the_silhouette_of_a_placed_animal_is_where_its_shapes_lie():
    rng = np.random.default_rng(0)
    (animal,) = layout.place_figures([choose_figure("cat", rng, compose.POSES)[0]], 0.5, rng)
    painted = compose.paint(*animal.placement.figure(animal.figure), 4 * layout.SKETCH, rng, 0.2).solid >= 0.5
    cells = painted.reshape(layout.SKETCH, 4, layout.SKETCH, 4).mean(axis=(1, 3)) > 0.5
    assert (cells != animal.silhouette).sum() < 0.25 * cells.sum()
    rows, columns = np.nonzero(cells)
    own_rows, own_columns = np.nonzero(animal.silhouette)
    assert abs(rows.mean() - own_rows.mean()) < 1 and abs(columns.mean() - own_columns.mean()) < 1


def test_visible_is_what_the_later_ones_leave():
    shapes = [np.zeros((layout.SKETCH, layout.SKETCH), bool) for _ in range(3)]
    shapes[0][:, :30] = shapes[1][:, 20:40] = shapes[2][:, 38:50] = True
    seen = layout.visible([layout.Animal(None, None, shape) for shape in shapes])
    assert [np.flatnonzero(each[0])[[0, -1]].tolist() for each in seen] == [[0, 19], [20, 37], [38, 49]]


# ---- the dataset ----


def test_the_dataset_protocol():
    scenes = DrawnScenes(4, size=48, seed=3, first=4)
    assert len(scenes) == 4 and scenes.names == [f"scene_00000{n}" for n in (4, 5, 6, 7)]
    assert scenes.classes is CLASSES and len(CLASSES) == 8
    image, labels = scenes[2]
    expected, classes, segments = draw_scene(6, seed=3, size=48)
    assert np.array_equal(image, expected)
    assert labels.shape == (48, 48, 2) and labels.dtype == np.uint16
    assert np.array_equal(labels[:, :, 0], classes) and np.array_equal(labels[:, :, 1], segments)
    assert scenes[2][0] is image and np.array_equal(scenes[-2][0], image)
    assert len(list(scenes)) == 4  # IndexError beyond the end
    for array in (image, labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_held_out_scenes_are_other_numbers():
    training, test = DrawnScenes(3, size=32), DrawnScenes(3, size=32, first=3)
    assert not {image.tobytes() for image, _ in training} & {image.tobytes() for image, _ in test}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"count": 0}, "count is 0: it must be an integer of at least 1"),
        ({"count": 1, "first": -1}, "index is -1: it must be an integer of at least 0"),
        ({"count": 1, "seed": -1}, "seed is -1: it must be an integer of at least 0"),
        ({"count": 1, "size": 8}, "size is 8: a drawn scene needs at least 32 pixels"),
    ],
)
def test_arguments_of_a_dataset_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DrawnScenes(**arguments)


# ---- files ----


def read(path):
    with Image.open(path) as stored:
        return np.asarray(stored), stored.mode


def test_files_hold_what_was_drawn(tmp_path):
    root = tmp_path / "new" / "scenes"
    write_scenes(root, 3, 2, size=48, seed=1)
    names = [f"scene_00000{number}" for number in range(5)]
    assert (root / "train.txt").read_text().split() == names[:3] and (root / "test.txt").read_text().split() == names[
        3:
    ]
    assert read_classes(root / "classes.txt") == CLASSES
    kinds = ["images", "classes", "instances", "panoptic"]
    expected = [*kinds, *(os.path.join(kind, f"{name}.png") for kind in kinds for name in names)]
    lists = ["classes.txt", "panoptic.json", "test.txt", "train.txt"]
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == sorted(expected + lists)
    assert os.listdir(tmp_path / "new") == ["scenes"]
    for number, name in enumerate(names):
        image, classes, segments = draw_scene(number, seed=1, size=48)
        stored, mode = read(root / "images" / f"{name}.png")
        assert mode == "RGB" and np.array_equal(stored, image)
        stored, mode = read(root / "classes" / f"{name}.png")
        assert mode == "P" and np.array_equal(stored, classes)
        stored, mode = read(root / "instances" / f"{name}.png")
        assert mode.startswith("I") and np.array_equal(stored, segments)
        with Image.open(root / "classes" / f"{name}.png") as colored:
            assert np.array_equal(np.asarray(colored.convert("RGB")), CLASSES.colorize(classes))


def test_the_panoptic_document_describes_its_images(tmp_path):
    """Segment by segment, with plain loops: class, area, box; and each pixel belongs to one."""
    write_scenes(tmp_path / "scenes", 2, 1, size=48)
    document = json.loads((tmp_path / "scenes" / "panoptic.json").read_text())
    names = {entry["id"]: entry["name"] for entry in document["categories"]}
    assert tuple(names.values()) == CLASSES.names
    assert [entry["isthing"] for entry in document["categories"]] == [0, 0, 0, 0, 0, 0, 1, 1]
    assert [entry["id"] for entry in document["images"]] == [entry["image_id"] for entry in document["annotations"]]
    for number, (image, entry) in enumerate(zip(document["images"], document["annotations"])):
        _, classes, segments = draw_scene(number, size=48)
        assert (image["height"], image["width"], image["file_name"]) == (48, 48, f"scene_00000{number}.png")
        colors = read(tmp_path / "scenes" / "panoptic" / entry["file_name"])[0].astype(int)
        ids = colors[:, :, 0] + 256 * colors[:, :, 1] + 65536 * colors[:, :, 2]
        listed = {segment["id"]: segment for segment in entry["segments_info"]}
        assert set(listed) == set(np.unique(ids).tolist()) and 0 not in listed
        for id_, segment in listed.items():
            rows, columns = np.nonzero(ids == id_)
            assert segment["area"] == len(rows) and segment["iscrowd"] == 0
            low, high = (columns.min(), rows.min()), (columns.max(), rows.max())
            assert segment["bbox"] == [low[0], low[1], high[0] - low[0] + 1, high[1] - low[1] + 1]
            assert {CLASSES.names[k] for k in classes[rows, columns]} == {names[segment["category_id"]]}
            assert len(set(segments[rows, columns].tolist())) == 1
        assert len(listed) == len(set(zip(classes.ravel().tolist(), segments.ravel().tolist())))


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        write_scenes(tmp_path, 1, 1, size=32)
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_drawing_leaves_nothing_behind(tmp_path, monkeypatch, error):
    def stopped(number, *arguments):
        if number == 1:
            raise error
        return draw_scene(number, *arguments)

    monkeypatch.setattr(files, "draw_scene", stopped)
    with pytest.raises((KeyboardInterrupt, OSError)):
        write_scenes(tmp_path / "scenes", 2, 1, size=32)
    assert os.listdir(tmp_path) == []


# ---- the command line ----


def test_the_command_line(tmp_path, capsys):
    options = ["--scenes", "--trainval", "1", "--test", "1", "--size", "32", "--seed", "4"]
    assert run(["draw", str(tmp_path / "scenes"), *options]) == 0
    assert "1 + 1 scenes" in capsys.readouterr().out
    write_scenes(tmp_path / "same", 1, 1, size=32, seed=4)
    for path in sorted((tmp_path / "same").rglob("*.*")):
        assert (tmp_path / "scenes" / path.relative_to(tmp_path / "same")).read_bytes() == path.read_bytes()
    assert run(["draw", str(tmp_path / "small"), "--scenes", "--size", "31"]) == 2
    assert "a drawn scene needs at least 32 pixels" in capsys.readouterr().err
