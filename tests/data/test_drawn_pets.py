"""Drawn pets: always the same ones, with exact masks, hard for a threshold on color, readable as files."""

import math
import os
import random
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minunet.cli.draw import main
from minunet.data.drawn_pets import DrawnPets, compose, draw, files, species_of, write_dataset
from minunet.data.drawn_pets.paint import Ink, Part, blob, mirrored, oval, paint, tube
from minunet.data.labels import IGNORE
from minunet.data.pets import Pets

PET, BACKGROUND, BOUNDARY = 1, 2, 3


@pytest.fixture(scope="module")
def two_hundred():
    """Images 0 … 199 at 64 x 64: (images, trimaps)."""
    drawn = [draw(index, size=64) for index in range(200)]
    return np.stack([image for image, _ in drawn]), np.stack([trimap for _, trimap in drawn])


# ---- one image ----


def test_shapes_types_and_values():
    image, trimap = draw(3, size=96)
    assert image.shape == (96, 96, 3) and image.dtype == np.uint8
    assert trimap.shape == (96, 96) and trimap.dtype == np.uint8
    assert set(np.unique(trimap)) == {PET, BACKGROUND, BOUNDARY}
    assert draw(3)[0].shape == (256, 256, 3)


def test_an_image_depends_on_its_number_and_seed_alone(two_hundred):
    images, trimaps = two_hundred
    for index in random.Random(0).sample(range(200), 20):
        image, trimap = draw(index, size=64)
        assert np.array_equal(image, images[index]) and np.array_equal(trimap, trimaps[index])


def test_another_process_draws_the_same():
    code = (
        "from minunet.data.drawn_pets import draw; import hashlib; i, t = draw(7, 5, 64); "
        "print(hashlib.sha256(i.tobytes() + t.tobytes()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**environment, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "12"
    ]
    assert runs[0] == runs[1] and len(runs[0].strip()) == 64


def test_other_numbers_and_other_seeds_draw_other_images(two_hundred):
    images, _ = two_hundred
    assert len({image.tobytes() for image in images}) == 200
    assert not np.array_equal(draw(0, seed=1, size=64)[0], images[0])


def test_the_same_pet_in_the_same_scene_at_every_size():
    for index in range(8):
        small, large = draw(index, size=64), draw(index, size=192)
        reduced = np.asarray(Image.fromarray(large[0]).reduce(3)).astype(float)
        assert np.abs(reduced - small[0]).mean() < 16  # of 255: two different images differ by about 60
        pets = small[1] == PET, (large[1] == PET)[1::3, 1::3]
        assert (pets[0] & pets[1]).sum() > 0.85 * (pets[0] | pets[1]).sum()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"index": -1}, "index is -1: it must be an integer of at least 0"),
        ({"index": 0, "seed": -2}, "seed is -2: it must be an integer of at least 0"),
        ({"index": 0, "size": 15}, "size is 15: a drawn pet needs at least 16 pixels"),
    ],
)
def test_what_cannot_be_drawn(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        draw(**arguments)
    with pytest.raises(TypeError):
        draw(1.5)


# ---- many images ----


def test_how_much_of_the_images_is_pet(two_hundred):
    fractions = (two_hundred[1] != BACKGROUND).mean(axis=(1, 2))
    assert 0.25 < fractions.mean() < 0.4
    assert 0.08 < fractions.min() < 0.2 and 0.5 < fractions.max() < 0.75


def test_cats_and_dogs_facing_both_ways(two_hundred):
    kinds = [species_of(index) for index in range(200)]
    assert 70 < kinds.count("cat") < 130 and set(kinds) == {"cat", "dog"}
    columns = np.arange(64)
    left_heavy = [(trimap != BACKGROUND).sum(axis=0) @ (columns - 31.5) < 0 for trimap in two_hundred[1]]
    assert 60 < sum(left_heavy) < 140


def test_some_pets_are_cut_by_the_edge_and_most_are_not(two_hundred):
    pet = two_hundred[1] == PET
    touching = pet[:, :, 0].any(axis=1) | pet[:, :, -1].any(axis=1) | pet[:, 0].any(axis=1)
    assert 5 < touching.sum() < 100


@pytest.mark.parametrize("size, reach", [(64, 1), (128, 1), (256, 3)])
def test_the_boundary_lies_between_pet_and_background(size, reach):
    for index in range(4):
        trimap = np.pad(draw(index, size=size)[1], reach, mode="edge")
        shifts = [
            np.roll(trimap, (y, x), axis=(0, 1)) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)
        ]
        near_pet = np.any([shifted == PET for shifted in shifts], axis=0)
        near_background = np.any([shifted == BACKGROUND for shifted in shifts], axis=0)
        inside = np.zeros_like(near_pet)
        inside[2 * reach : -2 * reach, 2 * reach : -2 * reach] = True
        assert not (inside & (trimap == PET) & near_background).any()
        assert 0.01 < (trimap == BOUNDARY).mean() < 0.2
        # Not thicker than a band of that reach: it touches the one or the other, but for hairs and corners.
        band = inside & (trimap == BOUNDARY)
        assert (band & (near_pet | near_background)).sum() > 0.9 * band.sum()


