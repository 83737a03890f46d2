"""Drawn cats and dogs with their trimaps: as many as you like, from a seed, with nothing to download.

    image, trimap = draw(12)                     one picture and its trimap
    DrawnPets(700), DrawnPets(100, first=700)    datasets to train with, and of other pictures to test with
    write_dataset("folder", 700, 100)            files in the layout of the Oxford-IIIT Pet dataset
    python -m minunet.data.drawn_pets folder --trainval 700 --test 100

A picture is meant to be clear to the eye and dull to a threshold: the pet has a face, limbs and fur, but the
clutter around it wears the same colours. A number and a seed always give the same picture, whatever was drawn
before; so a held-out set is simply other numbers. How animals and scenes are drawn is in minunet/data/drawn/.
"""

import math
import operator
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from tqdm import tqdm

from minunet.data.drawn_pets.paint import Part, oval, paint, soften
from minunet.data.drawn_pets.poses import choose_figure
from minunet.data.drawn_pets.scenes import scene_parts
from minunet.data.pets import BACKGROUND, BORDER, PET, trimap_table

SPECIES = ("cat", "dog")
SMALLEST = 16  # pixels; below, a face is no face
BREEDS = {"cat": "Drawn_Cat", "dog": "drawn_dog"}  # the official names, too, are capital for cats alone
CLASS_IDS = {"cat": "1 1 1", "dog": "2 2 1"}  # CLASS-ID SPECIES BREED-ID, as in the official lists


def draw(index, seed=0, size=256):
    """Draws picture number index: -> (image uint8 (size, size, 3), trimap uint8 (size, size)).

    The trimap is 1 on the pet, 2 on the background, 3 on a narrow band along the outline; whiskers and shadow
    are background. All of it depends on (seed, index, size) alone, and another size shows the same pet in the
    same scene. ValueError for a negative index or seed, or a size below 16.

    >>> image, trimap = draw(12, size=64)
    >>> image.shape, trimap.shape, np.unique(trimap).tolist()
    ((64, 64, 3), (64, 64), [1, 2, 3])
    """
    size, rng = _checked_size(size), _generator(index, seed)
    fig, pose = choose_figure(_choose_species(rng), rng)
    place, scale, shadow = _placement(fig, pose, rng)
    horizon = float(np.clip(shadow[:, 1].mean() - rng.uniform(0.08, 0.4), 0.15, 0.85))
    light = rng.choice((-0.7, 0.7)), -0.8
    scene = paint(scene_parts(fig.coat, horizon, rng), (), (), size, rng, 0.4, light, zoom=1).rgb
    if pose != "portrait":
        scene *= 1 - _soft_shadow(shadow, size)[:, :, None]
    depth_of_field = rng.uniform(0.004, 0.014) * size
    scene = soften(scene.clip(0, 255).astype(np.uint8), depth_of_field).astype(np.float32)
    pet = paint(place(fig.parts), place(fig.details), place(fig.whiskers), size, rng, scale, light)
    picture = scene + (pet.rgb - scene) * pet.cover[:, :, None]
    return _exposed(picture, rng), _trimap(pet.solid >= 0.5)


class DrawnPets:
    """Drawn pets as a dataset: pets[i] -> (image uint8 (size, size, 3), mask uint8 (size, size, 1)).

    count   number of pictures: those numbered first … first + count - 1. Train with the numbers from 0 on,
            and test with others: DrawnPets(700), DrawnPets(100, first=700)
    size    side of the squares in pixels, 16 or more
    seed    another seed draws other pictures
    border  what the band along the outline is in the mask: "pet" (1), "background" (0) or "ignore" (255)

    Attributes, lists of str: `names` ("cat_000012") and `species` ("cat" or "dog"). Each picture is drawn
    when it is first asked for, and kept: 4 * size**2 bytes each. The arrays are not to be written to.
    ValueError for an argument out of range.

    >>> pets = DrawnPets(3, size=64, first=10)
    >>> pets.names
    ['cat_000010', 'cat_000011', 'dog_000012']
    >>> image, mask = pets[0]
    >>> image.shape, mask.shape, np.unique(mask).tolist()
    ((64, 64, 3), (64, 64, 1), [0, 1])
    """

    def __init__(self, count, size=256, seed=0, first=0, border="pet"):
        self._mask_values = trimap_table(border)
        if operator.index(count) < 1:
            raise ValueError(f"count is {count}; it must be 1 or more")
        self._numbers = range(operator.index(first), operator.index(first) + operator.index(count))
        self.size, self.seed, self.border = _checked_size(size), seed, border
        self._drawn = {}
        self.species = [species_of(number, seed) for number in self._numbers]
        self.names = [f"{kind}_{number:06d}" for kind, number in zip(self.species, self._numbers)]

    def __len__(self):
        return len(self._numbers)

    def __getitem__(self, index):
        """(image uint8 (size, size, 3), mask uint8 (size, size, 1)). IndexError beyond the end."""
        number = self._numbers[operator.index(index)]
        if number not in self._drawn:
            image, trimap = draw(number, self.seed, self.size)
            pair = image, self._mask_values[trimap][:, :, None]
            for array in pair:
                array.flags.writeable = False
            self._drawn[number] = pair
        return self._drawn[number]


