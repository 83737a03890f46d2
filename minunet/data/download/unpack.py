"""One folder out of an archive, which may be damaged or hostile: nothing lands elsewhere, and sizes have limits."""

import gzip
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PureWindowsPath

from tqdm import tqdm

from minunet.data.download.fetch import DownloadError
from minunet.files import atomic_folder, remove_leftovers

MOST_MEMBERS = 200_000  # the pets are 7,000 images, with a few files for each
MOST_BYTES = 8 << 30  # unpacked
DEEPEST = 32  # folders in each other
AT_ONCE = 16 << 20  # bytes that are read at once; file contents come in smaller pieces


def unpack(archive: Path, name: str) -> None:
    """Unpacks the folder `name` out of the archive, beside the archive."""
    remove_leftovers(archive.parent, name)
    try:
        with atomic_folder(archive.with_name(name)) as folder:
            _unpack_members(archive, name, folder)
            if hasattr(os, "sync"):  # thousands of files reach the disk before their folder gets its name
                os.sync()
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, RecursionError, ValueError) as error:
        raise DownloadError(f"{archive} is damaged ({error}): delete it, and run again.") from error


class _Unpacked(gzip.GzipFile):
    """What is inside a .gz file, read in small pieces: a header can ask for gigabytes at once, all of them zeros."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= AT_ONCE:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size)


def _unpack_members(archive: Path, name: str, folder: Path) -> None:
    """Writes what the archive holds in its folder `name` into `folder`; anything beside it is passed over."""
    found, count, unpacked = False, 0, 0
    with (
        open(archive, "rb") as packed,
        _Unpacked(fileobj=packed) as content,
        tarfile.open(fileobj=content, mode="r:") as tar,
        tqdm(desc=f"unpacking {name}", total=archive.stat().st_size, unit="B", unit_scale=True, disable=None) as bar,
    ):
        for member in tar:
            count, unpacked = count + 1, unpacked + member.size
            if count > MOST_MEMBERS or unpacked > MOST_BYTES:
                raise DownloadError(
                    f"{archive} is refused: it holds more than {MOST_MEMBERS} files or {MOST_BYTES} bytes."
                )
            top, *below = _safe_parts(member, archive) or ("",)
            if top == name and (below or member.isdir()):
                _unpack_member(tar, member, folder.joinpath(*below))
                found = True
            bar.update(packed.tell() - bar.n)
    if not found:
        raise DownloadError(f"{archive} contains no folder {name}: delete it, and run again.")


def _safe_parts(member: tarfile.TarInfo, archive: Path) -> tuple[str, ...]:
    """Returns the parts of a member's path. Raises DownloadError unless it is a file or folder that stays inside.

    By hand, because tarfile's own filter="data" is missing from some releases of Python 3.10 and 3.11, and because less
    is needed here: no links, so none leads out; no devices, owners or modes. Windows paths have both / and \\ as
    separators, and drives: a path without anchor and .. there has none on any system.
    """
    path = PureWindowsPath(member.name)
    why = ""
    if path.anchor or ".." in path.parts:
        why = "lies outside its folder"
    elif not (member.isdir() or member.isfile()):
        why = "is neither a file nor a folder"
    elif len(path.parts) > DEEPEST:
        why = f"lies in more than {DEEPEST} folders"
    elif "\0" in member.name or not member.name.isprintable():
        why = "has a name that cannot be shown"
    if why:
        raise DownloadError(f"{archive} is refused: its member {member.name!r:.80} {why}.")
    return path.parts


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    assert content is not None  # a regular file has content
    with open(target, "wb") as file:
        shutil.copyfileobj(content, file)