def test_the_mask_is_where_the_pet_was_painted(monkeypatch):
    """A green pet in a magenta scene: what is green, by half at least, is where the trimap says pet."""
    painted = compose.paint

    def green(parts, details, lines, *arguments, **options):
        result = painted(parts, details, lines, *arguments, **options)
        if not details:  # the scene
            return result._replace(rgb=np.full_like(result.rgb, (255, 0, 255)))
        return result._replace(rgb=np.full_like(result.rgb, (0, 255, 0)))

    monkeypatch.setattr(compose, "paint", green)
    for index in range(6):
        image, trimap = draw(index, size=128)
        is_green = image[:, :, 1] > 0.75 * image[:, :, 0]  # the light is not quite white
        assert is_green[trimap == PET].all()
        assert is_green[trimap == BACKGROUND].mean() < 0.02  # the whiskers


# ---- hard enough ----


def mean_iou(guess, pet):
    """Mean over the images of |guess and pet| / |guess or pet|; both bool (N, H, W)."""
    return ((guess & pet).sum(axis=(1, 2)) / np.maximum((guess | pet).sum(axis=(1, 2)), 1)).mean()


def test_what_color_alone_can_know_is_not_enough(two_hundred):
    """P(pet | color) in 16 x 16 x 16 cells from 140 images, with the threshold that suits the other 60."""
    images, pet = two_hundred[0], two_hundred[1] != BACKGROUND
    cells = (images // 16).astype(int) @ (256, 16, 1)
    known, held_out = slice(0, 140), slice(140, 200)
    total = np.bincount(cells[known].ravel(), minlength=4096)
    share = (np.bincount(cells[known][pet[known]], minlength=4096) + pet.mean()) / (total + 1)
    scores = [mean_iou(share[cells[held_out]] > t, pet[held_out]) for t in np.linspace(0.05, 0.9, 35)]
    print(f"color histogram: mean IoU {max(scores):.3f}")
    assert 0.25 < max(scores) < 0.5


def test_nor_is_a_threshold_chosen_for_each_image(two_hundred):
    """Otsu's threshold on red, green, blue, brightness or saturation, and the side that fits best."""
    images, pet = two_hundred[0], two_hundred[1] != BACKGROUND
    scores = []
    for image, truth in zip(images, pet):
        saturation = image.max(axis=2) - image.min(axis=2)
        channels = [*np.moveaxis(image, 2, 0), image.mean(axis=2).astype(np.uint8), saturation]
        above = [channel > otsu(channel) for channel in channels]
        guesses = above + [~guess for guess in above]
        scores.append(max(mean_iou(guess[None], truth[None]) for guess in guesses))
    print(f"best of ten thresholds for each image: mean IoU {np.mean(scores):.3f}")
    assert 0.3 < np.mean(scores) < 0.55


def otsu(channel):
    """The threshold that leaves least variance within the two sides."""
    counts = np.bincount(channel.ravel(), minlength=256).astype(float)
    below, total = counts.cumsum(), (counts * np.arange(256)).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (total[-1] * below / below[-1] - total) ** 2 / (below * (below[-1] - below))
    return np.nanargmax(between)


# ---- the dataset ----


def test_the_dataset_protocol():
    pets = DrawnPets(6, size=64, seed=3, first=4)
    assert len(pets) == len(pets.names) == len(pets.species) == 6
    for i, (name, kind) in enumerate(zip(pets.names, pets.species)):
        assert name == f"{kind}_{4 + i:06d}" and kind == species_of(4 + i, 3)
    image, mask = pets[2]
    expected, trimap = draw(6, seed=3, size=64)
    assert np.array_equal(image, expected)
    assert mask.shape == (64, 64, 1) and mask.dtype == np.uint8
    assert np.array_equal(mask[:, :, 0], trimap != BACKGROUND)
    assert pets[2][0] is image and np.array_equal(pets[-4][0], image)
    assert len(list(pets)) == 6  # IndexError beyond the end
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 0


@pytest.mark.parametrize("border, value", [("pet", 1), ("background", 0), ("ignore", IGNORE)])
def test_what_the_border_counts_as(border, value):
    trimap = draw(1, size=64)[1]
    mask = DrawnPets(2, size=64, border=border)[1][1][:, :, 0]
    assert (mask[trimap == PET] == 1).all() and (mask[trimap == BACKGROUND] == 0).all()
    assert (mask[trimap == BOUNDARY] == value).all()


def test_species_and_trimaps_as_classes():
    assert DrawnPets(1, size=32).classes is None
    species = DrawnPets(3, size=32, first=10, border="ignore", labels="species")
    assert species.species == ["cat", "cat", "dog"] and species.classes.names == ("background", "cat", "dog")
    trimaps = DrawnPets(3, size=32, first=10, labels="trimap")
    assert trimaps.classes.names == ("pet", "background", "border")
    for index, pet in enumerate((1, 1, 2)):
        trimap = draw(10 + index, size=32)[1]
        assert np.array_equal(trimaps[index][1][:, :, 0], trimap - 1)
        expected = np.select([trimap == PET, trimap == BOUNDARY], [pet, IGNORE], 0)
        assert np.array_equal(species[index][1][:, :, 0], expected)


def test_held_out_images_are_other_numbers():
    training, test = DrawnPets(3, size=32), DrawnPets(3, size=32, first=3)
    assert not {image.tobytes() for image, _ in training} & {image.tobytes() for image, _ in test}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"count": 0}, "count is 0: it must be an integer of at least 1"),
        ({"count": 1, "border": "red"}, "border is 'red': it must be one of pet, background, ignore"),
        ({"count": 1, "first": -1}, "index is -1: it must be an integer of at least 0"),
        ({"count": 1, "seed": -1}, "seed is -1: it must be an integer of at least 0"),
        ({"count": 1, "size": 8}, "size is 8: a drawn pet needs at least 16 pixels"),
    ],
)
def test_arguments_of_a_dataset_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DrawnPets(**arguments)


