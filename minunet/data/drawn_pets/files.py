"""Drawn pets as files, in the layout of the Oxford-IIIT Pet dataset (see minunet/data/pets.py)."""

import glob
import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from tqdm import tqdm

from minunet.data.drawn_pets.compose import check_seeds, check_size, draw, species_of
from minunet.files import ABANDONED, atomic_folder, remove_leftovers
from minunet.inputs import user_path

BREEDS = {"cat": "Drawn_Cat", "dog": "drawn_dog"}  # in the official names, too, only those of cats are capitalized
CLASS_IDS = {"cat": "1 1 1", "dog": "2 2 1"}  # CLASS-ID SPECIES BREED-ID, as in the official lists


def write_dataset(folder: str | Path, trainval: int, test: int, size: int = 256, seed: int = 0) -> None:
    """Draws trainval + test images into `folder`, in the layout of the official dataset.

    The images are numbered 0 … trainval - 1, and those to test with from there on. They are called
    Drawn_Cat_NUMBER.jpg or drawn_dog_NUMBER.jpg: what stands before the last underscore is the breed.
    The folder appears once everything is written, or not at all. Raises FileExistsError if it exists and is not empty,
    ValueError for an argument out of range, OSError if it cannot be written.
    """
    folder = Path(folder)
    trainval, test = check_counts(trainval, test)
    size = check_size(size)
    check_seeds(0, seed)
    with new_folder(folder) as draft:
        _write_files(draft, trainval, test, size, seed)


def check_counts(trainval: int, test: int) -> tuple[int, int]:
    """Returns both. Raises ValueError unless there is anything to draw."""
    trainval, test = operator.index(trainval), operator.index(test)
    if min(trainval, test) < 0 or trainval + test == 0:
        raise ValueError(f"trainval is {trainval} and test {test}: both must be at least 0, and one of them at least 1")
    return trainval, test


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder that is called `folder` once the block has ended well; that one must be new or empty."""
    folder = user_path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is not empty: name a new folder, or empty this one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, glob.escape(folder.name), ABANDONED)
    with atomic_folder(folder) as draft:
        yield draft


def _write_files(folder: Path, trainval: int, test: int, size: int, seed: int) -> None:
    """Writes the images, the trimaps and the lists."""
    for inner in ("images", "annotations/trimaps"):
        (folder / inner).mkdir(parents=True)
    lines = []
    for number in tqdm(range(trainval + test), desc="drawing", unit=" images", disable=None):
        species = species_of(number, seed)
        name = f"{BREEDS[species]}_{number}"
        image, trimap = draw(number, seed, size)
        with flushed(folder / "images" / f"{name}.jpg") as file:
            Image.fromarray(image).save(file, "JPEG", quality=92)
        with flushed(folder / "annotations" / "trimaps" / f"{name}.png") as file:
            Image.fromarray(trimap).save(file, "PNG")
        lines.append(f"{name} {CLASS_IDS[species]}\n")
    for name, part in {"list": lines, "trainval": lines[:trainval], "test": lines[trainval:]}.items():
        with flushed(folder / "annotations" / f"{name}.txt") as file:
            file.write("".join(part).encode())


@contextmanager
def flushed(path: Path) -> Iterator[BinaryIO]:
    """Yields a new file, whose content is on the disk once the block has ended."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
