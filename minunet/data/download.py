"""Fetches the Oxford-IIIT Pet archives (0.8 GB): resumed where they broke off, checked, unpacked safely.

Each step ends with a rename, so that what bears a final name is whole:

    NAME.tar.gz.part   grows; a later call goes on where it ends
    NAME.tar.gz        its md5 sum was found right (an archive put here by hand is checked too); it is kept,
                       and can be deleted once it is unpacked
    .NAME.unpacking/   grows; left behind by a call that was killed, it is thrown away by the next
    NAME/              everything was unpacked
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
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

from tqdm import tqdm

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

BASE_URL = "https://thor.robots.ox.ac.uk/pets/"
ARCHIVES = {"images": "5c4f3ee8e5d25df40f4fd59a7f44e54c", "annotations": "95a8c909bbe2e81eed6a22bccdf3f68f"}
CHUNK = 1 << 20
TRIES = 4  # in a row that bring nothing; while the file grows, there is no limit
TIMEOUT = 60  # seconds without a byte


class DownloadError(RuntimeError):
    """The pictures could not be fetched; the message says why, and what to do."""


def download(folder, base_url=BASE_URL, archives=ARCHIVES, pause=1.0):
    """Makes folder/images and folder/annotations, which minunet.data.pets.Pets reads; -> the folder (Path).

    What is there already is left as it is: a second call does nothing, one after an interruption goes on.

    folder    made if need be
    base_url  where NAME.tar.gz lies
    archives  {NAME: md5 sum in hexadecimal}; archive NAME unpacks into one folder NAME
    pause     seconds before a second try; twice as many before each further one

    Raises DownloadError: no network, no such file, a broken connection, a wrong sum, a full disk, an archive
    with paths out of its folder, a second download into the same folder at the same time.
    """
    folder = Path(os.path.expanduser(folder))
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(folder):
            for name, md5 in archives.items():
                if not (folder / name).is_dir():
                    archive = folder / f"{name}.tar.gz"
                    _provide(archive, f"{base_url.rstrip('/')}/{archive.name}", md5, pause)
                    _unpack(archive, name)
    return folder


# ---- fetching ----


def _provide(archive, url, md5, pause):
    """Makes sure that the right archive is there: the file at hand, or a download through a .part file."""
    if archive.exists():
        if _md5(archive) != md5:
            raise DownloadError(f"{archive} has not the official md5 sum: delete it, run again.")
        return
    part = archive.with_name(archive.name + ".part")
    try:
        _fetch(url, part, pause)
        if _md5(part) != md5:
            part.unlink()
            raise _Refused("what came has another md5 sum than the official archive, and was deleted")
    except (_Network, _Refused) as error:
        raise DownloadError(
            f"Cannot fetch {url}: {error}. Run it again to go on where it stopped; or fetch that file in "
            f"another way, put it at {archive}, and run again."
        ) from error
    os.replace(part, archive)


class _Network(Exception):
    """The connection failed: worth another try."""


class _Refused(Exception):
    """The server does not give what it should: no use to ask again."""


def _fetch(url, part, pause):
    """Downloads `url` to its end, in as many tries as bring something. _Network or _Refused if that fails."""
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


def _fetch_rest(url, part):
    """Appends to `part` what is missing. _Network if it is not whole then."""
    start = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with _network_errors():
            response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing comes after our last byte: it is whole, or wrong; the sum will tell
            return
        refused = error.code < 500 and error.code not in (408, 429)  # the others may pass
        answer = f"the server answers {error.code} {error.reason}"
        raise (_Refused if refused else _Network)(answer) from error
    with response:
        length, sent = (response.headers.get(name, "") for name in ("Content-Length", "Content-Range"))
        if response.status != 206 or not sent.startswith(f"bytes {start}-"):
            start = 0  # this server cannot resume: it sends everything again
        total = start + int(length) if length else None
        size = _append(response, part, start, total)
    if total is not None and size < total:
        raise _Network("it broke off")


def _append(response, part, start, total):
    """Writes the response's bytes into `part` from byte `start` on; -> its size then."""
    # "ab" goes on at the end, which is `start`; "wb" empties the file.
    with (
        open(part, "ab" if start else "wb") as file,
        tqdm(desc=part.stem, total=total, initial=start, unit="B", unit_scale=True, disable=None) as bar,
    ):
        while True:
            with _network_errors():
                chunk = response.read1(CHUNK)  # what has come so far, so that a break loses nothing
            if not chunk:
                break
            file.write(chunk)
            bar.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


@contextmanager
def _network_errors():
    """Tells failures of the connection from those of the disk, which are OSErrors as well."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _Network(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _md5(path):
    md5 = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            md5.update(chunk)
    return md5.hexdigest()


# ---- unpacking ----


def _unpack(archive, name):
    """Unpacks the folder `name` out of the archive, beside the archive."""
    unpacking = archive.with_name(f".{name}.unpacking")
    shutil.rmtree(unpacking, ignore_errors=True)
    unpacking.mkdir()
    try:
        total = archive.stat().st_size
        with open(archive, "rb") as packed, tarfile.open(fileobj=packed, mode="r:gz") as tar:
            with tqdm(desc=f"unpacking {name}", total=total, unit="B", unit_scale=True, disable=None) as bar:
                for member in tar:
                    _unpack_member(tar, member, unpacking, archive)
                    bar.update(packed.tell() - bar.n)
        if not (unpacking / name).is_dir():
            raise DownloadError(f"{archive} holds no folder {name}: delete it, run again.")
        if hasattr(os, "sync"):  # thousands of files reach the disk before their folder gets its name
            os.sync()
        os.replace(unpacking / name, archive.with_name(name))
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DownloadError(f"{archive} is damaged ({error}): delete it, run again.") from error
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)


def _unpack_member(tar, member, folder, archive):
    """Writes one file or folder of the archive, below `folder`; anything else is refused.

    By hand, because tarfile's own filter="data" is missing from some Python 3.10 and 3.11, and because less
    is needed here: no links, so none leads out; no devices, owners or modes. A Windows path takes / and \\
    as separators and knows drives: what has no anchor and no .. there has none anywhere.
    """
    path = PureWindowsPath(member.name)
    if path.anchor or ".." in path.parts:
        raise DownloadError(f"{archive} is refused: its member {member.name!r} lies outside its folder.")
    target = folder.joinpath(*path.parts)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
    elif member.isfile():
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as file:
            shutil.copyfileobj(tar.extractfile(member), file)
    else:
        raise DownloadError(f"{archive} is refused: its member {member.name!r} is no file and no folder.")


# ---- the folder ----


@contextmanager
def _explained(folder):
    """An OSError becomes a DownloadError that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        fix = "free some space (2 GB in all)" if full else "choose a folder that can be written"
        why = error.strerror or error
        raise DownloadError(f"Cannot write to {folder}: {why}; {fix}, and run again.") from error


@contextmanager
def _only_one(folder):
    """Refuses a second download into the same folder at the same time, where the system can tell."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given back by the system, even after a kill
    except BlockingIOError as error:
        os.close(handle)
        raise DownloadError(f"Another download into {folder} is running: wait, and run again.") from error
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(handle)