# ---- files ----


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_files_in_the_official_layout(tmp_path):
    write_dataset(tmp_path / "new" / "pets", 3, 2, size=64, seed=1)
    root = tmp_path / "new" / "pets"
    names = [("Drawn_Cat_" if species_of(n, 1) == "cat" else "drawn_dog_") + str(n) for n in range(5)]
    ids = ["1 1 1" if name.startswith("Drawn") else "2 2 1" for name in names]
    lines = [f"{name} {numbers}" for name, numbers in zip(names, ids)]
    for file, expected in (("list", lines), ("trainval", lines[:3]), ("test", lines[3:])):
        assert (root / "annotations" / f"{file}.txt").read_text().splitlines() == expected
    assert contents(root / "images") == sorted(f"{name}.jpg" for name in names)
    assert contents(root / "annotations" / "trimaps") == sorted(f"{name}.png" for name in names)
    assert os.listdir(tmp_path / "new") == ["pets"]
    for number, name in enumerate(names):
        image, trimap = draw(number, seed=1, size=64)
        with Image.open(root / "images" / f"{name}.jpg") as stored:
            assert stored.format == "JPEG" and stored.mode == "RGB"
            assert np.abs(np.asarray(stored).astype(float) - image).mean() < 8
        with Image.open(root / "annotations" / "trimaps" / f"{name}.png") as stored:
            assert stored.mode == "L" and np.array_equal(np.asarray(stored), trimap)


