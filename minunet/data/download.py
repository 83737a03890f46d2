"""Downloads the Oxford-IIIT Pet archives (0.8 GB): resumed after an interruption, checked, unpacked safely.

Each step ends with a rename, so whatever has its final name is complete:

    NAME.tar.gz.part     grows; a later call continues where it ends
    NAME.tar.gz          its md5 sum is right (an archive put here by hand is checked, too); it is kept, and can be
                         deleted once it is unpacked
    .NAME.RANDOM.part/   grows; if a call is killed, the next one removes it and unpacks again
    NAME/                everything is unpacked
"""

import errno
import gzip
import hashlib
import http.client
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path, PureWindowsPath

from tqdm import tqdm

from minunet.files import FolderInUse, FolderLock, atomic_folder, open_own, remove_leftovers

BASE_URL = "https://thor.robots.ox.ac.uk/pets/"
ARCHIVES = {"images": "5c4f3ee8e5d25df40f4fd59a7f44e54c", "annotations": "95a8c909bbe2e81eed6a22bccdf3f68f"}
CHUNK = 1 << 20
TRIES = 4  # in a row without a new byte; while the file grows, there is no limit
TIMEOUT = 60  # seconds without a byte


class DownloadError(RuntimeError):
    """The archives could not be downloaded; the message says why, and what to do."""


def download(
    folder: str | Path, base_url: str = BASE_URL, archives: Mapping[str, str] = ARCHIVES, pause: float = 1.0
) -> Path:
    """Makes folder/images and folder/annotations, which minunet.data.pets.Pets reads. Returns the folder.

    What is there already is left as it is: a second call does nothing, and one after an interruption continues.

    folder    created if need be
    base_url  where NAME.tar.gz lies
    archives  {NAME: md5 sum in hexadecimal}; archive NAME unpacks into one folder NAME
    pause     seconds before a second try; twice as many before each further one

    Raises DownloadError: no network, no such file, a broken connection, a wrong sum, a full disk, an archive with paths
    that lead out of its folder, another download into the same folder at the same time.
    """
    folder = Path(os.path.expanduser(folder))
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if all((folder / name).is_dir() for name in archives):
            return folder  # without a lock: the folder may be one that can only be read
        with _only_one(folder):
            for name, md5 in archives.items():
                if not (folder / name).is_dir():
                    archive = folder / f"{name}.tar.gz"
                    _provide(archive, f"{base_url.rstrip('/')}/{archive.name}", md5, pause)
                    _unpack(archive, name)
    return folder


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns an OSError into a DownloadError that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "free some space (2 GB in all)" if full else "choose a folder that can be written"
        why = error.strerror or error
        raise DownloadError(f"Cannot write to {folder}: {why}; {fix}, and run again.") from error


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Refuses a second download into the same folder at the same time, where the system can tell."""
    try:
        lock = FolderLock(folder)
    except FolderInUse as error:
        raise DownloadError(f"Another download into {folder} is running: wait, and run again.") from error
    with lock:
        yield


# ---- fetching ----


def _provide(archive: Path, url: str, md5: str, pause: float) -> None:
    """Makes sure that the right archive is there: the one at hand, or a download by way of a .part file."""
    if archive.exists():
        if _md5(archive) != md5:
            raise DownloadError(
                f"{archive} cannot be used: its md5 sum is not the official one. Delete it, and run again."
            )
        return
    part = archive.with_name(archive.name + ".part")
    try:
        _fetch(url, part, pause)
        if _md5(part) != md5:
            part.unlink()
            raise _Refused("the md5 sum of the downloaded file is not the official one, so it was deleted")
    except (_Network, _Refused) as error:
        raise DownloadError(
            f"Cannot fetch {url}: {error}. Run it again to continue where it stopped; or download that file in "
            f"another way, put it at {archive}, and run again."
        ) from error
    os.replace(part, archive)


class _Network(Exception):
    """The connection failed: another try may help."""


class _Refused(Exception):
    """The server does not send what it should: asking again will not help."""


def _fetch(url: str, part: Path, pause: float) -> None:
    """Downloads `url` to its end, trying again as long as something comes. Raises _Network or _Refused."""
    largest, failures = _size(part), 0
    while True:
        try:
            _fetch_rest(url, part)
            return
        except _Network as error:
            failures = 0 if _size(part) > largest else failures + 1
            largest = max(largest, _size(part))
            if failures == TRIES:
                raise _Network(f"{error}; {_size(part)} bytes are here so far") from error
        time.sleep(pause * 2 ** (failures - 1))


def _fetch_rest(url: str, part: Path) -> None:
    """Appends what is missing to `part`. Raises _Network if it is still incomplete afterward."""
    start = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with _network_errors():
            response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing follows our last byte: it is complete, or wrong; the sum will tell
            return
        refused = error.code < 500 and error.code not in (408, 429)  # the others may be temporary
        answer = f"the server answers {error.code} {error.reason}"
        raise (_Refused if refused else _Network)(answer) from error
    with response:
        length, sent = (response.headers.get(name, "") for name in ("Content-Length", "Content-Range"))
        if response.status != 206 or not sent.startswith(f"bytes {start}-"):
            start = 0  # this server cannot resume: it sends everything again
        total = start + int(length) if length else None
        size = _append(response, part, start, total)
    if total is not None and size < total:
        raise _Network("the connection broke off")


def _append(response: HTTPResponse, part: Path, start: int, total: int | None) -> int:
    """Writes the response's bytes into `part`, from byte `start` on. Returns the size of the file."""
    # "ab" continues at the end, which is `start`; "wb" empties the file.
    with (
        open(part, "ab" if start else "wb", opener=open_own) as file,
        tqdm(desc=part.stem, total=total, initial=start, unit="B", unit_scale=True, disable=None) as bar,
    ):
        while True:
            with _network_errors():
                chunk = response.read1(CHUNK)  # what has come so far, so that an interruption loses nothing
            if not chunk:
                break
            file.write(chunk)
            bar.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


@contextmanager
def _network_errors() -> Iterator[None]:
    """Tells failures of the connection from those of the disk, which are OSErrors as well."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _Network(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5(path: Path) -> str:
    md5 = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            md5.update(chunk)
    return md5.hexdigest()


# ---- unpacking ----


def _unpack(archive: Path, name: str) -> None:
    """Unpacks the folder `name` out of the archive, beside the archive."""
    remove_leftovers(archive.parent, name)
    try:
        with atomic_folder(archive.with_name(name)) as folder:
            _unpack_members(archive, name, folder)
            if hasattr(os, "sync"):  # thousands of files reach the disk before their folder gets its name
                os.sync()
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DownloadError(f"{archive} is damaged ({error}): delete it, and run again.") from error


def _unpack_members(archive: Path, name: str, folder: Path) -> None:
    """Writes what the archive holds in its folder `name` into `folder`; anything beside it is passed over."""
    found, total = False, archive.stat().st_size
    with open(archive, "rb") as packed, tarfile.open(fileobj=packed, mode="r:gz") as tar:
        with tqdm(desc=f"unpacking {name}", total=total, unit="B", unit_scale=True, disable=None) as bar:
            for member in tar:
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
    if path.anchor or ".." in path.parts:
        raise DownloadError(f"{archive} is refused: its member {member.name!r} lies outside its folder.")
    if not (member.isdir() or member.isfile()):
        raise DownloadError(f"{archive} is refused: its member {member.name!r} is neither a file nor a folder.")
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
