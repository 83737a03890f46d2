"""The Oxford-IIIT Pet dataset, and any other one in the same layout: photographs with trimaps.

    images/NAME.jpg                  the photograph
    annotations/trimaps/NAME.png     one value per pixel: 1 pet, 2 background, 3 boundary ("not classified")
    annotations/trainval.txt         a line `NAME CLASS-ID SPECIES BREED-ID` each; SPECIES is 1 cat, 2 dog
    annotations/test.txt             the same for the held-out images; lines that begin with # are comments

Each pair is read once, and kept by cache.py; nothing in the data folder is changed. images.py says how files become RGB
and label maps, sample.py how orientations are reconciled and how both are resized.
"""

import operator
import shlex
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minunet.data import DataError, cache
from minunet.data.classes import Classes
from minunet.data.images import FULL, Reading, quiet_pillow
from minunet.data.labels import BACKGROUND, BOUNDARY, PET, TRIMAP, lookup, trimap_table
from minunet.data.masks import to_labels
from minunet.data.sample import Pair, check_limit, height_width, limited, read_pair
from minunet.data.skipped import SHOWN, listed, report_skipped
from minunet.inputs import read_lines, user_path

SPECIES = {"1": "cat", "2": "dog"}
SPECIES_CLASSES = Classes(("background", "cat", "dog"), things=(False, True, True))
TRIMAP_CLASSES = Classes(("pet", "background", "border"), values=(PET, BACKGROUND, BOUNDARY))
CLASSES = {"mask": None, "species": SPECIES_CLASSES, "trimap": TRIMAP_CLASSES}
LAYOUT = "images/NAME.jpg, annotations/trimaps/NAME.png, annotations/{trainval,test}.txt"


class Pets:
    """A list of the data folder as a dataset: pets[i] -> (image uint8 (H, W, 3), labels uint8 (H, W, 1)).

    root    the data folder (or the folder above, if the data folder is called oxford-iiit-pet)
    split   "trainval", "test", or "all" (one list after the other)
    size    an int for squares, or (H, W)
    border  what a trimap's boundary becomes in the labels: "pet" (1), "background" (0) or "ignore" (255)
    limit   take at most so many images, evenly spaced over the list, which is sorted by breed: the first ones would
            all be of one. Always the same ones; fewer than asked for if some of them cannot be used
    strict  True raises where False skips what cannot be used
    cache   True keeps what was decoded in a cache folder outside the data folder (minunet/data/cache.py says where),
            so that the next run starts at once; False decodes everything again, and keeps it in memory
    labels  "mask" (0 background, 1 pet), "species" (0 background, 1 cat, 2 dog), or "trimap" (0 pet, 1 background,
            2 border, whatever `border` says)

    Attributes, lists of str: `names`, `breeds` ("american bulldog") and `species` ("cat" or "dog") of the usable
    images, in the order of the list; `skipped`, each "file: what is wrong". `classes`: those of the labels, or None for
    masks.

    All files are read at once (or were, by an earlier run). What cannot be used is skipped and reported in ONE message:
    a warning of the logger "minunet", which Python prints on stderr unless the program sets up logging of its own. With
    strict=True that message is a DataError. A DataError is raised in any case if there is no data at that path or no
    usable image, and another ValueError or a TypeError for an argument out of range.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "trainval",
        size: int | tuple[int, int] = 256,
        border: str = "pet",
        limit: int | None = None,
        strict: bool = False,
        cache: bool = True,
        labels: str = "mask",
    ) -> None:
        self.size = height_width(size)
        self._tables = {species: lookup(trimap_labels(labels, border, species)) for species in SPECIES.values()}
        self.classes = CLASSES[labels]
        lists = _lists(split)
        check_limit(limit)  # before anything is read
        self.root = _find_root(user_path(root), lists)
        entries, self.skipped = _read_lists(self.root, lists)
        entries = limited(entries, limit)

        decoded = _decode(self.root, [name for name, _ in entries], self.size, cache)
        self.skipped += decoded.skipped.values()
        self._images, self._trimaps = decoded.images, decoded.masks
        self._rows = [row for row in range(len(entries)) if row not in decoded.skipped]
        self.names = [entries[row][0] for row in self._rows]
        self.species = [entries[row][1] for row in self._rows]
        self.breeds = [(name.rpartition("_")[0] or name).replace("_", " ") for name in self.names]
        expected = f"{LAYOUT}; trimaps of {TRIMAP}"
        report_skipped(f"{self.root} ({split})", len(self), self.skipped, expected, strict)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Pair:
        """(image uint8 (H, W, 3), labels uint8 (H, W, 1)), new arrays. IndexError beyond the end."""
        row, species = self._rows[operator.index(index)], self.species[operator.index(index)]
        return np.array(self._images[row]), self._tables[species][self._trimaps[row]]


def trimap_labels(labels: str, border: str, species: str) -> dict[int, int]:
    """Returns what the numbers of a trimap become in the labels of an image of this species; see Pets."""
    meanings = trimap_table(border)
    if labels not in CLASSES:
        raise ValueError(f"labels is {labels!r}: it must be one of {', '.join(CLASSES)}")
    if labels == "trimap":
        return TRIMAP_CLASSES.table()
    pet = 1 if labels == "mask" else SPECIES_CLASSES.names.index(species)
    return {number: pet if meaning == 1 else meaning for number, meaning in meanings.items()}


# ---- what is there ----


def _lists(split: str) -> list[str]:
    lists = {"trainval": ["trainval.txt"], "test": ["test.txt"], "all": ["trainval.txt", "test.txt"]}
    if split not in lists:
        raise ValueError(f"split is {split!r}: it must be one of {', '.join(lists)}")
    return lists[split]


def _find_root(root: Path, lists: list[str]) -> Path:
    """Returns the data folder: root, or root/oxford-iiit-pet. DataError if neither holds what is needed."""
    inner = root / "oxford-iiit-pet"
    if inner.is_dir() and not (root / "annotations").is_dir():
        root = inner
    missing = [f"{name}/" for name in ["images", "annotations/trimaps"] if not (root / name).is_dir()]
    missing += [f"annotations/{name}" for name in lists if not (root / "annotations" / name).is_file()]
    if missing:
        raise DataError(
            f"no pet images in {root}: there is no {', no '.join(missing)}.\n"
            f"Expected: {LAYOUT}.\n"
            f"Found: {_contents(root)}.\n"
            f"`minunet train --download --data-dir {shlex.quote(str(root))}` fetches the official ones."
        )
    return root


def _contents(folder: Path) -> str:
    """What lies in a folder, in words, for a message."""
    try:
        names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    except OSError as error:
        return f"nothing that can be opened ({error.strerror})"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "an empty folder") + more


def _read_lists(root: Path, lists: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Returns (name, species) of each image of these lists, and the lines that make no sense."""
    entries: dict[str, str] = {}
    skipped: list[str] = []
    for path in (root / "annotations" / name for name in lists):
        try:
            lines = read_lines(path, "backslashreplace")
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        for number, line in enumerate(map(str.strip, lines), 1):
            if not line or line.startswith("#"):
                continue
            name, species = _parse(line)
            where = f"annotations/{path.name}, line {number}"
            if species is None:
                skipped.append(f"{where}: {line[:60]!r} is not NAME CLASS-ID SPECIES BREED-ID")
            elif name in entries:
                skipped.append(f"{where}: {name} was listed before; it is used once")
            else:
                entries[name] = species
    if not entries and not skipped:
        skipped = [f"annotations/{name}: lists no images" for name in lists]
    return list(entries.items()), skipped