def test_pets_reads_them(tmp_path):
    write_dataset(tmp_path / "pets", 2, 1, size=64)
    for split, first in (("trainval", 0), ("test", 2)):
        read = Pets(tmp_path / "pets", split, size=64, strict=True, cache=False)
        drawn = DrawnPets(len(read), size=64, first=first)
        assert read.species == drawn.species and len(read) == (2 if split == "trainval" else 1)
        assert all(np.array_equal(read[i][1], drawn[i][1]) for i in range(len(read)))


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        write_dataset(tmp_path, 1, 1, size=32)
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        write_dataset(tmp_path / "notes.txt", 1, 1, size=32)
    assert contents(tmp_path) == ["notes.txt"] and (tmp_path / "notes.txt").read_text() == "mine"


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "empty").mkdir()
    write_dataset(tmp_path / "empty", 1, 0, size=32)
    assert (tmp_path / "empty" / "annotations" / "test.txt").read_text() == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_drawing_leaves_nothing_behind(tmp_path, monkeypatch, error):
    def stopped(number, *arguments):
        if number == 1:
            raise error
        return draw(number, *arguments)

    monkeypatch.setattr(files, "draw", stopped)
    with pytest.raises((KeyboardInterrupt, OSError)):
        write_dataset(tmp_path / "pets", 2, 1, size=32)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("trainval, test", [(-1, 2), (2, -1), (0, 0)])
def test_counts_out_of_range(tmp_path, trainval, test):
    with pytest.raises(ValueError, match=f"trainval is {trainval} and test {test}"):
        write_dataset(tmp_path / "pets", trainval, test)
    assert os.listdir(tmp_path) == []


# ---- the command line ----


def test_the_command_line(tmp_path, capsys):
    options = ["--trainval", "2", "--test", "1", "--size", "32", "--seed", "4"]
    assert main([str(tmp_path / "pets"), *options]) == 0
    assert "2 + 1 images" in capsys.readouterr().out
    write_dataset(tmp_path / "same", 2, 1, size=32, seed=4)
    for path in contents(tmp_path / "same"):
        if (tmp_path / "same" / path).is_file():
            assert (tmp_path / "pets" / path).read_bytes() == (tmp_path / "same" / path).read_bytes()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["full"], "not empty"),
        (["full/notes.txt/below"], "full/notes.txt"),
        (["new", "--size", "9"], "size is 9"),
        (["new", "--seed", "-1"], "'-1' must be an integer of at least 0"),
        (["new", "--trainval", "0", "--test", "0"], "trainval is 0 and test 0"),
        (["new", "--size", "big"], "'big' must be an integer of at least 0"),
        (["new", "--color"], "unrecognized arguments: --color"),
        ([], "the following arguments are required: FOLDER"),
    ],
)
def test_errors_are_one_line_and_exit_code_two(tmp_path, monkeypatch, capsys, arguments, message):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert code == 2 and message in err
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert contents(tmp_path) == ["full", os.path.join("full", "notes.txt")]


