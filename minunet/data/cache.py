"""Images decoded once: the rows of two .npy files, mapped into memory, so that no epoch decodes a file again.

The files lie in $MINUNET_CACHE, or $XDG_CACHE_HOME/minunet, or ~/.cache/minunet; that folder can be deleted at any
time. Each combination of sources and size has a folder of its own there:

    images.npy     uint8 (N, H, W, 3)    row i is source i; zeros if that source cannot be used
    masks.npy      uint8 (N, H, W, 1)    or uint16, or more channels: what labels.py calls labels
    metadata.json  what it was made from (size and times of each file), checksums, and what was skipped

It is built in a temporary folder and then renamed (files.py), so that it is complete or absent; if two programs
build it at the same time, each ends up with a complete one. A cache that does not fit when it is opened is rebuilt.

What lies there is trusted, so nobody else may have written it: the folder is made with access for its owner only, and
is not used where it is another user's, or others can write into it. Nothing is removed but what this file has made:
folders that hold nothing else than the above, and which no program is just building.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from tqdm import tqdm

from minunet.data import DataError
from minunet.data.labels import Labels
from minunet.files import ABANDONED, LOCK, FolderLock, atomic_folder, remove_leftovers
from minunet.inputs import log

FORMAT = 2  # increase it whenever the meaning of the files, or of what datasets put into them, changes
CONTENT = {"images.npy", "masks.npy", "metadata.json", LOCK}  # all that a cache consists of, until it is complete
BLOCK = 64  # images in flight at a time: enough for all threads, and a slow disk cannot fill the memory

Source = tuple[Path, ...]
Read = Callable[[Source], tuple[NDArray[np.uint8], Labels]]
Keep = Callable[[int, NDArray[np.uint8], Labels], None]


class Decoded(NamedTuple):
    """N decoded sources, and which of them could not be decoded."""

    images: NDArray[np.uint8]  # (N, H, W, 3)
    masks: Labels  # (N, H, W, L), uint8 or uint16
    skipped: dict[int, str]  # {row: what is wrong with that source}


class _Arrays(NamedTuple):
    """The shapes and dtypes of the two arrays of a cache."""

    images: tuple[tuple[int, ...], np.dtype[Any]]
    masks: tuple[tuple[int, ...], np.dtype[Any]]


def decode_all(
    read: Read,
    sources: Sequence[Source],
    size: tuple[int, int],
    key: str = "",
    on_disk: bool = True,
    channels: int = 1,
    dtype: DTypeLike = np.uint8,
) -> Decoded:
    """Returns all sources decoded, or as an earlier call decoded them; not to be written to.

    read     read(source) -> (image uint8 (H, W, 3), labels (H, W, L)), or DataError if the source cannot be used;
             called from several threads
    sources  tuples of file paths; a file that changes, appears or disappears makes the cache invalid
    size     (H, W)
    key      a string; each key has a cache of its own
    on_disk  False keeps the arrays in memory only. The same happens, after a line in the log, if the cache folder
             cannot be written: the next run has to decode again, and nothing else changes
    channels, dtype   L, and the dtype of the labels, uint8 or uint16
    """
    shape, kept = (len(sources), *size), np.dtype(dtype)
    arrays = _Arrays(((*shape, 3), np.dtype(np.uint8)), ((*shape, channels), kept))
    unusual = [] if (channels, kept) == (1, np.uint8) else [[channels, kept.name]]
    if on_disk:
        try:
            folder = _own_folder() / _digest([FORMAT, key, shape, [list(map(str, s)) for s in sources], *unusual])
            made_from = _digest([_fingerprint(path) for source in sources for path in source])
            found = _open(folder, arrays, made_from)
            if found is None:
                found = _build(folder, read, sources, arrays, made_from)
            if found is not None:
                return found
            why: object = "another program has changed it"
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
            why = error
        log.warning("The decoded images are kept in memory, not in the cache folder: %s", why)
    images, masks = np.zeros(*arrays.images), np.zeros(*arrays.masks)

    def keep(row: int, image: NDArray[np.uint8], mask: Labels) -> None:
        images[row], masks[row] = image, mask

    return Decoded(images, masks, _decode(read, sources, keep))


def cache_folder() -> Path:
    """Returns the absolute path of the folder of all caches. Raises RuntimeError if there is no home folder."""
    if os.environ.get("MINUNET_CACHE"):
        return Path(os.environ["MINUNET_CACHE"]).expanduser().absolute()
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "minunet"


def _own_folder() -> Path:
    """Returns the folder of all caches, made if need be. Raises OSError if others could have written what is in it."""
    folder = cache_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    status = os.stat(folder)
    if os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
        raise PermissionError(
            f"others can write into {folder}: give it to its owner alone (chmod 700), or name another MINUNET_CACHE"
        )
    return folder


def _decode(read: Read, sources: Sequence[Source], keep: Keep) -> dict[int, str]:
    """Calls keep(row, image, mask) for each source in order. Returns {row: reason} of those that were skipped."""

    def attempt(source: Source) -> tuple[NDArray[np.uint8], Labels] | DataError:
        try:
            return read(source)
        except DataError as problem:
            return problem

    skipped = {}
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))  # threads: Pillow lets others run while it decodes
    try:
        with tqdm(total=len(sources), desc="decoding", unit=" images", delay=1, disable=None) as bar:
            for start in range(0, len(sources), BLOCK):
                for row, result in enumerate(pool.map(attempt, sources[start : start + BLOCK]), start):
                    bar.update()
                    if isinstance(result, DataError):
                        skipped[row] = str(result)
                    else:
                        keep(row, *result)
    finally:
        pool.shutdown(cancel_futures=True)
    return skipped


# ---- the folder of a cache ----


class _AlreadyThere(Exception):
    """Another program has built the same cache in the meantime."""


def _build(folder: Path, read: Read, sources: Sequence[Source], arrays: _Arrays, made_from: str) -> Decoded | None:
    """Makes the folder of a cache, and returns what is in it. Raises OSError if it cannot be written.

    The files are opened while nobody else knows their folder: they stay readable when another program replaces it.
    Windows does not rename a folder whose files are open; there, None says that the folder has been replaced since.
    """
    built = None
    remove_leftovers(folder.parent, "[0-9a-f]" * len(folder.name), ABANDONED, only=_is_abandoned)
    if os.path.lexists(folder) and not _is_ours(folder):
        raise FileExistsError(f"{folder} holds something else, and is not replaced")
    with suppress(_AlreadyThere), atomic_folder(folder, replace=True) as draft:
        draft.chmod(0o700)  # others need not see what may be private photographs
        with ExitStack() as stack:
            stack.enter_context(FolderLock(draft))
            # Written as plain files: a full disk is then an error that can be caught, whereas writing into
            # mapped memory would end the program.
            images = _RowWriter(stack, draft / "images.npy", *arrays.images)
            masks = _RowWriter(stack, draft / "masks.npy", *arrays.masks)

            def keep(row: int, image: NDArray[np.uint8], mask: Labels) -> None:
                images.write(row, image)
                masks.write(row, mask)

            skipped = _decode(read, sources, keep)
            checksums = {"images": images.finish(), "masks": masks.finish()}
        with open(draft / "metadata.json", "w") as file:
            json.dump({"made_from": made_from, "checksums": checksums, "skipped": list(skipped.items())}, file)
            file.flush()
            os.fsync(file.fileno())
        built = _open(folder, arrays, made_from)
        if built is not None:
            raise _AlreadyThere
        if os.name == "posix":
            built = _open(draft, arrays, made_from)
    return _open(folder, arrays, made_from) if built is None else built


class _RowWriter:
    """Writes the rows of a .npy file one after the other, and computes their checksum; skipped rows are zeros."""

    def __init__(self, stack: ExitStack, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.file = stack.enter_context(open(path, "wb"))
        self.nothing = np.zeros(shape[1:], dtype)
        self.rows = shape[0]
        self.row = 0
        self.checksum = 0
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)

    def write(self, row: int, values: Labels) -> None:
        while self.row < row:
            self._append(self.nothing)
        self._append(values)

    def finish(self) -> int:
        while self.row < self.rows:
            self._append(self.nothing)
        self.file.flush()
        os.fsync(self.file.fileno())
        return self.checksum

    def _append(self, values: Labels) -> None:
        data = values.tobytes()
        self.file.write(data)
        self.checksum = zlib.crc32(data, self.checksum)
        self.row += 1


def _open(folder: Path, expected: _Arrays, made_from: str) -> Decoded | None:
    """Returns the cache in a folder, or None if there is none, or an outdated, damaged or foreign one."""
    try:
        metadata = json.loads((folder / "metadata.json").read_text())
        if metadata["made_from"] != made_from:
            return None
        arrays = {}
        for name, (shape, dtype) in expected._asdict().items():
            array = arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            fits = array.shape == shape and array.dtype == dtype
            if not fits or _checksum(array) != metadata["checksums"][name]:
                return None
        skipped = {int(row): str(reason) for row, reason in metadata["skipped"]}
        return Decoded(arrays["images"], arrays["masks"], skipped)
    except Exception:  # whatever a damaged file leads to, the answer is the same: build a new one
        return None


def _is_ours(folder: Path) -> bool:
    """Returns whether it is a folder that holds nothing but files of a cache."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return all(path.name in CONTENT and path.is_file() and not path.is_symlink() for path in folder.iterdir())


def _is_abandoned(folder: Path) -> bool:
    """Returns whether it is what a program that was killed has left of a cache; the others hold a lock on theirs."""
    try:
        if not _is_ours(folder):
            return False
        FolderLock(folder).release()
    except OSError:
        return False
    return True


def _checksum(array: Labels) -> int:
    checksum = 0
    for row in array:
        checksum = zlib.crc32(row, checksum)
    return checksum


def _fingerprint(path: Path) -> list[int] | None:
    try:
        status = os.stat(path)
        # st_ctime_ns: a program can give new content the old size and time, but not the old time of that change
        return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    except OSError:
        return None


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