def species_of(index, seed=0):
    """ "cat" or "dog": what draw(index, seed) shows."""
    return _choose_species(_generator(index, seed))


def _checked_size(size):
    if operator.index(size) < SMALLEST:
        raise ValueError(f"size is {size}; a drawn pet needs {SMALLEST} pixels or more")
    return operator.index(size)


def _generator(index, seed):
    for name, value in (("index", index), ("seed", seed)):
        if operator.index(value) < 0:
            raise ValueError(f"{name} is {value}; it must be 0 or more")
    return np.random.default_rng(np.random.SeedSequence([operator.index(seed), operator.index(index)]))


def _choose_species(rng):
    return SPECIES[rng.integers(2)]


# ---- the pet in its place ----


def _placement(fig, pose, rng):
    """Where a figure goes in the picture: (place, scale, shadow).

    place   function from a list of parts in figure units to one in picture units
    scale   picture units per figure unit
    shadow  outline (k, 2), in picture units, of the shadow under the figure
    """
    points = np.concatenate([part.outline for part in fig.parts])
    low, high = points.min(axis=0), points.max(axis=0)
    if pose == "portrait":
        scale, anchor = rng.uniform(0.28, 0.46), np.array([0, -0.5])
        target = rng.uniform((0.3, 0.36), (0.7, 0.5))
    else:
        share = 0.12 + 0.48 * rng.beta(1.6, 3.0)
        scale = min(math.sqrt(share / _area(fig.parts, low, high)), 1.15 / (high - low).max())
        margin = 0.06 if rng.random() < 0.75 else -0.35  # one in four may be cut by the picture's edge
        free = np.abs(0.5 - (1 + margin) * scale * (high - low) / 2)
        anchor, target = (low + high) / 2, 0.5 + free * rng.uniform(-1, 1, 2)
    flip, tilt = rng.choice((-1, 1)), rng.uniform(-0.12, 0.12)
    c, s = scale * math.cos(tilt), scale * math.sin(tilt)
    turn = np.array([[flip * c, flip * s], [-s, c]])

    def move(outline, ink):
        return (outline - anchor) @ turn + target, ink._replace(direction=flip * ink.direction)

    def place(parts):
        return [Part(*move(outline, ink), [move(*mark) for mark in marks]) for outline, ink, marks in parts]

    shadow = oval((low[0] + high[0]) / 2, -0.03, (high[0] - low[0]) / 2, 0.1)
    return place, scale, (shadow - anchor) @ turn + target


def _area(parts, low, high, side=64):
    """Area of all parts together in square figure units, counted on a small grid."""
    zoom = side / (high - low).max()
    paper = Image.new("L", (side, side))
    pen = ImageDraw.Draw(paper)
    for part in parts:
        pen.polygon(((part.outline - low) * zoom).ravel().tolist(), fill=1)
    return paper.histogram()[1] / zoom**2


# ---- the picture ----


def _soft_shadow(outline, size):
    """How much darker the ground is under the pet: float32 (size, size), 0..1."""
    paper = Image.new("L", (size, size))
    ImageDraw.Draw(paper).polygon((outline * size).ravel().tolist(), fill=115)
    return soften(np.asarray(paper), 0.02 * size) / np.float32(255)