def _parse(line: str) -> tuple[str, str | None]:
    """Returns (name, "cat" or "dog"), or (…, None) if malformed. A name may contain spaces, but no path."""
    name, *numbers = line.rsplit(maxsplit=3)
    well_formed = len(numbers) == 3 and all(number.isascii() and number.isdigit() for number in numbers)
    if not well_formed or not name.isprintable() or "/" in name or "\\" in name:
        return name, None
    return name, SPECIES.get(numbers[1])


# ---- reading ----

# The trimaps were drawn on the pixels as they lie in the files, photographs, of which some are GIFs by another name.
AS_PUBLISHED = Reading(FULL, exif="stored", page=1)


def _decode(root: Path, names: list[str], size: tuple[int, int], on_disk: bool) -> cache.Decoded:
    """All images, and all trimaps in place of masks: what their boundary means is looked up later."""
    root = root.absolute()
    images, trimaps = root / "images", root / "annotations" / "trimaps"
    sources = [(images / f"{name}.jpg", trimaps / f"{name}.png") for name in names]

    def read(source: tuple[Path, ...]) -> Pair:
        image_path, mask_path = source
        return read_pair(root, image_path, mask_path, size, _to_trimap, AS_PUBLISHED)

    with quiet_pillow():
        return cache.decode_all(read, sources, size, f"upright Pillow {Image.__version__}", on_disk)


def _to_trimap(stored: Image.Image) -> NDArray[np.uint8]:
    labels = to_labels(stored)
    if ((labels < PET) | (labels > BOUNDARY)).any():
        unknown = np.setdiff1d(labels, [PET, BACKGROUND, BOUNDARY]).tolist()
        raise DataError(f"holds {listed(unknown)}: a trimap holds {TRIMAP}")
    return labels.astype(np.uint8)
