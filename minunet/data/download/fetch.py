"""One file from a server: continued where the connection broke off, of limited size, and with the right md5 sum.

A redirect is followed to https:// only. What a server sends as "the rest" has to be the rest: see `_total`.
"""

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

from tqdm import tqdm

from minunet.files import open_own

CHUNK = 1 << 20
TRIES = 4  # in a row without a new byte; while the file grows, there is no limit
TIMEOUT = 60  # seconds without a byte
LARGEST = 4 << 30  # bytes of an archive; the larger one of the pets has 0.8 GB


class DownloadError(RuntimeError):
    """The archives could not be downloaded; the message says why, and what to do."""


def provide(archive: Path, url: str, md5: str, pause: float) -> None:
    """Makes sure that the right archive is there: the one at hand, or a download by way of a .part file."""
    if os.path.lexists(archive):
        if not archive.is_file():
            raise DownloadError(f"{archive} cannot be used: it is no file. Remove it, and run again.")
        if _md5(archive) != md5:
            raise DownloadError(
                f"{archive} cannot be used: its md5 sum is not the official one. Delete it, and run again."
            )
        return
    part = archive.with_name(archive.name + ".part")
    try:
        if urllib.parse.urlsplit(url).scheme not in ("https", "http"):
            raise _Refused("only https:// and http:// are read")
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


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address only if that is encrypted: not to ftp:, http: or a file on this disk."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urllib.parse.urlsplit(newurl).scheme != "https":
            raise _Refused(f"the server leads to {newurl!r:.80}, and only https:// is followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(self, req, fp, code, msg, headers):
        fp.close()  # nothing of the answer itself is read
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


_OPENER = urllib.request.build_opener(_HttpsOnly)


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
            response = _OPENER.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing follows our last byte: it is complete, or wrong; the sum will tell
            return
        refused = error.code < 500 and error.code not in (408, 429)  # the others may be temporary
        answer = f"the server answers {error.code} {error.reason}"
        raise (_Refused if refused else _Network)(answer) from error
    with response:
        if response.status != 206:
            start = 0  # this server cannot resume: it sends everything again
        total = _total(response, start)
        size = _append(response, part, start, total)
    if total is not None and size < total:
        raise _Network("the connection broke off")


def _total(response: HTTPResponse, start: int) -> int | None:
    """Returns how long the whole file is, if the server says so. Raises _Refused if that is too long, or another part.

    What a server sends in answer to a request for a part is appended to what is here, so it has to be that part.
    """
    length = response.headers.get("Content-Length", "")
    if length and not re.fullmatch("[0-9]{1,18}", length):
        raise _Refused(f"the server says that {length!r:.40} bytes come")
    total = start + int(length) if length else None
    if response.status == 206:
        sent = response.headers.get("Content-Range", "")
        found = re.fullmatch("bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|[*])", sent)
        first, last = (int(found[1]), int(found[2])) if found else (-1, -1)
        whole = str(last + 1) if found is None or found[3] == "*" else found[3]
        if first != start or whole != str(last + 1):
            raise _Refused(f"the server sends {sent!r:.60} of {length} bytes in place of all from byte {start} on")
        total = last + 1
    if total is not None and total > LARGEST:
        raise _Refused(f"the server wants to send {total} bytes, and no archive has more than {LARGEST}")
    return total


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
            if file.tell() + len(chunk) > LARGEST:
                raise _Refused(f"the server sends more than {LARGEST} bytes, which no archive has")
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
