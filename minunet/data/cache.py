"""Pictures decoded once: the rows of two .npy files, mapped into memory, so that no epoch decodes again.

The files lie in $MINUNET_CACHE, or $XDG_CACHE_HOME/minunet, or ~/.cache/minunet; that folder can be deleted
at any time. Each set of sources and sizes has a folder of its own there:

    images.npy   uint8 (N, H, W, 3)      row i is source i; zeros if that source cannot be used
    trimaps.npy  uint8 (N, H, W, 1)
    about.json   what it was made from (size and time of each file), checksums, and the problems found

It is built in a temporary folder beside and then renamed, so that it is there whole or not at all; of two
programs that build at once, each ends up with a whole one. What does not fit when opened is built anew.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from minunet.data import DataError

FORMAT = 1  # raise it whenever the files, or what pets.py puts into them, change their meaning
BLOCK = 64  # pictures under way at a time: enough for all threads, and a slow disk cannot fill the memory

log = logging.getLogger("minunet")


class Decoded(NamedTuple):
    """N decoded sources, and which of them could not be decoded."""

    images: np.ndarray  # uint8 (N, H, W, 3)
    trimaps: np.ndarray  # uint8 (N, H, W, 1)
    problems: dict  # {row: what is wrong with that source}


def decode_all(read, sources, size, key="", on_disk=True):
    """Decodes all sources, or opens what an earlier call decoded: -> Decoded, not to be written to.

    read     read(source) -> (image uint8 (H, W, 3), trimap uint8 (H, W, 1)), or DataError if it cannot be
             used; called from several threads
    sources  list of tuples of file paths; a file that changes, comes or goes makes the cache invalid
    size     (H, W)
    key      text; another key has another cache
    on_disk  False keeps the arrays in memory alone. So does a cache folder that cannot be written, after a
             line in the log: the next run has to decode again, and nothing else changes.
    """
    shape = (len(sources), *size)
    if on_disk:
        try:
            folder = cache_folder() / _digest([FORMAT, key, shape, [list(map(str, s)) for s in sources]])
            made_from = _digest([_fingerprint(path) for source in sources for path in source])
            found = _open(folder, shape, made_from)
            if found is None:
                _build(folder, read, sources, shape, made_from)
                found = _open(folder, shape, made_from)
            if found is not None:
                return found
            why = "it was changed by another program"
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
            why = error
        log.warning("The decoded pictures are kept in memory, not in the cache folder: %s", why)
    images, trimaps = np.zeros((*shape, 3), np.uint8), np.zeros((*shape, 1), np.uint8)

    def keep(row, image, trimap):
        images[row], trimaps[row] = image, trimap

    return Decoded(images, trimaps, _decode(read, sources, keep))


def cache_folder():
    """The folder of all caches (absolute Path, perhaps not there yet). RuntimeError if there is no home."""
    if os.environ.get("MINUNET_CACHE"):
        return Path(os.environ["MINUNET_CACHE"]).expanduser().absolute()
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "minunet"


def _decode(read, sources, keep):
    """Calls keep(row, image, trimap) for each source in order; -> {row: problem} of those left out."""

    def attempt(source):
        try:
            return read(source)
        except DataError as problem:
            return problem

    problems = {}
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))  # threads: Pillow lets others run while it decodes
    try:
        with tqdm(total=len(sources), desc="decoding", unit=" pictures", delay=1, disable=None) as bar:
            for start in range(0, len(sources), BLOCK):
                for row, result in enumerate(pool.map(attempt, sources[start : start + BLOCK]), start):
                    bar.update()
                    if isinstance(result, DataError):
                        problems[row] = str(result)
                    else:
                        keep(row, *result)
    finally:
        pool.shutdown(cancel_futures=True)
    return problems


def _build(folder, read, sources, shape, made_from):
    """Makes the folder of a cache; OSError if it cannot be written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.building-", dir=folder.parent))
    try:
        with ExitStack() as stack:
            # Written as plain files: a full disk is then an error that can be caught, where writing into
            # mapped memory would end the program.
            images = _RowWriter(stack, temporary / "images.npy", (*shape, 3))
            trimaps = _RowWriter(stack, temporary / "trimaps.npy", (*shape, 1))

            def keep(row, image, trimap):
                images.write(row, image)
                trimaps.write(row, trimap)

            problems = _decode(read, sources, keep)
            checksums = {"images": images.finish(), "trimaps": trimaps.finish()}
        with open(temporary / "about.json", "w") as file:
            about = {"made_from": made_from, "checksums": checksums, "problems": list(problems.items())}
            json.dump(about, file)
            file.flush()
            os.fsync(file.fileno())
        if _open(folder, shape, made_from) is None:  # else another program has built it meanwhile
            _put_in_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _RowWriter:
    """Writes the rows of a .npy file one after the other, and sums them up; rows left out are zeros."""

    def __init__(self, stack, path, shape):
        self.file = stack.enter_context(open(path, "wb"))
        self.shape, self.row, self.checksum = shape, 0, 0
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)

    def write(self, row, values):
        while self.row < row:
            self._append(np.zeros(self.shape[1:], np.uint8))
        self._append(values)

    def finish(self):
        while self.row < self.shape[0]:
            self._append(np.zeros(self.shape[1:], np.uint8))
        self.file.flush()
        os.fsync(self.file.fileno())
        return self.checksum

    def _append(self, values):
        data = values.tobytes()
        self.file.write(data)
        self.checksum = zlib.crc32(data, self.checksum)
        self.row += 1


def _put_in_place(temporary, folder):
    """Renames the temporary folder, over an outdated or damaged one if need be."""
    outdated = temporary.with_name(temporary.name + "-outdated")
    with suppress(FileNotFoundError):
        os.rename(folder, outdated)
    try:
        os.rename(temporary, folder)
    except OSError:
        if not folder.is_dir():  # else another program was faster, and its cache is as good
            raise
    shutil.rmtree(outdated, ignore_errors=True)


def _remove_abandoned(parent):
    """Removes what programs that were killed while building have left: not touched for an hour."""
    for left in parent.glob("*.building-*"):
        with suppress(OSError):
            if max(path.stat().st_mtime for path in [left, *left.iterdir()]) < time.time() - 3600:
                shutil.rmtree(left, ignore_errors=True)


def _open(folder, shape, made_from):
    """The cache in a folder -> Decoded; None if there is none, or an outdated, damaged or foreign one."""
    try:
        about = json.loads((folder / "about.json").read_text())
        if about["made_from"] != made_from:
            return None
        arrays = {}
        for name, channels in [("images", 3), ("trimaps", 1)]:
            array = arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            fits = array.shape == (*shape, channels) and array.dtype == np.uint8
            if not fits or _checksum(array) != about["checksums"][name]:
                return None
        problems = {int(row): str(problem) for row, problem in about["problems"]}
        return Decoded(arrays["images"], arrays["trimaps"], problems)
    except Exception:  # whatever a damaged file leads to, the answer is the same: build it anew
        return None


def _checksum(array):
    checksum = 0
    for row in array:
        checksum = zlib.crc32(row, checksum)
    return checksum


def _fingerprint(path):
    try:
        status = os.stat(path)
        return [status.st_size, status.st_mtime_ns]
    except OSError:
        return None


def _digest(content):
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