# ---- the paint ----


def test_shapes_are_where_they_should_be():
    ring = oval(2, 3, 4, 1, tilt=math.pi / 2)
    assert ring.min(axis=0) == pytest.approx((1, -1)) and ring.max(axis=0) == pytest.approx((3, 7))
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
    for corner in corners:
        assert np.abs(blob(*corners) - corner).sum(axis=1).min() < 1e-12  # the curve goes through its points
    face = mirrored((0, -1), (1, 0), (0, 1))
    assert np.sort(face[:, 0]) == pytest.approx(np.sort(-face[:, 0]))
    outline, spine, normals, radii = tube((0, 0, 0.5), (2, 0, 0.5))
    assert spine[0] == pytest.approx((0, 0)) and spine[-1] == pytest.approx((2, 0))
    assert np.allclose(normals, (0, -1)) and np.allclose(radii, 0.5)
    assert outline.min(axis=0) == pytest.approx((-0.5, -0.5))
    assert outline.max(axis=0) == pytest.approx((2.5, 0.5))


def square(low, high):
    return np.array([(low, low), (high, low), (high, high), (low, high)])


def test_marks_stay_inside_their_outline():
    part = Part(square(0.25, 0.75), Ink((0, 0, 255)), [(square(0.5, 2.0), Ink((255, 0, 0)))])
    rgb, cover, solid = paint([], [part], [], 32, np.random.default_rng(0))
    assert cover.sum() == pytest.approx(16 * 16, rel=0.1) and np.array_equal(cover, solid)
    assert rgb[10, 10] == pytest.approx((0, 0, 255)) and rgb[20, 20] == pytest.approx((255, 0, 0))
    assert (cover[:6] == 0).all() and (cover[26:] == 0).all()


def test_lines_cover_but_are_not_solid():
    parts = [Part(square(0.2, 0.4), Ink((9, 9, 9)))], [Part(square(0.6, 0.8), Ink((99, 9, 9)))]
    _, cover, solid = paint([], *parts, 32, np.random.default_rng(0))
    assert cover[22, 22] == 1 and solid[22, 22] == 0 and cover[9, 9] == solid[9, 9] == 1


def test_hair_frays_the_outline_and_marks_its_surface():
    still = Part(square(0.2, 0.8), Ink((120, 120, 120)))
    furry = Part(square(0.2, 0.8), Ink((120, 120, 120), texture=1.0, length=1.0))
    smooth, fur = (paint([part], [], [], 128, np.random.default_rng(0)) for part in (still, furry))
    assert fur.rgb[40:88, 40:88].std() > 5 > 1e-3 > smooth.rgb[40:88, 40:88].std()
    rows = [(painted.cover > 0.5).sum(axis=0)[32:96] for painted in (smooth, fur)]  # how high each column is
    assert rows[1].std() > 1.5 * rows[0].std()


def test_light_comes_from_where_it_is_said_to():
    for light, brighter in (((-0.7, -0.7), (12, 32)), ((0.7, -0.7), (12, 32)), ((0.0, 0.9), (52, 32))):
        part = Part(oval(0.5, 0.5, 0.35, 0.35), Ink((100, 100, 100), height=200))
        rgb, _, _ = paint([], [part], [], 64, np.random.default_rng(0), 1.0, light)
        row, column = brighter
        assert rgb[row, column].mean() > rgb[63 - row, column].mean() + 5


def test_more_inks_than_a_byte_can_number():
    parts = [Part(square(0.2, 0.8), Ink((n, 0, 0))) for n in range(256)]
    paint(parts[:255], [], [], 16, np.random.default_rng(0))
    with pytest.raises(ValueError, match="more than 255 inks"):
        paint(parts, [], [], 16, np.random.default_rng(0))