def _exposed(picture, rng):
    """The picture, float32 (size, size, 3), in uneven light, and as a camera sees it: uint8, with grain."""
    size = len(picture)
    angle, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.25)
    across = np.linspace(-0.5 * strength, 0.5 * strength, size, dtype=np.float32)
    lamp = 1 + math.cos(angle) * across + math.sin(angle) * across[:, None]
    clouds = Image.fromarray(rng.uniform(0.88, 1.12, (5, 5)).astype(np.float32))
    lamp *= np.asarray(clouds.resize((size, size), Image.Resampling.BICUBIC))
    tint = (rng.uniform(0.94, 1.06, 3) * rng.uniform(0.88, 1.08)).astype(np.float32)
    grain = rng.uniform(1, 6)  # from here on, what is drawn from rng depends on the size
    noise = (rng.random((size, size), dtype=np.float32) - np.float32(0.5)) * np.float32(2 * grain)
    return (picture * lamp[:, :, None] * tint + noise[:, :, None]).clip(0, 255).astype(np.uint8)


def _trimap(pet):
    """uint8 (size, size): PET where pet (bool) is True, BACKGROUND elsewhere, BORDER in between."""
    reach = max(1, round(len(pet) / 100))  # as wide, for its size, as in the photographs' trimaps
    blurred = Image.fromarray(np.where(pet, 255, 0).astype(np.uint8)).filter(ImageFilter.BoxBlur(reach))
    trimap = np.where(pet, PET, BACKGROUND).astype(np.uint8)
    trimap[(np.asarray(blurred) > 0) & (np.asarray(blurred) < 255)] = BORDER
    return trimap


# ---- files ----


def write_dataset(folder, trainval, test, size=256, seed=0):
    """Draws trainval + test pictures into folder, in the layout of the official dataset (see pets.py).

    The pictures are numbered 0 … trainval - 1, and on from there for the test. They are called
    Drawn_Cat_NUMBER.jpg or drawn_dog_NUMBER.jpg: what stands before the last underscore is the breed.
    The folder appears when all is written, or not at all. FileExistsError if it is there and not empty;
    ValueError for an argument out of range; OSError if it cannot be written.
    """
    folder, trainval, test = Path(folder), operator.index(trainval), operator.index(test)
    if min(trainval, test) < 0 or trainval + test == 0:
        raise ValueError(f"trainval is {trainval} and test {test}; 0 or more each, and one of them 1 or more")
    size, _ = _checked_size(size), _generator(0, seed)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there and not empty; name a new folder, or empty this one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        whole = draft / "whole"  # in it, since mkdtemp makes a folder that is for its owner alone
        _write_files(whole, trainval, test, size, seed)
        if folder.exists():
            folder.rmdir()  # it is empty; not every system replaces it by renaming
        os.replace(whole, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_files(folder, trainval, test, size, seed):
    """Writes the pictures, the trimaps and the lists."""
    for part in ("images", "annotations/trimaps"):
        (folder / part).mkdir(parents=True)
    lines = []
    for number in tqdm(range(trainval + test), desc="drawing", unit="picture", disable=None):
        kind = species_of(number, seed)
        name = f"{BREEDS[kind]}_{number}"
        image, trimap = draw(number, seed, size)
        with open(folder / "images" / f"{name}.jpg", "wb") as file:
            _flushed(file, lambda f: Image.fromarray(image).save(f, "JPEG", quality=92))
        with open(folder / "annotations" / "trimaps" / f"{name}.png", "wb") as file:
            _flushed(file, lambda f: Image.fromarray(trimap).save(f, "PNG"))
        lines.append(f"{name} {CLASS_IDS[kind]}\n")
    lists = {"list.txt": lines, "trainval.txt": lines[:trainval], "test.txt": lines[trainval:]}
    for name, its_lines in lists.items():
        with open(folder / "annotations" / name, "wb") as file:
            _flushed(file, lambda f: f.write("".join(its_lines).encode()))


def _flushed(file, write):
    """Calls write(file), and waits until what it wrote is on the disk."""
    write(file)
    file.flush()
    os.fsync(file.fileno())
